"""Stage three: a checked specification becomes operators that the templates can print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .array_text import ArrayPrinter, fits, offered
from .derive import derive
from .expressions import count, names, simplify, substitute, transform, walk
from .kernel_text import used_lets
from .lower_pointwise import Context, dtype_rule, lower_forms, lower_inplace, masks
from .lower_rowwise import RowLowering
from .model import COMPOSED, Call, Entry, Expr, Formula, Index, Name, Specification
from .plans import Code, Gradient, Kernel, Operator, Saved
from .printer import Printer
from .scalars import SCALARS
from .tensor_text import TensorPrinter

_LANE_TO_TENSOR = {
    "max": "amax",
    "min": "amin",
    "sum": "sum",
    "mean": "mean",
    "prod": "prod",
    "any": "any",
    "all": "all",
}


@dataclass(frozen=True)
class Module:
    """The operators of one family and group: one kernels file and one functions file."""

    name: str  # "pointwise_arithmetic"
    operators: tuple[Operator, ...]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        return tuple(k for operator in self.operators for k in operator.kernels)


def lower(specification: Specification) -> tuple[Module, ...]:
    """All operators, grouped into the files that they are printed to, in declared order."""
    known = {e.name: e for e in (*specification.imported, *specification.entries)}
    for entry in tuple(known.values()):
        for alias in entry.aliases:
            known.setdefault(alias, entry)
    entries = {name: derive(entry, known) for name, entry in known.items()}
    context = Context(entries, SCALARS)
    groups: dict[str, list[Operator]] = {}
    for declared in specification.entries:
        entry = entries[declared.name]
        name = f"{entry.family}_{entry.group}" if entry.group else entry.family
        groups.setdefault(name, []).append(_Lowering(entry, context).operator())
    return tuple(Module(name, tuple(operators)) for name, operators in groups.items())


def node_name(entry: Entry) -> str:
    """`MulBackward0`: the name of an operator's node class; overloads get a name each."""
    parts = [*entry.signature.name.split("_"), *entry.signature.overload.split("_")]
    return "".join(part[:1].upper() + part[1:] for part in parts) + "Backward0"


def _constant(name: str) -> str:
    """The name of an operator's descriptor: `MUL`; names that differ in case only stay apart."""
    return name.upper() if name.islower() and len(name) > 1 else f"{name}_operator"


class _Lowering:
    def __init__(self, entry: Entry, context: Context) -> None:
        self.entry = entry
        self.context = context
        self.gradients = dict(entry.gradients)
        self.tensors = [a.name for a in entry.signature.tensors]
        self.outputs = [o.name for o in entry.signature.outputs]
        self.differentiable = [t for t in self.tensors if t in self.gradients]
        if entry.family == "view" and entry.auto:
            self.differentiable = self.tensors[:1]
        if entry.family in COMPOSED and entry.auto:
            without = {*entry.not_differentiable, *dict(entry.not_implemented)}
            self.differentiable = [t for t in self.tensors if t not in without]
        self.differentiable_outputs = tuple(
            i for i, o in enumerate(self.outputs) if o not in entry.not_differentiable
        )

    def operator(self) -> Operator:
        entry = self.entry
        saved = self._saved()
        base = Operator(
            entry=entry,
            constant=_constant(entry.name),
            node=node_name(entry) if self.differentiable else "",
            arguments=entry.signature.arguments,
            operands=entry.signature.tensors,
            parameters=tuple(a for a in entry.signature.arguments if not a.is_tensor),
            differentiable=tuple(self.differentiable),
            differentiable_outputs=self.differentiable_outputs,
            rule=entry.dtype or "same",
            masks=(),
            saved=saved,
            gradients=self._gradients(),
            prelude=self._gradient_prelude(),
            undefined=self._undefined(),
            jvp=self._jvp(),
            jvp_prelude=tuple(
                line
                for _, lines in self._prelude([f for _, f in self._jvp_formulas()])
                for line in lines
            ),
        )
        match entry.family:
            case "pointwise":
                return self._pointwise(base)
            case "rowwise":
                return self._rowwise(base)
            case "composite" | "program":
                cases, on_arrays = tuple(self._cases()), tuple(self._array_cases())
                return replace(base, node="", cases=cases, array_cases=on_arrays)
        return base

    def _pointwise(self, base: Operator) -> Operator:
        forms, full, alone = lower_forms(self.entry, self.context, self.differentiable)
        with_rows = replace(
            full.forward,
            rows=bool(full.forward.inputs),
            alone=tuple((name, kernel.name) for name, kernel in alone.items()),
        )
        forms = tuple(replace(f, forward=with_rows) if f is full else f for f in forms)
        full = replace(full, forward=with_rows)
        kernels: dict[str, Kernel] = {}
        for form in (*forms, full):
            for kernel in (form.forward, *(b.kernel for b in form.backward if b.kernel)):
                kernels.setdefault(kernel.name, kernel)
        inplace = lower_inplace(self.entry, self.context)
        kernels.update({form.kernel.name: form.kernel for form in inplace})
        for kernel in alone.values():
            kernels.setdefault(kernel.name, replace(kernel, parallel=False))
        return replace(
            base,
            rule=dtype_rule(self.entry, self.context),
            masks=masks(self.entry),
            integer_errors=tuple(
                (TensorPrinter(frozenset()).printer(f.tree), message)
                for message, f in self.entry.integer_errors
            ),
            forms=forms,
            full=full,
            inplace=inplace,
            kernels=tuple(kernels.values()),
        )

    def _rowwise(self, base: Operator) -> Operator:
        plan = RowLowering(self.entry, self.context, self.differentiable).plan()
        kernels = (plan.forward, *(b.kernel for b in plan.backward if b.kernel))
        every = tuple(range(len(self.differentiable)))
        rows = tuple(Saved(name, "row", name, every) for name in plan.saved_rows)
        return replace(base, lane=plan, kernels=kernels, saved=(*base.saved, *rows))

    # --- tensor lowering ---------------------------------------------------------------------

    def _grad_names(self) -> list[str]:
        if len(self.outputs) == 1 or len(self.differentiable_outputs) == 1:
            return ["grad"]
        return [f"grad_{self.outputs[i]}" for i in self.differentiable_outputs]

    def _undefined(self) -> tuple[int, ...]:
        """The outputs whose gradient may be None, because every use of it allows that.

        It does where it is handed to an operator that takes `Tensor?` there.
        """
        found = []
        trees = [self.gradients[d].tree for d in self.differentiable if d in self.gradients]
        for position, name in enumerate(self._grad_names()):
            uses = sum(count(tree, name) for tree in trees)
            allowed = sum(self._allowing(node, name) for tree in trees for node in walk(tree))
            if len(self.differentiable_outputs) > 1 and uses == allowed:
                found.append(position)
        return tuple(found)

    def _allowing(self, node: Expr, name: str) -> int:
        """How often a call is given the name where it takes `Tensor?`."""
        entry = self.context.entries.get(node.function) if isinstance(node, Call) else None
        if entry is None or not isinstance(node, Call):
            return 0
        arguments = entry.signature.arguments
        given = [*zip(arguments, node.arguments, strict=False)]
        given += [(entry.signature.argument(key), value) for key, value in node.keywords]
        return sum(a.is_tensor and a.optional and value == Name(name) for a, value in given)

    def _local(self, tree: Expr) -> Expr:
        """Queries about arguments that are not read otherwise ask the saved shape or dtype."""

        def visit(node: Expr) -> Expr:
            if not isinstance(node, Call) or len(node.arguments) == 0:
                return node
            subject = node.arguments[0]
            if not isinstance(subject, Name) or subject.id not in self.tensors:
                return node
            own = Name(f"{subject.id}_shape")
            match node.function:
                case "shape":
                    return own
                case "size":
                    return Index(own, node.arguments[1])
                case "ndim":
                    return Call("len", (own,))
                case "numel":
                    return Call("numel", (own,))
                case "dtype_of":
                    return Name(f"{subject.id}_dtype")
            return node

        return transform(tree, visit)

    def _formula_trees(self) -> dict[str, Expr]:
        return {
            d: self._local(self.gradients[d].tree)
            for d in self.differentiable
            if d in self.gradients
        }

    def _saved(self) -> tuple[Saved, ...]:
        if self.entry.family in COMPOSED or not self.differentiable:
            return ()
        lets = tuple((n, Formula("", self._local(f.tree))) for n, f in self.entry.let)
        found: dict[str, list[int]] = {}
        for position, (_, tree) in enumerate(self._formula_trees().items()):
            if self.entry.family == "pointwise":
                tree = simplify(tree)
            used = names(tree).union(*(names(f.tree) for _, f in used_lets([tree], lets)))
            for name in used:
                found.setdefault(name, []).append(position)
        saved = []
        values = [a.name for a in self.entry.signature.arguments if not a.is_tensor]
        for name in self.tensors:
            if name in found:
                saved.append(Saved(name, "input", name, tuple(found[name])))
            for kind in ("shape", "dtype"):
                if f"{name}_{kind}" in found:
                    positions = tuple(found[f"{name}_{kind}"])
                    saved.append(Saved(f"{name}_{kind}", kind, name, positions))
        for name in values:
            if name in found:
                saved.append(Saved(name, "value", name, tuple(found[name])))
        for name in self.outputs:
            if name in found:
                saved.append(Saved(name, "output", name, tuple(found[name])))
        return tuple(saved)

    def _printer(self, extra: Sequence[str] = ()) -> TensorPrinter:
        let = [n for n, _ in self.entry.let]
        tensors = {*self.tensors, *self.outputs, *self._grad_names(), *let, "tangent", *extra}
        rename = {}
        rewrite = None
        if self.entry.family == "rowwise":
            tensors.add("position")
            rename = {"position": "lanes.position()", "count": "lanes.count"}
            rewrite = _lane_call
        return TensorPrinter(tensors, rename=rename, rewrite_call=rewrite)

    def _prelude(self, formulas: Sequence[Formula]) -> list[tuple[str, list[str]]]:
        """The `let` values that formulas read, each with the lines that compute it over tensors."""
        if self.entry.family in COMPOSED:
            return []
        printer = self._printer()
        lets = tuple((n, Formula("", self._local(f.tree))) for n, f in self.entry.let)
        used = used_lets([self._local(f.tree) for f in formulas], lets)
        return [(n, list(printer.lines(n, f.tree, f"{n}_part"))) for n, f in used]

    def _gradient_prelude(self) -> tuple[str, ...]:
        """The `let` values of the gradients; those of some alone only where one is needed.

        For the others the node may not have saved what they read.
        """
        read = {name: set[str]() for name in self._formula_trees()}
        for name in read:
            read[name] = {let for let, _ in self._prelude([self.gradients[name]])}
        found: list[str] = []
        before = ""
        for let, lines in self._prelude(list(self.gradients.values())):
            readers = [i for i, lets in enumerate(read.values()) if let in lets]
            if len(readers) == len(read):
                found += lines
                before = ""
                continue
            condition = f"if {' or '.join(f'needed[{i}]' for i in readers)}:"
            if condition != before:
                found.append(condition)
            found += ["    " + line for line in lines]
            before = condition
        return tuple(found)

    def _gradients(self) -> tuple[Gradient, ...]:
        printer = self._printer()
        found = []
        for position, (name, tree) in enumerate(self._formula_trees().items()):
            if self.entry.family == "pointwise":
                tree = simplify(tree)
            lines = [*printer.lines(f"gradient_{name}", tree, "part")]
            shape = f"node.general.input_shapes[{position}]"
            if name in self.entry.numbers:
                lines.append(f"gradient_{name} = ops.reshape(gradient_{name}, {shape})")
            if name in self.entry.runs:
                lines.append(f"gradient_{name} = lanes.sum_of_runs(gradient_{name}, {shape})")
            text = self.gradients[name].text
            arrays = self._array_lines(name, tree)
            found.append(Gradient(name, position, text, tuple(lines), tuple(arrays)))
        return tuple(found)

    def _array_lines(self, name: str, tree: Expr) -> list[str]:
        """The gradient over arrays, where everything that it reads and calls allows that."""
        entry, entries = self.entry, self.context.entries
        tensors = entry.signature.tensors
        several = len(tensors) == 1 and tensors[0].many
        alone = self.differentiable_outputs == (0,) and (
            several or not any(a.many for a in tensors)
        )
        if entry.family not in ("library", "kernel") or not alone or entry.let or entry.absent:
            return []
        if entry.signature.outputs[0].many or not fits(tree, entries, several):
            return []
        return ArrayPrinter(entries).lines(f"gradient_{name}", tree)

    def _array_cases(self) -> list[tuple[str, str]]:
        """A composite over arrays, where all that it is composed of has such a form."""
        if self.entry.family != "composite" or not offered(self.entry, self.context.entries):
            return []
        printer = ArrayPrinter(self.context.entries).printer
        return [
            (printer(case.condition.tree) if case.condition else "", printer(case.result.tree))
            for case in self.entry.cases
        ]

    def _jvp_formulas(self) -> list[tuple[str, Formula]]:
        """Declared, or inferred: the same partials (pointwise), or the operator itself."""
        if not self.differentiable or len(self.outputs) > 1:
            return []
        if self.entry.jvp:
            return list(self.entry.jvp)
        if self.entry.family == "pointwise":
            return [
                (
                    d,
                    Formula(
                        self.gradients[d].text,
                        substitute(simplify(self.gradients[d].tree), {"grad": Name("tangent")}),
                    ),
                )
                for d in self.differentiable
            ]
        linear = self.entry.linear or (
            tuple(self.differentiable) if self.entry.family == "view" else ()
        )
        if set(self.differentiable) - set(linear):
            return []
        found = []
        for d in linear:
            if d not in self.differentiable:
                continue
            arguments = [
                Name("tangent") if a.name == d else Name(a.name)
                for a in self.entry.signature.arguments
            ]
            positional = [
                value
                for a, value in zip(self.entry.signature.arguments, arguments, strict=True)
                if not a.keyword_only
            ]
            keywords = [
                (a.name, value)
                for a, value in zip(self.entry.signature.arguments, arguments, strict=True)
                if a.keyword_only
            ]
            call = Call(self.entry.name, tuple(positional), tuple(keywords))
            found.append((d, Formula(self.entry.signature.name, call)))
        return found

    def _jvp(self) -> tuple[Gradient, ...]:
        printer = self._printer()
        found = []
        for name, formula in self._jvp_formulas():
            lines = printer.lines("term", formula.tree, "part")
            position = self.differentiable.index(name)
            found.append(Gradient(name, position, formula.text, tuple(lines)))
        return tuple(found)

    def _cases(self) -> list[tuple[str, Code]]:
        found = []
        for case in self.entry.cases:
            printer = self._printer([n for n, _ in case.let])
            lines: list[str] = []
            for name, formula in case.let:
                if not printer.is_tensor(formula.tree):
                    printer.tensors = printer.tensors - {name}
                lines += printer.lines(name, formula.tree, f"{name}_part")
            tree = case.result.tree
            parts, text = printer.printer.hoist(tree, 74, "part")
            lines += [f"{name} = {value}" for name, value in parts]
            condition = printer.printer(case.condition.tree) if case.condition else ""
            found.append((condition, Code(tuple(lines), (text,))))
        return found


def _lane_call(node: Call, printer: Printer) -> str | None:
    """Lane reductions in the tensor lowering keep their dimension, so that they broadcast."""
    if node.function in _LANE_TO_TENSOR and len(node.arguments) == 1:
        name = _LANE_TO_TENSOR[node.function]
        return f"ops.{name}({printer(node.arguments[0])}, lanes.dims, True)"
    return None
