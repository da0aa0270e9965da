# mypy: ignore-errors
"""sigmoid, tanh, sinh, cosh, asinh, acosh, atanh: text for the generator, not imported.

Each is written over exp or expm1 of the magnitude with the sign that cannot overflow.
"""

import numpy as np

from .exponential import (
    exp_parts_pair_float32,
    exp_parts_pair_float64,
    expm1_pair_float32,
    expm1_pair_float64,
)
from .logarithm import log1p_float64, log_float64
from .primitives import (
    fused,
    magnitude,
    ordered_sum,
    power_of_2_float32,
    power_of_2_float64,
    scalar,
    scale_float32,
    scale_float64,
    square_root,
    with_sign,
)


@scalar
def sigmoid_float32(x):
    # With e = exp(-|x|) the answer is 1 / (1 + e) or e / (1 + e), where e is 2**n (1 + q) in two
    # parts. Correcting the quotient by its remainder takes away most of the rounding errors.
    y = -magnitude(x)
    y = np.float32(-104.0) if y < np.float32(-104.0) else y
    q, rest, n = exp_parts_pair_float32(y)
    e, e_low = ordered_sum(np.float32(1.0), q)
    e_low = e_low + rest
    scale = power_of_2_float32(n if n > np.float32(-64.0) else np.float32(-64.0))
    below, below_low = ordered_sum(np.float32(1.0), scale * e)
    below_low = below_low + scale * e_low
    positive = x > np.float32(0.0)
    above = np.float32(1.0) if positive else e
    above_low = np.float32(0.0) if positive else e_low
    inverse = np.float32(1.0) / below
    quotient = above * inverse
    left = fused(-quotient, below, above) + (above_low - quotient * below_low)
    return scale_float32(quotient + left * inverse, np.float32(0.0) if positive else n)


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
    inverse = 1.0 / below
    quotient = above * inverse
    left = fused(-quotient, below, above) + (above_low - quotient * below_low)
    return scale_float64(quotient + left * inverse, 0.0 if positive else n)


@scalar
def tanh_float32(x):
    # With t = expm1(-2|x|) in two parts, tanh |x| = -t / (2 + t), corrected by the remainder.
    y = np.float32(-2.0) * magnitude(x)
    y = np.float32(-20.0) if y < np.float32(-20.0) else y
    q, rest, n = exp_parts_pair_float32(y)
    t, t_low = expm1_pair_float32(q, rest, power_of_2_float32(n))
    below, below_low = ordered_sum(np.float32(2.0), t)
    below_low = below_low + t_low
    inverse = np.float32(1.0) / below
    quotient = -t * inverse
    left = fused(-quotient, below, -t) - (t_low + quotient * below_low)
    return with_sign(quotient + left * inverse, x)


@scalar
def tanh_float64(x):
    y = -2.0 * magnitude(x)
    y = -50.0 if y < -50.0 else y
    q, rest, n = exp_parts_pair_float64(y)
    t, t_low = expm1_pair_float64(q, rest, power_of_2_float64(n))
    below, below_low = ordered_sum(2.0, t)
    below_low = below_low + t_low
    inverse = 1.0 / below
    quotient = -t * inverse
    left = fused(-quotient, below, -t) - (t_low + quotient * below_low)
    return with_sign(quotient + left * inverse, x)


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
    far = scale_float64(1.0 + (q + rest), n - 1.0)
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
    return np.float32(sinh_float64(np.float64(x)))


@scalar
def cosh_float32(x):
    return np.float32(cosh_float64(np.float64(x)))


@scalar
def asinh_float32(x):
    return np.float32(asinh_float64(np.float64(x)))


@scalar
def acosh_float32(x):
    return np.float32(acosh_float64(np.float64(x)))


@scalar
def atanh_float32(x):
    return np.float32(atanh_float64(np.float64(x)))
