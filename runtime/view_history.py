"""The history of a tensor and its views after one of them was changed in place.

The base gets a node that merges its old history with that of the written values; every living view
gets its history from the base anew.
"""

from __future__ import annotations

import numpy as np

from .arrays import ViewNode
from .geometry import is_permuted, storage_span
from .graph import begin
from .inplace import set_history
from .modes import modes
from .operator import General, as_tensor, shell
from .operator_nodes import TensorNode, tie
from .tensor import strided_array, view_of
from .view_marks import error, put_out_of_date, shown

_new = object.__new__

_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation."


def region(base, view):
    """Where a view lies in the memory of its base: the cheapest description that is right."""
    geometry = (view.shape, view._strides, view._offset - base._offset)
    last = geometry[2] + storage_span(view.shape, view._strides)
    dense = base._flat is not None and geometry[2] >= 0 and last <= len(base._flat)
    dense = dense and view.shape.numel() > 0
    if dense and (is_permuted(view.shape, view._strides) or _spread_out(*geometry[:2])):
        return Region(base.shape, geometry)
    return ScatteredRegion(base, view)


def _spread_out(shape, strides):
    """Whether no two elements lie at one place, as far as the strides tell at once."""
    reach = 0
    for stride, size in sorted((m, n) for m, n in zip(strides, shape, strict=True) if n != 1):
        if stride <= reach:
            return False
        reach += stride * (size - 1)
    return True


class Region:
    """A view without overlaps of a base whose memory is dense."""

    __slots__ = ("base_shape", "geometry")

    index = 0  # as a Recipe, it makes one view

    def __init__(self, base_shape, geometry):
        self.base_shape = base_shape
        self.geometry = geometry

    def place(self, grads):
        """Zeros of the base's shape with the one gradient where the view lies."""
        (grad,) = grads
        whole = as_tensor(np.zeros(self.base_shape.numel(), grad.dtype.numpy), self.base_shape)
        view_of(whole, *self.geometry)._nd()[...] = grad._nd()
        return whole

    def view(self, tensor):
        """The view's part of a tensor of the base's shape, graph included."""
        from . import operators as ops

        dense = ops.contiguous(tensor)
        part = view_of(dense, *self.geometry)
        if dense._requires_grad and modes.grad:
            tie(AsStridedBackward0, part, dense, self)
        return part

    def cleared(self, array):
        """A copy of a flat array of the base with zeros where the view lies."""
        array = array.copy()
        shape, strides, offset = self.geometry
        strided_array(array, shape, strides, offset)[...] = 0
        return array


class ScatteredRegion:
    """Any view of any base: the position in the base of each element of the view, -1 for none.

    Elements that lie at one place share their gradient, as after `expand`.
    """

    __slots__ = ("base_shape", "positions", "shape")

    index = 0

    def __init__(self, base, view):
        self.base_shape, self.shape = base.shape, view.shape
        places = np.full(len(base._data), -1, np.int64)
        count = base.shape.numel()
        numbers = np.arange(count).reshape(base.shape)
        strided_array(places, base.shape, base._strides, base._offset)[...] = numbers
        self.positions = places[:0]
        if view.shape.numel():
            part = strided_array(places, view.shape, view._strides, view._offset)
            self.positions = part.ravel()

    def place(self, grads):
        (grad,) = grads
        whole = np.zeros(self.base_shape.numel(), grad.dtype.numpy)
        inside = self.positions >= 0
        np.add.at(whole, self.positions[inside], grad._dense()[inside])
        return as_tensor(whole, self.base_shape)

    def view(self, tensor):
        flat = tensor._dense()
        part = np.zeros(len(self.positions), flat.dtype)
        inside = self.positions >= 0
        part[inside] = flat[self.positions[inside]]
        result = as_tensor(part, self.shape)
        if tensor._requires_grad and modes.grad:
            tie(AsStridedBackward0, result, tensor, self)
        return result

    def cleared(self, array):
        array = array.copy()
        array[self.positions[self.positions >= 0]] = 0
        return array


class AsStridedBackward0(ViewNode):
    """A view whose base was changed in place after the view was made."""

    __slots__ = ()


class CopySlices(TensorNode):
    """A base in a part of which other values were written: edges to its past and to them."""

    __slots__ = ()

    def apply_differentiable(self, grad):
        place = self.general.details
        written = None if self.edges[2] is None else place.view(grad)
        past = None
        if self.edges[0] is not None:
            past = as_tensor(place.cleared(grad._dense()), grad.shape)
            if grad._requires_grad and modes.grad:
                tie(ClearedBackward0, past, grad, place)
        return past, written


class ClearedBackward0(TensorNode):
    """A gradient with zeros where a view lies: so is the gradient of that."""

    __slots__ = ()

    def apply_differentiable(self, grad):
        place = self.general.details
        result = as_tensor(place.cleared(grad._dense()), grad.shape)
        if grad._requires_grad and modes.grad:
            tie(ClearedBackward0, result, grad, place)
        return result


def check_view(view):
    """Errors of in-place operations on views that a graph cannot follow."""
    if view._mark is not None:
        raise RuntimeError(error(view))
    base = view._base
    if (view._requires_grad or base._requires_grad) and shown(base._grad_fn) is None:
        raise RuntimeError(_LEAF)


def seen_from_base(view):
    """The view without its own past: a shell whose history is that of its base."""
    base = view._base
    result = shell(view)
    tie(AsStridedBackward0, result, base, region(base, view))
    return result


def written(view, result):
    """Record that `result` was written into `view`: the base's history, then that of all views."""
    base = view._base
    past = (base._grad_fn, base._output_nr) if base._requires_grad else (None, 0)
    target = (result._grad_fn or result) if result._requires_grad else None
    shapes, kinds = [base.shape, view.shape], [base.dtype, view.dtype]
    node = _new(CopySlices)
    begin(node)
    node.edges = (*past, target, result._output_nr)
    node.saved = ()
    node.shape = base.shape
    node.general = General(shapes, kinds, region(base, view))
    set_history(base, node, 0)
    refresh(base)


def refresh(base, settled=None):
    """Give every living view of `base` but `settled` its history from the base as it is now.

    A view that may not follow is put out of date: whoever uses its history gets the error.
    """
    for reference in base._counter[1:]:
        view = reference()
        if view is None or view is settled or view._base is not base:
            continue
        if view._mark is not None:
            put_out_of_date(view)
            continue
        old, number = view._grad_fn, view._output_nr
        tie(AsStridedBackward0, view, base, region(base, view))
        node = view._grad_fn
        view._grad_fn, view._output_nr = old, number
        set_history(view, node, 0)
