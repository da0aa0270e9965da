"""Which names a specification may give to arguments, outputs, parts and operators.

The names become Python identifiers of generated code, so they must not be keywords, must not hide
what that code relies on, and must not look like Python's own machinery.
"""

from __future__ import annotations

import builtins
import keyword
import string

# Names of the formula language, and names that generated functions use for themselves.
_LANGUAGE = {"count", "grad", "grads", "position", "result", "tangent"}
_GENERATED = {
    *("dispatch", "empty", "expired", "freed", "i", "kept", "kernels", "lanes", "modes"),
    *("n", "needed", "new", "node", "number", "ops", "out", "pointwise", "queries", "register"),
    *("row", "rows", "rowwise", "run", "saved", "spread", "tangents", "term", "terms", "threads"),
    *("total", "unpack"),
}
RESERVED = frozenset(_LANGUAGE | _GENERATED)
# What kernels and straight-line functions call their own variables.
_KERNEL_NAMES = frozenset(
    {
        *("CHUNK", "SPAN", "Tensor", "accumulator", "begin_part", "block", "bool_dtype"),
        *("bool_numpy", "bring", "column", "counter", "dtype", "edges", "end_part", "high", "i0"),
        *("at", "c", "groups", "i1", "i2", "apart", "kernel", "layouts", "unit", "width"),
        *("low", "ndarray", "np", "offsets", "part", "parts", "size", "start", "stop"),
        *("begin", "length", "pace", "place", "runs", "line", "moments"),
        *("bottom", "first", "last", "strip", "strips"),
        *("column_moments", "join_moments", "lane_moments", "off_center", "squares_about"),
    }
)
_KERNEL_PREFIXES = (
    "flat_",
    "held_",
    "need_",
    "out_",
    "part_",
    "partial_",
    "save_",
    "spare_",
    "step_",
)
_KERNEL_ENDINGS = (
    *("_counter", "_each", "_held", "_lane", "_line", "_lines", "_near", "_now", "_rest"),
    *("_spread", "_sum", "_term", "_version", "_whole"),
)
_COUNTED = frozenset(
    ("all", "any", "argmax", "argmin", "lane", "max", "mean", "min", "part", "prod", "sum")
)
# Constants of the formula language.
CONSTANTS = {"inf": float("inf"), "nan": float("nan"), "pi": 3.141592653589793}
# PyTorch names arguments so; generated code does not rely on these builtins. Notably absent:
# len, range, type, tuple, isinstance, int, float, bool.
ARGUMENT_BUILTINS = frozenset(
    {"abs", "all", "any", "id", "input", "max", "min", "ord", "pow", "round", "sorted", "sum"}
)
# PyTorch names operators so.
OPERATOR_BUILTINS = frozenset(
    {"abs", "all", "any", "complex", "divmod", "max", "min", "pow"}
    | {"range", "round", "slice", "sum"}
)
LONGEST = 64
_BUILTINS = frozenset(dir(builtins))
_FIRST = frozenset(string.ascii_letters)
_LATER = frozenset(string.ascii_letters + string.digits + "_")


def lexical_problem(name: str) -> str:
    """Why `name` cannot be an identifier of a specification, or ""."""
    if name.startswith("_"):
        return "may not start with an underscore"
    if not name or name[0] not in _FIRST or not _LATER.issuperset(name):
        return "is not a name (ASCII letters, digits and underscores)"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if keyword.iskeyword(name):
        return "is a Python keyword"
    return ""


def variable_problem(name: str) -> str:
    """Why an argument, an output or a `let` part cannot be called `name`, or ""."""
    problem = lexical_problem(name)
    if problem:
        return problem
    if name in RESERVED:
        return "is reserved"
    if name in CONSTANTS:
        return "is a constant of the formula language"
    if name in _BUILTINS and name not in ARGUMENT_BUILTINS:
        return "hides a Python builtin"
    return ""


def kernel_problem(name: str) -> str:
    """Why an argument or part of a pointwise or rowwise formula cannot be called `name`, or ""."""
    stem, _, number = name.rpartition("_")
    counted = number.isdigit() and (stem in _COUNTED or stem.endswith("_part"))
    affixed = name.startswith(_KERNEL_PREFIXES) or name.endswith(_KERNEL_ENDINGS)
    taken = name in _KERNEL_NAMES or counted or affixed
    return "is one that generated kernels use" if taken else ""


def operator_problem(name: str) -> str:
    """Why an operator cannot be called `name`, or ""."""
    problem = lexical_problem(name)
    if problem:
        return problem
    if name in _BUILTINS and name not in OPERATOR_BUILTINS:
        return "hides a Python builtin"
    return ""
