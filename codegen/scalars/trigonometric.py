# mypy: ignore-errors
"""sin, cos, tan: text for the generator, not imported.

x = n pi/2 + r with |r| <= pi/4, where pi/2 is given in three parts of 53 bits (Cody and Waite) and
the fused operation makes the first subtraction exact. r is kept in two parts. n modulo 4 says which
of sine and cosine of r, and with which sign, is the answer.
"""

import numpy as np

from .primitives import (
    SHIFT_FLOAT64,
    bits_of,
    float64_of,
    fused,
    polynomial,
    scalar,
    two_sum,
)

TWO_OVER_PI = 0.6366197723675814

# pi/2 = the sum of the three.
HALF_PI_HIGH = 1.5707963267948966

HALF_PI_MIDDLE = 6.123233995736766e-17

HALF_PI_LOW = -1.4973849048591698e-33

# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in powers of r**2, for |r| <= 1.02 pi/4:
# minimax (tools/minimax.py), errors 2**-58 and 2**-64; the short ones 2**-32 and 2**-37.
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

SIN_SHORT = (
    -0.1666666716337204,
    0.008333378471434116,
    -0.00019852464902214706,
    2.824350303853862e-06,
)

COS_SHORT = (
    0.0416666679084301,
    -0.0013888977700844407,
    2.4820839826134034e-05,
    -2.8742195468112186e-07,
)


@scalar
def quarter_turns_float64(x):
    """(n, r, rest) with x = n pi/2 + r + rest; only the low two bits of n count."""
    shifted = x * TWO_OVER_PI + SHIFT_FLOAT64
    n = shifted - SHIFT_FLOAT64
    first = fused(-n, HALF_PI_HIGH, x)
    product = -n * HALF_PI_MIDDLE
    product_low = fused(-n, HALF_PI_MIDDLE, -product)
    r, rest = two_sum(first, product)
    return bits_of(shifted), r, rest + (product_low - n * HALF_PI_LOW)


@scalar
def sin_near_float64(r, rest):
    z = r * r
    value = r + (r * z * polynomial(z, SIN_FLOAT64) + rest * (1.0 - 0.5 * z))
    return r if r == 0.0 else value


@scalar
def cos_near_float64(r, rest):
    z = r * r
    half = 0.5 * z
    head = 1.0 - half
    return head + (((1.0 - head) - half) + (z * z * polynomial(z, COS_FLOAT64) - r * rest))


@scalar
def negated_if(x, bit):
    """x with its sign bit flipped if `bit`, an integer, has its second-lowest bit set."""
    return float64_of(bits_of(x) ^ ((bit & 2) << 62))


@scalar
def sin_float64(x):
    n, r, rest = quarter_turns_float64(x)
    sine, cosine = sin_near_float64(r, rest), cos_near_float64(r, rest)
    return negated_if(sine if n & 1 == 0 else cosine, n)


@scalar
def cos_float64(x):
    n, r, rest = quarter_turns_float64(x)
    sine, cosine = sin_near_float64(r, rest), cos_near_float64(r, rest)
    return negated_if(cosine if n & 1 == 0 else sine, n + 1)


@scalar
def tan_float64(x):
    n, r, rest = quarter_turns_float64(x)
    sine, cosine = sin_near_float64(r, rest), cos_near_float64(r, rest)
    swap = n & 1 != 0
    return (-cosine if swap else sine) / (sine if swap else cosine)


@scalar
def quarter_turns_short(x):
    """(n, r) as above, to the precision that a float32 result needs."""
    shifted = x * TWO_OVER_PI + SHIFT_FLOAT64
    n = shifted - SHIFT_FLOAT64
    return bits_of(shifted), fused(-n, HALF_PI_MIDDLE, fused(-n, HALF_PI_HIGH, x))


@scalar
def sin_short(r):
    z = r * r
    return r + r * z * polynomial(z, SIN_SHORT)


@scalar
def cos_short(r):
    z = r * r
    return (1.0 - 0.5 * z) + z * z * polynomial(z, COS_SHORT)


@scalar
def sin_float32(x):
    n, r = quarter_turns_short(np.float64(x))
    value = np.float32(negated_if(sin_short(r) if n & 1 == 0 else cos_short(r), n))
    return x if x == np.float32(0.0) else value


@scalar
def cos_float32(x):
    n, r = quarter_turns_short(np.float64(x))
    return np.float32(negated_if(cos_short(r) if n & 1 == 0 else sin_short(r), n + 1))


@scalar
def tan_float32(x):
    n, r = quarter_turns_short(np.float64(x))
    sine, cosine = sin_short(r), cos_short(r)
    swap = n & 1 != 0
    value = np.float32((-cosine if swap else sine) / (sine if swap else cosine))
    return x if x == np.float32(0.0) else value
