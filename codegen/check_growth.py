"""How formulas grow when parts and called operators are written out in them.

A kernel is one expression: `let` parts and pointwise operators are inlined. Owns the two ways in
which that can fail to end or to fit: operators that call each other in a circle, and short formulas
that stand for enormous ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rederive.codegen.check_formulas import Operators
from rederive.codegen.errors import Problems
from rederive.codegen.model import (
    Binary,
    Call,
    Entry,
    Expr,
    Formula,
    Index,
    Mark,
    Name,
    Sequence,
    Unary,
)

LARGEST = 20_000  # operations of a formula written out
DEEPEST = 150  # nested operations of a formula written out
Edge = tuple[Entry, Entry, Mark | None]  # a forward formula: caller, callee, where


def context(entry: Entry) -> str:
    return f"op '{entry.signature.label}'"


def check_growth(
    entries: tuple[Entry, ...],
    edges: list[Edge],
    operators: Operators,
    scalars: Mapping[str, int],
    problems: Problems,
) -> None:
    """Report circles of calls; if there are none, formulas that grow too large."""
    callees: dict[str, list[Edge]] = {entry.name: [] for entry in entries}
    for edge in edges:
        callees[edge[0].name].append(edge)
    order = _callees_first(entries, callees)
    if len(order) < len(callees):
        _report_circles(edges, callees, {entry.name for entry in order}, problems)
        return
    sizes: dict[str, _Size] = {}
    for entry in order:
        _Growth(entry, sizes, operators, scalars).check(problems)


def _callees_first(entries: tuple[Entry, ...], callees: dict[str, list[Edge]]) -> list[Entry]:
    """The entries, each after those it calls; without those that are or call a circle."""
    waiting = {name: len({e[1].name for e in edges}) for name, edges in callees.items()}
    callers: dict[str, list[Entry]] = {}
    for name, edges in callees.items():
        distinct = {edge[1].name: edge for edge in edges}
        for callee, edge in distinct.items():
            if callee in callees:
                callers.setdefault(callee, []).append(edge[0])
            else:
                waiting[name] -= 1  # imported: cannot call back
    order = list({e.name: e for e in entries if not waiting[e.name]}.values())
    for entry in order:  # grows while it is read
        for caller in callers.get(entry.name, ()):
            waiting[caller.name] -= 1
            if not waiting[caller.name]:
                order.append(caller)
    return order


def _report_circles(
    edges: list[Edge], callees: dict[str, list[Edge]], sound: set[str], problems: Problems
) -> None:
    for caller, callee, mark in edges:
        if caller.name in sound or callee.name in sound:
            continue
        seen, todo = {callee.name}, [callee.name]
        while todo and caller.name not in seen:
            for _, further, _ in callees.get(todo.pop(), ()):
                if further.name not in seen and further.name not in sound:
                    seen.add(further.name)
                    todo.append(further.name)
        if caller.name in seen:
            name = callee.signature.label
            what = "itself" if callee is caller else f"'{name}', which calls it back"
            problems.add(f"{context(caller)}, {caller.family}: calls {what}", mark)


@dataclass(frozen=True)
class _Size:
    operations: int
    depth: int

    def over(self) -> bool:
        return self.operations > LARGEST or self.depth > DEEPEST


_LEAF = _Size(1, 1)


@dataclass
class _Growth:
    """Measures the formulas of one entry; `sizes` holds those of the operators it calls."""

    entry: Entry
    sizes: dict[str, _Size]
    operators: Operators
    scalars: Mapping[str, int]

    def check(self, problems: Problems) -> None:
        entry = self.entry
        if entry.family not in ("pointwise", "rowwise"):
            return
        parts: dict[str, _Size] = {}
        formulas: list[tuple[str, Formula]] = []
        for name, part in entry.let:
            parts[name] = self.size(part.tree, parts)
            formulas.append((f"let '{name}'", part))
        formulas += [(entry.family, part) for _, part in entry.results]
        formulas += [(f"gradient of '{name}'", part) for name, part in entry.gradients]
        formulas += [(f"jvp of '{name}'", part) for name, part in entry.jvp]
        for label, part in formulas:
            size = self.size(part.tree, parts)
            if size.over():
                message = f"{context(entry)}, {label}: too large when its parts are written out"
                hint = f"at most {LARGEST} operations, nested {DEEPEST} deep"
                problems.add(message, part.mark, hint)
                break
        results = [self.size(part.tree, parts) for _, part in entry.results]
        self.sizes[entry.name] = _Size(
            max((size.operations for size in results), default=1),
            max((size.depth for size in results), default=1),
        )

    def size(self, tree: Expr, parts: Mapping[str, _Size]) -> _Size:
        if isinstance(tree, Name):
            return parts.get(tree.id, _LEAF)
        inner = [self.size(child, parts) for child in _children(tree)]
        operations = sum(size.operations for size in inner)
        depth = max((size.depth for size in inner), default=0)
        body = self.body(tree)
        # An argument may stand wherever the body has a name.
        return _Size(
            min(body.operations * (operations + 1), LARGEST + 1),
            min(body.depth + depth, DEEPEST + 1),
        )

    def body(self, tree: Expr) -> _Size:
        """The formula that a call is replaced by."""
        if not isinstance(tree, Call) or tree.function in self.scalars:
            return _LEAF
        called = [e for e in self.operators.named(tree.function) if e.family == "pointwise"]
        sizes = [self.sizes.get(e.name, _LEAF) for e in called]
        return max(sizes, key=lambda size: size.operations, default=_LEAF)


def _children(tree: Expr) -> tuple[Expr, ...]:
    match tree:
        case Unary():
            return (tree.operand,)
        case Binary():
            return (tree.left, tree.right)
        case Call():
            return (*tree.arguments, *(value for _, value in tree.keywords))
        case Sequence():
            return tree.items
        case Index():
            return (tree.value, tree.index)
    return ()
