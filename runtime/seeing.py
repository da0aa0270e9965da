"""Views whose geometry was found before: what a call comes to is looked up, and so is its gradient.

How a view moves through the storage depends only on the geometry of its base and on plain
arguments, so it is worked out once.
"""

from __future__ import annotations

import weakref

import numpy as np

from .blocks import summed
from .geometry import Size, broadcast_strides, contiguous_strides, is_contiguous
from .graph import Nowhere, next_sequence
from .modes import modes
from .operator import General
from .operator_nodes import TensorNode
from .tensor import Tensor
from .view_marks import NO_GRAD

new = object.__new__
empty = np.empty
ndarray = np.ndarray

PRUNE = 64
LARGE = 65536  # elements from which on gradients are moved by operators rather than by NumPy


class Seen(General):
    """A view call without its tensor: its geometry, what its node keeps, where gradients go."""

    __slots__ = (
        *("bijective", "broadcast", "dense", "elements", "kind", "moved", "n", "offset"),
        *("place", "saved", "shape", "start", "steps", "strides"),
    )

    def __init__(self, kind, base, found, place, saved, details, broadcast):
        super().__init__([base.shape], [base.dtype], details)
        self.kind = kind  # the class of the node
        self.saved = saved
        self.broadcast = broadcast  # whether elements of the base are repeated, as by expand
        self.shape, self.strides, self.offset = found
        self.n = self.shape.numel()
        self.dense = is_contiguous(self.shape, self.strides)
        self.elements = base.shape.numel()
        # the same of a dense base, where its gradient is put together
        shape, steps, self.start = place
        self.moved = self.n != self.elements or not is_contiguous(shape, steps)
        self.bijective = self.n == self.elements
        size = base.dtype.itemsize
        self.place = tuple(shape)
        self.steps = tuple(step * size for step in steps)
        self.start *= size

    def put(self, grad):
        """The gradient of the base, flat: that of the view where the view lies, else zeros.

        None for a sum of what was broadcast that is not to be had in one pass.
        """
        if self.broadcast:
            return summed(grad.reshape(self.place), self.input_shapes[0])
        if not self.moved:
            return grad
        out = (empty if self.bijective else np.zeros)(self.elements, grad.dtype)
        if not self.n:
            return out
        part = ndarray(self.place, out.dtype, out, self.start, self.steps)
        part[...] = grad.reshape(self.place)
        return out


def injective(shape, strides):
    """Whether no two places of a geometry are the same element."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return False
            reach += (size - 1) * stride
    return True


def _broadcast_strides(shape, to):
    try:
        return broadcast_strides(shape, contiguous_strides(shape), to)
    except ValueError:  # another number of dimensions
        return None


def found(op, base, args):
    """The Seen of a view call; None where its geometry does not follow from that of its base."""
    shape, strides = base.shape, base._strides
    try:
        here = op.geometry(shape, strides, 0, *args)
        further = op.geometry(shape, strides, 1, *args)
        wider = op.geometry(shape, tuple(2 * step for step in strides), 0, *args)
        place = op.geometry(shape, contiguous_strides(shape), 0, *args)
    except RuntimeError:  # as_strided may reach too far
        return None
    if further[2] != here[2] + 1 or wider[2] != 2 * here[2]:
        return None
    if any(n > 1 and a != 2 * b for n, a, b in zip(here[0], wider[1], here[1], strict=True)):
        return None
    broadcast = not injective(place[0], place[1])
    if broadcast:
        repeated = len(place[0]) >= len(shape) and place[2] == 0
        if not repeated or place[1] != _broadcast_strides(shape, place[0]):
            return None
    here = Size(here[0]), here[1], here[2]
    if op.auto:
        return Seen(op.node, base, here, place, (), op.recipe(shape, args), broadcast)
    saved = []
    for _, kind, source, _ in op.saving:
        if kind == "shape":
            saved += (shape, None, 0)
        elif kind == "value":
            saved += ((base, *args)[source], None, 0)
        else:
            return None
    return Seen(op.node, base, here, place, tuple(saved), None, broadcast)


def see(base, seen):
    """The view of a tensor that `seen` describes, recorded."""
    view = new(Tensor)
    data = view._data = base._data
    counter = view._counter = base._counter
    view.shape = seen.shape
    view._strides = seen.strides
    view._offset = offset = base._offset + seen.offset
    view.dtype = base.dtype
    view._output_nr = 0
    n = seen.n
    if not seen.dense:
        view._flat = None
    else:
        view._flat = data if n == len(data) else data[offset : offset + n]
    try:
        whole = base._view
    except AttributeError:
        whole = None
    if whole is None:
        view._view, view._mark = base, None
    else:
        view._view, view._mark = whole, base._mark
    register(counter, view)
    if not modes.grad:
        view._mark = NO_GRAD
        recorded = view._requires_grad = base._requires_grad
        view._grad_fn = Nowhere(seen.shape) if recorded else None
    elif base._requires_grad and seen.kind is not None:
        node = new(seen.kind)
        node.sequence = next_sequence()
        node.edges = (base._grad_fn or base, base._output_nr)
        node.saved = seen.saved
        node.shape = seen.shape
        node.general = seen
        node.hooks = None
        view._requires_grad = True
        view._grad_fn = node
    else:
        view._requires_grad = False
        view._grad_fn = None
    return view


def register(counter, view):
    """Note a view beside the version counter that it shares with its base."""
    counter.append(weakref.ref(view))
    if len(counter) % PRUNE == 0:
        counter[1:] = [reference for reference in counter[1:] if reference() is not None]


class GeometryNode(TensorNode):
    """The node of a view."""

    __slots__ = ()

    def apply(self, grad):
        seen = self.general
        if type(seen) is not Seen:
            return self.by_formulas(grad)
        if seen.n < LARGE and seen.elements < LARGE and not modes.active:
            flat = grad if type(grad) is ndarray else grad._dense()
            if flat.dtype is seen.input_dtypes[0].numpy:
                found = seen.put(flat)
                if found is not None:
                    return found
        elif type(grad) is ndarray and not (seen.moved or seen.broadcast):
            return grad
        return self.by_formulas(grad)


_INTS = frozenset({int})


def ints(values):
    """Whether all values are plain integers."""
    return _INTS.issuperset(map(type, values))
