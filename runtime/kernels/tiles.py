"""Products of small blocks held in vector registers: what convolution and attention are made of.

Numba offers no vectors, so the two inner loops are written in LLVM's language here. A block has
as many rows as `rows` is long, and as many vectors (or taps) a row as the other tuple is long, so
that the compiler knows both numbers.
"""

from __future__ import annotations

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
VECTOR_BYTES = 64 if _WIDE else 32
VECTORS = (0,) * (4 if _WIDE else 2)
"""As long as a block of four rows is wide, in vectors: it fills the registers."""

NARROW = VECTORS[:-1]
"""One vector less: what runs that are no multiple of the width are made up of, too."""

LANES = {4: VECTOR_BYTES // 4, 8: VECTOR_BYTES // 8}
"""How many elements of so many bytes a vector holds."""

MASKED = _WIDE
"""Whether a load that leaves out lanes costs no more than any other."""

TOGETHER = 32  # channels whose rows all taps read before others: they stay in the first cache
_INDEX = ir.IntType(64)


class Block:
    """Writes the code of one block: loads, fused multiplication and addition, accumulators."""

    def __init__(self, context, builder, kind):
        self.context = context
        self.builder = builder
        self.bytes = kind.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.scalar = context.get_value_type(kind)
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def data(self, kind, value):
        """The address of an array's first element, and the number of its elements."""
        array = self.context.make_array(kind)(self.context, self.builder, value)
        return array.data, array.nitems

    def parts(self, kind, value):
        """What a tuple holds: numbers, tuples, and `data` of arrays."""
        parts = cgutils.unpack_tuple(self.builder, value)
        return [
            self.data(one, part) if isinstance(one, types.Array) else part
            for one, part in zip(kind, parts, strict=True)
        ]

    def at(self, pointer, *places):
        for place in places:
            place = ir.Constant(_INDEX, place) if isinstance(place, int) else place
            pointer = self.builder.gep(pointer, [place])
        return pointer

    def times(self, value, number):
        return self.builder.mul(value, ir.Constant(_INDEX, number))

    def load(self, pointer, mask=None):
        wide = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is not None:
            zero = ir.Constant(self.vector, [0.0] * self.lanes)
            return self._masked("load", self.vector, [wide, self.aligned, mask, zero])
        loaded = self.builder.load(wide)
        loaded.align = self.bytes
        return loaded

    def store(self, value, pointer, mask=None):
        wide = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is not None:
            self._masked("store", ir.VoidType(), [value, wide, self.aligned, mask])
        else:
            self.builder.store(value, wide).align = self.bytes

    def _masked(self, what, result, arguments):
        """A load or store of those lanes only that the mask names."""
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self.bytes}.p0"
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def mask(self, count):
        """The first `count` lanes."""
        numbers = ir.VectorType(_INDEX, self.lanes)
        lane = ir.Constant(numbers, list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self._spread(count, numbers))

    def masks(self, pointer, count):
        """As many masks as lie at an address, a bit for each lane."""
        bits = ir.VectorType(ir.IntType(1), self.lanes)
        loaded = [self.builder.load(self.at(pointer, v)) for v in range(count)]
        return [self.builder.bitcast(number, bits) for number in loaded]

    def store_rows(self, totals, pointer, pitch, last):
        """Rows of variables, `pitch` elements apart; `last` lanes of the last vector of each."""
        mask = self.mask(last)
        for m, row in enumerate(totals):
            line = self.at(pointer, self.times(pitch, m))
            for v, total in enumerate(row):
                kept = mask if v == len(row) - 1 else None
                self.store(self.builder.load(total), self.at(line, v * self.lanes), kept)

    @property
    def aligned(self):
        return ir.Constant(ir.IntType(32), self.bytes)

    def spread(self, pointer):
        """The element at an address in all lanes."""
        return self.spread_value(self.builder.load(pointer))

    def spread_value(self, value):
        return self._spread(value, self.vector)

    def _spread(self, value, kind):
        nothing = ir.Constant(kind, ir.Undefined)
        first = ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(nothing, value, first)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, nothing, lanes)

    def zeros(self, rows, columns):
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        return [self.copies(zero, columns) for _ in range(rows)]

    def copies(self, value, count):
        """As many variables of that value, which the compiler will hold in registers."""
        found = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for variable in found:
            self.builder.store(value, variable)
        return found

    def add_product(self, total, left, right):
        product = self.builder.fmul(left, right, flags=("contract",))
        value = self.builder.fadd(self.builder.load(total), product, flags=("contract",))
        self.builder.store(value, total)

    def sum(self, vector):
        """The sum over the lanes."""
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f{8 * self.bytes}"
        kind = ir.FunctionType(self.scalar, [self.scalar, self.vector])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        zero = ir.Constant(self.scalar, 0.0)
        return self.builder.call(function, [zero, vector], fastmath=("reassoc",))


@intrinsic
def combine(typingctx, given, numbers, to, further, last, rows, vectors):
    """`out[at + m * pitch + i]` = `bias[b_at + m]` + the sum of `weights[first + m * step + c *
    w_step + places[k]]` times `x[start + c * x_step + offsets[k] + i]` over all c and k.

    For all rows m and the lanes i of the vectors, `last` of them in the last vector. If there are
    masks, those of tap k begin at `m_at + k * m_step`, one for each vector; where a bit is 0, there
    is 0 instead of x. All arrays are flat; x, weights, bias and out are of one floating dtype.

    given: (x, start, (offsets, places), masks, m_at); numbers: (weights, first, bias, b_at);
    to: (out, at, (channels, x_step, w_step, m_step, step, pitch)); further: (elements, masks) by
    which everything begins later. A tuple of arrays costs as much to build as some vectors to add
    up (their references are counted), which is why these are not part of the others.
    """
    many, wide = len(rows), len(vectors)

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, given[0].dtype)
        source, start, taps, masks, m_at = block.parts(given, arguments[0])
        weight, first, bias, b_at = block.parts(numbers, arguments[1])
        out, at, sizes = block.parts(to, arguments[2])
        shifts, places = block.parts(given[2], taps)
        channels, x_step, w_step, m_step, step, pitch = block.parts(to[2], sizes)
        lanes_later, masks_later = cgutils.unpack_tuple(builder, arguments[3])
        source, target = block.at(source[0], start, lanes_later), block.at(out[0], at, lanes_later)
        weight, added = block.at(weight[0], first), block.at(bias[0], b_at)
        totals = [block.copies(block.spread(block.at(added, m)), wide) for m in range(many)]

        def add(image, factors, kept):
            loaded = [block.load(block.at(image, v * block.lanes), kept[v]) for v in range(wide)]
            for m in range(many):
                factor = block.spread(block.at(factors, block.times(step, m)))
                for v in range(wide):
                    block.add_product(totals[m][v], factor, loaded[v])

        def tap(image, factors, k):
            shift, place = (builder.load(block.at(data, k)) for data, _ in (shifts, places))
            return block.at(image, shift), block.at(factors, place)

        def channel(image, factors, c):
            steps = builder.mul(c, x_step), builder.mul(c, w_step)
            return block.at(image, steps[0]), block.at(factors, steps[1])

        masked = isinstance(given[3], types.Array)

        def kept_of(k):
            first = block.at(masks[0], m_at, masks_later, builder.mul(k, m_step))
            return block.masks(first, wide)

        def taps_outside():
            some = ir.Constant(_INDEX, TOGETHER)
            with cgutils.for_range_slice(builder, ir.Constant(_INDEX, 0), channels, some) as (
                first,
                _,
            ):
                own, left = channel(source, weight, first), builder.sub(channels, first)
                few = builder.select(builder.icmp_signed("<", left, some), left, some)
                with cgutils.for_range(builder, shifts[1]) as outer:
                    kept = kept_of(outer.index)
                    begin = tap(*own, outer.index)
                    with cgutils.for_range(builder, few) as inner:
                        add(*channel(*begin, inner.index), kept)

        def channels_outside():
            with cgutils.for_range(builder, channels) as outer:
                begin = channel(source, weight, outer.index)
                with cgutils.for_range(builder, shifts[1]) as inner:
                    kept = kept_of(inner.index) if masked else [None] * wide
                    add(*tap(*begin, inner.index), kept)

        if not masked:
            channels_outside()
        elif many > 1:  # masks stay where they are
            taps_outside()
        else:
            # of a single channel, which a single row often has, too, the order is the same
            alone = builder.icmp_signed("==", channels, ir.Constant(_INDEX, 1))
            with builder.if_else(alone) as (then, otherwise):
                with then:
                    channels_outside()
                with otherwise:
                    taps_outside()
        block.store_rows(totals, target, pitch, arguments[4])
        return context.get_dummy_value()

    return types.void(given, numbers, to, further, last, rows, vectors), generate


@intrinsic
def correlate(typingctx, g, g_at, x, x_at, offsets, first, sizes, out, at, rows, taps):
    """Add to `out[at + m * pitch + t]` the sum of `g[g_at + m * g_pitch + p]` times
    `x[x_at + offsets[first + t] + p]` over all p.

    For all rows m and taps t. The places p are those of `vectors` whole vectors in each of
    `images`, which lie `g_step` and `x_step` elements apart.
    sizes: (vectors, images, g_pitch, g_step, x_step, pitch).
    """
    many, wide = len(rows), len(taps)

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, g.dtype)
        left, _ = block.data(signature.args[0], arguments[0])
        right, _ = block.data(signature.args[2], arguments[2])
        places, _ = block.data(signature.args[4], arguments[4])
        target, _ = block.data(signature.args[7], arguments[7])
        vectors, images, g_pitch, g_step, x_step, pitch = cgutils.unpack_tuple(
            builder, arguments[6]
        )
        left, right = block.at(left, arguments[1]), block.at(right, arguments[3])
        places = block.at(places, arguments[5])
        offsets_of = [builder.load(block.at(places, t)) for t in range(wide)]
        totals = block.zeros(many, wide)
        with cgutils.for_range(builder, images) as outer:
            one = block.at(left, builder.mul(outer.index, g_step))
            other = block.at(right, builder.mul(outer.index, x_step))
            lines = [block.at(one, block.times(g_pitch, m)) for m in range(many)]
            shifted = [block.at(other, offset) for offset in offsets_of]
            with cgutils.for_range(builder, vectors) as inner:
                place = block.times(inner.index, block.lanes)
                loaded = [block.load(block.at(line, place)) for line in lines]
                for t in range(wide):
                    value = block.load(block.at(shifted[t], place))
                    for m in range(many):
                        block.add_product(totals[m][t], loaded[m], value)
        for m in range(many):
            line = block.at(target, arguments[8], block.times(pitch, m))
            for t in range(wide):
                cell = block.at(line, t)
                total = block.sum(builder.load(totals[m][t]))
                builder.store(builder.fadd(builder.load(cell), total), cell)
        return context.get_dummy_value()

    arguments = (g, g_at, x, x_at, offsets, first, sizes, out, at, rows, taps)
    return types.void(*arguments), generate


@intrinsic
def copy_row(typingctx, source, start, target, at, count, number):
    """`target[at + i] = source[start + i] + number` for all i below `count`; short rows are quick.

    What does not fill a vector is read and written under a mask.
    """

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, source.dtype)
        given, _ = block.data(signature.args[0], arguments[0])
        taken, _ = block.data(signature.args[2], arguments[2])
        given, taken = block.at(given, arguments[1]), block.at(taken, arguments[3])
        added = block.spread_value(arguments[5])
        whole = builder.sdiv(arguments[4], ir.Constant(_INDEX, block.lanes))
        with cgutils.for_range(builder, whole) as loop:
            place = block.times(loop.index, block.lanes)
            value = builder.fadd(block.load(block.at(given, place)), added)
            block.store(value, block.at(taken, place))
        done = block.times(whole, block.lanes)
        rest = builder.sub(arguments[4], done)
        with builder.if_then(builder.icmp_signed(">", rest, ir.Constant(_INDEX, 0))):
            mask = block.mask(rest)
            value = builder.fadd(block.load(block.at(given, done), mask), added)
            block.store(value, block.at(taken, done), mask)
        return context.get_dummy_value()

    return types.void(source, start, target, at, count, number), generate


@intrinsic
def copy_second(typingctx, source, start, target, at, count):
    """`target[at + i] = source[start + 2 * i]` for all i below `count`."""

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, source.dtype)
        given, _ = block.data(signature.args[0], arguments[0])
        taken, _ = block.data(signature.args[2], arguments[2])
        given, taken = block.at(given, arguments[1]), block.at(taken, arguments[3])
        count, one = arguments[4], ir.Constant(_INDEX, 1)
        order = [2 * lane for lane in range(block.lanes)]
        order = ir.Constant(ir.VectorType(ir.IntType(32), block.lanes), order)
        # all but the last element, and what lies behind it, are read in any case
        whole = builder.sdiv(builder.sub(count, one), ir.Constant(_INDEX, block.lanes))
        with cgutils.for_range(builder, whole) as loop:
            place = block.times(loop.index, block.lanes)
            pair = [block.at(given, place, place, more) for more in (0, block.lanes)]
            value = builder.shuffle_vector(block.load(pair[0]), block.load(pair[1]), order)
            block.store(value, block.at(taken, place))
        done = block.times(whole, block.lanes)
        rest = builder.sub(count, done)
        with builder.if_then(builder.icmp_signed(">", rest, ir.Constant(_INDEX, 0))):
            lanes = builder.sub(block.times(rest, 2), one)
            loaded = []
            for more in (0, block.lanes):
                mask = block.mask(builder.sub(lanes, ir.Constant(_INDEX, more)))
                loaded.append(block.load(block.at(given, done, done, more), mask))
            value = builder.shuffle_vector(*loaded, order)
            block.store(value, block.at(taken, done), block.mask(rest))
        return context.get_dummy_value()

    return types.void(source, start, target, at, count), generate


@intrinsic
def stream_vectors(typingctx, source, start, target, at, count):
    """`target[at + i] = source[start + i]` for all i below `count`, past the cache.

    The count is that of whole vectors, and the place in the target is aligned to them.
    """

    def generate(context, builder, signature, arguments):
        block = Block(context, builder, source.dtype)
        given, _ = block.data(signature.args[0], arguments[0])
        taken, _ = block.data(signature.args[2], arguments[2])
        given, taken = block.at(given, arguments[1]), block.at(taken, arguments[3])
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with cgutils.for_range(
            builder, builder.sdiv(arguments[4], ir.Constant(_INDEX, block.lanes))
        ) as loop:
            place = block.times(loop.index, block.lanes)
            address = builder.bitcast(block.at(taken, place), block.vector.as_pointer())
            stored = builder.store(block.load(block.at(given, place)), address)
            stored.align = VECTOR_BYTES
            stored.set_metadata("nontemporal", once)
        # such stores are not in order with others before that
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(source, start, target, at, count), generate
