"""The history of a tensor and its views after one of them was changed in place.

The base gets a node that merges its old history with that of the written values; every living view
gets its history from the base anew.
"""

from __future__ import annotations

import numpy as np

from .arrays import ViewNode
from .graph import begin
from .modes import modes
from .operator import General, OperatorNode, TensorNode, as_tensor, tie
from .tensor import view_of

_new = object.__new__


class Region:
    """Where a view lies in the memory of its base."""

    __slots__ = ("base_shape", "geometry")

    index = 0  # as a Recipe, it makes one view

    def __init__(self, base, view):
        self.base_shape = base.shape
        self.geometry = (view.shape, view._strides, view._offset - base._offset)

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


class AsStridedBackward0(ViewNode):
    """A view whose base was changed in place after the view was made."""

    __slots__ = ()


class CopySlices(TensorNode):
    """A base in a part of which other values were written: edges to its past and to them."""

    __slots__ = ()

    def apply_differentiable(self, grad):
        from . import operators as ops
        from .factories import ones

        region = self.general.lanes
        written = region.view(grad)
        if self.edges[0] is None:
            return None, written
        mask = region.place([ones(written.shape)]).bool()
        return ops.masked_fill(grad, mask, 0), written


def check_view(name, view):
    """Errors of in-place operations on views that a graph cannot follow."""
    base = view._base
    node = view._grad_fn
    if base._requires_grad and base._grad_fn is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )
    if node is not None and node.op is not None and node.op.listed:
        raise RuntimeError(
            f"{name}_: the target is a view made by {node.op.name}, which returns several views; "
            "they must not be modified inplace. Clone it, or write into the base"
        )
    if node is not None and not isinstance(node, OperatorNode):
        raise RuntimeError(
            f"{name}_: the target is a view created inside a custom Function; it must not be "
            "modified inplace. Clone it first"
        )
    if base._flat is None:
        raise NotImplementedError(
            f"{name}_: the target is a view of a tensor whose memory is not dense; clone the "
            "tensor first"
        )


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
    node.general = General(shapes, kinds, Region(base, view))
    base._grad_fn, base._output_nr, base._requires_grad = node, 0, True
    refresh(base)


def refresh(base):
    """Give every living view of `base` its history from the base as it is now."""
    counter = base._counter
    for reference in counter[1:]:
        view = reference()
        if view is not None and view._base is base and base._flat is not None:
            tie(AsStridedBackward0, view, base, Region(base, view))
