"""Formulas as the scalar statements of a Numba kernel."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Set

from .expressions import names, substitute, transform
from .model import Binary, Call, Constant, Entry, Expr, Formula, Name, Unary
from .printer import Printer, literal
from .scalars import SCALARS

WIDTH = 60


def _power(base: Expr, exponent: Expr) -> Expr:
    value = exponent.value if isinstance(exponent, Constant) else None
    if isinstance(exponent, Unary) and isinstance(exponent.operand, Constant):
        inner = exponent.operand.value
        value = -inner if isinstance(inner, int | float) else None
    if value in (-1, -2):
        return Binary("/", Constant(1), base if value == -1 else Call("square", (base,)))
    if value == 2:
        return Call("square", (base,))
    if value == 3:
        return Binary("*", Call("square", (base,)), base)
    if value == 0.5:
        return Call("sqrt", (base,))
    return Call("pow", (base, exponent))


def _scalar_form(node: Expr) -> Expr:
    """Operators that Numba spells otherwise, or that would not vectorise as written."""
    match node:
        case Binary("**", base, exponent):
            return _power(base, exponent)
        case Binary("and", left, right):
            return Binary("&", left, right)
        case Binary("or", left, right):
            return Binary("|", left, right)
        case Binary("%", left, right):
            return Call("remainder", (left, right))
        case Binary("//", left, right):
            return Call("floor_divide", (left, right))
    return node


def inline(tree: Expr, entries: Mapping[str, Entry], scalars: Set[str]) -> Expr:
    """Calls of declared pointwise operators replaced by their formulas, down to scalars."""

    def expand(node: Expr) -> Expr:
        if not isinstance(node, Call) or node.function in scalars:
            return node
        entry = entries.get(node.function)
        if entry is None or entry.family != "pointwise" or len(entry.results) != 1:
            return node
        values: dict[str, Expr] = {}
        arguments = entry.signature.arguments
        for argument, value in zip(arguments, node.arguments, strict=False):
            values[argument.name] = value
        values.update(node.keywords)
        for argument in arguments:
            if argument.name not in values and not isinstance(argument.default, tuple):
                values[argument.name] = Constant(argument.default)
        body = with_lets(entry.results[0][1].tree, entry.let)
        return inline(substitute(body, values), entries, scalars)

    return transform(tree, expand)


def with_lets(tree: Expr, let: tuple[tuple[str, Formula], ...]) -> Expr:
    """`tree` with `let` names replaced by what they stand for."""
    values: dict[str, Expr] = {}
    for name, formula in let:
        values[name] = substitute(formula.tree, values)
    return substitute(tree, values)


class KernelPrinter:
    """Prints scalar statements; `places` maps an array's name to the text of its element."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = places
        self.used_number = False
        self.printer = Printer(self._rewrite)

    def _rewrite(self, node: Expr) -> str | None:
        match node:
            case Name(name) if name in self.places:
                return self.places[name]
            case Constant(value) if isinstance(value, bool):
                return literal(value)
            case Constant(value) if isinstance(value, int | float):
                self.used_number = True
                return f"number({literal(value)})"
        return None

    def statements(
        self, target: str, tree: Expr, prefix: str = "part", sign: str = "="
    ) -> list[str]:
        """Assignments that end in `target = tree`, or in another `sign` between the two."""
        parts, text = self.printer.hoist(transform(tree, _scalar_form), WIDTH, prefix)
        return [f"{name} = {value}" for name, value in parts] + [f"{target} {sign} {text}"]


def used_lets(trees: list[Expr], let: tuple[tuple[str, Formula], ...]) -> list[tuple[str, Formula]]:
    """The `let` definitions that `trees` need, in order."""
    wanted = set().union(*(names(tree) for tree in trees)) if trees else set()
    kept: list[tuple[str, Formula]] = []
    for name, formula in reversed(let):
        if name in wanted:
            kept.append((name, formula))
            wanted |= names(formula.tree)
    return kept[::-1]


def called(lines: Iterable[str]) -> set[str]:
    """The functions that the statements of a kernel call."""
    return {
        node.func.id
        for node in _nodes(lines)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def read(lines: Iterable[str]) -> set[str]:
    """The names that the statements of a kernel mention."""
    return {node.id for node in _nodes(lines) if isinstance(node, ast.Name)}


def _nodes(lines: Iterable[str]) -> Iterator[ast.AST]:
    for line in lines:
        line = line.strip()
        tree = ast.parse(f"if True:\n {line}\n  pass" if line.endswith(":") else line)
        yield from ast.walk(tree)


def light(lines: Iterable[str]) -> bool:
    """Whether a kernel does little but read and write: it evaluates no polynomials."""
    return all(SCALARS[name].bound32 == 0 for name in called(lines) & set(SCALARS))
