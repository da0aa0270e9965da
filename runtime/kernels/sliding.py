"""Rows of planes under a window that slides: the inner loops of depthwise convolutions.

A vector holds neighbouring columns of one row. Where a tap reads outside of the plane, a mask
leaves lanes out. As in tiles.py, tuples say by their length how much is written out.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .tiles import Block

_INDEX = ir.IntType(64)


class _Sliding(Block):
    """Reads a vector of a plane's columns, each or each second of them, under masks."""

    def __init__(self, context, builder, kind, steps):
        super().__init__(context, builder, kind)
        self.steps = steps

    def kept(self, masks, first):
        """The masks of one vector of results, a number for each vector that is read."""
        bits, found = ir.VectorType(ir.IntType(1), self.lanes), []
        for half in range(self.steps):
            number = self.builder.load(self.at(masks, first, half))
            if self.lanes != number.type.width:
                number = self.builder.trunc(number, ir.IntType(self.lanes))
            found.append(self.builder.bitcast(number, bits))
        return found

    def columns(self, pointer, kept):
        loaded = [
            self.load(self.at(pointer, half * self.lanes), mask) for half, mask in enumerate(kept)
        ]
        return loaded[0] if self.steps == 1 else self.shuffled(*loaded, self.steps, 0)

    def shuffled(self, first, second, step, begin):
        """Every second lane of two vectors, or from `begin` on lanes of both in turn."""
        lanes = range(begin, begin + self.lanes)
        order = [2 * lane if step == 2 else lane // 2 + lane % 2 * self.lanes for lane in lanes]
        order = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), order)
        return self.builder.shuffle_vector(first, second, order)


@intrinsic
def slide(
    typingctx, x, start, weights, first, added, tables, out, at, columns, sizes, rows, steps, phases
):
    """`out[at + r * pitch + j * P + p]` = `added` + the sum of `x[start + r * x_pitch + j * S +
    shift]` times `weights[first + place]` over pairs of a row's and a column's (shift, place).

    For as many rows r as `rows` has, the lanes j of a vector, and P phases p, each with columns of
    its own; S is 1 or 2, and P, too. `columns` results are written.
    tables: (shifts, places, masks): of rows, then of columns; masks are for columns, `m_step`
    numbers of them. sizes: (first row, last, first column of phase 0, of phase 1, last, m_at,
    m_step, x_pitch, pitch, planes that are added up, x from plane to plane, weights likewise).
    """
    many, wide = len(rows), len(phases)

    def generate(context, builder, signature, arguments):
        block = _Sliding(context, builder, x.dtype, len(steps))
        source, factors, target = (
            block.at(block.data(signature.args[i], arguments[i])[0], arguments[i + 1])
            for i in (0, 2, 6)
        )
        (shifts, _), (places, _), (masks, _) = block.parts(tables, arguments[5])
        low, high, *ends, m_at, m_step, x_pitch, pitch, planes, x_step, w_step = (
            cgutils.unpack_tuple(builder, arguments[9])
        )
        ends = [ends[0], *ends[3 - wide :]]
        begin = block.spread_value(arguments[4])
        totals = [block.copies(begin, many) for _ in range(wide)]

        def moved(image, numbers, k):
            shift, place = (builder.load(block.at(data, k)) for data in (shifts, places))
            return block.at(image, shift), block.at(numbers, place)

        with cgutils.for_range(builder, planes) as plane:
            image = block.at(source, builder.mul(plane.index, x_step))
            numbers = block.at(factors, builder.mul(plane.index, w_step))
            with cgutils.for_range(builder, high, low) as outer:
                line = moved(image, numbers, outer.index)
                for p in range(wide):
                    with cgutils.for_range(builder, ends[p + 1], ends[p]) as inner:
                        read, number = moved(*line, inner.index)
                        kept = builder.mul(builder.sub(inner.index, ends[0]), m_step)
                        kept = block.kept(masks, builder.add(m_at, kept))
                        factor = block.spread(number)
                        for r in range(many):
                            own = block.at(read, block.times(x_pitch, r))
                            block.add_product(totals[p][r], factor, block.columns(own, kept))
        last = [
            block.mask(builder.sub(arguments[8], _number(p * block.lanes))) for p in range(wide)
        ]
        for r in range(many):
            line = block.at(target, block.times(pitch, r))
            sums = [builder.load(total[r]) for total in totals]
            for p in range(wide):
                value = sums[0] if wide == 1 else block.shuffled(*sums, 1, p * block.lanes)
                block.store(value, block.at(line, p * block.lanes), last[p])
        return context.get_dummy_value()

    arguments = (x, start, weights, first, added, tables, out, at, columns, sizes)
    return types.void(*arguments, rows, steps, phases), generate


@intrinsic
def slide_sums(typingctx, x, start, g, g_at, tables, out, at, sizes, steps, taps):
    """Add to vector t of `out` from `at` on, for as many taps as `taps` has, `g[g_at + i * pitch +
    j]` times `x[start + i * x_pitch + j * S + shifts[first + t]]` over all rows i and columns j.

    tables: (shifts, masks): of each tap, with S masks for each vector of a row.
    sizes: (first tap, rows, columns, x_pitch, pitch).
    """
    wide = len(taps)

    def generate(context, builder, signature, arguments):
        block = _Sliding(context, builder, x.dtype, len(steps))
        image, lines, target = (
            block.at(block.data(signature.args[i], arguments[i])[0], arguments[i + 1])
            for i in (0, 2, 5)
        )
        (shifts, _), (masks, _) = block.parts(tables, arguments[4])
        first, rows, columns, x_pitch, pitch = cgutils.unpack_tuple(builder, arguments[7])
        vectors = builder.sdiv(builder.add(columns, _number(block.lanes - 1)), _number(block.lanes))
        step = block.times(vectors, block.steps)
        read = [builder.load(block.at(shifts, builder.add(first, _number(t)))) for t in range(wide)]
        masks_of = [
            block.at(masks, builder.mul(builder.add(first, _number(t)), step)) for t in range(wide)
        ]
        places = [block.at(target, t * block.lanes) for t in range(wide)]
        totals = [block.copies(block.load(place), 1)[0] for place in places]
        others = block.zeros(1, wide)[0]

        def add(row, count):
            one = block.at(lines, builder.mul(row, pitch))
            other = block.at(image, builder.mul(row, x_pitch))
            with cgutils.for_range(builder, vectors) as loop:
                place = block.times(loop.index, block.lanes)
                inside = block.mask(builder.sub(columns, place))
                given = [
                    block.load(block.at(one, block.times(pitch, r), place), inside)
                    for r in range(count)
                ]
                at_x = block.times(place, block.steps)
                for t in range(wide):
                    kept = block.kept(masks_of[t], block.times(loop.index, block.steps))
                    for r in range(count):
                        seen = block.at(other, block.times(x_pitch, r), at_x, read[t])
                        sums = (totals, others)[r]
                        block.add_product(sums[t], given[r], block.columns(seen, kept))

        pairs = builder.sdiv(rows, _number(2))
        with cgutils.for_range(builder, pairs) as loop:
            add(block.times(loop.index, 2), 2)
        done = block.times(pairs, 2)
        with builder.if_then(builder.icmp_signed("<", done, rows)):
            add(done, 1)
        for t in range(wide):
            total = builder.fadd(builder.load(totals[t]), builder.load(others[t]))
            block.store(total, places[t])
        return context.get_dummy_value()

    arguments = (x, start, g, g_at, tables, out, at, sizes, steps, taps)
    return types.void(*arguments), generate


def _number(value):
    return ir.Constant(_INDEX, value)
