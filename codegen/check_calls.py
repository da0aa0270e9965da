"""What tests and documentation draw from an entry: samples, points and sample calls.

Owns the literals that stand for arguments in `calls`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rederive.codegen.errors import hints, nearest
from rederive.codegen.model import Argument, Entry, Mark

Say = Callable[[str, str, Mark | None, str], None]
DTYPES = frozenset(
    {"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"}
)
_TENSOR_KEYS = ("shape", "below", "dense", "dtype", "values", "form")
_FORMS = ("symmetric", "positive")
LARGEST = 1_000_000  # elements of a sample tensor
_NUMERIC = frozenset({"Tensor", "Scalar", "float", "int"})


def check_samples(entry: Entry, say: Say) -> None:
    """`samples` and `points` name arguments that take numbers; intervals are not empty."""
    places = entry.places
    for key, drawn in (("samples", entry.samples), ("points", entry.points)):
        for name, values in drawn:
            _known(entry, key, name, places.key(key, name), say)
            if key == "samples":
                low, high = values
                if not (math.isfinite(low) and math.isfinite(high) and low < high):
                    message = "the interval is [low, high] with low < high, both finite"
                    say(f"samples of '{name}'", message, places.value(key, name), "")


def _known(entry: Entry, key: str, name: str, mark: Mark | None, say: Say) -> None:
    known = [a.name for a in entry.signature.arguments if a.type in _NUMERIC]
    if name not in known:
        hint = hints(nearest(name, known), f"the arguments are {', '.join(known)}")
        say(f"'{key}'", f"'{name}' is not an argument that takes numbers", mark, hint)


def check_calls(entry: Entry, say: Say) -> None:
    """Each sample call gives every required argument a literal of its type."""
    arguments = {a.name: a for a in entry.signature.arguments}
    for i, call in enumerate(entry.calls):
        given = dict(call)
        label = f"calls, item {i + 1}"
        for name, value in call:
            if name not in arguments:
                hint = hints(nearest(name, arguments), f"the arguments are {', '.join(arguments)}")
                mark = entry.places.key("calls", i, name)
                say(label, f"unknown argument '{name}'", mark, hint)
                continue
            problem = _problem(arguments[name], value)
            if problem:
                mark = entry.places.value("calls", i, name)
                say(f"{label}, '{name}'", problem, mark, "")
        for argument in entry.signature.arguments:
            if argument.name not in given and not argument.has_default:
                mark = entry.places.value("calls", i)
                say(label, f"'{argument.name}' is missing", mark, "")


def _problem(argument: Argument, value: object) -> str:
    """Why `value` cannot stand for `argument`, or ""."""
    if value is None:
        return "" if argument.optional else "must not be null"
    if argument.many or argument.variadic:
        if argument.type == "int" and argument.many and _integer(value):
            return ""  # one number for all dimensions
        if not isinstance(value, list):
            return "must be a list"
        return next(filter(None, (_single(argument, item) for item in value)), "")
    return _single(argument, value)


def _single(argument: Argument, value: object) -> str:
    match argument.type:
        case "Tensor":
            return _tensor(argument, value)
        case "Scalar":
            return "" if isinstance(value, int | float) else "must be a number"
        case "int":
            return "" if _integer(value) else "must be a whole number"
        case "float":
            return "" if _number(value) else "must be a number"
        case "bool":
            return "" if isinstance(value, bool) else "must be true or false"
        case "str":
            return "" if isinstance(value, str) else "must be text"
    return "" if isinstance(value, str) and value in DTYPES else "must be the name of a dtype"


def _tensor(argument: Argument, value: object) -> str:
    if isinstance(value, list):
        return _shape(value)
    if argument.or_scalar and _number(value):
        return ""
    if not isinstance(value, dict):
        return "must be a shape, such as [3, 4], or {shape: ..., below: ...}, {values: ...}"
    unknown = [key for key in value if key not in _TENSOR_KEYS]
    if unknown:
        return f"unknown key '{unknown[0]}'; the keys are {', '.join(_TENSOR_KEYS)}"
    if ("shape" in value) == ("values" in value):
        return "must have either 'shape' or 'values'"
    if "values" in value:
        return _values(value["values"])
    if "below" in value and not (_integer(value["below"]) and value["below"] > 0):
        return "'below' must be a whole number above 0"
    if "dense" in value and not isinstance(value["dense"], bool):
        return "'dense' must be true or false"
    if "dtype" in value and value["dtype"] not in DTYPES:
        return "'dtype' must be the name of a dtype"
    if "form" in value and value["form"] not in _FORMS:
        return f"'form' must be {' or '.join(_FORMS)}"
    shape = value["shape"]
    square = isinstance(shape, list) and len(shape) > 1 and shape[-1] == shape[-2]
    if "form" in value and not square:
        return "'form' is for square matrices"
    return _shape(shape)


def _shape(value: object) -> str:
    if not isinstance(value, list) or not all(_integer(n) and n >= 0 for n in value):
        return "a shape is a list of whole numbers, none of them negative"
    if math.prod(max(n, 1) for n in value[:64]) > LARGEST or len(value) > 64:
        return f"a sample tensor has at most {LARGEST} elements"
    return ""


def _values(value: object) -> str:
    """Values are numbers or lists nested alike."""
    if isinstance(value, list):
        return next(filter(None, map(_values, value)), "")
    return "" if isinstance(value, int | float) else "'values' must be numbers"


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
