"""Products of a matrix anywhere in memory with a panel: dense rows of whole vectors.

A panel is as wide as a block of tiles.py, or one or two vectors wide where less is needed. All
arrays are flat; where a matrix lies is told by its first element and its steps.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .tiles import Block, copy_row, turn_square

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
    if turned:
        lines, places = np.arange(full) * column, np.arange(turned) * pitch
        for i in range(0, turned, lanes):
            for j in range(0, full, lanes):
                turn_square(x, start + i, lines, j, panel, j, places, i)
    for i in range(rows):
        at = i * pitch
        if column == 1:
            copy_row(x, start + i * row, panel, at, width, zero)
        else:
            for j in range(full if i < turned else 0, width):
                panel[at + j] = x[start + i * row + j * column]
        for j in range(width, whole(width, lanes)):
            panel[at + j] = zero


@intrinsic
def _combine(typingctx, x, first, terms, panel, start, lines, out, at, sizes, rows, vectors):
    """`out[at + m * pitch + i]` = the sum over k of `x[first + m * step + terms[k]]` times
    `panel[start + lines[k] + i]`, for as many m and vectors of i as the tuples are long.

    sizes: (step, pitch).
    """
    many, wide = len(rows), len(vectors)

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, panel.dtype)
        arrays = [block.data(signature.args[n], arguments[n]) for n in (0, 2, 3, 5, 6)]
        (factor, _), (shifts, count), (source, _), (starts, _), (target, _) = arrays
        step, pitch = cgutils.unpack_tuple(builder, arguments[8])
        source = block.at(source, arguments[4])
        own = [block.at(factor, arguments[1], block.times(step, m)) for m in range(many)]
        totals = block.zeros(many, wide)
        with cgutils.for_range(builder, count) as loop:
            place = block.at(source, builder.load(block.at(starts, loop.index)))
            loaded = [block.load(block.at(place, v * block.lanes)) for v in range(wide)]
            shift = builder.load(block.at(shifts, loop.index))
            for m in range(many):
                number = block.spread(block.at(own[m], shift))
                for v in range(wide):
                    block.add_product(totals[m][v], number, loaded[v])
        for m in range(many):
            line = block.at(target, arguments[7], block.times(pitch, m))
            for v in range(wide):
                block.store(builder.load(totals[m][v]), block.at(line, v * block.lanes))
        return context.get_dummy_value()

    arguments = (x, first, terms, panel, start, lines, out, at, sizes, rows, vectors)
    return types.void(*arguments), generate


@njit(**_options)
def _strip(x, start, step, terms, panel, column, rows_at, out, at, pitch, rows, wide):
    """`multiply` for columns from `column` on, as many as `wide` has vectors."""
    sizes = step, pitch
    fours = rows // 4 * 4
    for i in range(0, fours, 4):
        own, to = start + i * step, at + i * pitch
        _combine(x, own, terms, panel, column, rows_at, out, to, sizes, (0, 0, 0, 0), wide)
    for i in range(fours, rows):
        own, to = start + i * step, at + i * pitch
        _combine(x, own, terms, panel, column, rows_at, out, to, sizes, (0,), wide)


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
