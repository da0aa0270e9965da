"""Lowering of the rowwise family: one lane at a time, reductions grouped into few loops.

A formula mixes values that differ along the lane ("lane") with values that are one number a
lane ("row"). Reductions turn the former into the latter. Every reduction gets a level, one more
than what it reads; the reductions of a level share one loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .expressions import calls, children, count, names, simplify, transform, walk
from .kernel_text import KernelPrinter, used_lets
from .lower_columns import REDUCTIONS as IN_COLUMNS
from .lower_columns import ColumnPrinter, Columns
from .lower_pointwise import Context
from .lower_runs import RunPrinter, Runs
from .model import Binary, Call, Constant, Entry, Expr, Formula, Name
from .moments import MOMENTS, merge, parts
from .plans import Backward, Kernel

REDUCTIONS = {"max", "min", "sum", "mean", "prod", "any", "all", "argmax", "argmin"}
LANE_HELPERS = {"max", "min", "argmax", "argmin"}


@dataclass(frozen=True)
class LanePlan:
    """What the functions template and the runtime need to know of a rowwise operator."""

    over: str
    lane_outputs: tuple[bool, ...]  # per output: a lane (True) or one number a lane
    lane_parameters: tuple[str, ...]  # tensors that broadcast along the rows
    lane_numbers: tuple[str, ...]  # tensors of one number a lane
    lane_runs: tuple[str, ...]  # tensors of one number a run of a lane
    forward: Kernel
    forward_arguments: tuple[str, ...]
    backward: tuple[Backward, ...]
    saved_rows: tuple[str, ...]  # `let` numbers that the forward kernel also writes
    nonempty: bool  # an empty lane is an error
    empty: float | None  # what the result of an empty lane is instead
    rules: tuple[str, ...]  # dtype rule of each output
    total: str  # "sum" or "mean" when the result is that of the input itself
    even: tuple[bool, ...]  # per differentiable input: all of a lane has the same gradient


@dataclass
class _Body:
    """The statements of one row, as they are collected."""

    printer: KernelPrinter
    lines: list[str] = field(default_factory=list)
    scratch: list[str] = field(default_factory=list)
    helpers: int = 0


def is_lane(tree: Expr, kinds: Mapping[str, bool]) -> bool:
    """Whether a value differs along the lane, given which names do."""
    if isinstance(tree, Call) and tree.function in REDUCTIONS:
        return False
    if isinstance(tree, Name):
        return kinds.get(tree.id, False)
    return any(is_lane(child, kinds) for child in children(tree))


def lane_kinds(entry: Entry) -> dict[str, bool]:
    """Which arguments and parts of an entry differ along the lane."""
    tensors = {a.name for a in entry.signature.tensors} - {*entry.numbers}
    kinds = {name: True for name in (*tensors, "position")}
    for name, part in entry.let:
        kinds[name] = is_lane(part.tree, kinds)
    return kinds


class RowLowering:
    """Kernels of one rowwise entry."""

    def __init__(self, entry: Entry, context: Context, differentiable: Sequence[str]) -> None:
        self.entry = entry
        self.context = context
        self.differentiable = tuple(differentiable)
        tensors = [a.name for a in entry.signature.tensors]
        self.lanes = tensors[:1]
        self.lane_numbers = entry.numbers
        self.lane_runs = entry.runs
        apart = (*entry.numbers, *entry.runs)
        self.lane_parameters = tuple(t for t in tensors[1:] if t not in apart)
        self.scalars = [a.name for a in entry.signature.arguments if not a.is_tensor]
        self.results = [(n, context.inline(f.tree)) for n, f in entry.results]
        self.let = [(n, context.inline(f.tree)) for n, f in entry.let]
        self.kinds = lane_kinds(entry)
        self.lane_outputs = tuple(self._is_lane(tree) for _, tree in self.results)
        self.outputs = tuple(name for name, _ in self.results)

    def _is_lane(self, tree: Expr) -> bool:
        return is_lane(tree, self.kinds)

    # --- kernels -------------------------------------------------------------------------

    def plan(self) -> LanePlan:
        gradients = dict(self.entry.gradients)
        grads = ["grad"] if len(self.outputs) == 1 else [f"grad_{n}" for n in self.outputs]
        lane_grads = dict(zip(grads, self.lane_outputs, strict=True))
        if len(self.outputs) > 1:
            wanted = [n for n in self.outputs if n not in self.entry.not_differentiable]
            if len(wanted) == 1:
                lane_grads = {"grad": self.lane_outputs[self.outputs.index(wanted[0])]}
        trees = {d: simplify(self.context.inline(gradients[d].tree)) for d in self.differentiable}
        saved_rows = self._saved_rows(list(trees.values()), set(lane_grads))
        forward = self._forward(saved_rows)
        backward = []
        groups: list[tuple[str, ...]] = [tuple(trees)] if len(trees) > 1 else []
        groups += [(d,) for d in trees]
        for group in groups:
            backward.append(self._backward(group, trees, lane_grads, saved_rows))
        functions = set().union(*(calls(t) for _, t in (*self.let, *self.results)))
        return LanePlan(
            over=self.entry.over,
            lane_outputs=self.lane_outputs,
            lane_parameters=self.lane_parameters,
            lane_numbers=self.lane_numbers,
            lane_runs=self.lane_runs,
            forward=forward,
            forward_arguments=forward.arguments,
            backward=tuple(backward),
            saved_rows=saved_rows,
            nonempty=bool(functions & LANE_HELPERS) and self.entry.empty is None,
            empty=self.entry.empty,
            rules=tuple(self._rule(tree) for _, tree in self.results),
            total=self._total(),
            even=tuple(self._even(d, trees[d]) for d in trees),
        )

    def _total(self) -> str:
        """Which plain total of the input the only result is, if it is one."""
        tree = self.results[0][1]
        if len(self.results) == 1 and isinstance(tree, Call) and tree.function in ("sum", "mean"):
            return tree.function if tree.arguments[0] == Name(self.lanes[0]) else ""
        return ""

    def _even(self, argument: str, tree: Expr) -> bool:
        """Whether a gradient is one number a lane; the incoming one must be, too."""
        others = (*self.lane_parameters, *self.lane_numbers, *self.lane_runs)
        return argument not in others and not (any(self.lane_outputs) or self._is_lane(tree))

    def _saved_rows(self, trees: list[Expr], grads: set[str]) -> tuple[str, ...]:
        """Numbers of a lane that gradients read again and that the forward pass knows.

        Only those that cost a reduction: the rest is cheaper to compute again.
        """
        needed = used_lets(trees, tuple((n, Formula("", t)) for n, t in self.let))
        late = grads | set(self.outputs)
        rows: list[str] = []
        for name, formula in needed:
            if names(formula.tree) & late:
                late.add(name)
            elif not self.kinds[name] and calls(formula.tree) & REDUCTIONS:
                rows.append(name)
        # not those that only other saved ones are made of
        others = tuple((n, Formula("", t)) for n, t in self.let if n not in rows)
        direct = [*trees, *(formula.tree for _, formula in used_lets(trees, others))]
        read = set().union(*(names(tree) for tree in direct))
        return tuple(name for name in rows if name in read)

    def _rule(self, tree: Expr) -> str:
        if isinstance(tree, Call) and tree.function in ("argmax", "argmin"):
            return "index"
        if isinstance(tree, Call) and tree.function in ("any", "all"):
            return "bool"
        if self.entry.dtype:
            return self.entry.dtype
        if isinstance(tree, Call) and tree.function in ("sum", "prod"):
            return "sum"
        if isinstance(tree, Call) and tree.function in ("max", "min"):
            return "promote"
        return "floating"

    def _forward(self, saved_rows: Sequence[str]) -> Kernel:
        outs = {n: ("out" if len(self.results) == 1 else f"out_{n}") for n, _ in self.results}
        assignments = [
            (outs[n], tree, "lane" if lane else "row")
            for (n, tree), lane in zip(self.results, self.lane_outputs, strict=True)
        ]
        assignments += [(f"save_{n}", Name(n), "row") for n in saved_rows]
        comments = [f"{self.entry.signature.name}:"]
        comments += [f"  {n} = {f.text}" for n, f in self.entry.let]
        comments += [f"  {f.text}" for _, f in self.entry.results]
        return self._kernel(
            f"{self.entry.name}_forward",
            comments,
            assignments,
            lanes=list(self.lanes),
            rows=self.lane_numbers,
            known=set(),
        )

    def _backward(
        self,
        group: Sequence[str],
        trees: dict[str, Expr],
        lane_grads: dict[str, bool],
        saved_rows: Sequence[str],
    ) -> Backward:
        positions = {d: i for i, d in enumerate(self.differentiable)}
        texts = dict(self.entry.gradients)
        comments = [f"{self.entry.signature.name}, gradient of {', '.join(group)}:"]
        comments += [f"  {texts[d].text}" for d in group]
        order = tuple(positions[d] for d in group)
        if (
            len(group) == 1
            and trees[group[0]] == Name("grad")
            and self._even(group[0], Name("grad"))
        ):
            return Backward(order, None, (), ())
        part = "" if len(group) == len(trees) else "_" + "_".join(group)
        assignments = []
        for d in group:
            out = "out" if len(group) == 1 else f"out_{d}"
            kind = "row" if self._even(d, trees[d]) else "lane"
            kind = "parameter" if d in self.lane_parameters else kind
            kind = "row" if d in self.lane_numbers else kind
            kind = "each" if d in self.lane_runs else kind
            assignments.append((out, trees[d], kind))
        lanes = [g for g, lane in lane_grads.items() if lane] + list(self.lanes)
        lanes += [n for n, lane in zip(self.outputs, self.lane_outputs, strict=True) if lane]
        rows = [g for g, lane in lane_grads.items() if not lane]
        rows += [n for n, lane in zip(self.outputs, self.lane_outputs, strict=True) if not lane]
        rows += [*self.lane_numbers, *saved_rows]
        kernel = self._kernel(
            f"{self.entry.name}_backward{part}",
            comments,
            assignments,
            lanes=lanes,
            rows=rows,
            known=set(saved_rows),
        )
        saved = tuple(a for a in kernel.arguments if a not in lane_grads)
        return Backward(order, kernel, order, saved)

    def _kernel(
        self,
        name: str,
        comments: Sequence[str],
        assignments: Sequence[tuple[str, Expr, str]],
        *,
        lanes: Sequence[str],
        rows: Sequence[str],
        known: set[str],
    ) -> Kernel:
        lets = tuple((n, Formula("", t)) for n, t in self.let if n not in known)
        needed = used_lets([tree for _, tree, _ in assignments], lets)
        used = set().union(
            *(names(t) for _, t, _ in assignments), *(names(f.tree) for _, f in needed)
        )
        lane_in = [n for n in lanes if n in used]
        row_in = [n for n in rows if n in used]
        parameters = [n for n in self.lane_parameters if n in used]
        each = [n for n in self.lane_runs if n in used]
        scalars = [s for s in self.scalars if s in used]
        places = {n: f"{n}_lane[i]" for n in lane_in}
        places |= {n: f"{n}[i]" for n in parameters}
        places |= {n: f"{n}[row]" for n in row_in}
        places |= {"position": "i", "count": "number(n)"}
        emitter = _RowEmitter(self, places, {n: True for n in (*lane_in, *parameters, *each)})
        for let_name, formula in needed:
            uses = sum(count(t, let_name) for _, t, _ in assignments)
            uses += sum(count(f.tree, let_name) for _, f in needed)
            emitter.let(let_name, formula.tree, uses)
        for out, tree, kind in assignments:
            emitter.assign(out, tree, kind)
        emitter.merge_moments(lane_in)
        number_from = (lane_in or parameters or row_in or [a[0] for a in assignments])[0]
        header = [f"{n}_lane = {n}[start:stop]" for n in lane_in]
        header += [f"{out}_lane = {out}[start:stop]" for out, _, k in assignments if k == "lane"]
        spans = ["start = row * n", "stop = start + n"] if header else []
        body = () if self.lane_runs else (*spans, *header, *emitter.lines())
        unlike = bool(parameters or self.lane_runs)
        # what the gradient of a tensor of numbers needs alone is rare: lanes are brought for it
        alone = len(assignments) == 1 and assignments[0][0] == "out" and assignments[0][2] == "row"
        in_runs = lane_in and not parameters and not (alone and self.lane_numbers)
        return Kernel(
            name=name,
            comments=tuple(comments),
            inputs=(*lane_in, *parameters, *row_in, *each),
            scalars=tuple(scalars),
            outputs=tuple(a[0] for a in assignments),
            body=body,
            number_from=number_from if _uses_number(body, scalars) else "",
            lane=Lane(
                like=number_from,
                scratch=tuple(emitter.scratch),
                lanes=(*lane_in, *(o for o, _, k in assignments if k == "lane")),
                rows=(*row_in, *(o for o, _, k in assignments if k == "row")),
                parameters=tuple(parameters),
                parameter_outputs=tuple(o for o, _, k in assignments if k == "parameter"),
                columns=None if unlike or not lane_in else emitter.columns(lane_in, row_in),
                runs=emitter.runs(lane_in, row_in, each) if in_runs else None,
            ),
        )


def _uses_number(lines: Sequence[str], scalars: Sequence[str]) -> bool:
    return bool(scalars) or any("number(" in line for line in lines)


@dataclass(frozen=True)
class Lane:
    """How the arrays of a rowwise kernel are laid out, for the template."""

    like: str  # the array whose dtype scratch lanes get
    scratch: tuple[str, ...]
    lanes: tuple[str, ...]
    rows: tuple[str, ...]
    parameters: tuple[str, ...]
    parameter_outputs: tuple[str, ...]
    columns: Columns | None  # the same work on lanes that lie side by side
    runs: Runs | None  # the same on lanes that are several runs; alone where these have numbers


class _RowEmitter:
    """Orders the work of one row by levels and prints it."""

    def __init__(
        self, lowering: RowLowering, places: dict[str, str], lanes: dict[str, bool]
    ) -> None:
        self.lowering = lowering
        self.printer = KernelPrinter(places)
        self.places = places
        self.level: dict[str, int] = {}
        self.is_lane: dict[str, bool] = {**lanes, "position": True}
        self.steps: dict[int, list[tuple[str, str, Expr]]] = {}  # level -> (kind, name, tree)
        self.reductions: dict[int, list[tuple[str, str, Expr]]] = {}
        self.memo: list[tuple[str, Expr, str]] = []
        self.scratch: list[str] = []
        self.inlined: dict[str, Expr] = {}
        self.final: list[tuple[str, Expr, str]] = []
        self.counter = 0

    def _lane(self, tree: Expr) -> bool:
        return any(isinstance(t, Name) and self.is_lane.get(t.id, False) for t in walk(tree))

    def _level(self, tree: Expr) -> int:
        return max((self.level.get(name, 0) for name in names(tree)), default=0)

    def _extract(self, tree: Expr) -> Expr:
        """`tree` with reductions replaced by names, innermost first."""

        def visit(node: Expr) -> Expr:
            if isinstance(node, Name) and node.id in self.inlined:
                return self.inlined[node.id]
            if not isinstance(node, Call) or node.function not in REDUCTIONS:
                return node
            return self._reduce(node.function, node.arguments[0])

        return transform(tree, visit)

    def _reduce(self, function: str, value: Expr, name: str = "") -> Expr:
        for known, tree, found in self.memo:
            if known == function and tree == value:
                return Name(found)
        name = name or f"{function}_{self.counter}"
        self.counter += 1
        level = self._level(value)
        if function in LANE_HELPERS and not (
            isinstance(value, Name) and self.places.get(value.id, "").endswith("_lane[i]")
        ):
            value = self._materialise(f"lane_{self.counter}", value)
            level = self._level(value)
        self.reductions.setdefault(level, []).append((function, name, value))
        self.level[name] = level + 1
        self.memo.append((function, value, name))
        return Name(name)

    def _materialise(self, name: str, tree: Expr) -> Name:
        self.steps.setdefault(self._level(tree), []).append(("lane", name, tree))
        self.level[name] = self._level(tree)
        self.is_lane[name] = True
        self.places[name] = f"{name}_lane[i]"
        self.scratch.append(name)
        return Name(name)

    def let(self, name: str, tree: Expr, uses: int) -> None:
        if isinstance(tree, Call) and tree.function in REDUCTIONS:
            found = self._reduce(tree.function, self._extract(tree.arguments[0]), name)
            if found != Name(name):
                self.inlined[name] = found
            return
        tree = self._extract(tree)
        if self._lane(tree):
            if uses > 1 and calls(tree):
                self._materialise(name, tree)
            else:
                self.inlined[name] = tree
            return
        self.steps.setdefault(self._level(tree), []).append(("row", name, tree))
        self.level[name] = self._level(tree)

    def assign(self, out: str, tree: Expr, kind: str) -> None:
        self.final.append((out, self._extract(tree), kind))

    def merge_moments(self, lanes: Sequence[str]) -> None:
        """Find mean and variance of an input together; all is collected by then."""
        merge(self.steps, self.reductions, {*lanes}, self._lane)

    def columns(self, lanes: Sequence[str], rows: Sequence[str]) -> Columns | None:
        """The work on lanes side by side; None where a reduction has no such form."""
        functions = {function for found in self.reductions.values() for function, _, _ in found}
        kinds = {kind for _, _, kind in self.final}
        if functions - IN_COLUMNS or "parameter" in kinds:
            return None
        printer = ColumnPrinter(lanes, rows, self.scratch)
        return printer.columns(self.steps, self.reductions, self.final)

    def runs(self, lanes: Sequence[str], rows: Sequence[str], each: Sequence[str]) -> Runs | None:
        """The work on lanes of several runs; None where there is no such form."""
        if any(kind == "parameter" for _, _, kind in self.final):
            return None
        printer = RunPrinter(lanes, rows, each, self.scratch, self._level)
        return printer.runs(self.steps, self.reductions, self.final, not self.lowering.lane_runs)

    # --- printing --------------------------------------------------------------------------

    def lines(self) -> list[str]:
        lines: list[str] = []
        levels = sorted({*self.steps, *self.reductions})
        for level in levels:
            for kind, name, tree in self.steps.get(level, []):
                if kind == "row":
                    lines += self.printer.statements(name, tree, f"{name}_part")
                else:
                    lines += self._loop([(f"{name}_lane[i]", "=", tree)], f"{name}_lane")
            lines += self._reduce_lines(self.reductions.get(level, []))
        for out, tree, kind in self.final:
            if kind == "row":
                lines += self.printer.statements(f"{out}[row]", tree, f"{out}_part")
        lane_outs = [(o, t) for o, t, kind in self.final if kind == "lane"]
        added = [(o, t) for o, t, kind in self.final if kind == "parameter"]
        if lane_outs or added:
            loop = [(f"{o}_lane[i]", "=", t) for o, t in lane_outs]
            loop += [(f"{o}[i]", "+=", t) for o, t in added]
            lines += self._loop(loop, f"{lane_outs[0][0]}_lane" if lane_outs else added[0][0])
        return lines

    def _loop(self, statements: Sequence[tuple[str, str, Expr]], bound: str) -> list[str]:
        lines = [f"for i in range({bound}.shape[0]):"]
        for number, (target, sign, tree) in enumerate(statements):
            found = self.printer.statements(target, tree, f"part{number}", sign)
            lines += [f"    {line}" for line in found]
        return lines

    def _reduce_lines(self, reductions: Sequence[tuple[str, str, Expr]]) -> list[str]:
        lines: list[str] = []
        loop: list[tuple[str, str, Expr]] = []
        after: list[str] = []
        for function, name, value in reductions:
            if function in LANE_HELPERS:
                assert isinstance(value, Name)
                lines.append(f"{name} = lane_{function}({value.id}_lane)")
                continue
            if function == MOMENTS:
                found = f"lane_moments({name}_lane, 0, 0, 1, n)"
                lines.append(f"{', '.join(parts(name))} = {found}")
                continue
            if function == "sum" and (picked := self._picked(value)):
                lines.append(f"{name} = {picked}")
                continue
            if function in ("sum", "mean"):
                lines.append(f"{name}_sum = accumulator(number(0))")
                loop.append((f"{name}_sum", "+=", value))
                mean = f"number({name}_sum / n)" if function == "mean" else f"number({name}_sum)"
                after.append(f"{name} = {mean}")
            elif function == "prod":
                lines.append(f"{name} = accumulator(number(1))")
                loop.append((name, "*=", value))
            else:
                lines.append(f"{name} = {function == 'all'}")
                loop.append((name, "&=" if function == "all" else "|=", value))
        if loop:
            bound = self._bound(loop[0][2])
            lines += self._loop(loop, bound)
        return lines + after

    def _picked(self, value: Expr) -> str:
        """The sum of `where(position == place, lane, 0)` without a loop, where a lane is read."""
        match value:
            case Call("where", (Binary("==", Name("position"), place), Name(lane), Constant(0))):
                if not self._lane(place) and f"{lane}_lane[i]" == self.places.get(lane):
                    return f"lane_at({lane}_lane, {self.printer.statements('', place)[-1][3:]})"
        return ""

    def _bound(self, tree: Expr) -> str:
        """An array of the lane's length that the expression reads."""
        for name in sorted(names(tree)):
            place = self.places.get(name, "")
            if place.endswith("_lane[i]"):
                return f"{name}_lane"
        for place in self.places.values():
            if place.endswith("_lane[i]"):
                return place[: -len("[i]")]
        return next(p[: -len("[i]")] for p in self.places.values() if p.endswith("[i]"))
