# mypy: ignore-errors
"""exp, exp2, expm1: text for the generator, not imported.

x = n ln2 + r with |r| <= ln2 / 2 and n an integer, then exp(x) = 2**n (1 + r + r**2 P(r)) with a
minimax polynomial P. NaN goes through the arithmetic.
"""

import numpy as np

from .primitives import (
    ordered_sum,
    polynomial,
    power_of_2_float32,
    power_of_2_float64,
    round_even,
    scalar,
    scaled,
)

INVERSE_LN2_FLOAT32 = np.float32(1.4426950408889634)

INVERSE_LN2 = 1.4426950408889634

# ln2 in two parts; the first has so few bits that its product with n is exact.
LN2_HIGH_FLOAT32 = np.float32(0.693359375)

LN2_LOW_FLOAT32 = np.float32(-2.12194440054690583e-4)

LN2_HIGH = 0.6931471804855391

LN2_LOW = 7.440617110012397e-11

# (exp(r) - 1 - r) / r**2 on |r| <= ln2 / 2: minimax with coefficients rounded one after another
# (tools/minimax.py). Relative error of exp: 2**-31 and 2**-61.
EXP_FLOAT32 = (
    np.float32(0.5),
    np.float32(0.16666647791862488),
    np.float32(0.041666481643915176),
    np.float32(0.008337869308888912),
    np.float32(0.001393332495354116),
    np.float32(0.00017337217286694795),
)

EXP_FLOAT64 = (
    0.5,
    0.16666666666666677,
    0.041666666666666706,
    0.008333333333321428,
    0.0013888888888851853,
    0.0001984126988670735,
    2.4801587408788256e-05,
    2.7557243534123664e-06,
    2.755718886431183e-07,
    2.5109304723253387e-08,
    2.0944392996259728e-09,
)

# (2**r - 1) / r on |r| <= 1/2, likewise; relative error of exp2: 2**-33 and 2**-58.
EXP2_FLOAT32 = (
    np.float32(0.6931471824645996),
    np.float32(0.24022650718688965),
    np.float32(0.05550405755639076),
    np.float32(0.009618088603019714),
    np.float32(0.0013337028212845325),
    np.float32(0.00015451388026122004),
    np.float32(1.458601764170453e-05),
)

EXP2_FLOAT64 = (
    0.6931471805599453,
    0.24022650695910144,
    0.0555041086648242,
    0.009618129107588391,
    0.0013333558145730078,
    0.00015403530464834728,
    1.5252734531347822e-05,
    1.3215431259837392e-06,
    1.0177757279516814e-07,
    7.074493483497597e-09,
    4.5024200455863506e-10,
)


@scalar
def exp_parts_float32(x):
    """(q, n) with exp(x) = 2**n (1 + q), for -104 <= x <= 89."""
    n = round_even(x * INVERSE_LN2_FLOAT32)
    r = (x - n * LN2_HIGH_FLOAT32) - n * LN2_LOW_FLOAT32
    return r + r * r * polynomial(r, EXP_FLOAT32), n


@scalar
def exp_parts_float64(x):
    """(q, n) with exp(x) = 2**n (1 + q), for -746 <= x <= 710."""
    n = round_even(x * INVERSE_LN2)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    return r + r * r * polynomial(r, EXP_FLOAT64), n


@scalar
def exp_parts_pair_float32(x):
    """(q, rest, n) with exp(x) = 2**n (1 + q + rest), where rest is what rounding took from q."""
    n = round_even(x * INVERSE_LN2_FLOAT32)
    head = x - n * LN2_HIGH_FLOAT32
    r = head - n * LN2_LOW_FLOAT32
    q, rest = ordered_sum(r, r * r * polynomial(r, EXP_FLOAT32))
    rest = rest + ((head - r) - n * LN2_LOW_FLOAT32)
    return q, rest, n


@scalar
def exp_parts_pair_float64(x):
    """(q, rest, n) with exp(x) = 2**n (1 + q + rest), where rest is what rounding took from q."""
    n = round_even(x * INVERSE_LN2)
    head = x - n * LN2_HIGH
    r = head - n * LN2_LOW
    q, rest = ordered_sum(r, r * r * polynomial(r, EXP_FLOAT64))
    rest = rest + ((head - r) - n * LN2_LOW)
    return q, rest, n


@scalar
def expm1_pair_float32(q, rest, scale):
    """(high, low) with scale (1 + q + rest) - 1 = high + low."""
    head = scale - np.float32(1.0)
    lost = (
        (scale - head) - np.float32(1.0)
        if scale > np.float32(1.0)
        else scale - (head + np.float32(1.0))
    )
    high, low = ordered_sum(head, scale * q)
    return high, low + (lost + scale * rest)


@scalar
def expm1_pair_float64(q, rest, scale):
    """(high, low) with scale (1 + q + rest) - 1 = high + low."""
    head = scale - 1.0
    lost = (scale - head) - 1.0 if scale > 1.0 else scale - (head + 1.0)
    high, low = ordered_sum(head, scale * q)
    return high, low + (lost + scale * rest)


@scalar
def exp_float32(x):
    y = np.float32(89.0) if x > np.float32(89.0) else x
    y = np.float32(-104.0) if y < np.float32(-104.0) else y
    q, n = exp_parts_float32(y)
    return scaled(np.float32(1.0) + q, n)


@scalar
def exp_float64(x):
    y = 710.0 if x > 710.0 else x
    y = -746.0 if y < -746.0 else y
    q, n = exp_parts_float64(y)
    return scaled(1.0 + q, n)


@scalar
def expm1_float32(x):
    # 2**n would overflow before the result does, so that a large n is applied in two steps.
    y = np.float32(89.0) if x > np.float32(89.0) else x
    y = np.float32(-25.0) if y < np.float32(-25.0) else y
    q, rest, n = exp_parts_pair_float32(y)
    first = np.float32(64.0) if n > np.float32(64.0) else n
    high, low = expm1_pair_float32(q, rest, power_of_2_float32(first))
    result = (high + low) * power_of_2_float32(n - first)
    return x if x == np.float32(0.0) else result


@scalar
def expm1_float64(x):
    y = 710.0 if x > 710.0 else x
    y = -50.0 if y < -50.0 else y
    q, rest, n = exp_parts_pair_float64(y)
    first = 512.0 if n > 512.0 else n
    high, low = expm1_pair_float64(q, rest, power_of_2_float64(first))
    result = (high + low) * power_of_2_float64(n - first)
    return x if x == 0.0 else result


@scalar
def exp2_float32(x):
    y = np.float32(129.0) if x > np.float32(129.0) else x
    y = np.float32(-151.0) if y < np.float32(-151.0) else y
    n = round_even(y)
    r = y - n
    q = r * polynomial(r, EXP2_FLOAT32)
    return scaled(np.float32(1.0) + q, n)


@scalar
def exp2_float64(x):
    y = 1025.0 if x > 1025.0 else x
    y = -1076.0 if y < -1076.0 else y
    n = round_even(y)
    r = y - n
    q = r * polynomial(r, EXP2_FLOAT64)
    return scaled(1.0 + q, n)
