# mypy: ignore-errors
"""Signs, rounding, selection and classification: text for the generator, not imported.

All of these take integers and booleans too, and give back the type that they were given.
"""

import numpy as np

from .primitives import (
    converted,
    magnitude,
    round_down,
    round_even,
    round_to_zero,
    round_up,
    scalar,
    with_sign,
)


@scalar
def abs_any(x):
    return magnitude(x)


@scalar
def sign_any(x):
    """-1, 0 or 1; NaN for NaN."""
    zero_or_nan = converted(0, x) if x == x else x
    return converted(1, x) if x > 0 else (converted(-1, x) if x < 0 else zero_or_nan)


@scalar
def floor_any(x):
    return round_down(x)


@scalar
def ceil_any(x):
    return round_up(x)


@scalar
def round_any(x):
    """The nearest integer, and of two equally near the even one."""
    return round_even(x)


@scalar
def trunc_any(x):
    return round_to_zero(x)


@scalar
def maximum_any(x, y):
    """The larger; NaN if one is NaN."""
    return x if x > y or x != x else y


@scalar
def minimum_any(x, y):
    """The smaller; NaN if one is NaN."""
    return x if x < y or x != x else y


@scalar
def fmax_any(x, y):
    """The larger; the other one if one is NaN."""
    return x if x > y or y != y else y


@scalar
def fmin_any(x, y):
    """The smaller; the other one if one is NaN."""
    return x if x < y or y != y else y


@scalar
def where_any(condition, x, y):
    return x if condition else y


@scalar
def isnan_any(x):
    return x != x


@scalar
def isinf_any(x):
    return x == np.inf or x == -np.inf


@scalar
def isfinite_any(x):
    return x - x == 0


@scalar
def copysign_float32(x, y):
    return with_sign(x, y)


@scalar
def copysign_float64(x, y):
    return with_sign(x, y)
