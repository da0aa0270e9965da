"""Gradients of views put back where the views lie, among zeros."""

from __future__ import annotations

import numpy as np

from .blocks import BLOCK
from .geometry import Size
from .operator import as_tensor
from .strips import share_out
from .tensor import view_of

NONE = 0, 0, 0  # no pieces


def placed(shape, places, grads):
    """Zeros of a shape with each gradient (or None) where its view lies.

    places: (shape, strides, offset) of each view in a dense tensor of the shape.
    """
    first = next(g for g in grads if g is not None)
    total = shape.numel()
    axis, step, count = _stacked(places, total)
    array = (np.zeros if count < 2 else np.empty)(total, first.dtype.numpy)
    tensor = as_tensor(array, shape)
    parts = [
        (view_of(tensor, Size(shape), strides, offset)._nd(), grad._nd())
        for grad, (shape, strides, offset) in zip(grads, places, strict=True)
        if grad is not None
    ]
    if count < 2:
        for view, grad in parts:
            view[...] = grad
        return tensor
    start = min(offset for _, _, offset in places)
    many = max(1, BLOCK // step)
    last = -(-count // many) - 1

    def work(strip):
        low, high = strip * many, min((strip + 1) * many, count)
        begin = start + low * step if strip else 0
        array[begin : start + high * step if strip < last else total] = 0
        for view, grad in parts:
            piece = (slice(None),) * axis + (slice(low, high),)
            view[piece] = grad[piece]

    share_out(work, last + 1)
    return tensor


def _stacked(places, total):
    """(dimension, distance, number) of the pieces that all views are stacked of.

    The number is 0 where there are no such pieces, each in a range of its own, or where all is so
    small that one goes through memory twice as fast.
    """
    if total < 4 * BLOCK:
        return NONE
    shape, strides, _ = places[0]
    axis = next((d for d, n in enumerate(shape) if n > 1), None)
    if axis is None:
        return NONE
    start = min(offset for _, _, offset in places)
    step, count = strides[axis], shape[axis]
    for shape, strides, offset in places:
        if len(shape) <= axis or strides[axis] != step or shape[axis] != count:
            return NONE
        if min(strides) < 0 or min(shape) < 1 or max(shape[:axis], default=1) > 1:
            return NONE
        inside = zip(shape[axis + 1 :], strides[axis + 1 :], strict=True)
        if offset - start + sum((n - 1) * s for n, s in inside) >= step:
            return NONE
    return axis, step, count
