# mypy: ignore-errors
"""atan, atan2, asin, acos: text for the generator, not imported."""

import numpy as np

from .primitives import (
    bits_of,
    fused,
    magnitude,
    polynomial,
    scalar,
    square_root,
    with_sign,
)

# (atan(t) - t) / t**3 in powers of t**2 for |t| <= tan(pi/8): minimax (tools/minimax.py), 2**-59.
ATAN_FLOAT64 = (
    -0.333333333333332,
    0.19999999999953771,
    -0.14285714280212722,
    0.11111110784173583,
    -0.09090897776070889,
    0.07692060508902529,
    -0.06663107064607156,
    0.05847909009730581,
    -0.050393837336285774,
    0.03806632574880832,
    -0.01790887971113073,
)

# (asin(t) - t) / t**3 in powers of t**2 for |t| <= 1/2, 2**-60.
ASIN_FLOAT64 = (
    0.16666666666666763,
    0.07499999999970118,
    0.04464285717527192,
    0.030381942675817744,
    0.022372215893455012,
    0.017351595688941186,
    0.013981016580736375,
    0.01139730709019789,
    0.010789251263153743,
    0.003672421221131135,
    0.021790131034233502,
    -0.021116061962375622,
    0.032701792027361905,
)

# The same for results in float32, 2**-35 and 2**-31.
ATAN_SHORT = (
    -0.333333328694618,
    0.1999992851962289,
    -0.14282580598888378,
    0.11050751068123693,
    -0.08506086654281877,
    0.0479951303801275,
)

ASIN_SHORT = (
    0.1666666275348372,
    0.07500382752747478,
    0.04453581402529062,
    0.03167380282660162,
    0.014882930852890641,
    0.0369573081304868,
)

PI_HIGH = 3.141592653589793

PI_LOW = 1.2246467991473532e-16

TAN_PI_8 = 0.41421356237309503


@scalar
def atan_of_ratio(y, x, coefficients):
    """atan(y / x) for y >= 0, x >= 0, not both 0 and not both infinite, without dividing first.

    Below tan(pi/8) the ratio itself, above tan(3 pi/8) pi/2 less the atan of its inverse, in
    between pi/4 plus the atan of (y - x) / (y + x): one division in each case.
    """
    high = x < TAN_PI_8 * y
    middle = y > TAN_PI_8 * x and not high
    above = -x if high else (y - x if middle else y)
    below = y if high else (x + y if middle else x)
    t = above / below
    z = t * t
    eighths = 0.5 if high else (0.25 if middle else 0.0)
    tail = t * z * polynomial(z, coefficients) + eighths * PI_LOW
    return eighths * PI_HIGH + (t + tail)


@scalar
def atan_float64(x):
    y = magnitude(x)
    return with_sign(atan_of_ratio(y, 1.0, ATAN_FLOAT64), x)


@scalar
def angle_of_point(y, x, coefficients):
    """atan2(y, x)."""
    # A quarter keeps the sums in range; equal infinities count as equal numbers.
    a, b = magnitude(y), magnitude(x)
    both = a == np.inf and b == np.inf
    zero = a == 0.0 and b == 0.0
    larger = a if a > b else b
    scale = 0.25 if larger > 1e300 else 1.0
    a = 1.0 if both else a * scale
    b = 1.0 if both or zero else b * scale
    angle = atan_of_ratio(a, b, coefficients)
    result = PI_HIGH - (angle - PI_LOW) if bits_of(x) < 0 else angle
    return x + y if x != x or y != y else with_sign(result, y)


@scalar
def atan2_float64(y, x):
    return angle_of_point(y, x, ATAN_FLOAT64)


@scalar
def asin_parts(x):
    """(large, root, tail): asin(root) = root + tail, root is |x| or, if |x| > 1/2, sqrt((1-|x|)/2).

    asin |x| is then that or pi/2 less twice that. What the square root lost is in the tail.
    """
    y = magnitude(x)
    large = y > 0.5
    half = 0.5 * (1.0 - y)
    root = square_root(half) if large else y
    z = half if large else y * y
    lost = 0.5 * fused(-root, root, half) / root
    tail = root * z * polynomial(z, ASIN_FLOAT64)
    return large, root, tail + lost if large and root != 0.0 else tail


@scalar
def asin_float64(x):
    large, root, tail = asin_parts(x)
    near_one = (0.5 * PI_HIGH - 2.0 * root) - (2.0 * tail - 0.5 * PI_LOW)
    return with_sign(near_one if large else root + tail, x)


@scalar
def acos_float64(x):
    large, root, tail = asin_parts(x)
    near_zero = 0.5 * PI_HIGH - (with_sign(root + tail, x) - 0.5 * PI_LOW)
    near_minus_one = PI_HIGH - (2.0 * (root + tail) - PI_LOW)
    return (2.0 * (root + tail) if x > 0.0 else near_minus_one) if large else near_zero


@scalar
def atan_float32(x):
    y = np.float64(magnitude(x))
    return with_sign(np.float32(atan_of_ratio(y, 1.0, ATAN_SHORT)), x)


@scalar
def atan2_float32(y, x):
    return np.float32(angle_of_point(np.float64(y), np.float64(x), ATAN_SHORT))


@scalar
def asin_short(y):
    """(large, value) with asin(y) = value or pi/2 - value, for 0 <= y <= 1."""
    large = y > 0.5
    half = 0.5 * (1.0 - y)
    root = square_root(half) if large else y
    z = half if large else y * y
    value = root + root * z * polynomial(z, ASIN_SHORT)
    return large, 2.0 * value if large else value


@scalar
def asin_float32(x):
    large, value = asin_short(np.float64(magnitude(x)))
    return with_sign(np.float32(0.5 * PI_HIGH - value if large else value), x)


@scalar
def acos_float32(x):
    large, value = asin_short(np.float64(magnitude(x)))
    value = value if large else 0.5 * PI_HIGH - value
    return np.float32(PI_HIGH - value if x < np.float32(0.0) else value)
