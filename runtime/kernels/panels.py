"""Products of a matrix anywhere in memory with a panel: dense rows of whole vectors.

A panel is as wide as a block of tiles.py, or one or two vectors wide where less is needed. All
arrays are flat; where a matrix lies is told by its first element and its steps.
"""

from __future__ import annotations

from numba import njit

from .tiles import combine, copy_row, turn_square

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def whole(width, lanes):
    """`width` rounded up to whole vectors."""
    return (width + lanes - 1) // lanes * lanes


@njit(**_options)
def pack(x, start, row, column, rows, width, lanes, panel, pitch):
    """`panel[i * pitch + j] = x[start + i * row + j * column]`; zeros up to whole vectors."""
    zero = x.dtype.type(0)
    full = width // lanes * lanes
    turned = rows // lanes * lanes if row == 1 and column != 1 else 0
    for i in range(0, turned, lanes):
        for j in range(0, full, lanes):
            turn_square(x, start + j * column + i, column, panel, i * pitch + j, pitch)
    for i in range(rows):
        at = i * pitch
        if column == 1:
            copy_row(x, start + i * row, panel, at, width, zero)
        else:
            for j in range(full if i < turned else 0, width):
                panel[at + j] = x[start + i * row + j * column]
        for j in range(width, whole(width, lanes)):
            panel[at + j] = zero


@njit(**_options)
def _strip(x, start, step, terms, panel, column, rows_at, out, at, pitch, rows, wide):
    """`multiply` for columns from `column` on, as many as `wide` has vectors."""
    sizes = step, pitch
    fours = rows // 4 * 4
    for i in range(0, fours, 4):
        own, to = start + i * step, at + i * pitch
        combine(panel, column, rows_at, x, own, terms, out, to, sizes, (0, 0, 0, 0), wide)
    for i in range(fours, rows):
        own, to = start + i * step, at + i * pitch
        combine(panel, column, rows_at, x, own, terms, out, to, sizes, (0,), wide)


@njit(**_options)
def multiply(x, start, step, terms, panel, rows_at, out, at, pitch, rows, width, lanes, wide):
    """`out[at + i * pitch + j]` = the sum over k of `x[start + i * step + terms[k]]` times
    `panel[rows_at[k] + j]`, for j up to `width` rounded up to whole vectors.
    """
    j = 0
    while j < width:
        left = whole(width - j, lanes) // lanes
        if left > 3 and len(wide) > 2:
            _strip(x, start, step, terms, panel, j, rows_at, out, at + j, pitch, rows, wide)
            j += len(wide) * lanes
        elif left > 1:
            _strip(x, start, step, terms, panel, j, rows_at, out, at + j, pitch, rows, (0, 0))
            j += 2 * lanes
        else:
            _strip(x, start, step, terms, panel, j, rows_at, out, at + j, pitch, rows, (0,))
            j += lanes
