"""What a module's parameters and buffers are, to put it back after something failed."""

from __future__ import annotations

_KINDS = ("_parameters", "_buffers")


class Snapshot:
    """The parameters and buffers of a module and all below it, with their values now."""

    def __init__(self, module):
        self._owned, self._values = [], {}
        for owner in module.modules():
            for kind in _KINDS:
                owned = owner.__dict__[kind]
                self._owned.append((owned, dict(owned)))
                for tensor in owned.values():
                    if tensor is not None and tensor not in self._values:
                        self._values[tensor] = tensor._nd().copy()

    def restore(self):
        """Put back the tensors themselves, and the values of those that were written."""
        for owned, before in self._owned:
            owned.clear()
            owned.update(before)
        for tensor, values in self._values.items():
            memory = tensor._nd()
            if memory.tobytes() != values.tobytes():
                memory[...] = values
                tensor._counter[0] += 1
