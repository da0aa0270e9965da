"""Gradients of views put back where the views lie, among zeros."""

from __future__ import annotations

from math import prod

import numpy as np

from .blocks import BLOCK, STRIPS
from .geometry import Size
from .kernels.placing import pieces_of, place
from .operator import as_tensor
from .plan import SHORT, layout
from .strips import share_out
from .tensor import view_of

NONE = 0, 0, 0  # no pieces


def placed(shape, places, grads):
    """Zeros of a shape with each gradient (or None) where its view lies.

    places: (shape, strides, offset) of each view in a dense tensor of the shape.
    """
    first = next(g for g in grads if g is not None)
    total = shape.numel()
    kind = first.dtype.numpy
    rows = _in_order(places, grads, total)
    if rows is not None:
        array = np.empty(total, kind)
        _place_rows(array, rows)
        return as_tensor(array, shape)
    axis, step, count = _stacked(places, total)
    array = (np.zeros if count < 2 else np.empty)(total, kind)
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


def _in_order(places, grads, total):
    """(offset, layout, gradient) of each view, if memory has rows in the order of their numbers.

    One of each view, and then the next of each. None if it is otherwise, as for a transposed view,
    or if rows are short.
    """
    if total < 4 * BLOCK or min(map(prod, (shape for shape, _, _ in places))) == 0:
        return None
    rows = [
        (offset, layout(tuple(shape), tuple(strides), tuple(shape))[0], grad)
        for grad, (shape, strides, offset) in zip(grads, places, strict=True)
        if grad is not None
    ]
    rows.sort(key=lambda row: row[0])
    begin, outer = rows[0][0], _outer(rows[0][1])
    reach = begin  # where the next row may begin
    for offset, found, _ in rows:
        size, step = int(found[len(found) // 2 - 1]), int(found[-1])
        if size < SHORT or step < 1 or offset < reach or _outer(found) != outer:
            return None
        reach = offset + (size - 1) * step + 1
    reach -= begin
    for size, step in reversed(outer):
        if size > 1:
            if step < reach:
                return None
            reach += (size - 1) * step
    return rows


def _outer(found):
    """(size, stride) of all dimensions of a layout but the last."""
    rank = len(found) // 2
    return list(zip(found[: rank - 1].tolist(), found[rank:-1].tolist(), strict=True))


def _place_rows(array, rows):
    """Write the rows that `_in_order` found."""
    parts = []
    for number, (offset, found, grad) in enumerate(rows):
        last = number + 1 == len(rows)
        other = rows[0 if last else number + 1][0]
        values = grad._dense().astype(array.dtype, copy=False)
        size = int(found[len(found) // 2 - 1])
        parts.append((values, found, offset, other, int(last), len(values) // size, size))
    array[: rows[0][0]] = 0
    strips = min(2 * STRIPS, max(pieces_of(size) * count for *_, count, size in parts))

    def work(strip):
        for values, found, offset, other, ahead, count, size in parts:
            pieces = count * pieces_of(size)
            low, high = strip * pieces // strips, (strip + 1) * pieces // strips
            place(values, array, found, offset, other, ahead, low, high)

    share_out(work, strips)


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
