# mypy: ignore-errors
"""log, log1p, log2, log10: text for the generator, not imported.

x = 2**k m with sqrt(1/2) <= m < sqrt(2), so that log(x) is k ln2 + log(m) and does not cancel near
1. With f = m - 1 and s = f / (2 + f), log(m) = 2 atanh(s) = f - f**2/2 + s (f**2/2 + s**2 P(s**2)).
In float32 a polynomial in f does without the division; for log and log1p 3/4 <= m < 3/2.
"""

import numpy as np

from .exponential import LN2_HIGH, LN2_LOW
from .primitives import (
    bits_of,
    exact,
    exact_product,
    float32_of,
    float64_of,
    fused,
    magnitude,
    ordered_sum,
    polynomial,
    scalar,
    scaled,
    with_sign,
)

# The bits of 3/4, of sqrt(1/2), of 1 and of 2**52.
THREE_QUARTERS_BITS_FLOAT32 = 0x3F400000

HALF_ROOT_BITS_FLOAT32 = 0x3F3504F3

HALF_ROOT_BITS_FLOAT64 = 0x3FE6A09E667F3BCD

ONE_BITS_FLOAT64 = 0x3FF0000000000000

INTEGER_BITS_FLOAT64 = 0x4330000000000000

# (log(1 + f) - f + f**2 / 2) / f**3 for 3/4 <= 1 + f < 3/2: minimax (tools/minimax.py), relative
# error of the logarithm 2**-29.
LOG_FLOAT32 = (
    np.float32(0.33333340287208557),
    np.float32(-0.2500016689300537),
    np.float32(0.19999566674232483),
    np.float32(-0.1665516197681427),
    np.float32(0.142768993973732),
    np.float32(-0.12730395793914795),
    np.float32(0.11699694395065308),
    np.float32(-0.09105435758829117),
    np.float32(0.03758254647254944),
)

# The same of the logarithms to base 2 and 10, for sqrt(1/2) <= 1 + f < sqrt(2): less log2(e) f and
# log10(e) f, and the constants further down times f**2. Relative errors 2**-28 and 2**-27.
LOG2_FLOAT32 = (
    np.float32(0.48089808225631714),
    np.float32(-0.36067885160446167),
    np.float32(0.28857043385505676),
    np.float32(-0.2402213215827942),
    np.float32(0.2049284130334854),
    np.float32(-0.1829780787229538),
    np.float32(0.1770055592060089),
    np.float32(-0.14757533371448517),
    np.float32(0.0604480616748333),
)

LOG10_FLOAT32 = (
    np.float32(0.14476482570171356),
    np.float32(-0.10857684165239334),
    np.float32(0.08686365187168121),
    np.float32(-0.07220065593719482),
    np.float32(0.06169172748923302),
    np.float32(-0.05712375417351723),
    np.float32(0.0553240142762661),
    np.float32(-0.033096905797719955),
)

HALF_LOG2_E_FLOAT32 = np.float32(-0.7213475108146667)

HALF_LOG10_E_FLOAT32 = np.float32(-0.21714724600315094)

# In one rounding with the product, no second part is missed.
LN2_FLOAT32 = np.float32(0.6931471805599453)

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
def split_normal_float32(x, least):
    """(k, m) with x = 2**k m, k an int32, for x >= 2**-126; `least`: the bits of the least m."""
    k = np.int32(np.int32(bits_of(x) - least) >> 23)
    return k, float32_of(bits_of(x) - (k << 23))


@scalar
def split_float32(x, least):
    """(k, m) with x = 2**k m for x > 0; `least`: the bits of the least m."""
    # A factor that is never 1: else LLVM would compute everything with it and without.
    small = x < np.float32(8.673617379884035e-19)
    factor = np.float32(33554432.0) if small else np.float32(0.5)
    k, m = split_normal_float32(x * factor, least)
    return np.float32(k) - (np.float32(25.0) if small else np.float32(-1.0)), m


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
    limit = np.float32(-np.inf) if x == np.float32(0.0) else np.float32(np.nan)
    value = result if x < np.float32(np.inf) else x
    return value if x > np.float32(0.0) else limit


@scalar
def log_limits_float64(x, result):
    """The logarithm at 0, below 0, at infinity and NaN, else `result`."""
    y = result if x < np.inf else x
    y = -np.inf if x == 0.0 else y
    return np.nan if x < 0.0 else y


@scalar
def log_rest_float32(f):
    """log(1 + f) - f for 3/4 <= 1 + f < 3/2."""
    return f * f * polynomial(f, (np.float32(-0.5), *LOG_FLOAT32))


@scalar
def log_float32(x):
    k, m = split_float32(x, THREE_QUARTERS_BITS_FLOAT32)
    f = m - np.float32(1.0)
    rest = log_rest_float32(f)
    return log_limits_float32(x, fused(k, LN2_FLOAT32, f + rest))


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
    # 1 + x = 2**k (1 + f), where f is rounded only once, although 1 + x was to find k.
    k = -split_normal_float32(np.float32(1.0) + x, THREE_QUARTERS_BITS_FLOAT32)[0]
    scale = scaled(np.float32(1.0), np.int32(k))
    f = fused(x, scale, scale - np.float32(1.0))
    result = fused(-np.float32(k), LN2_FLOAT32, f + log_rest_float32(f))
    return log_limits_float32(np.float32(1.0) + x, with_sign(result, x))


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
    k, m = split_float32(x, HALF_ROOT_BITS_FLOAT32)
    f = m - np.float32(1.0)
    rest = polynomial(f, (HALF_LOG2_E_FLOAT32, *LOG2_FLOAT32))
    small = fused(f * f, rest, f * np.float32(INVERSE_LN2_ROUNDING))
    return log_limits_float32(x, k + fused(f, np.float32(INVERSE_LN2_HIGH), small))


@scalar
def log10_float32(x):
    k, m = split_float32(x, HALF_ROOT_BITS_FLOAT32)
    f = m - np.float32(1.0)
    rest = polynomial(f, (HALF_LOG10_E_FLOAT32, *LOG10_FLOAT32))
    small = fused(f, np.float32(INVERSE_LN10_ROUNDING), k * LOG10_2_LOW_FLOAT32)
    small = fused(f * f, rest, small)
    inside = fused(f, np.float32(INVERSE_LN10_HIGH), small)
    return log_limits_float32(x, fused(k, LOG10_2_HIGH_FLOAT32, inside))
