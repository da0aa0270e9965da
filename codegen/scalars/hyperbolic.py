# mypy: ignore-errors
"""sigmoid, tanh, sinh, cosh, asinh, acosh, atanh: text for the generator, not imported.

Each is written over exp or expm1 of the magnitude with the sign that cannot overflow.
"""

import numpy as np

from .exponential import (
    exp_parts_float32,
    exp_parts_pair_float32,
    exp_parts_pair_float64,
    expm1_pair_float32,
    expm1_pair_float64,
)
from .logarithm import log1p_float64, log_float64
from .primitives import (
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

# (sinh(x) - x) / x**3 for |x| <= 1 and (asinh(x) - x) / x**3 for |x| <= 1/2 in powers of x**2:
# minimax (tools/minimax.py), 2**-32 and 2**-33.
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
    # With e = exp(-|x|) the answer is 1 / (1 + e) or e / (1 + e), where e is 2**n (1 + q) in two
    # parts.
    y = -magnitude(x)
    y = np.float32(-104.0) if y < np.float32(-104.0) else y
    q, n = exp_parts_float32(y)
    e, e_low = ordered_sum(np.float32(1.0), q)
    scale = power_of_2_float32(n if n > np.float32(-64.0) else np.float32(-64.0))
    below, below_low = ordered_sum(np.float32(1.0), scale * e)
    below_low = below_low + scale * e_low
    positive = x > np.float32(0.0)
    above = np.float32(1.0) if positive else e
    above_low = np.float32(0.0) if positive else e_low
    quotient, left = quotient_of_pairs(above, above_low, below, below_low)
    return scaled(quotient + left, np.float32(0.0) if positive else n)


@scalar
def sigmoid_float64(x):
    y = -magnitude(x)
    y = -746.0 if y < -746.0 else y
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
    # With t = expm1(-2|x|) in two parts, tanh |x| = -t / (2 + t).
    y = np.float32(-2.0) * magnitude(x)
    y = np.float32(-20.0) if y < np.float32(-20.0) else y
    q, rest, n = exp_parts_pair_float32(y)
    t, t_low = expm1_pair_float32(q, rest, power_of_2_float32(n))
    below, below_low = ordered_sum(np.float32(2.0), t)
    quotient, left = quotient_of_pairs(-t, -t_low, below, below_low + t_low)
    return with_sign(quotient + left, x)


@scalar
def tanh_float64(x):
    y = -2.0 * magnitude(x)
    y = -50.0 if y < -50.0 else y
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
    y = 710.6 if y > 710.6 else y
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
    y = 710.6 if y > 710.6 else y
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
