# mypy: ignore-errors
"""sigmoid, tanh, sinh, cosh, asinh, acosh, atanh: text for the generator, not imported.

Each is written over exp or expm1 of the magnitude with the sign that cannot overflow.
"""

import numpy as np

from .exponential import (
    EXP_FLOAT32,
    exp_parts_pair_float64,
    exp_reduced_float32,
    exp_rest_float32,
    expm1_pair_float64,
)
from .logarithm import log1p_float64, log_float64
from .primitives import (
    at_least,
    at_most,
    fused,
    magnitude,
    ordered_sum,
    polynomial,
    power_of_2_float32,
    power_of_2_float64,
    quotient_of_pairs,
    scalar,
    scaled,
    square_root,
    with_sign,
)
from .short import LOG_SHORT, exp_short, log_short

# (tanh(x) - x) / x**3 for |x| <= 0.93, (sinh(x) - x) / x**3 for |x| <= 1 and (asinh(x) - x) / x**3
# for |x| <= 1/2 in powers of x**2: minimax (tools/minimax.py), 2**-29, 2**-32 and 2**-33.
TANH_NEAR_FLOAT32 = (
    np.float32(-0.33333316445350647),
    np.float32(0.13332828879356384),
    np.float32(-0.05391666293144226),
    np.float32(0.021614793688058853),
    np.float32(-0.008170140907168388),
    np.float32(0.002493244828656316),
    np.float32(-0.0004224912845529616),
)

SINH_NEAR_FLOAT32 = (
    np.float32(0.1666666716337204),
    np.float32(0.00833331048488617),
    np.float32(0.00019842895562760532),
    np.float32(2.7822131869470468e-06),
)

ASINH_NEAR_FLOAT32 = (
    np.float32(-0.1666666567325592),
    np.float32(0.07499899715185165),
    np.float32(-0.04461375251412392),
    np.float32(0.030008450150489807),
    np.float32(-0.019938219338655472),
    np.float32(0.00908163096755743),
)


@scalar
def sigmoid_float32(x):
    # exp(-x) = 2**-n exp(-r), so that the answer is 2**n / (2**n + exp(-r)). The denominator is the
    # sum of three parts; what its rounded inverse leaves of 1 says what that is short of.
    y = at_most(x, np.float32(18.0))
    y = at_least(y, np.float32(-104.0))
    r, n = exp_reduced_float32(y)
    scale = scaled(np.float32(1.0), n)
    head = scale + np.float32(1.0)
    rest = r * r * polynomial(-r, EXP_FLOAT32) + (scale + (np.float32(1.0) - head))
    inverse = np.float32(1.0) / (head + (rest - r))
    left = fused(inverse, r, fused(-inverse, head, np.float32(1.0)))
    return scaled(fused(inverse, fused(-inverse, rest, left), inverse), n)


@scalar
def sigmoid_float64(x):
    y = -magnitude(x)
    y = at_least(y, -746.0)
    q, rest, n = exp_parts_pair_float64(y)
    e, e_low = ordered_sum(1.0, q)
    e_low = e_low + rest
    scale = power_of_2_float64(n if n > -64.0 else -64.0)
    below, below_low = ordered_sum(1.0, scale * e)
    below_low = below_low + scale * e_low
    positive = x > 0.0
    above = 1.0 if positive else e
    above_low = 0.0 if positive else e_low
    quotient, left = quotient_of_pairs(above, above_low, below, below_low)
    return scaled(quotient + left, 0.0 if positive else n)


@scalar
def tanh_float32(x):
    y = magnitude(x)
    z = y * y
    near = fused(y * z, polynomial(z, TANH_NEAR_FLOAT32), y)
    # 1 - 2 / (1 + exp(2 y)), where exp(2 y) = 2**n (1 + q).
    r, n = exp_reduced_float32(np.float32(2.0) * at_most(y, np.float32(10.0)))
    scale = power_of_2_float32(n)
    below = fused(scale, exp_rest_float32(r), scale + np.float32(1.0))
    far = np.float32(1.0) - np.float32(2.0) / below
    return with_sign(far if y > np.float32(0.93) else near, x)


@scalar
def tanh_float64(x):
    y = -2.0 * magnitude(x)
    y = at_least(y, -50.0)
    q, rest, n = exp_parts_pair_float64(y)
    t, t_low = expm1_pair_float64(q, rest, power_of_2_float64(n))
    below, below_low = ordered_sum(2.0, t)
    quotient, left = quotient_of_pairs(-t, -t_low, below, below_low + t_low)
    return with_sign(quotient + left, x)


@scalar
def sinh_float64(x):
    # sinh |x| = (t + t / (1 + t)) / 2 with t = expm1(|x|) in two parts. For large x, where exp(|x|)
    # may overflow, it is a power of 2 times a number near 1.
    y = magnitude(x)
    y = at_most(y, 710.6)
    q, rest, n = exp_parts_pair_float64(y)
    large = y > 40.0
    t, t_low = expm1_pair_float64(q, rest, power_of_2_float64(0.0 if large else n))
    quotient = t / (1.0 + t)
    slope = 1.0 - quotient
    total, total_low = ordered_sum(t, quotient)
    near = 0.5 * (total + (total_low + (t_low + t_low * slope * slope)))
    far = scaled(1.0 + (q + rest), n - 1.0)
    return with_sign(far if large else near, x)


@scalar
def cosh_float64(x):
    # (exp(|x|) + exp(-|x|)) / 2, at first as a quarter of it, which cannot overflow too early.
    y = magnitude(x)
    y = at_most(y, 710.6)
    q, rest, n = exp_parts_pair_float64(y)
    head, tail = ordered_sum(1.0, q)
    scale = power_of_2_float64(n - 2.0)
    high, low = scale * head, scale * (tail + rest)
    return 2.0 * (high + (low + 0.0625 / high))


@scalar
def asinh_float64(x):
    y = magnitude(x)
    large = y > 268435456.0
    z = 0.0 if large else y
    small_result = log1p_float64(z + z * z / (1.0 + square_root(1.0 + z * z)))
    result = log_float64(y) + 0.6931471805599453 if large else small_result
    return with_sign(result, x)


@scalar
def acosh_float64(x):
    large = x > 268435456.0
    t = 1.0 if large else x - 1.0
    result = log_float64(x) + 0.6931471805599453
    result = result if large else log1p_float64(t + square_root(2.0 * t + t * t))
    return np.nan if x < 1.0 else result


@scalar
def atanh_float64(x):
    y = magnitude(x)
    return with_sign(0.5 * log1p_float64(2.0 * y / (1.0 - y)), x)


@scalar
def sinh_float32(x):
    z = x * x
    near = x + x * z * polynomial(z, SINH_NEAR_FLOAT32)
    e = exp_short(np.float64(magnitude(x)))
    far = with_sign(np.float32(0.5 * (e - 1.0 / e)), x)
    return far if magnitude(x) > np.float32(1.0) else near


@scalar
def cosh_float32(x):
    e = exp_short(np.float64(magnitude(x)))
    return np.float32(0.5 * (e + 1.0 / e))


@scalar
def asinh_float32(x):
    y = magnitude(x)
    z = y * y
    near = y + y * z * polynomial(z, ASINH_NEAR_FLOAT32)
    wide = np.float64(y)
    far = np.float32(log_short(wide + square_root(wide * wide + 1.0)))
    far = far if y < np.float32(np.inf) else y
    return with_sign(far if not y <= np.float32(0.5) else near, x)


@scalar
def acosh_float32(x):
    y = np.float64(x)
    value = np.float32(log_short(y + square_root(y * y - 1.0)))
    value = value if x < np.float32(np.inf) else x
    return np.float32(np.nan) if x < np.float32(1.0) else value


@scalar
def atanh_float32(x):
    # Near 0 this is the series of the logarithm itself.
    y = np.float64(magnitude(x))
    z = y * y
    near = y + 0.5 * y * z * polynomial(z, LOG_SHORT)
    far = 0.5 * log_short((1.0 + y) / (1.0 - y))
    value = with_sign(np.float32(far if y > 0.17 else near), x)
    value = value if y < 1.0 else with_sign(np.float32(np.inf), x)
    return value if y <= 1.0 else np.float32(np.nan)
