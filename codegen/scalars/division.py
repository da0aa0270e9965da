# mypy: ignore-errors
"""fmod, remainder, floor_divide: text for the generator, not imported.

fmod has the sign of the dividend, remainder that of the divisor, as in NumPy and PyTorch. An
integer divided by 0 gives 0, because the processor would stop.
"""

import numpy as np

from .primitives import (
    converted,
    fused,
    magnitude,
    round_down,
    round_to_zero,
    scalar,
    with_sign,
)
from .rare import rare_fmod

# Up to such a quotient, one rounding makes it wrong by one at most.
LARGEST_QUOTIENT_FLOAT32 = np.float32(4194304.0)

LARGEST_QUOTIENT_FLOAT64 = 2251799813685248.0


@scalar
def fmod_float32(x, y):
    a, b = magnitude(x), magnitude(y)
    quotient = round_to_zero(a / b)
    rest = fused(-quotient, b, a)
    rest = rest + b if rest < np.float32(0.0) else rest
    large = quotient > LARGEST_QUOTIENT_FLOAT32 and b > np.float32(0.0) and a < np.float32(np.inf)
    rest = rare_fmod(large, a, b, rest)
    return with_sign(a if a < b else rest, x)


@scalar
def fmod_float64(x, y):
    a, b = magnitude(x), magnitude(y)
    quotient = round_to_zero(a / b)
    rest = fused(-quotient, b, a)
    rest = rest + b if rest < 0.0 else rest
    large = quotient > LARGEST_QUOTIENT_FLOAT64 and b > 0.0 and a < np.inf
    rest = rare_fmod(large, a, b, rest)
    return with_sign(a if a < b else rest, x)


@scalar
def remainder_floating(x, y, rest):
    """The remainder with the sign of y, given the one with the sign of x."""
    moved = rest + y if (rest < 0) != (y < 0) else rest
    return with_sign(rest, y) if rest == 0 else moved


@scalar
def floor_divide_floating(x, y, rest):
    """floor(x / y), given the remainder with the sign of x: the division below is nearly exact."""
    one = converted(1, x)
    quotient = (x - rest) / y
    quotient = quotient - one if rest != 0 and (rest < 0) != (y < 0) else quotient
    below = round_down(quotient)
    result = below + one if quotient - below > converted(0.5, x) else below
    result = with_sign(converted(0, x), x / y) if quotient == 0 else result
    return x / y if y == 0 else result


@scalar
def remainder_float32(x, y):
    return remainder_floating(x, y, fmod_float32(x, y))


@scalar
def remainder_float64(x, y):
    return remainder_floating(x, y, fmod_float64(x, y))


@scalar
def floor_divide_float32(x, y):
    return floor_divide_floating(x, y, fmod_float32(x, y))


@scalar
def floor_divide_float64(x, y):
    return floor_divide_floating(x, y, fmod_float64(x, y))


@scalar
def fmod_integer(x, y):
    rest = remainder_integer(x, y)
    return converted(rest - y if rest != 0 and (rest < 0) != (x < 0) else rest, x)


@scalar
def remainder_integer(x, y):
    # -1 is set apart with 0: the smallest integer divided by it overflows.
    safe = converted(1, y) if y == 0 or y + 1 == 0 else y
    return converted(x % safe, x)


@scalar
def floor_divide_integer(x, y):
    safe = converted(1, y) if y == 0 or y + 1 == 0 else y
    quotient = converted(x // safe, x)
    negated = converted(-x, x) if y + 1 == 0 else quotient
    return converted(0, x) if y == 0 else negated
