"""Squares and lines of elements turned in vector registers: rows become columns."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .tiles import LANES

_INDEX = ir.IntType(64)


def _cross(builder, lines, step):
    """One stage of a transposition: every second block of `step` elements changes its line."""
    count = len(lines)
    number = ir.IntType(32)
    upper = [j - step + count if j & step else j for j in range(count)]
    lower = [j + count if j & step else j + step for j in range(count)]
    for i in range(count):
        if i & step:
            continue
        first, second = lines[i], lines[i + step]
        places = [ir.Constant(ir.VectorType(number, count), order) for order in (upper, lower)]
        lines[i] = builder.shuffle_vector(first, second, places[0])
        lines[i + step] = builder.shuffle_vector(first, second, places[1])


def _addresses(context, builder, signature, arguments, place, wide):
    """The addresses of vectors in an array, given as (array, start, offsets, first offset)."""
    block = context.make_array(signature.args[place])
    array = block(context, builder, arguments[place])
    table = context.make_array(signature.args[place + 2])(context, builder, arguments[place + 2])
    start = builder.gep(array.data, [arguments[place + 1]])
    offsets = builder.gep(table.data, [arguments[place + 3]])
    for number in range(wide.count):
        offset = builder.load(builder.gep(offsets, [ir.Constant(_INDEX, number)]))
        yield builder.bitcast(builder.gep(start, [offset]), wide.as_pointer())


@intrinsic
def turn_square(typingctx, source, start, lines, i, target, at, places, j):
    """`target[at + places[j + c] + r] = source[start + lines[i + r] + c]` for a square of elements.

    It is as wide as a vector of LANES elements. The arrays are flat, the first two of one dtype.
    """
    size = source.dtype.bitwidth // 8
    side = LANES[size]

    def generate(context, builder, signature, arguments):
        wide = ir.VectorType(context.get_value_type(source.dtype), side)
        held = []
        for address in _addresses(context, builder, signature, arguments, 0, wide):
            held.append(builder.load(address))
            held[-1].align = size
        for stage in range(side.bit_length() - 1):
            _cross(builder, held, 1 << stage)
        targets = _addresses(context, builder, signature, arguments, 4, wide)
        for line, address in zip(held, targets, strict=True):
            builder.store(line, address).align = size
        return context.get_dummy_value()

    return types.void(source, start, lines, i, target, at, places, j), generate


def _zip(builder, lines, back):
    """Two, four, ... vectors whose elements alternate, or the inverse; they stay in order."""
    lanes, count = lines[0].type.count, len(lines)
    kind = ir.VectorType(ir.IntType(32), lanes)
    if back:
        orders = [[2 * k + first for k in range(lanes)] for first in (0, 1)]
    else:
        orders = [[(start + k) // 2 + k % 2 * lanes for k in range(lanes)] for start in (0, lanes)]
    orders = [ir.Constant(kind, order) for order in orders]
    half = count // 2
    for _ in range(count.bit_length() - 1):
        if back:
            pairs = [(lines[2 * k], lines[2 * k + 1]) for k in range(half)]
            lines = [builder.shuffle_vector(*pair, order) for order in orders for pair in pairs]
        else:
            pairs = [(lines[k], lines[k + half]) for k in range(half)]
            lines = [builder.shuffle_vector(*pair, order) for pair in pairs for order in orders]
    return lines


@intrinsic
def zip_lines(typingctx, source, start, lines, target, at, vectors):
    """`target[at + k * n + i] = source[start + lines[i] + k]` for as many k as a vector has lanes.

    i goes up to n, the length of the tuple `vectors`: a power of two.
    """
    size = source.dtype.bitwidth // 8

    def generate(context, builder, signature, arguments):
        wide = ir.VectorType(context.get_value_type(source.dtype), LANES[size])
        zero = ir.Constant(_INDEX, 0)
        given = [*arguments[:3], zero]
        held = []
        for _, address in zip(
            vectors, _addresses(context, builder, signature, given, 0, wide), strict=False
        ):
            held.append(builder.load(address))
            held[-1].align = size
        held = _zip(builder, held, False)
        array = context.make_array(signature.args[3])(context, builder, arguments[3])
        place = builder.gep(array.data, [arguments[4]])
        for number, line in enumerate(held):
            address = builder.gep(place, [ir.Constant(_INDEX, number * LANES[size])])
            builder.store(line, builder.bitcast(address, wide.as_pointer())).align = size
        return context.get_dummy_value()

    return types.void(source, start, lines, target, at, vectors), generate


@intrinsic
def unzip_lines(typingctx, source, start, target, at, lines, vectors):
    """`target[at + lines[i] + k] = source[start + k * n + i]`: the inverse of `zip_lines`."""
    size = source.dtype.bitwidth // 8

    def generate(context, builder, signature, arguments):
        wide = ir.VectorType(context.get_value_type(source.dtype), LANES[size])
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        held = []
        for number in range(len(vectors)):
            address = builder.gep(place, [ir.Constant(_INDEX, number * LANES[size])])
            held.append(builder.load(builder.bitcast(address, wide.as_pointer())))
            held[-1].align = size
        held = _zip(builder, held, True)
        zero = ir.Constant(_INDEX, 0)
        given = [*arguments[:5], zero]
        for line, address in zip(
            held, _addresses(context, builder, signature, given, 2, wide), strict=False
        ):
            builder.store(line, address).align = size
        return context.get_dummy_value()

    return types.void(source, start, target, at, lines, vectors), generate
