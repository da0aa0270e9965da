"""Questions about and rewrites of expression trees: names used, substitution, simplification."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from .model import Binary, Call, Constant, Expr, Index, Name, Sequence, Unary

ONE = Constant(1)
ZERO = Constant(0)


def children(tree: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions, left to right."""
    match tree:
        case Call():
            return (*tree.arguments, *(value for _, value in tree.keywords))
        case Unary():
            return (tree.operand,)
        case Binary():
            return (tree.left, tree.right)
        case Sequence():
            return tree.items
        case Index():
            return (tree.value, tree.index)
        case _:
            return ()


def rebuild(tree: Expr, parts: tuple[Expr, ...]) -> Expr:
    """`tree` with its direct sub-expressions replaced by `parts`."""
    match tree:
        case Call():
            n = len(tree.arguments)
            keys = tuple(key for key, _ in tree.keywords)
            return replace(
                tree, arguments=parts[:n], keywords=tuple(zip(keys, parts[n:], strict=True))
            )
        case Unary():
            return replace(tree, operand=parts[0])
        case Binary():
            return replace(tree, left=parts[0], right=parts[1])
        case Sequence():
            return replace(tree, items=parts)
        case Index():
            return replace(tree, value=parts[0], index=parts[1])
        case _:
            return tree


def walk(tree: Expr) -> Iterator[Expr]:
    """Every node, parents before children."""
    yield tree
    for child in children(tree):
        yield from walk(child)


def transform(tree: Expr, function: Callable[[Expr], Expr]) -> Expr:
    """Rewrite bottom-up: `function` sees each node after its children were rewritten."""
    return function(rebuild(tree, tuple(transform(child, function) for child in children(tree))))


def substitute(tree: Expr, values: Mapping[str, Expr]) -> Expr:
    """`tree` with names replaced by expressions."""
    return transform(tree, lambda t: values.get(t.id, t) if isinstance(t, Name) else t)


def names(tree: Expr) -> set[str]:
    return {node.id for node in walk(tree) if isinstance(node, Name)}


def calls(tree: Expr) -> set[str]:
    return {node.function for node in walk(tree) if isinstance(node, Call)}


def count(tree: Expr, name: str) -> int:
    return sum(1 for node in walk(tree) if isinstance(node, Name) and node.id == name)


def _is(tree: Expr, value: int) -> bool:
    return (
        isinstance(tree, Constant)
        and not isinstance(tree.value, bool)
        and isinstance(tree.value, int | float)
        and tree.value == value
    )


_FOLDED: dict[str, Callable[[int, int], int | bool]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""What may be computed at generation time, on integers: no rounding is moved."""


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _simplify_node(tree: Expr) -> Expr:
    match tree:
        case Binary(symbol, Constant(int(left)), Constant(int(right))) if symbol in _FOLDED:
            if _integer(left) and _integer(right):
                return Constant(_FOLDED[symbol](left, right))
        case Call("where", (Constant(bool(condition)), left, right), ()):
            return left if condition else right
    match tree:
        case Unary("-", Unary("-", inner)):
            return inner
        case Unary("-", Constant(value)) if isinstance(value, int | float) and value == 0:
            return ZERO
        case Binary("*", left, right):
            if _is(left, 0) or _is(right, 0):
                return ZERO
            if _is(left, 1):
                return right
            if _is(right, 1):
                return left
            if _is(left, -1):
                return _simplify_node(Unary("-", right))
        case Binary("**", left, right):
            if _is(right, 1):
                return left
        case Binary("/", left, right):
            if _is(right, 1):
                return left
            if _is(left, 0):
                return ZERO
        case Binary("+", left, right):
            if _is(left, 0):
                return right
            if _is(right, 0):
                return left
        case Binary("-", left, right):
            if _is(right, 0):
                return left
            if _is(left, 0):
                return _simplify_node(Unary("-", right))
        case Call("where", (_, left, right), ()) if left == right:
            return left
    return tree


def simplify(tree: Expr) -> Expr:
    """Drop multiplications by one and zero and additions of zero.

    A multiplication by a literal zero becomes zero even where the other factor may be
    infinite: the formula of a derivative that is zero everywhere is meant so.
    """
    return transform(tree, _simplify_node)
