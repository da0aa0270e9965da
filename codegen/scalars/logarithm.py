# mypy: ignore-errors
"""log, log1p, log2, log10: text for the generator, not imported.

x = 2**k m with sqrt(1/2) <= m < sqrt(2), so that log(x) is k ln2 + log(m) and does not cancel near
1. With f = m - 1 and s = f / (2 + f), log(m) = 2 atanh(s) = f - f**2/2 + s (f**2/2 + s**2 P(s**2)).
In float32 a polynomial in f does without the division.
"""

import numpy as np

from .exponential import (
    LN2_HIGH,
    LN2_HIGH_FLOAT32,
    LN2_LOW,
    LN2_LOW_FLOAT32,
)
from .primitives import (
    bits_of,
    exact,
    exact_product,
    float32_of,
    float64_of,
    magnitude,
    ordered_sum,
    polynomial,
    scalar,
)

# The bits of sqrt(1/2), of 1 - sqrt(1/2) added to an exponent, and of 2**23 and 2**52.
HALF_ROOT_BITS_FLOAT32 = 0x3F3504F3

HALF_ROOT_BITS_FLOAT64 = 0x3FE6A09E667F3BCD

ONE_BITS_FLOAT32 = 0x3F800000

ONE_BITS_FLOAT64 = 0x3FF0000000000000

INTEGER_BITS_FLOAT32 = 0x4B000000

INTEGER_BITS_FLOAT64 = 0x4330000000000000

# (log(1 + f) - f + f**2 / 2) / f**3 for sqrt(1/2) <= 1 + f < sqrt(2): minimax (tools/minimax.py),
# relative error of the logarithm 2**-29.
LOG_FLOAT32 = (
    np.float32(0.3333331346511841),
    np.float32(-0.2500016689300537),
    np.float32(0.20002223551273346),
    np.float32(-0.16659358143806458),
    np.float32(0.14209570972867157),
    np.float32(-0.12549981474876404),
    np.float32(0.12109015882015228),
    np.float32(-0.10914183408021927),
    np.float32(0.053356148302555084),
)

# (2 atanh(s) - 2 s) / s**3 in powers of s**2, relative error of the logarithm 2**-59.
LOG_FLOAT64 = (
    0.6666666666666734,
    0.39999999999416525,
    0.2857142874207168,
    0.2222219859917523,
    0.18183563218372867,
    0.15314074087426277,
    0.1479575302269383,
)

# 1 / ln(2) and 1 / ln(10) to twice the precision, log10(2) as a head of few bits and a tail.
INVERSE_LN2_HIGH = 1.4426950408889634

INVERSE_LN2_TAIL = 2.0355273740931033e-17

INVERSE_LN10_HIGH = 0.4342944819032518

INVERSE_LN10_TAIL = 1.098319650216765e-17

# What rounding the heads to float32 takes away.
INVERSE_LN2_ROUNDING = 1.9259629911266175e-08

INVERSE_LN10_ROUNDING = -1.0103050052231683e-08

LOG10_2_HIGH_FLOAT32 = np.float32(0.301025390625)

LOG10_2_LOW_FLOAT32 = np.float32(4.605038981195214e-06)

LOG10_2_HIGH = 0.301029995663157

LOG10_2_LOW = 8.241712586023572e-13


@scalar
def split_float32(x):
    """(k, m) with x = 2**k m and sqrt(1/2) <= m < sqrt(2), for x > 0."""
    tiny = x < np.float32(1.1754943508222875e-38)
    y = x * np.float32(33554432.0) if tiny else x
    bits = np.int32(bits_of(y) + (ONE_BITS_FLOAT32 - HALF_ROOT_BITS_FLOAT32))
    offset = np.float32(8388760.0) if tiny else np.float32(8388735.0)
    k = float32_of((bits >> 23) | INTEGER_BITS_FLOAT32) - offset
    return k, float32_of((bits & 0x7FFFFF) + HALF_ROOT_BITS_FLOAT32)


@scalar
def split_float64(x):
    """(k, m) with x = 2**k m and sqrt(1/2) <= m < sqrt(2), for x > 0."""
    tiny = x < 2.2250738585072014e-308
    y = x * 18014398509481984.0 if tiny else x
    bits = bits_of(y) + (ONE_BITS_FLOAT64 - HALF_ROOT_BITS_FLOAT64)
    offset = 4503599627371573.0 if tiny else 4503599627371519.0
    k = float64_of((bits >> 52) | INTEGER_BITS_FLOAT64) - offset
    return k, float64_of((bits & 0xFFFFFFFFFFFFF) + HALF_ROOT_BITS_FLOAT64)


@scalar
def log_limits_float32(x, result):
    """The logarithm at 0, below 0, at infinity and NaN, else `result`."""
    y = result if x < np.float32(np.inf) else x
    y = np.float32(-np.inf) if x == np.float32(0.0) else y
    return np.float32(np.nan) if x < np.float32(0.0) else y


@scalar
def log_limits_float64(x, result):
    """The logarithm at 0, below 0, at infinity and NaN, else `result`."""
    y = result if x < np.inf else x
    y = -np.inf if x == 0.0 else y
    return np.nan if x < 0.0 else y


@scalar
def log_float32(x):
    k, m = split_float32(x)
    f = m - np.float32(1.0)
    z = f * f
    tail = f * z * polynomial(f, LOG_FLOAT32) + k * LN2_LOW_FLOAT32
    result = k * LN2_HIGH_FLOAT32 + (f + (tail - np.float32(0.5) * z))
    return log_limits_float32(x, result)


@scalar
def log_tail_float64(f, half):
    """log(1 + f) - f + half, where half = f**2 / 2."""
    s = f / (2.0 + f)
    z = s * s
    return s * (half + z * polynomial(z, LOG_FLOAT64))


@scalar
def log_float64(x):
    k, m = split_float64(x)
    f = m - 1.0
    half = 0.5 * f * f
    tail = log_tail_float64(f, half) + k * LN2_LOW
    result = k * LN2_HIGH + (f - (half - tail))
    return log_limits_float64(x, result)


@scalar
def log1p_float64(x):
    # 1 + x is rounded to u; u = 2**k m, and what was lost, divided by u, is added to the logarithm.
    u = 1.0 + x
    k, m = split_float64(u)
    lost = (x - (u - 1.0) if x < 1.0 else 1.0 - (u - x)) / u
    exact = k == 0.0
    f = x if exact else m - 1.0
    half = 0.5 * f * f
    tail = log_tail_float64(f, half) + (0.0 if exact else lost + k * LN2_LOW)
    result = k * LN2_HIGH + (f - (half - tail))
    result = x if x == 0.0 else result
    return log_limits_float64(u, result) if not (magnitude(x) < np.inf and u > 0.0) else result


@scalar
def log1p_float32(x):
    u = np.float32(1.0) + x
    k, m = split_float32(u)
    lost = x - (u - np.float32(1.0)) if x < np.float32(1.0) else np.float32(1.0) - (u - x)
    exact = k == np.float32(0.0)
    f = x if exact else m - np.float32(1.0)
    z = f * f
    tail = f * z * polynomial(f, LOG_FLOAT32)
    tail = tail if exact else tail + (lost / u + k * LN2_LOW_FLOAT32)
    result = k * LN2_HIGH_FLOAT32 + (f + (tail - np.float32(0.5) * z))
    result = x if x == np.float32(0.0) else result
    return log_limits_float32(u, result)


@exact
def log_pair_float64(m):
    """(high, low) with log(m) = high + low, for sqrt(1/2) <= m < sqrt(2)."""
    f = m - 1.0
    half, lost = exact_product(0.5 * f, f)
    high, rest = ordered_sum(f, -half)
    return high, (rest - lost) + log_tail_float64(f, half)


@scalar
def log2_float64(x):
    k, m = split_float64(x)
    high, low = log_pair_float64(m)
    product, rest = exact_product(high, INVERSE_LN2_HIGH)
    rest = rest + (high * INVERSE_LN2_TAIL + low * INVERSE_LN2_HIGH)
    total, lost = ordered_sum(k, product)
    return log_limits_float64(x, total + (lost + rest))


@scalar
def log10_float64(x):
    k, m = split_float64(x)
    high, low = log_pair_float64(m)
    product, rest = exact_product(high, INVERSE_LN10_HIGH)
    rest = rest + (high * INVERSE_LN10_TAIL + low * INVERSE_LN10_HIGH) + k * LOG10_2_LOW
    total, lost = ordered_sum(k * LOG10_2_HIGH, product)
    return log_limits_float64(x, total + (lost + rest))


@scalar
def log2_float32(x):
    k, m = split_float32(x)
    f = m - np.float32(1.0)
    half, lost = exact_product(np.float32(0.5) * f, f)
    tail = (f * f * f * polynomial(f, LOG_FLOAT32) - lost) - half
    small = f * np.float32(INVERSE_LN2_ROUNDING) + tail * np.float32(INVERSE_LN2_HIGH)
    return log_limits_float32(x, k + (f * np.float32(INVERSE_LN2_HIGH) + small))


@scalar
def log10_float32(x):
    k, m = split_float32(x)
    f = m - np.float32(1.0)
    z = f * f
    tail = f * z * polynomial(f, LOG_FLOAT32) - np.float32(0.5) * z
    small = f * np.float32(INVERSE_LN10_ROUNDING) + tail * np.float32(INVERSE_LN10_HIGH)
    small = small + k * LOG10_2_LOW_FLOAT32
    inside = f * np.float32(INVERSE_LN10_HIGH) + small
    return log_limits_float32(x, k * LOG10_2_HIGH_FLOAT32 + inside)
