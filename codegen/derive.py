"""`gradients: auto` for pointwise entries: reverse mode over the forward formula's tree.

The rules are the declared gradient formulas of the operators that the formula uses, so the
derivative of a new operator costs its author nothing and stays a readable formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .expressions import names, simplify, substitute, transform
from .kernel_text import with_lets
from .model import Binary, Call, Constant, Entry, Expr, Formula, Mark, Name, Unary
from .printer import Printer

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "**": "pow",
}


class Underivable(Exception):
    """No declared gradient covers a part of the formula; the message says which, `mark` where."""

    def __init__(self, what: str, mark: Mark | None) -> None:
        super().__init__(f"'gradients': 'auto' has no rule for {what}")
        self.mark = mark
        self.operator = ""

    def within(self, entry: Entry) -> Underivable:
        """The same, naming the operator whose formula it is about; the innermost one stays."""
        self.operator = self.operator or entry.signature.label
        return self

    def __str__(self) -> str:
        return f"op '{self.operator}', {super().__str__()}"


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
        try:
            adjoint = simplify(_adjoint(tree, Name("grad"), argument.name, entries))
        except Underivable as error:
            raise error.within(entry) from None
        adjoint = _reuse(adjoint, tree, name)
        text = Printer(lambda node: None)(adjoint)
        gradients.append((argument.name, Formula(text, adjoint)))
    return replace(entry, gradients=tuple(gradients))


def _reuse(tree: Expr, result: Expr, name: str) -> Expr:
    """Occurrences of the forward formula read the saved result instead."""
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
            call = Call(OPERATORS[operator], (left, right), mark=tree.mark)
            return _through(call, tree, grad, name, entries)
        case Binary("%"):
            raise Underivable(f"'{tree.operator}'", tree.mark)
        case Binary() | Unary():
            return Constant(0)
        case Call("where", (condition, left, right)):
            zero = Constant(0)
            first = _adjoint(left, Call("where", (condition, grad, zero)), name, entries)
            second = _adjoint(right, Call("where", (condition, zero, grad)), name, entries)
            return _plus(first, second)
        case Call():
            return _through(tree, tree, grad, name, entries)
    raise Underivable(f"'{type(tree).__name__}'", tree.mark)


def _through(call: Call, tree: Expr, grad: Expr, name: str, entries: Mapping[str, Entry]) -> Expr:
    """The chain rule through one declared operator; `tree` is the call as it was written."""
    if name not in names(call):
        return Constant(0)
    entry = entries.get(call.function)
    if entry is None:
        raise Underivable(f"'{call.function}', which is no declared operator", tree.mark)
    declared = [argument.name for argument in entry.signature.arguments]
    given = dict(zip(declared, call.arguments, strict=False)) | dict(call.keywords)
    values = dict(given)
    for argument in entry.signature.arguments:
        if argument.name not in values and not isinstance(argument.default, tuple):
            values[argument.name] = Constant(argument.default)
    values["grad"] = grad
    values["result"] = tree
    gradients = dict(derive(entry, entries).gradients)
    total: Expr = Constant(0)
    for own, value in given.items():
        if name not in names(value) or own in entry.not_differentiable:
            continue
        if own not in gradients:
            raise Underivable(f"'{own}' of '{call.function}'", tree.mark)
        rule = with_lets(gradients[own].tree, entry.let)
        local = simplify(substitute(rule, values))
        total = _plus(total, _adjoint(value, local, name, entries))
    return total
