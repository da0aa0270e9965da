"""Elements that lie somewhere in memory, brought into rows, put back, and added up.

A layout walks through a flat range of elements (numbered in row-major order of some shape) and
says where each lies: an array of four sizes and four strides, 0 where a dimension is repeated.
Any part of the range can be asked for, so that callers go by blocks that fit the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload

from . import tiles

SQUARE = 4  # the side of a square that is turned without vectors
BAND = 16  # rows are turned in such numbers
WIDE = 64  # as many at once, so that whole lines of the cache are read
SHORT = 64  # what the last dimensions have together at most, to be gone through outermost
LONG = 1024  # steps along the dimension before them at most, so that all stays in the cache

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


def turn(source, start, step, target, at, pitch):
    """`target[at + c * pitch + r] = source[start + r * step + c]` for a square of `side_of`."""
    raise NotImplementedError


@overload(turn, jit_options={"forceinline": True})
def _turn_overload(source, start, step, target, at, pitch):
    if source.dtype == target.dtype and _bytes(source.dtype) in tiles.LANES:
        return lambda source, start, step, target, at, pitch: tiles.turn_square(
            source, start, step, target, at, pitch
        )
    return _turn_plainly


def _turn_plainly(source, start, step, target, at, pitch):
    for c in range(SQUARE):
        for r in range(SQUARE):
            target[np.uint64(at + c * pitch + r)] = source[np.uint64(start + r * step + c)]


def side_of(array):
    """The side of the squares that `turn` turns."""
    raise NotImplementedError


@overload(side_of)
def _side_overload(array):
    side = tiles.LANES.get(_bytes(array.dtype), SQUARE)
    return lambda array: side


def _bytes(kind):
    """The size of a number in memory; 0 for what is no number."""
    return getattr(kind, "bitwidth", 0) // 8


@njit(**_options)
def _start(layout, row):
    """Where a row (the last dimension) begins."""
    second = layout[2]
    first = layout[1]
    at = (row % second) * layout[6]
    row //= second
    return at + (row % first) * layout[5] + (row // first) * layout[4]


@njit(**_options)
def _banded(layout):
    """Whether neighbours in memory are neighbouring rows: a transposed matrix."""
    return layout[6] == 1 and layout[7] > 1 and layout[2] >= BAND and layout[3] >= SQUARE


@njit(**_options)
def _rows_of_band(layout, row, most):
    """How many neighbouring rows to turn at once: whole bands, WIDE rows at most."""
    rows = min(layout[2] - row % layout[2], most, WIDE)
    return rows - rows % BAND


@njit(**_options)
def _bundle(layout):
    """(dimension, elements of those after it) if these are few, so that steps along it come last.

    The dimension is -1 where rows are long enough, or lie dense.
    """
    inner, dim = 1, 3
    while dim > 0 and inner * layout[dim] <= SHORT and layout[dim] < BAND:
        inner *= layout[dim]
        dim -= 1
    if dim == 3 or layout[dim] < BAND or (layout[3] >= BAND // 2 and layout[7] == 1):
        dim = -1
    return dim, inner


@njit(**_options)
def _offset(layout, dim, number):
    """Where an element lies, numbered in the dimensions up to `dim`."""
    at = 0
    for d in range(dim, 0, -1):
        at += number % layout[d] * layout[d + 4]
        number //= layout[d]
    return at + number * layout[4]


@njit(**_options)
def _within(layout, dim, number):
    """Where an element of the dimensions after `dim` lies."""
    at = 0
    for d in range(3, dim, -1):
        at += number % layout[d] * layout[d + 4]
        number //= layout[d]
    return at


@njit(**_options)
def gather(source, offset, layout, low, out):
    """`out` filled with the elements of a layout of `source`, from number `low` on."""
    dim, inner = _bundle(layout)
    if dim >= 0:
        _gather_bundles(source, offset, layout, low, out, dim, inner)
        return
    size, step = layout[3], layout[7]
    banded = _banded(layout)
    row, i = low // size, low % size
    at, end = 0, out.shape[0]
    while at < end:
        start = offset + _start(layout, row) + i * step
        if banded and i == 0:
            rows = _rows_of_band(layout, row, (end - at) // size)
            if rows:
                _turn(source, start, step, size, rows, out, at)
                row += rows
                at += rows * size
                continue
        count = min(size - i, end - at)
        part = out[at : at + count]
        if step == 1:
            span = source[start : start + count]
            for k in range(part.shape[0]):
                part[k] = span[k]
        elif step == 0:
            value = source[start]
            for k in range(part.shape[0]):
                part[k] = value
        else:
            for k in range(part.shape[0]):
                part[k] = source[np.uint64(start + k * step)]
        row, i = row + 1, 0
        at += count


@njit(**_options)
def _gather_bundles(source, offset, layout, low, out, dim, inner):
    """`gather` of bundles of `inner` elements: the same element of many bundles at a time."""
    step = layout[dim + 4]
    at, end = 0, out.shape[0]
    while at < end:
        bundle, first = (low + at) // inner, (low + at) % inner
        start = offset + _offset(layout, dim, bundle)
        count = min(layout[dim] - bundle % layout[dim], (end - at) // inner, LONG)
        if first or count == 0:  # a part of one
            last = min(inner, first + end - at)
            for k in range(first, last):
                out[at + k - first] = source[start + _within(layout, dim, k)]
            at += last - first
            continue
        for k in range(inner):
            begin = start + _within(layout, dim, k)
            for r in range(count):
                out[np.uint64(at + r * inner + k)] = source[np.uint64(begin + r * step)]
        at += count * inner


@njit(**_options)
def _turn(source, start, step, size, rows, out, at):
    """`out[at + r * size + k] = source[start + k * step + r]` for `rows` rows, by squares."""
    side = side_of(source)
    whole = size - size % side
    for k in range(0, whole, side):
        for r in range(0, rows, side):
            turn(source, start + k * step + r, step, out, at + r * size + k, size)
    for k in range(whole, size):
        for r in range(rows):
            out[np.uint64(at + r * size + k)] = source[np.uint64(start + k * step + r)]


@njit(**_options)
def scatter(values, target, offset, layout, low):
    """`values` written to where a layout of `target` has them, from number `low` on."""
    dim, inner = _bundle(layout)
    if dim >= 0:
        _scatter_bundles(values, target, offset, layout, low, dim, inner)
        return
    size, step = layout[3], layout[7]
    banded = _banded(layout)
    row, i = low // size, low % size
    at, end = 0, values.shape[0]
    while at < end:
        start = offset + _start(layout, row) + i * step
        if banded and i == 0:
            rows = _rows_of_band(layout, row, (end - at) // size)
            if rows:
                _turn_back(values, at, size, rows, target, start, step)
                row += rows
                at += rows * size
                continue
        count = min(size - i, end - at)
        part = values[at : at + count]
        if step == 1:
            span = target[start : start + count]
            for k in range(part.shape[0]):
                span[k] = part[k]
        else:
            for k in range(part.shape[0]):
                target[np.uint64(start + k * step)] = part[k]
        row, i = row + 1, 0
        at += count


@njit(**_options)
def _scatter_bundles(values, target, offset, layout, low, dim, inner):
    """The inverse of `_gather_bundles`."""
    step = layout[dim + 4]
    at, end = 0, values.shape[0]
    while at < end:
        bundle, first = (low + at) // inner, (low + at) % inner
        start = offset + _offset(layout, dim, bundle)
        count = min(layout[dim] - bundle % layout[dim], (end - at) // inner, LONG)
        if first or count == 0:  # a part of one
            last = min(inner, first + end - at)
            for k in range(first, last):
                target[start + _within(layout, dim, k)] = values[at + k - first]
            at += last - first
            continue
        for k in range(inner):
            begin = start + _within(layout, dim, k)
            for r in range(count):
                target[np.uint64(begin + r * step)] = values[np.uint64(at + r * inner + k)]
        at += count * inner


@njit(**_options)
def _turn_back(values, at, size, rows, target, start, step):
    """The inverse of `_turn`."""
    side = side_of(values)
    whole = size - size % side
    for k in range(0, whole, side):
        for r in range(0, rows, side):
            turn(values, at + r * size + k, size, target, start + k * step + r, step)
    for k in range(whole, size):
        for r in range(rows):
            target[np.uint64(start + k * step + r)] = values[np.uint64(at + r * size + k)]


@njit(fastmath={"contract", "nsz", "reassoc"}, **_options)
def _fold_four(values, start, step, sums):
    """Add four rows to the same totals, which are read and written once for all of them."""
    n = sums.shape[0]
    first, second = values[start : start + n], values[start + step : start + step + n]
    start += 2 * step
    third, fourth = values[start : start + n], values[start + step : start + step + n]
    for k in range(sums.shape[0]):
        one, other = np.float64(first[k]) + second[k], np.float64(third[k]) + fourth[k]
        sums[k] += one + other


@njit(fastmath={"contract", "nsz", "reassoc"}, **_options)
def fold(values, offset, strides, layout, low, count, totals):
    """Add `count` elements from number `low` on to totals (float64), each where `layout` has it.

    `strides` is the layout of the values themselves; it need not be dense.
    """
    size, step, own = layout[3], layout[7], strides[7]
    row, i = low // size, low % size
    at = 0
    while at < count:
        start = offset + _start(strides, row) + i * own
        goal = _start(layout, row) + i * step
        four = layout[6] == 0 and layout[2] - row % layout[2] >= 4 and count - at >= 4 * size
        if four and i == 0 and own == 1 and step == 1:
            _fold_four(values, start, strides[6], totals[goal : goal + size])
            row += 4
            at += 4 * size
            continue
        many = min(size - i, count - at)
        if own == 1 and step == 0:
            part = values[start : start + many]
            total = 0.0
            for k in range(part.shape[0]):
                total += part[k]
            totals[goal] += total
        elif own == 1 and step == 1:
            part = values[start : start + many]
            sums = totals[goal : goal + many]
            for k in range(part.shape[0]):
                sums[k] += part[k]
        else:
            for k in range(many):
                totals[goal + k * step] += values[start + k * own]
        row, i = row + 1, 0
        at += many
