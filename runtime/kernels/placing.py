"""Rows put where a view has them, and zeros between them: each line of memory is written once."""

from __future__ import annotations

import numpy as np
from numba import njit

from .folding import start_of

LONG = 65536  # elements of a row at once, at most
NEAR = 8192  # of the target at once where values lie apart: they stay in the first cache

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def pieces_of(size):
    """How many pieces a row of so many elements has."""
    return (size + LONG - 1) // LONG


@njit(**_options)
def place(values, target, layout, offset, other, ahead, low, high):
    """Write rows (the last dimension) of a view, those pieces from `low` to `high`.

    After a row come zeros, up to where the next view has that row (`ahead` is 0), or the first
    view the next row (`ahead` is 1): that view begins at `other`. After the last row they go up to
    the end.
    """
    rank = layout.shape[0] // 2
    size, step = layout[rank - 1], layout[-1]
    pieces, rows = pieces_of(size), values.shape[0] // size
    for piece in range(low, high):
        row, first = piece // pieces, piece % pieces * LONG
        count = min(LONG, size - first)
        start = offset + start_of(layout, row) + first * step
        end = target.shape[0]
        if first + count < size:
            end = start + count * step
        elif row + ahead < rows:
            end = other + start_of(layout, row + ahead)
        part = values[row * size + first : row * size + first + count]
        if step == 1:
            _place_dense(part, target[start : start + count])
        elif step == 2:
            _place_second(part, target[start : start + 2 * count - 1])
        else:
            _place_apart(part, target[start : start + (count - 1) * step + 1], step)
        rest = target[start + (count - 1) * step + 1 : end]
        for k in range(rest.shape[0]):
            rest[k] = 0


@njit(**_options)
def _place_dense(part, target):
    for k in range(target.shape[0]):
        target[k] = part[k]


@njit(**_options)
def _place_second(part, target):
    for k in range(part.shape[0] - 1):
        target[np.uint64(2 * k)] = part[k]
        target[np.uint64(2 * k + 1)] = 0
    target[target.shape[0] - 1] = part[part.shape[0] - 1]


@njit(**_options)
def _place_apart(part, target, step):
    many = max(NEAR // step, 1)
    for first in range(0, part.shape[0], many):
        values = part[first : first + many]
        piece = target[first * step : (first + many) * step]
        for k in range(piece.shape[0]):
            piece[k] = 0
        for k in range(values.shape[0]):
            piece[np.uint64(k * step)] = values[k]
