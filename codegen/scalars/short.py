# mypy: ignore-errors
"""exp and log in float64 to the precision that a float32 result needs: text for the generator.

Several functions of float32 are cheapest through these: no sum needs a second part, and no number
overflows.
"""

from .exponential import INVERSE_LN2
from .logarithm import (
    HALF_ROOT_BITS_FLOAT64,
    INTEGER_BITS_FLOAT64,
    ONE_BITS_FLOAT64,
)
from .primitives import (
    at_least,
    at_most,
    bits_of,
    float64_of,
    polynomial,
    power_of_2_float64,
    round_even,
    scalar,
)

LN2 = 0.6931471805599453

# (exp(r) - 1 - r) / r**2 for |r| <= ln2 / 2: minimax (tools/minimax.py), error of exp 2**-33.
EXP_SHORT = (
    0.5000000067688009,
    0.16666663831659373,
    0.04166628652913162,
    0.00833401022562969,
    0.0013945510823545504,
    0.0001949304508914016,
)

# (2 atanh(s) - 2 s) / s**3 in powers of s**2 for |s| <= 0.1716, error of log 2**-38.
LOG_SHORT = (
    0.6666666567482277,
    0.40000330267072226,
    0.28537561267351697,
    0.23578081480023028,
)


@scalar
def exp_short(x):
    """exp(x) as a float64; beyond 200 that of 200."""
    y = at_most(x, 200.0)
    y = at_least(y, -200.0)
    n = round_even(y * INVERSE_LN2)
    r = y - n * LN2
    return (1.0 + (r + r * r * polynomial(r, EXP_SHORT))) * power_of_2_float64(n)


@scalar
def log_short(x):
    """log(x) as a float64 for a finite x > 0 that is not subnormal."""
    bits = bits_of(x) + (ONE_BITS_FLOAT64 - HALF_ROOT_BITS_FLOAT64)
    k = float64_of((bits >> 52) | INTEGER_BITS_FLOAT64) - 4503599627371519.0
    f = float64_of((bits & 0xFFFFFFFFFFFFF) + HALF_ROOT_BITS_FLOAT64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    return k * LN2 + s * (2.0 + z * polynomial(z, LOG_SHORT))
