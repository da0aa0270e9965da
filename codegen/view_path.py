"""Statements of the straight lines of views: geometries that were found before."""

from __future__ import annotations

from .fast_path import variable
from .layout import condition, listed
from .model import Argument
from .plans import Operator


def function_lines(op: Operator) -> list[str]:
    """Body of the public function up to the general path."""
    if op.entry.family != "view" or op.entry.signature.outputs[0].many:
        return []
    base, *others = [a for a in op.arguments if a.name != "inplace"]
    if any(a.type != "int" for a in others) or any(a.name in ("geometry", "seen") for a in others):
        return []
    x = variable(base.name)
    tests = [f"type({x}) is Tensor", *map(_test, others), "not modes.active"]
    keys = [f"{x}.shape", f"{x}._strides", f"{x}.dtype", *(a.name for a in others)]
    lines = [condition(tests)]
    lines.append(listed("    geometry = (", keys, ")"))
    lines.append(f"    seen = {op.constant}.plans.get(geometry)")
    return [*lines, "    if seen is not None:", f"        return see({x}, seen)"]


def _test(a: Argument) -> str:
    """Whether an argument has the type that it had when the geometry was found."""
    name = a.name
    if a.variadic:
        return f"ints({name})"
    tests = [f"{name} is None"] if a.optional else []
    tests.append(f"type({name}) is int")
    if a.many:
        tests.append(f"(type({name}) is tuple and ints({name}))")
    return f"({' or '.join(tests)})" if len(tests) > 1 else tests[0]
