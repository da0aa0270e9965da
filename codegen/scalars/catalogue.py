"""The scalar functions that formulas can use, with their kinds and error bounds."""

from dataclasses import dataclass
from typing import Literal

from .sources import requirements

Kind = Literal["float", "any", "bool", "select"]


@dataclass(frozen=True)
class Scalar:
    """A scalar function.

    bound32, bound64: largest error in units in the last place; 0 where the result is exact, or is
    the correctly rounded one. requires: every name whose text it needs, in the order of emission.
    kind: `float` takes and gives floating numbers; `any` takes integers too and keeps the type;
    `bool` gives a boolean; `select` chooses between its last two arguments.
    """

    name: str
    arity: int
    bound32: float
    bound64: float
    requires: tuple[str, ...]
    kind: Kind


# name: (arity, bound in float32, bound in float64)
_FLOAT = {
    "acos": (1, 1, 2),
    "acosh": (1, 1, 2),
    "asin": (1, 1, 2),
    "asinh": (1, 1, 2),
    "atan": (1, 1, 2),
    "atan2": (2, 1, 2),
    "atanh": (1, 1, 2),
    "copysign": (2, 0, 0),
    "cos": (1, 1, 1),
    "cosh": (1, 1, 2),
    "erf": (1, 1, 2),
    "erfc": (1, 1, 2),
    "exp": (1, 1, 1),
    "exp2": (1, 1, 1),
    "expm1": (1, 1, 2),
    "hypot": (2, 1, 1),
    "log": (1, 1, 1),
    "log10": (1, 1, 1),
    "log1p": (1, 1, 1),
    "log2": (1, 1, 1),
    "logaddexp": (2, 1, 2),
    "pow": (2, 1, 1),
    "reciprocal": (1, 0, 0),
    "rsqrt": (1, 1, 1),
    "sigmoid": (1, 1, 2),
    "sin": (1, 1, 1),
    "sinh": (1, 1, 2),
    "sqrt": (1, 0, 0),
    "tan": (1, 1, 1),
    "tanh": (1, 1, 1),
    "xlogy": (2, 2, 2),
}

_ANY = {
    "abs": 1,
    "ceil": 1,
    "floor": 1,
    "floor_divide": 2,
    "fmax": 2,
    "fmin": 2,
    "fmod": 2,
    "maximum": 2,
    "minimum": 2,
    "remainder": 2,
    "round": 1,
    "sign": 1,
    "square": 1,
    "trunc": 1,
}

_BOOL = {"isfinite": 1, "isinf": 1, "isnan": 1}


def _scalars() -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, (arity, bound32, bound64) in _FLOAT.items():
        kind: Kind = "any" if name == "pow" else "float"
        found[name] = Scalar(name, arity, bound32, bound64, requirements(name), kind)
    for name, arity in _ANY.items():
        found[name] = Scalar(name, arity, 0, 0, requirements(name), "any")
    for name, arity in _BOOL.items():
        found[name] = Scalar(name, arity, 0, 0, requirements(name), "bool")
    found["where"] = Scalar("where", 3, 0, 0, requirements("where"), "select")
    return dict(sorted(found.items()))


SCALARS: dict[str, Scalar] = _scalars()
