"""Lowering of the pointwise family: one loop over elements, every input gradient in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from .expressions import names, simplify, substitute, walk
from .kernel_text import KernelPrinter, inline, used_lets
from .model import Argument, Binary, Call, Constant, Entry, Expr, Formula, Name, Unary
from .plans import Backward, Form, InPlace, Kernel, Saved
from .scalars import Scalar

COMPARISONS = {"==", "!=", "<", "<=", ">", ">=", "and", "or"}


@dataclass(frozen=True)
class Context:
    """What a pointwise lowering may look up."""

    entries: Mapping[str, Entry]
    scalars: Mapping[str, Scalar]

    def inline(self, tree: Expr) -> Expr:
        return inline(tree, self.entries, self.scalars.keys())


def masks(entry: Entry) -> tuple[str, ...]:
    """Operands that serve only as conditions of `where`: they are bool, not promoted."""
    found: list[str] = []
    trees = [f.tree for _, f in entry.results] + [f.tree for _, f in entry.let]
    for argument in entry.signature.tensors:
        name = Name(argument.name)
        as_condition = as_value = 0
        for tree in trees:
            for node in walk(tree):
                if node == name:
                    as_value += 1
                if isinstance(node, Call) and node.function == "where":
                    as_condition += node.arguments[0] == name
        if as_condition and as_condition == as_value:
            found.append(argument.name)
    return tuple(found)


def dtype_rule(entry: Entry, context: Context) -> str:
    """How the dtype of the result follows from the formula.

    bool: a condition. float: integers become floating. number: the operands' common dtype, which
    must not be bool, since the formula subtracts, divides, takes powers or has a number in it.
    promote: the common dtype.
    """
    if entry.dtype:
        return entry.dtype
    root = context.inline(entry.results[0][1].tree)
    if _is_bool(root, context):
        return "bool"
    trees = [context.inline(f.tree) for _, f in (*entry.let, *entry.results)]
    floats = {a.name for a in entry.signature.arguments if a.type == "float"}
    for tree in trees:
        if names(tree) & floats:
            return "float"
        for node in walk(tree):
            match node:
                case Binary("/"):
                    return "float"
                case Constant(value) if isinstance(value, float):
                    return "float"
                case Call(function) if (
                    function in context.scalars and context.scalars[function].kind == "float"
                ):
                    return "float"
    return (
        "number"
        if any(_is_arithmetic(node) for tree in trees for node in walk(tree))
        else "promote"
    )


def _is_arithmetic(node: Expr) -> bool:
    """Whether a part of a formula has no meaning for bool operands."""
    match node:
        case Binary("-" | "//" | "%" | "**") | Unary("-"):
            return True
        case Constant(value):
            return isinstance(value, int) and not isinstance(value, bool)
        case Call("pow" | "remainder" | "floor_divide" | "fmod"):
            return True
    return False


def _is_bool(tree: Expr, context: Context) -> bool:
    match tree:
        case Binary(operator) if operator in COMPARISONS:
            return True
        case Unary("not"):
            return True
        case Call(function) if function in context.scalars:
            return context.scalars[function].kind == "bool"
    return False


def lower_forms(
    entry: Entry, context: Context, differentiable: Sequence[str]
) -> tuple[tuple[Form, ...], Form, dict[str, Kernel]]:
    """The forms of the fast path, the form with all parameters, and what that calls for rows.

    The last are its forward kernels with a number in the place of an operand, by operand.
    """
    parameters = [a for a in entry.signature.arguments if not a.is_tensor]
    defaults = {
        a.name: Constant(a.default)
        for a in parameters
        if a.has_default and a.type == "Scalar" and isinstance(a.default, int | float)
    }
    unfolded = _Lowering(entry, context, differentiable, {})
    full = unfolded.form("")
    folded = _Lowering(entry, context, differentiable, defaults)
    worthwhile = bool(defaults) and folded.simplifies()
    plain = folded if worthwhile else unfolded
    first = plain.form("") if worthwhile else full
    if worthwhile:
        unfolded = _Lowering(entry, context, differentiable, {}, suffix="_general")
        full = unfolded.form("")
    forms = [first]
    if len(entry.results) == 1:
        forms += [plain.form(a.name) for a in scalar_operands(entry)]
    alone = {a.name: unfolded.forward(a.name) for a in scalar_operands(entry)}
    return tuple(forms), full, alone if len(full.forward.inputs) == 2 else {}


def lower_inplace(entry: Entry, context: Context) -> tuple[InPlace, ...]:
    """The in-place forms, with all parameters; none where the result may be of another dtype."""
    first, *others = entry.signature.tensors
    fits = len(entry.results) == 1 and dtype_rule(entry, context) != "bool"
    if not fits or not entry.has_inplace or first.name in masks(entry):
        return ()
    lowering = _Lowering(entry, context, (), {})
    scalars = ["", *(a.name for a in others if a.or_scalar)]
    found = [InPlace(scalar, lowering.inplace(scalar)) for scalar in scalars]
    return tuple(form for form in found if form.kernel.inputs[:1] == (first.name,))


def scalar_operands(entry: Entry) -> list[Argument]:
    """Operands for which a kernel with a Python scalar in their place is worth having."""
    tensors = entry.signature.tensors
    if len(tensors) != 2 or not any(a.or_scalar for a in tensors):
        return []
    return [a for a in tensors if a.or_scalar or entry.operator]


class _Lowering:
    """Kernels of one entry, with some parameters folded to constants."""

    def __init__(
        self,
        entry: Entry,
        context: Context,
        differentiable: Sequence[str],
        folded: Mapping[str, Expr],
        suffix: str = "",
    ) -> None:
        self.entry = entry
        self.context = context
        self.differentiable = tuple(differentiable)
        self.folded = folded
        self.suffix = suffix
        self.outputs = tuple(name for name, _ in entry.results)
        self.tensors = [a.name for a in entry.signature.tensors]
        self.parameters = [a.name for a in entry.signature.arguments if not a.is_tensor]
        gradients = dict(entry.gradients)
        self.gradients = {d: self._fold(gradients[d].tree) for d in self.differentiable}
        self.let = [(name, self._fold(f.tree)) for name, f in entry.let]

    def _fold(self, tree: Expr) -> Expr:
        tree = self.context.inline(tree)
        return simplify(substitute(tree, self.folded)) if self.folded else simplify(tree)

    def simplifies(self) -> bool:
        """Whether folding removes every folded parameter and an operation with it."""
        trees = [self._fold(f.tree) for _, f in self.entry.results]
        plain = [
            substitute(self.context.inline(f.tree), self.folded) for _, f in self.entry.results
        ]
        return any(a != b for a, b in zip(trees, plain, strict=True))

    # --- forward -----------------------------------------------------------------------

    def forward(self, scalar: str) -> Kernel:
        return self._forward("forward", scalar, _output_names(self.outputs))

    def inplace(self, scalar: str) -> Kernel:
        """The forward kernel whose result replaces the first operand."""
        return replace(self._forward("inplace", scalar, self.tensors[:1]), outputs=())

    def _forward(self, kind: str, scalar: str, outs: Sequence[str]) -> Kernel:
        arrays = [name for name in self.tensors if name != scalar]
        results = [self._fold(f.tree) for _, f in self.entry.results]
        comments = [f"{self.entry.signature.name}{'_' if kind == 'inplace' else ''}:"]
        comments += [f"  {name} = {f.text}" for name, f in self.entry.let]
        comments += [f"  {f.text}" for _, f in self.entry.results]
        ending = f"_scalar_{scalar}" if scalar else ""
        return self._kernel(
            f"{self.entry.name}_{kind}{self.suffix}{ending}",
            comments,
            results,
            dict(zip(self.outputs, outs, strict=True)),
            arrays,
            scalar,
        )

    def _kernel(
        self,
        name: str,
        comments: list[str],
        trees: list[Expr],
        targets: Mapping[str, str],
        arrays: Sequence[str],
        scalar: str,
    ) -> Kernel:
        """Statements that assign `trees` to the arrays `targets` (in order)."""
        needed = used_lets(trees, tuple((n, Formula("", tree)) for n, tree in self.let))
        used = set().union(*(names(t) for t in trees), *(names(f.tree) for _, f in needed))
        inputs = tuple(a for a in arrays if a in used)
        scalars = [scalar] if scalar and scalar in used else []
        scalars += [p for p in self.parameters if p in used]
        outs = tuple(targets.values())
        printer = KernelPrinter({a: f"{a}[i]" for a in inputs})
        body: list[str] = []
        for let_name, formula in needed:
            body += printer.statements(let_name, formula.tree, f"{let_name}_part")
        for out, tree in zip(outs, trees, strict=True):
            body += printer.statements(f"{out}[i]", tree, f"{out}_part")
        numbers = printer.used_number or scalars
        source = self._number_source(inputs, scalar) if numbers else ""
        return Kernel(
            name=name,
            comments=tuple(comments),
            inputs=inputs,
            scalars=tuple(scalars),
            outputs=outs,
            body=tuple(body),
            number_from=source or (outs[0] if numbers else ""),
        )

    def _number_source(self, inputs: Sequence[str], scalar: str) -> str:
        mask = masks(self.entry)
        return next((a for a in inputs if a not in mask), "")

    # --- backward ----------------------------------------------------------------------

    def form(self, scalar: str) -> Form:
        wanted = [d for d in self.differentiable if d != scalar]
        positions = {d: i for i, d in enumerate(self.differentiable)}
        single = [(d,) for d in wanted]
        pairs = [tuple(wanted)] if len(wanted) > 1 else []
        backward = [self._backward(group, positions, scalar) for group in (*pairs, *single)]
        if len(wanted) == 3:
            backward += [self._backward(g, positions, scalar) for g in combinations(wanted, 2)]
        return Form(
            scalar=scalar,
            forward=self.forward(scalar),
            backward=tuple(backward),
            saved=self._saved(wanted, positions, scalar),
            folded=bool(self.folded),
        )

    def _backward(
        self, group: Sequence[str], positions: Mapping[str, int], scalar: str
    ) -> Backward:
        """One kernel for all of `group`, except gradients that are `grad` unchanged."""
        computed = [d for d in group if self.gradients[d] != Name(self._grad_name())]
        wanted = tuple(positions[d] for d in group)
        if not computed:
            return Backward(wanted, None, (), ())
        whole = [d for d in self.differentiable if self.gradients[d] != Name(self._grad_name())]
        every = computed == whole and (len(whole) > 1 or len(self.differentiable) == 1)
        part = "" if every else "_" + "_".join(computed)
        ending = f"_scalar_{scalar}" if scalar else ""
        texts = dict(self.entry.gradients)
        comments = [f"{self.entry.signature.name}, gradient of {', '.join(computed)}:"]
        comments += [f"  {texts[d].text}" for d in computed]
        arrays = [
            *(g for g in self._grad_names()),
            *(t for t in self.tensors if t != scalar),
            *self.outputs,
        ]
        outs = {d: ("out" if len(computed) == 1 else f"out_{d}") for d in computed}
        kernel = self._kernel(
            f"{self.entry.name}_backward{part}{self.suffix}{ending}",
            comments,
            [self.gradients[d] for d in computed],
            outs,
            arrays,
            scalar,
        )
        saved = tuple(a for a in kernel.arguments if a not in self._grad_names())
        return Backward(wanted, kernel, tuple(positions[d] for d in computed), saved)

    def _grad_name(self) -> str:
        return self._grad_names()[0]

    def _grad_names(self) -> list[str]:
        if len(self.outputs) == 1:
            return ["grad"]
        return [f"grad_{name}" for name in self.outputs]

    def _saved(
        self, wanted: Sequence[str], positions: Mapping[str, int], scalar: str
    ) -> tuple[Saved, ...]:
        lets = tuple((n, Formula("", t)) for n, t in self.let)
        found: dict[str, list[int]] = {}
        for d in wanted:
            tree = self.gradients[d]
            used = names(tree).union(*(names(f.tree) for _, f in used_lets([tree], lets)))
            for name in used:
                found.setdefault(name, []).append(positions[d])
        saved: list[Saved] = []
        for name in (*self.tensors, *self.parameters, *self.outputs):
            if name not in found:
                continue
            kind = "input" if name in self.tensors else "value"
            kind = "output" if name in self.outputs else kind
            kind = "value" if name == scalar else kind
            saved.append(Saved(name, kind, name, tuple(found[name])))
        return tuple(saved)


def _output_names(outputs: Sequence[str]) -> list[str]:
    return ["out"] if len(outputs) == 1 else [f"out_{name}" for name in outputs]
