"""Lowering of the rowwise family for lanes that are several dense runs: the channels of images.

The same work as in `lower_rowwise`, with a loop over the runs around each loop over a lane, so
that no lane has to be brought together. Tensors of one number a run are read once for each.

Where one loop over the elements is enough, runs are gone through as they follow each other in
memory, those of one lane far apart, and the sums of lanes grow with each run. Else a lane is
finished before the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .expressions import count, names
from .kernel_text import KernelPrinter, read
from .model import Binary, Expr
from .moments import MOMENTS, parts

REDUCTIONS = {"sum", "mean", "prod", "any", "all", MOMENTS}

Step = tuple[str, str, Expr]
Result = tuple[str, Expr, str]


@dataclass(frozen=True)
class Runs:
    """The text of a kernel over runs, for the template.

    body: what is done for a lane or, in order, for a run; `ending` follows for each lane then, and
    `sums` are of lanes.
    """

    scratch: tuple[str, ...]
    body: tuple[str, ...]
    in_order: bool = False
    sums: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self.body, *self.ending)

    @property
    def literals(self) -> bool:
        """Whether there is a number in the dtype of the input."""
        return any("number(" in line for line in self.lines)

    @property
    def counted(self) -> bool:
        """Whether the length of a lane is read."""
        return bool(self.scratch) or "n" in read(self.lines)


@dataclass
class _Loop:
    """One loop over the runs: what it assigns, and the sums over each run."""

    assigned: list[Step] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    parts: dict[Expr, str] = field(default_factory=dict)


class RunPrinter:
    """Prints the work of an emitter of rows; its arguments come by kind.

    rows, each: tensors of one number a lane and of one number a run; level: which reductions an
    expression waits for.
    """

    def __init__(
        self,
        lanes: Sequence[str],
        rows: Sequence[str],
        each: Sequence[str],
        scratch: Sequence[str],
        level: Callable[[Expr], int],
    ) -> None:
        self.lanes = tuple(lanes)
        self.rows = tuple(rows)
        self.each = tuple(each)
        self.scratch = tuple(scratch)
        self.level = level
        self.sums = 0
        places = {"count": "number(n)"}
        places |= {name: f"{name}_lane[i]" for name in (*self.lanes, *self.scratch)}
        places |= {name: f"{name}_held" for name in self.rows}
        places |= {name: f"{name}_each" for name in self.each}
        self.printer = KernelPrinter(places)

    def runs(
        self,
        steps: Mapping[int, Sequence[Step]],
        reductions: Mapping[int, Sequence[Step]],
        final: Sequence[Result],
        apart: bool,
    ) -> Runs | None:
        """All levels in order, then the results; None where the work has no such form.

        apart: the runs of a lane may lie far apart.
        """
        levels = [step for found in (*steps.values(), *reductions.values()) for step in found]
        trees = [tree for _, _, tree in levels] + [tree for _, tree, _ in final]
        functions = {function for found in reductions.values() for function, _, _ in found}
        if functions - REDUCTIONS or any(count(tree, "position") for tree in trees):
            return None
        ordered = self._in_order(steps, reductions, final) if apart else None
        if ordered is not None:
            return ordered
        lines = ["begin = row * pace", *(f"{name}_held = {name}[row]" for name in self.rows)]
        early = {out: self.level(tree) for out, tree, kind in final if kind != "row"}
        for level in sorted({*steps, *reductions}):
            for kind, name, tree in steps.get(level, ()):
                if kind == "row":
                    lines += self.printer.statements(name, tree, f"{name}_part")
                else:
                    lines += self._all(_Loop([(f"{name}_lane[i]", "=", tree)]))
            if reductions.get(level):
                # what waits for no more is written in the loop that reads the same elements
                now = [item for item in final if early.get(item[0]) == level]
                lines += self._reduce(reductions[level], now)
                early = {out: found for out, found in early.items() if found != level}
        for out, tree, kind in final:
            if kind == "row":
                lines += self.printer.statements(f"{out}[row]", tree, f"{out}_part")
        loop = _Loop()
        self._write([item for item in final if item[0] in early], loop)
        return Runs(self.scratch, (*lines, *self._all(loop)))

    def _in_order(
        self,
        steps: Mapping[int, Sequence[Step]],
        reductions: Mapping[int, Sequence[Step]],
        final: Sequence[Result],
    ) -> Runs | None:
        """The work run by run, in one loop over the elements; None where it takes more."""
        levels = [level for level, found in reductions.items() if found]
        last = levels[0] if levels else max(steps, default=0)
        sums = reductions[last] if levels else ()
        along = [item for item in final if item[2] != "row"]
        rows = {level for level, found in steps.items() for kind, _, _ in found if kind == "row"}
        if (
            len(levels) > 1
            or self.scratch
            or {function for function, _, _ in sums} - {"sum", "mean"}
            or (sums and any(self.level(tree) > last for _, tree, _ in along))
            or any(kind != "row" for found in steps.values() for kind, _, _ in found)
        ):
            return None
        early = [f"{name}_held = {name}[row]" for name in self.rows]
        late: list[str] = []
        loop, grown = _Loop(), []
        for function, name, value in sums:
            loop.assigned.append((f"{name}_sum", "+=", value))
            grown.append(f"{name}_sums[row - low] += {name}_sum")
            part = " / n" if function == "mean" else ""
            late.append(f"{name} = number({name}_sums[row - low]{part})")
        for level in sorted(rows):
            lines = early if level <= last or not sums else late
            for _, name, tree in steps[level]:
                lines += self.printer.statements(name, tree, f"{name}_part")
        for out, tree, kind in final:
            if kind == "row":
                late += self.printer.statements(f"{out}[row]", tree, f"{out}_part")
        self._write(along, loop)
        if not loop.assigned:
            return None
        start = [f"{name}_sum = accumulator(number(0))" for _, name, _ in sums]
        inside = [line[4:] for line in self._all(loop)[1:]]
        body = (*start, *inside, *grown)
        return Runs(
            (),
            ("begin = row * pace", *_needed(early, body), *body),
            True,
            tuple(f"{name}_sums" for _, name, _ in sums),
            (*_needed(early, late), *late),
        )

    def _write(self, final: Sequence[Result], loop: _Loop) -> None:
        """Results along the lane, and those of one number a run."""
        for out, tree, kind in final:
            if kind == "lane":
                loop.assigned.append((f"{out}_lane[i]", "=", tree))
            else:
                outside, inside = self._factors(tree)
                value = " * ".join([self._part(inside, loop), *outside])
                loop.after.append(f"{out}[place] = number({value})")

    def _part(self, tree: Expr | None, loop: _Loop) -> str:
        """The name of a sum over one run; equal ones are computed once."""
        if tree is None:
            return "length"
        if tree not in loop.parts:
            loop.parts[tree] = f"part_{self.sums}"
            self.sums += 1
            loop.assigned.append((loop.parts[tree], "+=", tree))
        return loop.parts[tree]

    def _factors(self, tree: Expr) -> tuple[list[str], Expr | None]:
        """The factors that are one number a run, printed, and the rest."""
        used = names(tree)
        if used & {*self.each} and not used & {*self.lanes, *self.scratch}:
            return [f"({self.printer.printer(tree)})"], None
        if not (isinstance(tree, Binary) and tree.operator == "*"):
            return [], tree
        (left, first), (right, second) = self._factors(tree.left), self._factors(tree.right)
        if not (left or right):
            return [], tree
        rest = Binary("*", first, second) if first and second else first or second
        return left + right, rest

    def _all(self, loop: _Loop) -> list[str]:
        """A loop over the runs, and in it over their elements."""
        assigned = loop.assigned
        if not assigned:
            return []
        written = [t.removesuffix("_lane[i]") for t, _, _ in assigned if t.endswith("_lane[i]")]
        used = set(written).union(*(names(tree) for _, _, tree in assigned))
        scratch = [name for name in self.scratch if name in used]
        dense = [name for name in self.lanes if name in used]
        dense += [name for name in written if name not in self.scratch]
        each = [n for n in self.each if n in used or any(f"{n}_each" in a for a in loop.after)]
        inside = ["at = begin + run * apart"]
        inside += ["place = at // length"] if each or loop.after else []
        inside += [f"{name}_each = {name}[place]" for name in each]
        inside += [f"{name}_lane = {name}[at : at + length]" for name in dense]
        inside += [
            f"{name}_lane = {name}_whole[run * length : (run + 1) * length]" for name in scratch
        ]
        inside += [f"{part} = accumulator(number(0))" for part in loop.parts.values()]
        inside.append(f"for i in range({[*dense, *scratch][0]}_lane.shape[0]):")
        for number, (target, sign, tree) in enumerate(assigned):
            lines = self.printer.statements(target, tree, f"part{number}", sign)
            inside += [f"    {line}" for line in lines]
        return ["for run in range(runs):", *(f"    {line}" for line in (*inside, *loop.after))]

    def _reduce(self, reductions: Sequence[Step], final: Sequence[Result]) -> list[str]:
        start: list[str] = []
        loop = _Loop()
        after: list[str] = []
        for function, name, value in reductions:
            if function == MOMENTS:
                found = f"lane_moments({name}, begin, apart, runs, length)"
                start.append(f"{', '.join(parts(name))} = {found}")
            elif function in ("sum", "mean"):
                start.append(f"{name}_sum = accumulator(number(0))")
                outside, inside = self._factors(value)
                if outside:
                    text = " * ".join([self._part(inside, loop), *outside])
                    loop.after.append(f"{name}_sum += {text}")
                else:
                    loop.assigned.append((f"{name}_sum", "+=", value))
                part = " / n" if function == "mean" else ""
                after.append(f"{name} = number({name}_sum{part})")
            elif function == "prod":
                start.append(f"{name} = accumulator(number(1))")
                loop.assigned.append((name, "*=", value))
            else:
                start.append(f"{name} = {function == 'all'}")
                loop.assigned.append((name, "&=" if function == "all" else "|=", value))
        self._write(final, loop)
        return [*start, *self._all(loop), *after]


def _needed(lines: Sequence[str], later: Sequence[str]) -> list[str]:
    """Those of some assignments that what comes later reads."""
    wanted = read(later)
    kept = []
    for line in reversed(lines):
        if line.partition(" = ")[0] in wanted:
            kept.append(line)
            wanted |= read([line])
    return kept[::-1]
