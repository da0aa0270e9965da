"""Elements that lie somewhere in memory, added up where a layout says."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .accumulate import stream

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def start_of(layout, row):
    """Where a row (the last dimension) begins."""
    rank = layout.shape[0] // 2
    at = 0
    for d in range(rank - 2, 0, -1):
        if row == 0:
            break
        at += row % layout[d] * layout[rank + d]
        row //= layout[d]
    return at + row * layout[rank] if rank > 1 else 0


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
    rank = layout.shape[0] // 2
    size, step, own = layout[rank - 1], layout[-1], strides[-1]
    row, i = low // size, low % size
    at = 0
    while at < count:
        start = offset + start_of(strides, row) + i * own
        goal = start_of(layout, row) + i * step
        four = layout[-2] == 0 and layout[rank - 2] - row % layout[rank - 2] >= 4
        if four and i == 0 and own == 1 and step == 1 and count - at >= 4 * size:
            _fold_four(values, start, strides[-2], totals[goal : goal + size])
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


@njit(**_options)
def fold_strip(values, offset, strides, layout, low, high, copy, step, totals):
    """`fold` from number `low` to `high - 1`; dense ones are copied to `copy` if that is given.

    What is copied is in the cache when it is added: `step` elements at a time.
    """
    if copy is None:
        fold(values, offset, strides, layout, low, high - low, totals)
        return
    for begin in range(low, high, step):
        end = min(begin + step, high)
        stream(values[offset + begin : offset + end], copy[begin:end])
        fold(values, offset, strides, layout, begin, end - begin, totals)


@njit(parallel=True, **_options)
def fold_strips(values, offset, strides, layout, each, count, copy, step, totals):
    """`fold_strip` for strips of `each` elements, by several threads, to totals of their own."""
    for strip in prange(totals.shape[0]):
        low = strip * each
        high = min(low + each, count)
        fold_strip(values, offset, strides, layout, low, high, copy, step, totals[strip])
