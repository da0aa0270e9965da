"""Tensors that a custom Function keeps for its backward."""

from __future__ import annotations

from ..graph import stale
from ..modes import modes
from ..operator import shell
from ..operator_nodes import SameBackward0, tie
from ..tensor import Tensor


class SavedTensor:
    """A tensor as it was when saved: its memory, version, and place in the graph.

    A leaf is kept as it is. Anything else is kept without its Tensor object and rebuilt, so that
    a node never holds its own output, nor what an in-place operator may later tie to the node.
    """

    __slots__ = ("kept", "output_nr", "packed", "requires_grad", "source", "version")

    def __init__(self, t, is_output):
        self.version = t._counter[0]
        self.requires_grad = t._requires_grad
        self.output_nr = t._output_nr
        # None stands for the node that saves
        self.source = None if is_output else t._grad_fn
        leaf = t._grad_fn is None and not is_output
        self.packed = None
        if modes.saved_hooks is not None:
            from ..saved_values import Packed

            self.packed = Packed(t, modes.saved_hooks)
            self.kept = t if leaf and self.requires_grad else None
        else:
            self.kept = t if leaf else shell(t)

    def unpack(self, node, position):
        """The tensor again; RuntimeError if it was written in place since."""
        if self.packed is not None:
            return self._tied(self.packed.tensor(), node)
        kept = self.kept
        version = kept._counter[0]
        if version != self.version:
            name = f"saved_tensors[{position}]"
            origin = None if self.source is None else (self.source, self.output_nr)
            stale(node, name, kept.shape, kept.dtype, self.version, version, origin)
        if not self.requires_grad or kept._requires_grad:
            return kept
        return self._tied(kept, node)

    def _tied(self, value, node):
        """A tensor of these values at the place that the saved one had in the graph."""
        out = shell(value)
        if not self.requires_grad:
            return out
        if self.kept is not None and self.kept._requires_grad:
            tie(SameBackward0, out, self.kept, None)
            return out
        out._grad_fn = node if self.source is None else self.source
        out._output_nr = self.output_nr
        out._requires_grad = True
        return out


def pack(tensors, outputs):
    """What a node keeps of `tensors`; those among `outputs` are rebuilt as its own."""
    own = {id(output) for output in outputs}
    packed = []
    for position, t in enumerate(tensors):
        if t is None:
            packed.append(None)
        elif isinstance(t, Tensor):
            packed.append(SavedTensor(t, id(t) in own and t._grad_fn is not None))
        else:
            raise TypeError(
                f"save_for_backward can only save variables, but argument {position} is of type "
                f"{type(t).__name__}"
            )
    return tuple(packed)


def unpack(node, packed):
    """The tensors again."""
    return tuple(
        None if saved is None else saved.unpack(node, position)
        for position, saved in enumerate(packed)
    )
