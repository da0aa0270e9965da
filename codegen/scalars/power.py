# mypy: ignore-errors
"""pow, sqrt, rsqrt, reciprocal, square, hypot: text for the generator, not imported.

x**y = exp(y log(x)), with the logarithm to about 65 bits, since the exponential turns an absolute
error of its argument into a relative one. The special cases are those of IEEE 754 and C99.
"""

import numpy as np

from .exponential import EXP2_FLOAT32, LN2_HIGH, LN2_LOW, exp_parts_pair_float64
from .logarithm import HALF_ROOT_BITS_FLOAT32, split_float32, split_float64
from .primitives import (
    at_least,
    at_most,
    bits_of,
    converted,
    exact,
    exact_product,
    fused,
    magnitude,
    nearest_integer,
    ordered_sum,
    polynomial,
    round_to_zero,
    scalar,
    scaled,
    square_root,
    two_sum,
    with_sign,
)

# (2 atanh(s) - 2 s - 2 s**3 / 3) / s**5 in powers of s**2: minimax (tools/minimax.py), 2**-73.
LOG_REST = (
    0.3999999999999998,
    0.28571428571444124,
    0.2222222221767641,
    0.18181818861686935,
    0.15384557032786417,
    0.13336323694098384,
    0.11674492133250622,
    0.11993062123962242,
)

# (2 atanh(s) - 2 s - 2 s**3 / 3) / s**5 / ln2 in powers of s**2: minimax (tools/minimax.py), error
# of log2 2**-36. The coefficients before them, in two parts.
LOG2_REST_FLOAT32 = (
    np.float32(0.5770793557167053),
    np.float32(0.41192179918289185),
    np.float32(0.3363224267959595),
)

LOG2_FIRST_HIGH = np.float32(2.885390043258667)

LOG2_FIRST_LOW = np.float32(3.851926067000022e-08)

LOG2_SECOND_HIGH = np.float32(0.9617967009544373)

LOG2_SECOND_LOW = np.float32(-7.028461812552678e-09)

TWO_THIRDS_HIGH = 0.6666666666666666

TWO_THIRDS_LOW = 3.700743415417188e-17


@exact
def log_precise(x):
    """(high, low) with log(x) = high + low to about 2**-65 of it, for 0 < x < infinity."""
    k, m = split_float64(x)
    f = m - 1.0
    below, below_low = two_sum(2.0, f)
    s = f / below
    s_low = (fused(-s, below, f) - s * below_low) / below
    z, z_low = exact_product(s, s)
    z_low = z_low + 2.0 * s * s_low
    cube, cube_low = exact_product(s, z)
    cube_low = cube_low + (s * z_low + s_low * z)
    third, third_low = exact_product(cube, TWO_THIRDS_HIGH)
    third_low = third_low + (cube * TWO_THIRDS_LOW + cube_low * TWO_THIRDS_HIGH)
    third_low = third_low + (cube * z) * polynomial(z, LOG_REST)
    high, low = ordered_sum(2.0 * s, third)
    low = low + (2.0 * s_low + third_low)
    total, rest = ordered_sum(k * LN2_HIGH, high)
    return ordered_sum(total, rest + (low + k * LN2_LOW))


@scalar
def pow_limits(x, y, result):
    """The sign and the special cases of x**y, given |x|**y for ordinary arguments."""
    zero, one, infinity = converted(0, x), converted(1, x), converted(np.inf, x)
    half = converted(0.5, x) * y
    a, b = magnitude(x), magnitude(y)
    whole = round_to_zero(y) == y
    odd = whole and round_to_zero(half) != half
    grows = (a > one) == (y > zero)
    limit = not (a > zero and a < infinity and b < infinity)
    value = (infinity if grows else zero) if limit else result
    value = -value if bits_of(x) < 0 and odd else value
    value = converted(np.nan, x) if x < zero and a != infinity and not whole else value
    value = x + y if x != x or y != y else value
    return one if x == one or y == zero or (x == -one and b == infinity) else value


@scalar
def pow_float64(x, y):
    high, low = log_precise(magnitude(x))
    # A larger exponent changes nothing, and cannot overflow in the products.
    z = 1e300 if y > 1e300 else (-1e300 if y < -1e300 else y)
    product, product_low = exact_product(z, high)
    product_low = product_low + z * low
    outside = not (magnitude(product) < 746.0)
    edge = 746.0 if product > 0.0 else -746.0
    q, rest, n = exp_parts_pair_float64(edge if outside else product)
    rest = rest + (0.0 if outside else product_low) * (1.0 + q)
    head, tail = ordered_sum(1.0, q)
    return pow_limits(x, y, scaled(head + (tail + rest), n))


@exact
def log2_precise_float32(k, m):
    """(high, low) with k + log2(m) = high + low to about 2**-33 of it, sqrt(1/2) <= m < sqrt(2)."""
    f = m - np.float32(1.0)
    below, below_low = ordered_sum(np.float32(2.0), f)
    inverse = np.float32(1.0) / below
    s = f * inverse
    s_low = fused(-s, below_low, fused(-s, below, f)) * inverse
    z = s * s
    z_low = fused(s + s, s_low, fused(s, s, -z))
    rest = polynomial(z, LOG2_REST_FLOAT32)
    inner = fused(z, rest, LOG2_SECOND_HIGH)
    inner_low = fused(z, rest, LOG2_SECOND_HIGH - inner) + LOG2_SECOND_LOW
    part, part_low = exact_product(z, inner)
    part_low = fused(z_low, inner, fused(z, inner_low, part_low))
    factor, factor_low = ordered_sum(LOG2_FIRST_HIGH, part)
    factor_low = factor_low + (part_low + LOG2_FIRST_LOW)
    high, low = exact_product(s, factor)
    low = fused(s_low, factor, fused(s, factor_low, low))
    total, lost = ordered_sum(k, high)
    return total, lost + low


@scalar
def pow_float32(x, y):
    # 2**(y log2 |x|); an infinite logarithm gives the limits.
    a = magnitude(x)
    k, m = split_float32(a, HALF_ROOT_BITS_FLOAT32)
    k = np.float32(-np.inf) if a == np.float32(0.0) else k
    finite = a < np.float32(np.inf)
    high, low = log2_precise_float32(k if finite else a, m)
    exponent = y * high
    inside = at_least(at_most(exponent, np.float32(200.0)), np.float32(-200.0))
    lost = fused(y, low, fused(y, high, -exponent))
    n = nearest_integer(inside)
    rest = inside - np.float32(n)
    rest = rest + lost if inside == exponent else rest
    value = scaled(polynomial(rest, (np.float32(1.0), *EXP2_FLOAT32)), n)
    value = np.float32(1.0) if a == np.float32(1.0) or y == np.float32(0.0) else value
    whole = round_to_zero(y) == y
    odd = whole and nearest_integer(y) & 1 != 0
    value = with_sign(value, x if odd else np.float32(0.0))
    return np.float32(np.nan) if x < np.float32(0.0) and finite and not whole else value


@scalar
def pow_integer(x, y):
    """x**y by repeated squaring, modulo the width; a negative y gives 1 / x**-y rounded to zero."""
    result, base, rest = 1, np.int64(x), np.int64(y)
    if y < 0:
        # Only 1 and -1 have a power that is not rounded to 0.
        result = 1 if base == 1 or base == -1 else 0
        rest = rest & 1
    while rest > 0:
        if rest & 1:
            result = result * base
        base = base * base
        rest = rest >> 1
    return converted(result, x)


@scalar
def sqrt_any(x):
    return square_root(x)


@scalar
def square_any(x):
    return x * x


@scalar
def reciprocal_float32(x):
    return np.float32(1.0) / x


@scalar
def reciprocal_float64(x):
    return 1.0 / x


@scalar
def rsqrt_float32(x):
    # One step of Newton's method takes away the rounding errors of the root and the quotient.
    y = np.float32(1.0) / square_root(x)
    better = y + np.float32(0.5) * y * fused(-(x * y), y, np.float32(1.0))
    return better if x > np.float32(0.0) and x < np.float32(np.inf) else y


@scalar
def rsqrt_float64(x):
    y = 1.0 / square_root(x)
    better = y + 0.5 * y * fused(-(x * y), y, 1.0)
    return better if x > 0.0 and x < np.inf else y


@scalar
def hypot_float32(x, y):
    a, b = np.float64(x), np.float64(y)
    value = np.float32(square_root(a * a + b * b))
    infinite = magnitude(x) == np.float32(np.inf) or magnitude(y) == np.float32(np.inf)
    return np.float32(np.inf) if infinite else value


@scalar
def hypot_float64(x, y):
    # Scaling by a power of 2 keeps the squares in range.
    a, b = magnitude(x), magnitude(y)
    larger, smaller = (a, b) if a > b else (b, a)
    up = larger < 1e-140
    down = larger > 1e140
    scale = 1.3407807929942597e154 if up else (7.458340731200207e-155 if down else 1.0)
    back = 7.458340731200207e-155 if up else (1.3407807929942597e154 if down else 1.0)
    larger, smaller = larger * scale, smaller * scale
    value = square_root(fused(larger, larger, smaller * smaller)) * back
    return np.inf if a == np.inf or b == np.inf else value
