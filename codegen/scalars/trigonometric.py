# mypy: ignore-errors
"""sin, cos, tan: text for the generator, not imported.

x = n pi/2 + r with |r| <= pi/4, where pi/2 is given in three parts of 53 bits (Cody and Waite) and
the fused operation makes the first subtraction exact. r is kept in two parts. n modulo 4 says which
of sine and cosine of r, and with which sign, is the answer. For an x so large that pi/2 is not long
enough, the C library answers.
"""

import numpy as np

from .primitives import (
    SHIFT_FLOAT32,
    SHIFT_FLOAT64,
    bits_of,
    exact_product,
    float32_of,
    float64_of,
    fused,
    magnitude,
    ordered_sum,
    polynomial,
    quotient_of_pairs,
    scalar,
)
from .rare import rare_cos, rare_sin, rare_tan

TWO_OVER_PI = 0.6366197723675814

# pi/2 = the sum of the three.
HALF_PI_HIGH = 1.5707963267948966

HALF_PI_MIDDLE = 6.123233995736766e-17

HALF_PI_LOW = -1.4973849048591698e-33

# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in powers of r**2, for |r| <= 1.02 pi/4:
# minimax (tools/minimax.py), errors 2**-58 and 2**-64.
SIN_FLOAT64 = (
    -0.16666666666666624,
    0.008333333333320264,
    -0.00019841269827991314,
    2.755731303743975e-06,
    -2.5050652706113276e-08,
    1.589055084359614e-10,
)

COS_FLOAT64 = (
    0.04166666666666658,
    -0.0013888888888870827,
    2.4801587287364612e-05,
    -2.7557313726532415e-07,
    2.087563661545585e-09,
    -1.1355092396413145e-11,
)

# (sin(r) - r) / r**3 and (cos(r) - 1) / r**2 for results in float32: 2**-28 and 2**-34.
# The float32 ones further down are as precise, and for cos(r) - 1 + r**2 / 2 again.
SIN_SHORT = (
    -0.16666654589342383,
    0.008332155000750763,
    -0.00019514077195771098,
)

COS_SHORT = (
    -0.49999999723297606,
    0.04166662275935801,
    -0.0013886739441858213,
    2.438776001039003e-05,
)

# pi/2 in three parts of 24 bits.
HALF_PI_HIGH_FLOAT32 = np.float32(1.5707963705062866)

HALF_PI_MIDDLE_FLOAT32 = np.float32(-4.371138828673793e-08)

HALF_PI_LOW_FLOAT32 = np.float32(-1.7151245100058819e-15)

SIN_FLOAT32 = (
    np.float32(-0.16666653752326965),
    np.float32(0.00833209604024887),
    np.float32(-0.00019505627278704196),
)

COS_FLOAT32 = (
    np.float32(0.04166664555668831),
    np.float32(-0.0013887288514524698),
    np.float32(2.442821096337866e-05),
)

# Beyond these the parts of pi/2 are not enough, or n is not the nearest integer.
LARGEST_FLOAT32 = np.float32(65536.0)

LARGEST_SHORT = 281474976710656.0

LARGEST_FLOAT64 = 4398046511104.0


@scalar
def quarter_turns_float64(x):
    """(n, r, rest) with x = n pi/2 + r + rest; only the low two bits of n count."""
    shifted = x * TWO_OVER_PI + SHIFT_FLOAT64
    n = shifted - SHIFT_FLOAT64
    first = fused(-n, HALF_PI_HIGH, x)
    product, product_low = exact_product(-n, HALF_PI_MIDDLE)
    # The first difference is a multiple of the last place of the product, which is all it takes.
    r, rest = ordered_sum(first, product)
    return bits_of(shifted), r, rest + (product_low - n * HALF_PI_LOW)


@scalar
def sin_near_float64(r, rest):
    """(head, tail) with sin(r + rest) = head + tail."""
    z = r * r
    return r, r * z * polynomial(z, SIN_FLOAT64) + rest * (1.0 - 0.5 * z)


@scalar
def cos_near_float64(r, rest):
    """(head, tail) with cos(r + rest) = head + tail."""
    z = r * r
    half = 0.5 * z
    head = 1.0 - half
    return head, ((1.0 - head) - half) + (z * z * polynomial(z, COS_FLOAT64) - r * rest)


@scalar
def sin_cos_near_float64(r, rest):
    """(sin(r + rest), cos(r + rest)); the sine of -0 is -0."""
    head, tail = sin_near_float64(r, rest)
    other, other_tail = cos_near_float64(r, rest)
    return r if r == 0.0 else head + tail, other + other_tail


@scalar
def negated_if(x, bit):
    """x with its sign bit flipped if `bit`, an integer, has its second-lowest bit set."""
    return float64_of(bits_of(x) ^ ((bit & 2) << 62))


@scalar
def sin_float64(x):
    n, r, rest = quarter_turns_float64(x)
    sine, cosine = sin_cos_near_float64(r, rest)
    value = negated_if(sine if n & 1 == 0 else cosine, n)
    return rare_sin(magnitude(x) > LARGEST_FLOAT64, x, value)


@scalar
def cos_float64(x):
    n, r, rest = quarter_turns_float64(x)
    sine, cosine = sin_cos_near_float64(r, rest)
    value = negated_if(cosine if n & 1 == 0 else sine, n + 1)
    return rare_cos(magnitude(x) > LARGEST_FLOAT64, x, value)


@scalar
def tan_float64(x):
    n, r, rest = quarter_turns_float64(x)
    head, tail = sin_near_float64(r, rest)
    sine, sine_low = ordered_sum(head, tail)
    head, tail = cos_near_float64(r, rest)
    cosine, cosine_low = ordered_sum(head, tail)
    swap = n & 1 != 0
    above, above_low = (-cosine if swap else sine), (-cosine_low if swap else sine_low)
    below, below_low = (sine if swap else cosine), (sine_low if swap else cosine_low)
    quotient, left = quotient_of_pairs(above, above_low, below, below_low)
    value = x if x == 0.0 else quotient + left
    return rare_tan(magnitude(x) > LARGEST_FLOAT64, x, value)


@scalar
def quarter_turns_short(x):
    """(n, r) as above, to the precision that a float32 result needs."""
    shifted = x * TWO_OVER_PI + SHIFT_FLOAT64
    n = shifted - SHIFT_FLOAT64
    return bits_of(shifted), fused(-n, HALF_PI_MIDDLE, fused(-n, HALF_PI_HIGH, x))


@scalar
def tan_float32(x):
    wide = np.float64(x)
    n, r = quarter_turns_short(wide)
    z = r * r
    sine = r + r * z * polynomial(z, SIN_SHORT)
    cosine = 1.0 + z * polynomial(z, COS_SHORT)
    swap = n & 1 != 0
    value = (-cosine if swap else sine) / (sine if swap else cosine)
    value = np.float32(rare_tan(magnitude(wide) > LARGEST_SHORT, wide, value))
    return x if x == np.float32(0.0) else value


@scalar
def sin_cos_float32(x):
    """(n, sine, cosine) of x less n pi/2."""
    shifted = x * np.float32(TWO_OVER_PI) + SHIFT_FLOAT32
    n = shifted - SHIFT_FLOAT32
    first = fused(-n, HALF_PI_HIGH_FLOAT32, x)
    product, product_low = exact_product(-n, HALF_PI_MIDDLE_FLOAT32)
    r, rest = ordered_sum(first, product)
    rest = rest + (product_low - n * HALF_PI_LOW_FLOAT32)
    z = r * r
    sine = r + (r * z * polynomial(z, SIN_FLOAT32) + rest)
    # What rounding took from z would be seen in the cosine.
    lost = fused(np.float32(0.5), fused(r, r, -z), r * rest)
    fall = fused(z, polynomial(z, (np.float32(-0.5), *COS_FLOAT32)), -lost)
    return bits_of(shifted), sine, np.float32(1.0) + fall


@scalar
def negated_float32_if(x, bit):
    """x with its sign bit flipped if `bit`, an integer, has its second-lowest bit set."""
    return float32_of(bits_of(x) ^ ((bit & 2) << 30))


@scalar
def sin_float32(x):
    n, sine, cosine = sin_cos_float32(x)
    value = negated_float32_if(sine if n & 1 == 0 else cosine, n)
    value = x if x == np.float32(0.0) else value
    return rare_sin(magnitude(x) > LARGEST_FLOAT32, x, value)


@scalar
def cos_float32(x):
    n, sine, cosine = sin_cos_float32(x)
    value = negated_float32_if(cosine if n & 1 == 0 else sine, n + 1)
    return rare_cos(magnitude(x) > LARGEST_FLOAT32, x, value)
