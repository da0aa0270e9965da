# mypy: ignore-errors
"""The building blocks: bit casts, fused operations, polynomials, powers of 2.

Everything here becomes a few instructions of straight-line code, so that loops stay vectorisable.
This module is text for the generator, which copies it into the files of kernels; it is not
imported.

A function marked `scalar` lets the compiler contract a product and a sum into a fused operation.
One marked `exact` does not: its sums and differences mean what they say, because it computes
rounding errors. Neither may assume that there are no infinities or that zero has no sign.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable

# Without the order to inline, LLVM leaves the longer functions as calls, and loops stay scalar.
CONTRACT = {"fastmath": {"contract"}, "forceinline": True}

scalar = register_jitable(**CONTRACT)

exact = register_jitable(fastmath=False, forceinline=True)


@intrinsic
def magnitude(typing_context, x):
    """The absolute value."""

    def generate(context, builder, signature, arguments):
        (value,) = arguments
        kind = value.type
        if isinstance(x, types.Float):
            call = builder.module.declare_intrinsic("llvm.fabs", [kind])
            return builder.call(call, [value])
        if not isinstance(x, types.Integer) or not x.signed:
            return value
        return builder.select(builder.icmp_signed("<", value, kind(0)), builder.neg(value), value)

    return x(x), generate


@intrinsic
def bits_of(typing_context, x):
    """The bits of a floating number as a signed integer of the same width."""
    integer = types.int32 if x == types.float32 else types.int64

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(integer.bitwidth))

    return integer(x), generate


@intrinsic
def float32_of(typing_context, bits):
    """The float32 with the low 32 of the given bits."""

    def generate(context, builder, signature, arguments):
        bits = arguments[0]
        if bits.type.width > 32:
            bits = builder.trunc(bits, ir.IntType(32))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(bits), generate


@intrinsic
def float64_of(typing_context, bits):
    """The float64 with the given 64 bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def fused(typing_context, x, y, z):
    """x * y + z with one rounding."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return x(x, x, x), generate


@intrinsic
def polynomial(typing_context, x, coefficients):
    """coefficients[0] + coefficients[1] * x + ... by Horner's rule."""

    def generate(context, builder, signature, arguments):
        x, pack = arguments
        items = cgutils.unpack_tuple(builder, pack)
        value = items[-1]
        kind = ir.FunctionType(x.type, [x.type] * 3)
        step = builder.module.declare_intrinsic("llvm.fmuladd", [x.type], kind)
        for item in reversed(items[:-1]):
            value = builder.call(step, [value, x, item])
        return value

    return x(x, coefficients), generate


def float_operation(name):
    """An LLVM operation on a floating number; an integer or boolean comes back as it is."""

    @intrinsic
    def operation(typing_context, x):
        def generate(context, builder, signature, arguments):
            if not isinstance(x, types.Float):
                return arguments[0]
            kind = arguments[0].type
            call = builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind]))
            return builder.call(call, arguments)

        return x(x), generate

    return operation


round_down = float_operation("llvm.floor")

round_up = float_operation("llvm.ceil")

round_even = float_operation("llvm.rint")

round_to_zero = float_operation("llvm.trunc")

square_root = float_operation("llvm.sqrt")


def limit_operation(name):
    """An LLVM operation on a floating number and a limit, which is not NaN; NaN stays NaN."""

    @intrinsic
    def operation(typing_context, x, limit):
        def generate(context, builder, signature, arguments):
            kind = arguments[0].type
            pair = ir.FunctionType(kind, [kind, kind])
            return builder.call(builder.module.declare_intrinsic(name, [kind], pair), arguments)

        return x(x, x), generate

    return operation


# As one instruction each: LLVM turns two choices in a row into a comparison and a masked choice.
at_most = limit_operation("llvm.minimum")

at_least = limit_operation("llvm.maximum")


@intrinsic
def converted(typing_context, value, x):
    """`value` in the type of x."""

    def generate(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], value, x)

    return x(value, x), generate


@intrinsic
def with_sign(typing_context, x, y):
    """The magnitude of x with the sign bit of y."""

    def generate(context, builder, signature, arguments):
        kind = arguments[0].type
        pair = ir.FunctionType(kind, [kind, kind])
        call = builder.module.declare_intrinsic("llvm.copysign", [kind], pair)
        return builder.call(call, arguments)

    return x(x, x), generate


# 1.5 * 2**23 and 1.5 * 2**52: adding them leaves no bits for a fraction, and the integer in the low
# bits of the sum.
SHIFT_FLOAT32 = np.float32(12582912.0)

SHIFT_FLOAT64 = 6755399441055744.0

# The same and the bias of the exponent.
BIASED_SHIFT_FLOAT64 = 6755399441056767.0


@scalar
def power_of_2_float32(n):
    """2**n for an int32 n from -126 to 127."""
    return float32_of((n + 127) << 23)


@scalar
def power_of_2_float64(n):
    """2**n for a whole floating number from -1022 to 1023."""
    return float64_of(bits_of(n + BIASED_SHIFT_FLOAT64) << 52)


@intrinsic
def nearest_integer(typing_context, x):
    """The nearest int32, of two equally near the even one."""

    def generate(context, builder, signature, arguments):
        kinds = [ir.IntType(32), arguments[0].type]
        kind = ir.FunctionType(kinds[0], kinds[1:])
        call = builder.module.declare_intrinsic("llvm.lrint", kinds, kind)
        return builder.call(call, arguments)

    return types.int32(x), generate


@intrinsic
def scaled(typing_context, x, n):
    """x * 2**n for a whole n from -252 to 254 (-2044 to 2046), rounded once if x is near 1.

    n: an int32, or a floating number.
    """

    def generate(context, builder, signature, arguments):
        value, power = arguments
        if isinstance(n, types.Float):
            power = builder.fptosi(power, ir.IntType(32))
        if "+avx512f" in context.codegen().magic_tuple()[2]:  # it has an instruction for this
            kinds = [value.type, power.type]
            pair = ir.FunctionType(value.type, kinds)
            call = builder.module.declare_intrinsic("llvm.ldexp", kinds, pair)
            return builder.call(call, [value, power])
        integer, fraction = (ir.IntType(32), 23) if x == types.float32 else (ir.IntType(64), 52)
        biases = (1 << (integer.width - fraction - 1)) - 2  # n and two of them
        bits = builder.add(builder.sext(power, integer), integer(biases))
        half = builder.ashr(bits, integer(1))
        for part in (half, builder.sub(bits, half)):
            factor = builder.bitcast(builder.shl(part, integer(fraction)), value.type)
            value = builder.fmul(value, factor)
        return value

    return x(x, n), generate


@exact
def exact_product(x, y):
    """(rounded product, rounding error)."""
    product = x * y
    return product, fused(x, y, -product)


@exact
def quotient_of_pairs(above, above_low, below, below_low):
    """(quotient, rest) of (above + above_low) / (below + below_low), nearly exact.

    Without a second division: the remainder of a rounded quotient says what is missing.
    """
    inverse = converted(1, below) / below
    quotient = above * inverse
    left = fused(-quotient, below, above) + fused(-quotient, below_low, above_low)
    return quotient, left * inverse


@exact
def two_sum(x, y):
    """(rounded sum, rounding error)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


@exact
def ordered_sum(x, y):
    """(rounded sum, rounding error) for |x| >= |y|, x = 0, or x a multiple of y's last place."""
    total = x + y
    return total, (x - total) + y
