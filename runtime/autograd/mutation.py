"""In-place operations on tensors that a graph has saved: the graph keeps the old values."""

from __future__ import annotations

import contextlib
import weakref

from ..modes import modes

__all__ = ["allow_mutation_on_saved_tensors"]

_OUTSIDE = (
    "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context "
    "in which the graph was originally recorded."
)


@contextlib.contextmanager
def allow_mutation_on_saved_tensors():
    """Inside, changing a saved tensor in place is no error: the graph gets a copy first.

    A tensor is copied only when it is about to change. Backward passes must run inside, too.
    Yields an object whose `clear()` releases what was saved.
    """
    from .graph import saved_tensors_hooks

    if modes.before_write is not None:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    saved = _Saved()
    modes.before_write = saved.before_write
    try:
        with saved_tensors_hooks(saved.pack, saved.unpack):
            yield saved
    finally:
        modes.before_write = None
        saved.clear()


class _Handle:
    """What a node holds in the place of a tensor."""

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor):
        self.tensor = tensor


class _Saved:
    """The saved tensors of one context, by the version counter of their memory."""

    def __init__(self):
        self.handles = weakref.WeakSet()
        self.by_counter = {}  # id of counter -> (counter, handles over that memory)

    def pack(self, tensor):
        tensor = tensor.detach()
        handle = _Handle(tensor)
        counter = tensor._counter
        entry = self.by_counter.setdefault(id(counter), (counter, weakref.WeakSet()))
        entry[1].add(handle)
        self.handles.add(handle)
        return handle

    def unpack(self, handle):
        if handle not in self.handles:
            raise AssertionError(_OUTSIDE)
        return handle.tensor

    def before_write(self, target):
        """Copy what is saved of the memory of `target`, which is about to change."""
        _, handles = self.by_counter.pop(id(target._counter), (None, ()))
        for handle in list(handles):
            handle.tensor = handle.tensor.clone()

    def clear(self):
        """Release the saved tensors; the graphs that need them can no longer be used."""
        for handle in list(self.handles):
            handle.tensor = None
        self.handles.clear()
        self.by_counter.clear()
