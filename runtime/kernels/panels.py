"""Products of a matrix anywhere in memory with a panel: dense rows of whole vectors.

A panel is as wide as a block of tiles.py, or one or two vectors wide where less is needed. All
arrays are flat; where a matrix lies is told by its first element and its steps.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from .tiles import Block, copy_row
from .turning import turn_square

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@intrinsic
def _block(
    typingctx, panel, column, rows_at, x, start, terms, out, at, base, sizes, rows, vectors
):  # fmt: skip
    """`multiply_onto` for as many rows as `rows` has, and `vectors` from a column on.

    sizes: (step, pitch, where base begins, its pitch, whether to add it).
    """
    many, wide = len(rows), len(vectors)

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, x.dtype)
        source, factors, target = (
            block.at(block.data(signature.args[i], arguments[i])[0], arguments[i + after])
            for i, after in ((0, 1), (3, 1), (6, 1))
        )
        lines, count = block.data(signature.args[2], arguments[2])
        places, _ = block.data(signature.args[5], arguments[5])
        step, pitch, base_at, base_pitch, add = cgutils.unpack_tuple(builder, arguments[9])
        given = block.at(block.data(signature.args[8], arguments[8])[0], base_at)
        own = [block.at(factors, block.times(step, m)) for m in range(many)]
        totals = block.zeros(many, wide)
        with cgutils.for_range(builder, count) as loop:
            line = block.at(source, builder.load(block.at(lines, loop.index)))
            loaded = [block.load(block.at(line, v * block.lanes)) for v in range(wide)]
            place = builder.load(block.at(places, loop.index))
            for m in range(many):
                factor = block.spread(block.at(own[m], place))
                for v in range(wide):
                    block.add_product(totals[m][v], factor, loaded[v])
        with builder.if_then(builder.trunc(add, ir.IntType(1))):
            for m in range(many):
                for v in range(wide):
                    there = block.at(given, block.times(base_pitch, m), v * block.lanes)
                    total = builder.fadd(block.load(there), builder.load(totals[m][v]))
                    builder.store(total, totals[m][v])
        for m in range(many):
            for v in range(wide):
                there = block.at(target, block.times(pitch, m), v * block.lanes)
                block.store(builder.load(totals[m][v]), there)
        return context.get_dummy_value()

    arguments = (panel, column, rows_at, x, start, terms, out, at, base, sizes, rows, vectors)
    return types.void(*arguments), generate


@register_jitable
def whole(width, lanes):
    """`width` rounded up to whole vectors."""
    return (width + lanes - 1) // lanes * lanes


@njit(**_options)
def multiples(step, count):
    """0, step, 2 * step and so on: where lines begin. NumPy's way costs more to compile."""
    found = np.empty(count, np.int64)
    for i in range(count):
        found[i] = i * step
    return found


@njit(**_options)
def pack(x, start, row, column, rows, width, lanes, panel, pitch):
    """`panel[i * pitch + j] = x[start + i * row + j * column]`; zeros up to whole vectors."""
    zero = x.dtype.type(0)
    full = width // lanes * lanes
    turned = rows // lanes * lanes if row == 1 and column != 1 else 0
    if turned:
        lines, places = multiples(column, full), multiples(pitch, turned)
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


@njit(**_options)
def _strip(x, start, step, terms, panel, column, rows_at, out, at, pitch, rows, wide, base, more):
    """`multiply_onto` for columns from `column` on, as many as `wide` has vectors.

    more: (where base begins, its pitch, whether to add it).
    """
    base_at, base_pitch, add = more
    fours = rows // 4 * 4
    for i in range(0, fours, 4):
        own, to = start + i * step, at + i * pitch
        sizes = step, pitch, base_at + i * base_pitch, base_pitch, add
        _block(panel, column, rows_at, x, own, terms, out, to, base, sizes, (0, 0, 0, 0), wide)
    for i in range(fours, rows):
        own, to = start + i * step, at + i * pitch
        sizes = step, pitch, base_at + i * base_pitch, base_pitch, add
        _block(panel, column, rows_at, x, own, terms, out, to, base, sizes, (0,), wide)


@njit(**_options)
def multiply_onto(
    x, start, step, terms, panel, rows_at, out, at, pitch, rows, width, lanes, wide, base, base_at,
    base_pitch, add,
):  # fmt: skip
    """`out[at + i * pitch + j]` = `base[base_at + i * base_pitch + j]`, if `add` is 1, and the sum
    over k of `x[start + i * step + terms[k]]` times `panel[rows_at[k] + j]`.

    For j up to `width` rounded up to whole vectors. A pitch of 0 adds one row to all.
    """
    j = np.int64(0)  # a 0 would be a type of its own, and all be compiled twice
    while j < width:
        left, more = whole(width - j, lanes) // lanes, (base_at + j, base_pitch, add)
        place = x, start, step, terms, panel, j, rows_at, out, at + j, pitch, rows
        if left > 3 and len(wide) > 2:
            _strip(*place, wide, base, more)
            j += len(wide) * lanes
        elif left > 1:
            _strip(*place, (0, 0), base, more)
            j += 2 * lanes
        else:
            _strip(*place, (0,), base, more)
            j += lanes


@njit(**_options)
def multiply(x, start, step, terms, panel, rows_at, out, at, pitch, rows, width, lanes, wide, add):
    """`multiply_onto` what is there, if `add` is 1."""
    multiply_onto(
        x, start, step, terms, panel, rows_at, out, at, pitch, rows, width, lanes, wide, out, at,
        pitch, add,
    )  # fmt: skip


@njit(**_options)
def put(rows, pitch, count, width, out, at, step, add):
    """Write `count` rows of a panel's width where they belong, or add them to what is there."""
    zero = rows.dtype.type(0)
    if not add:
        for i in range(count):
            copy_row(rows, i * pitch, out, at + i * step, width, zero)
        return
    # unsigned, so that no index is tried as one from the end, and loops become vectors
    pitch, width, step, at = np.uint64(pitch), np.uint64(width), np.uint64(step), np.uint64(at)
    for i in range(np.uint64(count)):
        source, place = i * pitch, at + i * step
        for j in range(width):
            out[place + j] += rows[source + j]
