"""`gradients: auto` for pointwise entries: reverse mode over the forward formula's tree.

The rules are the declared gradient formulas of the operators that the formula uses, so the
derivative of a new operator costs its author nothing and stays a readable formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .expressions import simplify, substitute
from .kernel_text import with_lets
from .model import Binary, Call, Constant, Entry, Expr, Formula, Name, Unary
from .printer import Printer

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "**": "pow",
}


class Underivable(Exception):
    """No declared gradient covers a part of the formula; the message says which."""


def derive(entry: Entry, entries: Mapping[str, Entry]) -> Entry:
    """`entry` with its gradient formulas written out."""
    if not entry.auto or entry.family != "pointwise":
        return entry
    name, formula = entry.results[0]
    tree = with_lets(formula.tree, entry.let)
    gradients = []
    for argument in entry.signature.tensors:
        if argument.name in entry.not_differentiable:
            continue
        adjoint = simplify(_adjoint(tree, Name("grad"), argument.name, entries))
        adjoint = _reuse(adjoint, tree, name)
        text = Printer(lambda node: None)(adjoint)
        gradients.append((argument.name, Formula(text, adjoint)))
    return replace(entry, gradients=tuple(gradients))


def _reuse(tree: Expr, result: Expr, name: str) -> Expr:
    """Occurrences of the forward formula read the saved result instead."""
    from .expressions import transform

    return transform(tree, lambda node: Name(name) if node == result else node)


def _plus(left: Expr, right: Expr) -> Expr:
    if isinstance(left, Constant) and left.value == 0:
        return right
    if isinstance(right, Constant) and right.value == 0:
        return left
    return Binary("+", left, right)


def _adjoint(tree: Expr, grad: Expr, name: str, entries: Mapping[str, Entry]) -> Expr:
    """The gradient that `tree` sends to the argument `name`, given its own gradient."""
    match tree:
        case Name(own):
            return grad if own == name else Constant(0)
        case Constant():
            return Constant(0)
        case Unary("-", operand):
            return _adjoint(operand, Unary("-", grad), name, entries)
        case Binary(operator, left, right) if operator in OPERATORS:
            return _through(OPERATORS[operator], (left, right), tree, grad, name, entries)
        case Binary() | Unary():
            return Constant(0)
        case Call("where", (condition, left, right)):
            zero = Constant(0)
            first = _adjoint(left, Call("where", (condition, grad, zero)), name, entries)
            second = _adjoint(right, Call("where", (condition, zero, grad)), name, entries)
            return _plus(first, second)
        case Call(function, arguments):
            return _through(function, arguments, tree, grad, name, entries)
    raise Underivable(f"no derivative of {type(tree).__name__}")


def _through(
    function: str,
    arguments: tuple[Expr, ...],
    tree: Expr,
    grad: Expr,
    name: str,
    entries: Mapping[str, Entry],
) -> Expr:
    """The chain rule through one declared operator."""
    from .expressions import names

    if not any(name in names(argument) for argument in arguments):
        return Constant(0)
    entry = entries.get(function)
    if entry is None:
        raise Underivable(f"{function} is not a declared operator")
    declared = entry.signature.arguments
    values: dict[str, Expr] = {a.name: value for a, value in zip(declared, arguments, strict=False)}
    for argument in declared:
        if argument.name not in values and not isinstance(argument.default, tuple):
            values[argument.name] = Constant(argument.default)
    values["grad"] = grad
    values["result"] = tree
    gradients = dict(derive(entry, entries).gradients)
    total: Expr = Constant(0)
    for argument, value in zip(declared, arguments, strict=False):
        if name not in names(value):
            continue
        if argument.name not in gradients:
            if argument.name in entry.not_differentiable:
                continue
            raise Underivable(f"{function} declares no gradient for {argument.name}")
        rule = with_lets(gradients[argument.name].tree, entry.let)
        local = simplify(substitute(rule, values))
        total = _plus(total, _adjoint(value, local, name, entries))
    return total
