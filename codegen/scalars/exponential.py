# mypy: ignore-errors
"""exp, exp2, expm1: text for the generator, not imported.

x = n ln2 + r with |r| <= ln2 / 2 and n an integer, then exp(x) = 2**n (1 + r + r**2 P(r)) with a
minimax polynomial P. NaN goes through the arithmetic.
"""

import numpy as np

from .primitives import (
    at_least,
    at_most,
    fused,
    nearest_integer,
    ordered_sum,
    polynomial,
    power_of_2_float32,
    power_of_2_float64,
    round_even,
    scalar,
    scaled,
    with_sign,
)

INVERSE_LN2_FLOAT32 = np.float32(1.4426950408889634)

INVERSE_LN2 = 1.4426950408889634

# ln2 in two parts; the first has so few bits that its product with n is exact.
LN2_HIGH_FLOAT32 = np.float32(0.693359375)

LN2_LOW_FLOAT32 = np.float32(-2.12194440054690583e-4)

LN2_HIGH = 0.6931471804855391

LN2_LOW = 7.440617110012397e-11

# (exp(r) - 1 - r) / r**2 on |r| <= ln2 / 2: minimax with coefficients rounded one after another
# (tools/minimax.py). Relative error of exp: 2**-28 and 2**-61.
EXP_FLOAT32 = (
    np.float32(0.4999999403953552),
    np.float32(0.16666516661643982),
    np.float32(0.04166824743151665),
    np.float32(0.008369079791009426),
    np.float32(0.0013822439359501004),
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
def exp_reduced_float32(x):
    """(r, n) with x = n ln2 + r and n an int32, for -104 <= x <= 104."""
    n = nearest_integer(x * INVERSE_LN2_FLOAT32)
    turns = np.float32(n)
    return fused(-turns, LN2_LOW_FLOAT32, fused(-turns, LN2_HIGH_FLOAT32, x)), n


@scalar
def exp_rest_float32(r):
    """exp(r) - 1 for |r| <= ln2 / 2."""
    return fused(r * r, polynomial(r, EXP_FLOAT32), r)


@scalar
def exp_parts_float64(x):
    """(q, n) with exp(x) = 2**n (1 + q), for -746 <= x <= 710."""
    n = round_even(x * INVERSE_LN2)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    return r + r * r * polynomial(r, EXP_FLOAT64), n


@scalar
def exp_three_float32(x):
    """(r, rest, n) with exp(x) = 2**n (1 + r + rest): r as above, rest to 24 bits of its own."""
    n = nearest_integer(x * INVERSE_LN2_FLOAT32)
    turns = np.float32(n)
    head = fused(-turns, LN2_HIGH_FLOAT32, x)
    r = fused(-turns, LN2_LOW_FLOAT32, head)
    lost = fused(-turns, LN2_LOW_FLOAT32, head - r)
    return r, fused(r * r, polynomial(r, EXP_FLOAT32), fused(lost, r, lost)), n


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
def expm1_pair_float64(q, rest, scale):
    """(high, low) with scale (1 + q + rest) - 1 = high + low."""
    head = scale - 1.0
    lost = (scale - head) - 1.0 if scale > 1.0 else scale - (head + 1.0)
    high, low = ordered_sum(head, scale * q)
    return high, low + (lost + scale * rest)


@scalar
def exp_float32(x):
    y = at_most(x, np.float32(89.0))
    y = at_least(y, np.float32(-104.0))
    r, n = exp_reduced_float32(y)
    return scaled(polynomial(r, (np.float32(1.0), np.float32(1.0), *EXP_FLOAT32)), n)


@scalar
def exp_float64(x):
    y = at_most(x, 710.0)
    y = at_least(y, -746.0)
    q, n = exp_parts_float64(y)
    return scaled(1.0 + q, n)


@scalar
def expm1_float32(x):
    # exp(x) = 2**n (1 + r + rest), so that the answer is 2**n times (1 - 2**-n) + r + rest.
    y = at_most(x, np.float32(89.0))
    y = at_least(y, np.float32(-25.0))
    r, rest, n = exp_three_float32(y)
    unit = power_of_2_float32(-np.int32(127) if n > 127 else -n)
    head, lost = ordered_sum(np.float32(1.0), -unit)
    high, low = ordered_sum(head, r)
    return with_sign(scaled(high + (rest + (low + lost)), n), x)


@scalar
def expm1_float64(x):
    y = at_most(x, 710.0)
    y = at_least(y, -50.0)
    q, rest, n = exp_parts_pair_float64(y)
    first = at_most(n, 512.0)
    high, low = expm1_pair_float64(q, rest, power_of_2_float64(first))
    result = (high + low) * power_of_2_float64(n - first)
    return x if x == 0.0 else result


@scalar
def exp2_float32(x):
    y = at_most(x, np.float32(129.0))
    y = at_least(y, np.float32(-151.0))
    n = nearest_integer(y)
    r = y - np.float32(n)
    return scaled(polynomial(r, (np.float32(1.0), *EXP2_FLOAT32)), n)


@scalar
def exp2_float64(x):
    y = at_most(x, 1025.0)
    y = at_least(y, -1076.0)
    n = round_even(y)
    r = y - n
    q = r * polynomial(r, EXP2_FLOAT64)
    return scaled(1.0 + q, n)
