"""`gradients: auto` for pointwise entries: reverse mode over the forward formula's tree.

The rules are the declared gradient formulas of the operators that the formula uses, so the
derivative of a new operator costs its author nothing and stays a readable formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .expressions import count, names, simplify, substitute, transform
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
    parts = [(name, formula.tree), *((own, part.tree) for own, part in reversed(entry.let))]
    gradients = []
    for argument in entry.signature.tensors:
        if argument.name in entry.not_differentiable:
            continue
        try:
            adjoint = _of_argument(argument.name, parts, entries)
        except Underivable as error:
            raise error.within(entry) from None
        text = Printer(lambda node: None)(adjoint)
        gradients.append((argument.name, Formula(text, adjoint)))
    return replace(entry, gradients=tuple(gradients))


def _of_argument(
    argument: str, parts: Sequence[tuple[str, Expr]], entries: Mapping[str, Entry]
) -> Expr:
    """The gradient of an argument; `parts` are the result and the `let` formulas, last first.

    Each part gets one gradient of its own before it is passed on to what the part reads.
    """
    known: dict[str, Expr] = {parts[0][0]: Name("grad")}
    for own, _ in parts[1:]:
        known[own] = _sum(_adjoint(tree, known[n], own, entries) for n, tree in parts if n in known)
    zero = Constant(0)
    total = _sum(_adjoint(t, known[n], argument, entries) for n, t in parts if known[n] != zero)
    return simplify(_reuse(simplify(total), parts))


def _reuse(tree: Expr, parts: Sequence[tuple[str, Expr]]) -> Expr:
    """Occurrences of the forward formulas read the saved result, or the `let` name, instead."""
    named = [(name, part) for name, part in parts if not isinstance(part, Name | Constant)]

    def visit(node: Expr) -> Expr:
        return next((Name(name) for name, part in named if node == part), node)

    return transform(tree, visit)


def _sum(terms: Iterable[Expr]) -> Expr:
    total: Expr = Constant(0)
    for term in terms:
        total = simplify(Binary("+", total, term))
    return total


def _adjoint(tree: Expr, grad: Expr, name: str, entries: Mapping[str, Entry]) -> Expr:
    """The gradient that `tree` sends to `name`, given its own gradient."""
    if name not in names(tree):
        return Constant(0)
    match tree:
        case Name():
            return grad
        case Unary("-", operand):
            return _adjoint(operand, simplify(Unary("-", grad)), name, entries)
        case Binary(operator, left, right) if operator in OPERATORS:
            call = Call(OPERATORS[operator], (left, right), mark=tree.mark)
            return _through(call, tree, grad, name, entries)
        case Binary("%"):
            raise Underivable(f"'{tree.operator}'", tree.mark)
        case Binary() | Unary():
            return Constant(0)
        case Call("where", (condition, left, right)):
            return _where(condition, left, right, grad, name, entries)
        case Call():
            return _through(tree, tree, grad, name, entries)
    raise Underivable(f"'{type(tree).__name__}'", tree.mark)


def _where(
    condition: Expr,
    left: Expr,
    right: Expr,
    grad: Expr,
    name: str,
    entries: Mapping[str, Entry],
) -> Expr:
    """A choice between gradients: zeros sent into the branch not taken could become nan there."""
    seed = grad if _atomic(grad) else Constant(1)
    first = _adjoint(left, seed, name, entries)
    second = _adjoint(right, seed, name, entries)
    chosen = simplify(Call("where", (condition, first, second)))
    return chosen if seed is grad else simplify(Binary("*", grad, chosen))


def _atomic(grad: Expr) -> bool:
    """Whether a gradient may be written several times."""
    inner = grad.operand if isinstance(grad, Unary) else grad
    return isinstance(inner, Name | Constant)


def _through(call: Call, tree: Expr, grad: Expr, name: str, entries: Mapping[str, Entry]) -> Expr:
    """The chain rule through one declared operator; `tree` is the call as it was written."""
    entry = entries.get(call.function)
    if entry is None:
        raise Underivable(f"'{call.function}', which is no declared operator", tree.mark)
    declared = [argument.name for argument in entry.signature.arguments]
    given = dict(zip(declared, call.arguments, strict=False)) | dict(call.keywords)
    values = dict(given)
    for argument in entry.signature.arguments:
        if argument.name not in values and not isinstance(argument.default, tuple):
            values[argument.name] = Constant(argument.default)
    values["result"] = tree
    gradients = dict(derive(entry, entries).gradients)
    rules: list[tuple[Expr, Expr]] = []  # what is given for an argument, and its gradient
    for own, value in given.items():
        if name not in names(value) or own in entry.not_differentiable:
            continue
        if own not in gradients:
            raise Underivable(f"'{own}' of '{call.function}'", tree.mark)
        rules.append((value, with_lets(gradients[own].tree, entry.let)))
    # Gradients are linear in `grad`: where it would be repeated, it becomes a factor instead.
    once = sum(count(rule, "grad") for _, rule in rules) <= 1
    values["grad"] = grad if once or _atomic(grad) else Constant(1)
    total = _sum(
        _adjoint(value, simplify(substitute(rule, values)), name, entries) for value, rule in rules
    )
    return total if values["grad"] is grad else simplify(Binary("*", grad, total))
