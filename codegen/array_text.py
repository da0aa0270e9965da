"""Formulas as Python over NumPy arrays: the lowering that straight-line backward passes run."""

from __future__ import annotations

from collections.abc import Mapping

from .expressions import walk
from .model import Binary, Call, Constant, Entry, Expr, Index, Name, Sequence, Unary
from .printer import Printer, literal

WIDTH = 66
OPERATORS = frozenset("+-*/")
PLAIN = {"shape": "{}.shape", "ndim": "{}.ndim", "lengths": "queries.lengths({}, {})"}


def offered(entry: Entry, entries: Mapping[str, Entry], several: bool = False) -> bool:
    """Whether the operator has a form that takes arrays and returns one, or a list of `several`."""
    outputs = entry.signature.outputs
    if len(outputs) > 1 or outputs[0].many != several:
        return False
    arguments = entry.signature.arguments
    if any((a.is_tensor and (a.many or a.or_scalar)) or a.type == "Dtype" for a in arguments):
        return False
    match entry.family:
        case "library" | "kernel" | "view":
            return True
        case "composite":
            return all(_case_fits(entry, i, entries) for i in range(len(entry.cases)))
    return False


def _case_fits(entry: Entry, index: int, entries: Mapping[str, Entry]) -> bool:
    case = entry.cases[index]
    if case.let or not isinstance(case.result.tree, Call | Binary):
        return False
    tests = [node for node in walk(case.condition.tree)] if case.condition else []
    return fits(case.result.tree, entries) and all(
        node.function == "ndim" if isinstance(node, Call) else _plain(node, True) for node in tests
    )


def fits(tree: Expr, entries: Mapping[str, Entry], several: bool = False) -> bool:
    """Whether every part of a formula can be computed on arrays; it is a list if `several`."""
    return all(
        _call_fits(node, entries, several and node is tree)
        if isinstance(node, Call)
        else _plain(node)
        for node in walk(tree)
    )


def _plain(node: Expr, comparing: bool = False) -> bool:
    match node:
        case Binary(operator, _, _):
            return operator in OPERATORS or comparing
        case Unary(operator, _):
            return operator == "-"
    return isinstance(node, Name | Constant | Sequence | Index)


def _call_fits(node: Call, entries: Mapping[str, Entry], several: bool) -> bool:
    if node.function in PLAIN:
        return True
    entry = entries.get(node.function)
    if entry is None or entry.name != node.function or not offered(entry, entries, several):
        return False
    return not any(a.variadic for a in entry.signature.arguments)


class ArrayPrinter:
    """Prints expressions in which operators are reached through `arrays`, their array forms."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self.printer = Printer(self._rewrite)

    def _rewrite(self, node: Expr) -> str | None:
        if not isinstance(node, Call):
            return None
        if node.function in PLAIN:
            return PLAIN[node.function].format(*map(self.printer, node.arguments))
        given = [self.printer(item) for item in node.arguments]
        named = {key: self.printer(value) for key, value in node.keywords}
        for argument in self.entries[node.function].signature.arguments[len(given) :]:
            given.append(named.get(argument.name, literal(argument.default)))
        return f"arrays.{node.function}({', '.join(given)})"

    def lines(self, target: str, tree: Expr) -> list[str]:
        """Assignments that end in `target = tree`."""
        parts, text = self.printer.hoist(tree, WIDTH, "part")
        return [f"{name} = {value}" for name, value in parts] + [f"{target} = {text}"]
