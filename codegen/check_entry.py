"""The rules of one entry: interface, forward formula, statements about gradients.

Every mistake is reported through `say`; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rederive.codegen import formula, names
from rederive.codegen.check_calls import check_calls, check_samples
from rederive.codegen.check_formulas import (
    LANE_NAMES,
    Checker,
    Operators,
    check_reference,
    mentions,
    walk,
)
from rederive.codegen.check_growth import Edge, context
from rederive.codegen.errors import Problems, hints, nearest
from rederive.codegen.expressions import calls, count
from rederive.codegen.lower_rowwise import LANE_HELPERS, is_lane, lane_kinds
from rederive.codegen.model import COMPOSED, Binary, Call, Constant, Entry, Formula, Mark
from rederive.codegen.tensor_text import QUERIES

AUTOMATIC = ("pointwise", "view", "composite", "program")  # families whose gradients can be derived
UNARY = frozenset({"~", "neg", "abs"})
NAMESPACES = ("torch", "nn.functional", "special", "linalg", "fft", "Tensor", "internal")


class EntryCheck:
    def __init__(
        self,
        entry: Entry,
        operators: Operators,
        scalars: Mapping[str, int],
        problems: Problems,
        edges: list[Edge],
    ) -> None:
        self.entry = entry
        self.signature = entry.signature
        self.operators = operators
        self.scalars = scalars
        self.problems = problems
        self.edges = edges
        self.places = entry.places
        self.arguments = tuple(a.name for a in self.signature.arguments)
        self.tensors = tuple(a.name for a in self.signature.tensors)
        self.outputs = tuple(o.name for o in self.signature.outputs)
        self.differentiable = tuple(o for o in self.outputs if o not in entry.not_differentiable)
        self.language = entry.family if entry.family in ("pointwise", "rowwise") else "tensor"
        self.incoming = self.gradient_names()
        self.called: set[str] = set()
        self.used: set[str] = set()

    def run(self) -> None:
        self.interface()
        self.shapes()
        self.family()
        self.statements()
        self.backward()
        self.let_names()
        self.one_name_one_thing()
        check_samples(self.entry, self.say)
        check_calls(self.entry, self.say)
        if self.entry.reference is not None:
            where = f"{context(self.entry)}, reference"
            check_reference(
                self.entry.reference,
                self.arguments,
                lambda what, mark, hint: self.problems.add(f"{where}: {what}", mark, hint),
            )

    def say(self, what: str, message: str, mark: Mark | None, hint: str = "") -> None:
        where = f"{context(self.entry)}, {what}" if what else context(self.entry)
        self.problems.add(f"{where}: {message}", mark, hint)

    # -- interface --------------------------------------------------------------------------

    def interface(self) -> None:
        if self.signature.name in QUERIES:
            message = f"'{self.signature.name}' is a query of the formula language"
            self.say("", message, self.entry.mark)
        for i, alias in enumerate(self.entry.aliases):
            namespace, _, name = alias.rpartition(".")
            mark = self.places.value("aliases", i)
            problem = names.operator_problem(name)
            if problem:
                self.say("'aliases'", f"the name '{name}' {problem}", mark)
            elif namespace and namespace not in NAMESPACES:
                hint = f"the namespaces are {', '.join(NAMESPACES)}"
                self.say("'aliases'", f"unknown namespace '{namespace}'", mark, hint)
        self.python_operator()
        first = self.signature.arguments[0] if self.signature.arguments else None
        if self.entry.method and not (first and first.is_tensor and not first.many):
            message = "the first argument of a method is a tensor"
            self.say("'method'", message, self.places.value("method"))
        for name, _ in self.entry.absent:
            found = [a for a in self.signature.tensors if a.name == name and a.optional]
            if not found:
                message = f"'{name}' is not an optional tensor argument"
                hint = nearest(name, [a.name for a in self.signature.tensors if a.optional])
                self.say("'absent'", message, self.places.key("absent", name), hint)

    def shapes(self) -> None:
        for name, letters in self.entry.shapes:
            mark = self.places.key("shapes", name)
            if self.tensor_argument("shapes", name, mark) and "..." in letters[1:]:
                self.say("'shapes'", "'...' can only come first", self.places.value("shapes", name))

    def python_operator(self) -> None:
        symbol = self.entry.operator
        if not symbol:
            return
        wanted = 1 if symbol in UNARY else 2
        positional = [a for a in self.signature.arguments if not a.keyword_only]
        required = [a for a in self.signature.arguments if not a.has_default]
        tensor = bool(positional) and positional[0].is_tensor and not positional[0].many
        if not tensor or len(positional) < wanted or len(required) > wanted:
            noun = "tensor" if wanted == 1 else "tensor and one more argument"
            message = f"'{symbol}' takes one {noun}"
            self.say("'operator'", message, self.places.value("operator"))

    # -- forward ----------------------------------------------------------------------------

    def family(self) -> None:
        family = self.entry.family
        if ("let",) in self.places.keys and family in ("view", "composite", "program"):
            hint = "the cases of a composite have a 'let' of their own"
            message = "belongs to pointwise, rowwise, library and kernel only"
            self.say("'let'", message, self.places.key("let"), hint)
        if self.entry.integer_errors and family != "pointwise":
            mark = self.places.key("integer_errors")
            self.say("'integer_errors'", "belongs to pointwise only", mark)
        for number, (_, condition) in enumerate(self.entry.integer_errors, 1):
            label = f"integer_errors {number}, if"
            self.formula(condition, label, list(self.arguments), "tensor", forward=True)
        if family == "pointwise":
            self.kernel_family(("pointwise",))
        elif family == "rowwise":
            self.over()
            self.kernel_family(("rowwise", "result"))
            self.numbers()
            self.runs()
        elif family == "composite":
            self.composite()
        else:
            self.target()
            self.gradient_parts()

    def gradient_parts(self) -> None:
        """The parts of an operator whose forward is no formula: they serve the gradients."""
        scope = [*self.arguments, *self.outputs, *self.incoming]
        for name, part in self.entry.let:
            self.formula(part, f"let '{name}'", scope, self.language)
            scope.append(name)

    def kernel_names(self) -> None:
        """Names that would meet those which generated kernels give to their own variables."""
        named = [("the argument", a.name, a.mark) for a in self.signature.arguments if a.is_tensor]
        named += [("the part", name, self.let_key(name)) for name, _ in self.entry.let]
        for kind, name, mark in named:
            problem = names.kernel_problem(name)
            if problem:
                self.say("", f"{kind} name '{name}' {problem}", mark, "choose another name")

    def kernel_family(self, path: tuple[str, ...]) -> None:
        family = self.entry.family
        self.kernel_names()
        scope = [*self.arguments, *self.lane_names, *self.outputs, *self.incoming]
        for name, part in self.entry.let:
            forward = not self.late_lets({*self.outputs, *self.incoming}).get(name)
            self.formula(part, f"let '{name}'", scope, self.language, forward=forward)
            scope.append(name)
        given = tuple(name for name, _ in self.entry.results)
        if given == ("result",) != self.outputs:
            message = f"one formula for {len(self.outputs)} outputs"
            hint = f"give one for each of {', '.join(self.outputs)}"
            self.say(family, message, self.places.value(*path), hint)
        barred = self.late_lets({*self.outputs, *self.incoming})
        early = [name for name, _ in self.entry.let if name not in barred]
        scope = [*self.arguments, *self.lane_names, *early]
        for name, part in self.entry.results:
            if name not in self.outputs and given != ("result",):
                hint = nearest(name, self.outputs)
                message = f"'{name}' is not an output"
                self.say(family, message, self.places.key(*path, name), hint)
            label = family if given == ("result",) else f"{family} '{name}'"
            self.formula(part, label, scope, self.language, forward=True, barred=barred)
        for name in self.outputs:
            if name not in given and given != ("result",):
                message = f"no formula for the output '{name}'"
                self.say(family, message, self.places.key(*path))

    @property
    def lane_names(self) -> tuple[str, ...]:
        return LANE_NAMES if self.entry.family == "rowwise" else ()

    def late_lets(self, late: set[str]) -> dict[str, str]:
        """The parts that use one of `late`, directly or through other parts, and why."""
        found: dict[str, str] = {}
        for name, part in self.entry.let:
            wanted = sorted(late | found.keys())
            used = [n for n in wanted if mentions(part.tree, n.__eq__)]
            if used:
                found[name] = f"it uses {used[0]}"
        return found

    def over(self) -> None:
        name = self.entry.over
        found = [a for a in self.signature.arguments if a.name == name and a.type == "int"]
        if not found:
            known = [a.name for a in self.signature.arguments if a.type == "int"]
            message = f"'{name}' is not an int or int[] argument"
            mark = self.places.value("rowwise", "over")
            self.say("rowwise, 'over'", message, mark, nearest(name, known))
        formulas = [part.tree for _, part in (*self.entry.let, *self.entry.results)]
        if self.entry.empty is not None and not any(calls(t) & LANE_HELPERS for t in formulas):
            message = "nothing here is an error for a lane without elements"
            mark = self.places.key("rowwise", "empty")
            self.say("rowwise, 'empty'", message, mark, "max, min, argmax and argmin are")

    def numbers(self) -> None:
        """Tensors of one number a lane: arguments after the first, with a gradient of one each."""
        kinds = lane_kinds(self.entry)
        if any(is_lane(part.tree, kinds) for _, part in self.entry.results):
            kinds |= dict.fromkeys((*self.outputs, *self.incoming), True)
        for i, name in enumerate(self.entry.numbers):
            if name not in self.tensors[1:]:
                message = f"'{name}' is not a tensor argument after the first"
                mark = self.places.value("rowwise", "numbers", i)
                self.say("rowwise, 'numbers'", message, mark, nearest(name, self.tensors[1:]))
            part = dict(self.entry.gradients).get(name)
            if part is not None and is_lane(part.tree, kinds):
                message = "is not one number a lane"
                self.say(f"gradient of '{name}'", message, part.mark, "add it up with sum()")

    def runs(self) -> None:
        """Tensors of one number a run: arguments after the first, and what their kernels can do."""
        for i, name in enumerate(self.entry.runs):
            if name not in self.tensors[1:] or name in self.entry.numbers:
                message = f"'{name}' is not a tensor argument after the first, or among 'numbers'"
                mark = self.places.value("rowwise", "runs", i)
                self.say("rowwise, 'runs'", message, mark, nearest(name, self.tensors[1:]))
        trees = [part.tree for _, part in (*self.entry.let, *self.entry.results)]
        trees += [part.tree for _, part in self.entry.gradients]
        used = set().union(*(calls(tree) for tree in trees)) & LANE_HELPERS
        others = {*self.tensors[1:]} - {*self.entry.runs, *self.entry.numbers}
        mark = self.places.key("rowwise", "runs") if self.entry.runs else None
        if self.entry.runs and (used or others or any(count(t, "position") for t in trees)):
            message = f"do not go with {', '.join(sorted(used | others)) or 'position'}"
            self.say("rowwise, 'runs'", message, mark)

    def composite(self) -> None:
        last = len(self.entry.cases) - 1
        single = ("composite", 0) not in self.places.values
        for i, case in enumerate(self.entry.cases):
            label = "composite" if single else f"composite case {i + 1}"
            scope = list(self.arguments)
            if case.condition is None and i < last:
                hint = "only the last case may lack it"
                self.say(label, "'if' is missing", self.places.value("composite", i), hint)
            if case.condition is not None:
                self.formula(case.condition, f"{label}, if", scope, "tensor", forward=True)
            for name, part in case.let:
                self.let_name(name, self.places.key("composite", i, "let", name), scope)
                self.formula(part, f"{label}, let '{name}'", scope, "tensor", forward=True)
                scope.append(name)
            count = len(self.outputs)
            self.formula(case.result, label, scope, "tensor", forward=True, outputs=count)

    def target(self) -> None:
        family, target = self.entry.family, self.entry.target
        mark = self.places.value(family)
        if family == "library":
            problem = formula.dotted_problem(target)
            if problem:
                self.say(family, problem, mark, formula.DOTTED_HINT)
        else:
            problem = names.lexical_problem(target)
            if problem:
                self.say(family, f"the name '{target}' {problem}", mark)

    # -- gradients --------------------------------------------------------------------------

    def statements(self) -> None:
        """Silence is an error: each tensor argument has exactly one statement."""
        entry = self.entry
        formulas = dict(entry.gradients)
        reasons = dict(entry.not_implemented)
        for name in formulas:
            self.tensor_argument("gradients", name, self.places.key("gradients", name))
        for name in reasons:
            self.tensor_argument("not_implemented", name, self.places.key("not_implemented", name))
        for i, name in enumerate(entry.not_differentiable):
            if name not in self.outputs:
                mark = self.places.value("not_differentiable", i)
                self.tensor_argument("not_differentiable", name, mark, self.outputs)
        if not self.differentiable:
            self.nothing_to_differentiate()
            return
        if entry.family in COMPOSED and (formulas or reasons):
            key = "gradients" if formulas else "not_implemented"
            hint = "write 'gradients: auto', or 'not_differentiable: all'"
            message = f"the gradients of a {entry.family} are derived"
            self.say(f"'{key}'", message, self.places.key(key), hint)
            return
        if entry.auto:
            self.automatic()
            return
        for name in self.tensors:
            self.statement(name, name in formulas, name in reasons)

    def statement(self, name: str, formula: bool, reason: bool) -> None:
        denied = name in self.entry.not_differentiable
        given = [formula, reason, denied]
        mark = self.signature.argument(name).mark
        if sum(given) == 0:
            hint = "give 'gradients', 'not_differentiable' or 'not_implemented: {argument: reason}'"
            if self.entry.family in COMPOSED:
                hint = "write 'gradients: auto', or 'not_differentiable'"
            self.say("", f"nothing is said about the gradient of '{name}'", mark, hint)
        elif sum(given) > 1:
            keys = ("gradients", "not_implemented", "not_differentiable")
            said = [key for key, there in zip(keys, given, strict=True) if there]
            self.say("", f"'{name}' stands in both {said[0]} and {said[1]}", mark)

    def nothing_to_differentiate(self) -> None:
        for key in ("gradients", "jvp", "linear", "not_implemented"):
            if (key,) in self.places.keys:
                message = "no output is differentiable, so there is nothing to say here"
                self.say(f"'{key}'", message, self.places.key(key))

    def automatic(self) -> None:
        if self.entry.family == "pointwise":
            self.derivable()
        if self.entry.family not in AUTOMATIC:
            message = f"'auto' is not available for the family {self.entry.family}"
            hint = f"gradients are derived for {', '.join(AUTOMATIC)}"
            self.say("'gradients'", message, self.places.value("gradients"), hint)
        for name, _ in self.entry.not_implemented:
            message = f"'{name}' has a gradient already, by 'gradients: auto'"
            self.say("'not_implemented'", message, self.places.key("not_implemented", name))

    def derivable(self) -> None:
        """Whether reverse mode over the formula finds a rule for everything in it."""
        mark = self.places.value("gradients")
        if len(self.outputs) > 1:
            self.say("'gradients'", "'auto' is available for one output only", mark)
        for _, part in (*self.entry.let, *self.entry.results):
            for tree in walk(part.tree):
                what = ""
                if isinstance(tree, Binary) and tree.operator == "%":
                    what = "'%'"
                elif isinstance(tree, Call) and tree.function in self.operators:
                    found = self.operators.named(tree.function)
                    if found and all(entry.not_implemented for entry in found):
                        what = f"'{tree.function}'"
                if what:
                    self.say("'gradients'", f"'auto' has no rule for {what}", tree.mark)

    def tensor_argument(
        self, key: str, name: str, mark: Mark | None, others: tuple[str, ...] = ()
    ) -> bool:
        if name in self.tensors:
            return True
        if name in self.arguments:
            kind = self.signature.argument(name).type
            self.say(f"'{key}'", f"the argument '{name}' is of type {kind}, not a tensor", mark)
            return False
        known = (*self.tensors, *others)
        hint = hints(nearest(name, known), f"the tensors are {', '.join(known)}")
        what = "argument or output" if others else "argument"
        self.say(f"'{key}'", f"unknown {what} '{name}'", mark, hint)
        return False

    def gradient_names(self) -> tuple[str, ...]:
        """What the incoming gradients are called in gradient formulas."""
        outputs = self.signature.outputs
        if len(outputs) == 1 and outputs[0].many:
            return ("grads",)
        if len(self.differentiable) == 1:
            return ("grad",)
        return tuple(f"grad_{name}" for name in self.differentiable)

    def backward(self) -> None:
        if not self.differentiable:
            return
        lets = [name for name, _ in self.entry.let]
        scope = [*self.arguments, *self.outputs, *self.lane_names, *lets]
        for name in self.incoming:
            if name in scope:
                self.say("", f"'{name}' is both an incoming gradient and a name", self.entry.mark)
        for name, part in self.entry.gradients:
            label = f"gradient of '{name}'"
            if self.formula(part, label, [*scope, *self.incoming], self.language):
                self.linear_in(part, label, self.incoming)
        barred = self.late_lets(set(self.incoming))
        scope = [name for name in scope if name not in barred]
        for name, part in self.entry.jvp:
            self.tensor_argument("jvp", name, self.places.key("jvp", name))
            label = f"jvp of '{name}'"
            if self.formula(part, label, [*scope, "tangent"], self.language, barred=barred):
                self.linear_in(part, label, ("tangent",))
        stated = dict(self.entry.jvp)
        for i, name in enumerate(self.entry.linear):
            mark = self.places.value("linear", i)
            known = self.tensor_argument("linear", name, mark)
            if known and name in stated:
                self.say("'linear'", f"'{name}' has a jvp already", mark)

    def linear_in(self, part: Formula, label: str, incoming: tuple[str, ...]) -> None:
        """A gradient that does not use the incoming one is wrong, unless it is zero."""
        zero = isinstance(part.tree, Constant) and part.tree.value == 0
        known = {*incoming, *self.late_lets(set(incoming))}
        if not zero and not mentions(part.tree, known.__contains__):
            what = " or ".join(incoming)
            self.say(label, f"does not use {what}", part.mark, "write 0 for no gradient at all")

    # -- formulas ---------------------------------------------------------------------------

    def formula(
        self,
        part: Formula,
        label: str,
        scope: list[str],
        language: str,
        *,
        forward: bool = False,
        outputs: int = 1,
        barred: Mapping[str, str] = MappingProxyType({}),
    ) -> bool:
        """Check one formula; whether nothing was wrong with it."""
        before = len(self.problems.found)
        checker = Checker(
            language,
            tuple(scope),
            barred,
            self.operators,
            self.scalars,
            lambda message, mark, hint: self.say(label, message, mark, hint),
        )
        checker.check(part, outputs)
        self.used |= checker.used
        self.called |= checker.called
        if forward:
            self.edges += [(self.entry, callee, mark) for callee, mark in checker.reached]
        return len(self.problems.found) == before

    def let_key(self, name: str) -> Mark | None:
        beside = ("let", name) in self.places.keys
        return self.places.key("let", name) if beside else self.places.key("rowwise", "let", name)

    def let_names(self) -> None:
        taken = [*self.arguments, *self.incoming]
        for name, _ in self.entry.let:
            self.let_name(name, self.let_key(name), taken)
            taken.append(name)
            if name not in self.used:
                self.say(f"let '{name}'", "is never used", self.let_key(name))

    def let_name(self, name: str, mark: Mark | None, taken: list[str]) -> None:
        problem = names.variable_problem(name)
        if not problem and (name in taken or name in self.outputs):
            problem = "is taken"
        if problem:
            self.say(f"let '{name}'", f"the name '{name}' {problem}", mark)

    def one_name_one_thing(self) -> None:
        """A name that is also called would hide the function in the kernel."""
        hint = "one name is one thing within an entry"
        for argument in self.signature.arguments:
            if argument.name in self.called:
                message = f"the argument '{argument.name}' is also called as a function"
                self.say("", message, argument.mark, hint)
        for name, _ in self.entry.let:
            if name in self.called:
                self.say(f"let '{name}'", "is also called as a function", self.let_key(name), hint)
