"""Expression trees as Python text, in the form that `ruff format` leaves alone.

Long expressions are never wrapped: `Printer.hoist` moves parts into temporaries instead,
so that every emitted statement fits on one line.
"""

from __future__ import annotations

from collections.abc import Callable

from .expressions import children, rebuild
from .model import Binary, Call, Constant, Expr, Index, Name, Sequence, Unary

_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "not": 3,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "is": 4,
    "is not": 4,
    "|": 5,
    "&": 6,
    "+": 7,
    "-": 7,
    "*": 8,
    "/": 8,
    "//": 8,
    "%": 8,
    "@": 8,
    "neg": 9,
    "**": 10,
}
_ATOM = 11

Rewrite = Callable[[Expr], "str | None"]


def literal(value: object) -> str:
    """Python text of a plain value, with quotes as ruff writes them."""
    if isinstance(value, str):
        quote = "'" if value.count('"') > value.count("'") else '"'
        inner = value.replace("\\", "\\\\").replace(quote, f"\\{quote}")
        plain = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in inner)
        return f"{quote}{''.join(plain)}{quote}"
    if isinstance(value, tuple):
        inner = ", ".join(literal(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float):
        if value != value or abs(value) == float("inf"):
            return f'float("{value}")'
        return repr(value).replace("e+", "e")  # as ruff writes it
    return repr(value)


class Printer:
    """Prints trees; `rewrite` may give the (atomic) text of a node itself."""

    def __init__(self, rewrite: Rewrite) -> None:
        self.rewrite = rewrite

    def __call__(self, tree: Expr) -> str:
        return self._print(tree)[0]

    def _print(self, tree: Expr) -> tuple[str, int]:
        own = self.rewrite(tree)
        if own is not None:
            return own, _ATOM
        match tree:
            case Name(name):
                return name, _ATOM
            case Constant(value):
                return literal(value), _ATOM
            case Call(function, arguments, keywords):
                parts = [self(item) for item in arguments]
                parts += [f"{key}={self(value)}" for key, value in keywords]
                return f"{function}({', '.join(parts)})", _ATOM
            case Sequence(items):
                inner = ", ".join(self(item) for item in items)
                return (f"({inner},)" if len(items) == 1 else f"({inner})"), _ATOM
            case Index(value, index):
                return f"{self._wrap(value, _ATOM)}[{self(index)}]", _ATOM
            case Unary("not", Binary("is", left, right)):
                return self._print(Binary("is not", left, right))
            case Unary(operator, operand):
                level = _PRECEDENCE["not" if operator == "not" else "neg"]
                # As ruff has it: a power under a sign stands in brackets.
                inner = self._wrap(operand, _ATOM if _is_power(operand) else level)
                return f"{'not ' if operator == 'not' else '-'}{inner}", level
            case Binary("**", left, right):
                base = self._wrap(left, _ATOM)
                power = self._wrap(right, _PRECEDENCE["neg"])
                simple = _simple(left) and _simple(right)
                return (f"{base}**{power}" if simple else f"{base} ** {power}"), _PRECEDENCE["**"]
            case Binary(operator, left, right):
                level = _PRECEDENCE[operator]
                chained = level == _PRECEDENCE["=="]
                first = self._wrap(left, level + 1 if chained else level)
                return f"{first} {operator} {self._wrap(right, level + 1)}", level
        raise TypeError(f"no text for {tree!r}")

    def _wrap(self, tree: Expr, level: int) -> str:
        text, own = self._print(tree)
        return text if own >= level else f"({text})"

    def hoist(
        self, tree: Expr, width: int, prefix: str = "part"
    ) -> tuple[list[tuple[str, str]], str]:
        """Text of `tree` in at most `width` columns, after assignments of temporaries."""
        statements: list[tuple[str, str]] = []
        while len(self(tree)) > width:
            target = self._candidate(tree, width)
            if target is None:
                break
            name = f"{prefix}_{len(statements)}"
            statements.append((name, self(target)))
            tree = _replace(tree, target, Name(name))
        return statements, self(tree)

    def _candidate(self, tree: Expr, width: int) -> Expr | None:
        """The longest sub-expression that fits and is worth a name of its own.

        Where none fits, one without such parts: it cannot be made shorter.
        """
        best: Expr | None = None
        least: Expr | None = None
        stack = [child for child in children(tree)]
        while stack:
            node = stack.pop()
            length = len(self(node))
            if self.rewrite(node) is not None and not children(node):
                continue
            if isinstance(node, Binary | Call | Unary) and 12 < length <= width:
                if best is None or length > len(self(best)):
                    best = node
            else:
                stack.extend(children(node))
                if length > width and not any(map(children, children(node))):
                    least = node
        return best or least


def _is_power(tree: Expr) -> bool:
    return isinstance(tree, Binary) and tree.operator == "**"


def _simple(tree: Expr) -> bool:
    """Operands around which ruff hugs `**`."""
    if isinstance(tree, Unary) and tree.operator == "-":
        return _simple(tree.operand) and not isinstance(tree.operand, Unary)
    return isinstance(tree, Name) or (
        isinstance(tree, Constant) and isinstance(tree.value, int | float)
    )


def _replace(tree: Expr, target: Expr, value: Expr) -> Expr:
    if tree == target:
        return value
    return rebuild(tree, tuple(_replace(child, target, value) for child in children(tree)))
