"""Elements that lie somewhere in memory, brought into rows, put back, and added up.

A layout walks through a flat range of elements (numbered in row-major order of some shape) and
says where each lies: an array of four sizes and four strides, 0 where a dimension is repeated.
Any part of the range can be asked for, so that callers go by blocks that fit the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TILE = 4
BAND = 16

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


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
    return layout[6] == 1 and layout[7] > 1 and layout[2] >= BAND and layout[3] >= TILE


@njit(**_options)
def gather(source, offset, layout, low, out):
    """`out` filled with the elements of a layout of `source`, from number `low` on."""
    size, step = layout[3], layout[7]
    banded = _banded(layout)
    row, i = low // size, low % size
    at, end = 0, out.shape[0]
    while at < end:
        start = offset + _start(layout, row) + i * step
        if banded and i == 0 and row % layout[2] <= layout[2] - BAND and end - at >= BAND * size:
            span = source[start : start + (size - 1) * step + BAND]
            _turn(span, step, size, out[at : at + BAND * size])
            row += BAND
            at += BAND * size
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
def _turn(span, step, size, out):
    """`out[r * size + k] = span[k * step + r]` for BAND rows r, by tiles."""
    whole = size - size % TILE
    for k in range(0, whole, TILE):
        for r in range(0, BAND, TILE):
            for a in range(TILE):
                for b in range(TILE):
                    out[np.uint64((r + b) * size + k + a)] = span[np.uint64((k + a) * step + r + b)]
    for k in range(whole, size):
        for r in range(BAND):
            out[np.uint64(r * size + k)] = span[np.uint64(k * step + r)]


@njit(**_options)
def scatter(values, target, offset, layout, low):
    """`values` written to where a layout of `target` has them, from number `low` on."""
    size, step = layout[3], layout[7]
    banded = _banded(layout)
    row, i = low // size, low % size
    at, end = 0, values.shape[0]
    while at < end:
        start = offset + _start(layout, row) + i * step
        if banded and i == 0 and row % layout[2] <= layout[2] - BAND and end - at >= BAND * size:
            span = target[start : start + (size - 1) * step + BAND]
            _turn_back(values[at : at + BAND * size], size, step, span)
            row += BAND
            at += BAND * size
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
def _turn_back(values, size, step, span):
    """The inverse of `_turn`."""
    whole = size - size % TILE
    for k in range(0, whole, TILE):
        for r in range(0, BAND, TILE):
            for a in range(TILE):
                for b in range(TILE):
                    span[np.uint64((k + a) * step + r + b)] = values[
                        np.uint64((r + b) * size + k + a)
                    ]
    for k in range(whole, size):
        for r in range(BAND):
            span[np.uint64(k * step + r)] = values[np.uint64(r * size + k)]


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
