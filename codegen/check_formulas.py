"""What the names and functions of a formula mean: scopes, closure, and the arguments of calls.

Owns the three languages a formula may be in. "pointwise" and "rowwise" become kernels and
therefore call only scalar functions and pointwise operators (rowwise also reduces its lane);
"tensor" calls any declared operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rederive.codegen.errors import hints, nearest
from rederive.codegen.model import (
    Binary,
    Call,
    Constant,
    Entry,
    Expr,
    Formula,
    Index,
    Mark,
    Name,
    Sequence,
    Signature,
    Unary,
)
from rederive.codegen.tensor_text import QUERIES

LANE_REDUCTIONS = frozenset({"all", "any", "argmax", "argmin", "max", "mean", "min", "prod", "sum"})
LANE_NAMES = ("position", "count")  # index in the lane, number of its elements
CONDITIONAL = "where"

Report = Callable[[str, Mark | None, str], None]


class Operators:
    """The operators that formulas may call: those of the file and the imported ones."""

    def __init__(self, entries: Iterable[Entry], damaged: Iterable[str]) -> None:
        self.found: dict[str, list[Entry]] = {}
        for entry in entries:
            overloads = self.found.setdefault(entry.signature.name, [])
            if not overloads or set(overloads[0].namespace) & set(entry.namespace):
                overloads.append(entry)  # else another function, reached by its internal name
            if entry.signature.overload:
                self.found.setdefault(entry.name, []).append(entry)
        self.damaged = frozenset(damaged)

    def named(self, function: str) -> list[Entry]:
        return self.found.get(function, [])

    def __contains__(self, function: str) -> bool:
        """Also true of an operator whose own entry could not be read: one mistake, one message."""
        return function in self.found or function in self.damaged

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)


@dataclass
class Checker:
    """Checks one formula.

    barred: names that exist but not here, and why. called: gathers the functions that would stand
    by their plain names in a kernel. reached: gathers the operators called, and where.
    """

    language: str  # pointwise, rowwise or tensor
    scope: tuple[str, ...]
    barred: Mapping[str, str]
    operators: Operators
    scalars: Mapping[str, int]
    report: Report
    called: set[str] = field(default_factory=set)
    reached: list[tuple[Entry, Mark | None]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def check(self, formula: Formula, outputs: int = 1) -> None:
        tree = formula.tree
        if isinstance(tree, Sequence) and outputs > 1:
            if len(tree.items) != outputs:
                self.say(f"{len(tree.items)} values for {outputs} outputs", tree)
            for item in tree.items:
                self.visit(item)
            return
        self.visit(tree)

    def say(self, message: str, where: Expr, hint: str = "", length: int = 0) -> None:
        mark = where.mark
        if length and mark:
            mark = Mark(mark.line, mark.column, length)
        self.report(message, mark, hint)

    def visit(self, tree: Expr, argument: bool = False) -> None:
        """Check a tree; `argument`: it stands where text and sequences may stand."""
        match tree:
            case Name():
                self.name(tree)
            case Constant():
                if isinstance(tree.value, str) and not argument:
                    self.say("text can only be an argument or be compared", tree)
            case Unary():
                self.visit(tree.operand)
            case Binary():
                if tree.operator == "@" and self.language != "tensor":
                    self.say(f"'@' is not available in a {self.language} formula", tree)
                comparing = tree.operator in ("==", "!=")
                self.visit(tree.left, comparing)
                self.visit(tree.right, comparing)
            case Call():
                self.call(tree)
            case Sequence():
                if not argument or self.language != "tensor":
                    self.say("a sequence can only be an argument of an operator", tree)
                for item in tree.items:
                    self.visit(item, argument)
            case Index():
                self.index(tree)

    def name(self, tree: Name) -> None:
        self.used.add(tree.id)
        if tree.id in self.scope:
            return
        if tree.id in self.barred:
            self.say(f"'{tree.id}' is not available here: {self.barred[tree.id]}", tree)
            return
        if tree.id in self.operators or tree.id in self.scalars or tree.id in QUERIES:
            self.say(f"'{tree.id}' is a function; it can only be called", tree)
            return
        scope = ", ".join(sorted(self.scope))
        listed = f"in scope: {scope}, and the declared operators" if scope else ""
        self.say(f"unknown name '{tree.id}'", tree, hints(nearest(tree.id, self.scope), listed))

    def index(self, tree: Index) -> None:
        self.visit(tree.index)
        match tree.value:
            case Name() | Index():
                pass
            case Call(function=function):
                several = any(
                    len(e.signature.outputs) > 1 or e.signature.outputs[0].many
                    for e in self.operators.named(function)
                )
                if function not in QUERIES and not several:
                    hint = "only queries, lists and several outputs have items"
                    self.say("this has no items", tree.value, hint)
            case _:
                hint = "only queries, lists and several outputs have items"
                self.say("this has no items", tree.value, hint)
        self.visit(tree.value)

    # -- calls ------------------------------------------------------------------------------

    def call(self, tree: Call) -> None:
        for item in tree.arguments:
            self.visit(item, True)
        for _, item in tree.keywords:
            self.visit(item, True)
        function = tree.function
        kernel = self.language != "tensor"
        if function == CONDITIONAL:
            self.fixed(tree, 3, "where(condition, a, b)")
        elif self.language == "rowwise" and function in LANE_REDUCTIONS:
            two = {"max": "for the larger of two use maximum(a, b)"}
            two["min"] = "for the smaller of two use minimum(a, b)"
            self.fixed(tree, 1, two.get(function, f"{function} reduces the lane"))
        elif function in QUERIES and not kernel:
            self.fixed(tree, QUERIES[function], f"{function} is a query")
        elif kernel and function in self.scalars:
            self.scalar(tree)
        elif function in self.operators:
            self.operator(tree, kernel)
        else:
            self.unknown(tree)

    def unknown(self, tree: Call) -> None:
        known = {*self.operators, CONDITIONAL}
        known |= LANE_REDUCTIONS if self.language == "rowwise" else set()
        known |= QUERIES.keys() if self.language == "tensor" else set()
        hint = nearest(tree.function, known)
        if tree.function in self.scope:
            message = f"'{tree.function}' is not a function"
        elif tree.function in QUERIES:
            message = f"the query '{tree.function}' is not available in a {self.language} formula"
            hint = ""
        else:
            message = f"unknown function '{tree.function}'"
            hint = hints(hint, "every function of a formula is a declared operator")
        self.say(message, tree, hint, len(tree.function))

    def fixed(self, tree: Call, count: int, hint: str) -> None:
        given = len(tree.arguments) + len(tree.keywords)
        if tree.keywords:
            message = f"{tree.function} has no argument '{tree.keywords[0][0]}'"
            self.say(message, tree.keywords[0][1], hint)
        elif given != count:
            self.say(f"{tree.function} takes {_counted(count)}, {given} given", tree, hint)

    def scalar(self, tree: Call) -> None:
        self.called.add(tree.function)
        self.fixed(tree, self.scalars[tree.function], f"{tree.function} is a scalar function")
        if tree.function not in self.operators:
            message = f"the scalar function '{tree.function}' has no declared operator"
            hint = "gradients are also computed on tensors: declare an operator of this name"
            self.say(message, tree, hint, len(tree.function))

    def operator(self, tree: Call, kernel: bool) -> None:
        candidates = self.operators.named(tree.function)
        if not candidates:
            return  # damaged
        if kernel:
            self.called.add(tree.function)
            candidates = [e for e in candidates if e.family == "pointwise"]
            if not candidates:
                message = f"'{tree.function}' is not a pointwise operator"
                hint = f"a {self.language} formula becomes one kernel"
                self.say(message, tree, hint, len(tree.function))
                return
        problems = [(entry, bind(entry.signature, tree)) for entry in candidates]
        fitting = [entry for entry, problem in problems if not problem]
        if fitting:
            # Which of several overloads is meant depends on types; then nothing is said of cycles.
            self.reached += [(entry, tree.mark) for entry in fitting if len(fitting) == 1]
        elif tree.function in self.operators.damaged:
            return
        elif len(problems) == 1:
            entry, problem = problems[0]
            self.say(problem, tree, f"declared as {entry.signature.text}")
        else:
            declared = "; ".join(e.signature.text for e in candidates)
            self.say(
                f"no overload of '{tree.function}' takes these arguments",
                tree,
                f"declared as {declared}",
            )


def bind(signature: Signature, call: Call) -> str:
    """Why the arguments of `call` do not fit `signature`, or ""."""
    name = call.function
    given: set[str] = set()
    positional = [a for a in signature.arguments if not a.keyword_only]
    variadic = bool(positional) and positional[-1].variadic
    for i, _ in enumerate(call.arguments):
        if i < len(positional):
            given.add(positional[i].name)
        elif not variadic:
            most = _counted(len(positional))
            return f"{name} takes at most {most} by position, {len(call.arguments)} given"
    known = {a.name for a in signature.arguments}
    for keyword, _ in call.keywords:
        if keyword not in known:
            return f"{name} has no argument '{keyword}'"
        if keyword in given:
            return f"'{keyword}' of {name} is given twice"
        given.add(keyword)
    for argument in signature.arguments:
        if argument.name not in given and not argument.has_default and not argument.variadic:
            return f"'{argument.name}' of {name} is missing"
    return ""


def _counted(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"


def walk(tree: Expr) -> Iterator[Expr]:
    """A tree and everything in it."""
    todo = [tree]
    while todo:
        tree = todo.pop()
        yield tree
        match tree:
            case Unary():
                todo.append(tree.operand)
            case Binary():
                todo += [tree.left, tree.right]
            case Call():
                todo += [*tree.arguments, *(value for _, value in tree.keywords)]
            case Sequence():
                todo += tree.items
            case Index():
                todo += [tree.value, tree.index]


def mentions(tree: Expr, wanted: Callable[[str], bool]) -> bool:
    """Whether a name for which `wanted` holds occurs in a tree."""
    return any(isinstance(part, Name) and wanted(part.id) for part in walk(tree))


def check_reference(formula: Formula, arguments: tuple[str, ...], report: Report) -> None:
    """A reference calls numpy and scipy only, over the argument names."""
    for tree in walk(formula.tree):
        if isinstance(tree, Name) and "." not in tree.id and tree.id not in arguments:
            scope = f"in scope: {', '.join(sorted(arguments))}"
            report(
                f"unknown name '{tree.id}'", tree.mark, hints(nearest(tree.id, arguments), scope)
            )
        elif isinstance(tree, Call) and "." not in tree.function:
            message = f"'{tree.function}' is not a function of numpy or scipy"
            mark = tree.mark and Mark(tree.mark.line, tree.mark.column, len(tree.function))
            report(message, mark, f"write numpy.{tree.function} or scipy.special.{tree.function}")
