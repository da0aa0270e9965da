# mypy: ignore-errors
"""xlogy and logaddexp: text for the generator, not imported."""

import numpy as np

from .exponential import exp_float64
from .logarithm import log1p_float64, log_float32, log_float64
from .primitives import magnitude, polynomial, scalar
from .short import LN2, LOG_SHORT, exp_short


@scalar
def xlogy_float32(x, y):
    product = x * log_float32(y)
    return x if x == np.float32(0.0) and y == y else product


@scalar
def xlogy_float64(x, y):
    product = x * log_float64(y)
    return x if x == 0.0 and y == y else product


@scalar
def logaddexp_float64(x, y):
    larger = x if x > y else y
    gap = x - y
    sum_of_both = larger + log1p_float64(exp_float64(-magnitude(gap)))
    return x + y if gap != gap else (x + LN2 if x == y else sum_of_both)


@scalar
def logaddexp_float32(x, y):
    a, b = np.float64(x), np.float64(y)
    larger = a if a > b else b
    gap = a - b
    # log(1 + e) = ln2 + log(1 + (e - 1) / 2) if e is large, and then as in log_short.
    e = exp_short(-magnitude(gap))
    large = e > 0.41
    f = 0.5 * (e - 1.0) if large else e
    s = f / (2.0 + f)
    z = s * s
    shift = larger + LN2 if large else larger
    both = np.float32(shift + s * (2.0 + z * polynomial(z, LOG_SHORT)))
    return x + y if gap != gap else (x + np.float32(LN2) if x == y else both)
