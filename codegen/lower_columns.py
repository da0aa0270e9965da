"""Lowering of the rowwise family for lanes that lie side by side: a matrix's first dimension.

The same work as in `lower_rowwise`, with an inner loop over the lanes: what is one number a lane
becomes one for each column. Memory is read line by line, and no lane has to be brought anywhere.

The work is a sequence of phases, and a call of the kernel does some of them, for some of the lanes'
places (from `top` to `bottom`: a strip of them). Sums and extremes that strips find by themselves
are put together by the phase that follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .expressions import names
from .kernel_text import KernelPrinter, light
from .model import Expr, Name
from .moments import MOMENTS, parts

REDUCTIONS = {"sum", "mean", "max", "min", MOMENTS}
_START = {"max": "-np.inf", "min": "np.inf"}
_PICK = {"max": "larger", "min": "smaller"}

FRAME = "n, apart, width, low, high, top, bottom, first, last"
"""Which columns, places and phases a call is for; which of how many strips comes after them."""

LINES = 4
"""How many places of a lane are added up, or compared, before they join those of the column."""

Step = tuple[str, str, Expr]


@dataclass(frozen=True)
class Phase:
    """A part of the work that needs all of the part before.

    split: whether it goes over the places of the lanes, so that several may share it out; the
    others are a few numbers for each column.
    """

    split: bool
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """The text of a kernel over columns, for the template."""

    held: int  # numbers that each column has in the dtype of the input
    ends: int  # the same, of which each part of the lanes has one of its own
    sums: int  # the same in the dtype of accumulators
    scratch: int  # lanes in between
    opened: tuple[str, ...]  # what is looked up for each unit
    phases: tuple[Phase, ...]

    @property
    def literals(self) -> bool:
        """Whether there is a number in the dtype of the input."""
        return any("number(" in line for phase in self.phases for line in phase.lines)


class ColumnPrinter:
    """Prints the work of an emitter of rows; `lanes` and `rows` are its arguments by kind."""

    def __init__(self, lanes: Sequence[str], rows: Sequence[str], scratch: Sequence[str]) -> None:
        self.lanes = tuple(lanes)
        self.rows = tuple(rows)
        self.scratch = tuple(scratch)
        self.held: list[str] = []
        self.ends: list[str] = []  # extremes that each part of the lanes has of its own
        self.sums: list[str] = []
        self.places = {"position": "i", "count": "number(n)"}
        self.places |= {name: f"{name}_line[c]" for name in (*self.lanes, *self.scratch)}
        self.places |= {name: f"{name}_each[c]" for name in self.rows}

    def columns(
        self,
        steps: Mapping[int, Sequence[Step]],
        reductions: Mapping[int, Sequence[Step]],
        final: Sequence[tuple[str, Expr, str]],
    ) -> Columns:
        """All levels in order, then the results."""
        for found in (*steps.values(), *reductions.values()):
            for kind, name, _ in found:
                if kind == MOMENTS:
                    self.places |= {part: f"{part}_each[c]" for part in parts(name)}
                elif kind != "lane":
                    self.held.append(name)
                    self.places[name] = f"{name}_each[c]"
        self.printer = KernelPrinter(self.places)
        phases: list[Phase] = []
        once: list[str] = []
        for level in sorted({*steps, *reductions}):
            found = steps.get(level, ())
            for _, name, tree in (step for step in found if step[0] == "row"):
                once += self._each([(self.places[name], "=", tree)], name)
            lanes = [
                [(self.places[name], "=", tree)] for kind, name, tree in found if kind != "row"
            ]
            start, loop, after = self._reduce(reductions.get(level, ()))
            groups = [*lanes, *self._terms(loop)]
            if groups or start:
                some = [] if lanes or not loop else self._some_lines(loop)
                work = [*start, *some]
                work += self._all(groups, "begin" if some else "top") if groups else []
                phases += [Phase(False, tuple(once)), Phase(True, tuple(work))]
                once = after
        rows = [(f"{out}_each[c]", "=", tree) for out, tree, kind in final if kind == "row"]
        for target, sign, tree in rows:
            once += self._each([(target, sign, tree)], target.removesuffix("_each[c]"))
        phases.append(Phase(False, tuple(once)))
        results = [(f"{out}_line[c]", "=", tree) for out, tree, kind in final if kind == "lane"]
        if results:
            phases.append(Phase(True, tuple(self._all([results]))))
        return Columns(
            len(self.held),
            len(self.ends),
            len(self.sums),
            len(self.scratch),
            tuple(self._opened([out for out, _, kind in final if kind == "row"])),
            tuple(phase for phase in phases if phase.lines),
        )

    def _opened(self, outs: Sequence[str]) -> list[str]:
        """The numbers of a unit's columns, wherever they are held."""
        lines = ["row = unit // groups * apart + column"] if self.rows or outs else []
        for place, name in enumerate(self.held):
            lines.append(f"{name}_each = held[{place} * width : {place} * width + size]")
        for name in (*self.ends, *self.sums):
            lines += self._part(name, "strip", f"{name}_each")
        return lines + [f"{name}_each = {name}[row : row + size]" for name in (*self.rows, *outs)]

    def _part(self, name: str, strip: str, target: str) -> list[str]:
        """What a strip of the lanes found by itself."""
        array, names, first = "sums", self.sums, 0
        if name in self.ends:
            array, names, first = "held", self.ends, len(self.held)
        number = names.index(name)
        place = " + ".join([str(first)] * bool(first) + [f"{number} * strips"] * bool(number))
        at = f"({place} + {strip})" if place else strip
        return [f"at = {at} * width", f"{target} = {array}[at : at + size]"]

    def _together(self, name: str, function: str = "") -> list[str]:
        """What the strips found, put together into that of the first."""
        both = f"{name}_each[c]", "other[c]"
        value = f"{function}({', '.join(both)})" if function else " + ".join(both)
        return [
            "for other_strip in range(1, strips):",
            *(f"    {line}" for line in self._part(name, "other_strip", "other")),
            "    for c in range(other.shape[0]):",
            f"        {both[0]} = {value}",
        ]

    def _joined(self, moments: Sequence[str]) -> list[str]:
        """The same for moments."""
        first = self.sums.index(moments[0])
        low, high = (f"{place} * strips * width" for place in (first, first + len(moments)))
        return [
            f"moments = sums[{low} : {high}].reshape({len(moments)}, strips, width)",
            "join_moments(moments[:, :, :size], n)",
        ]

    def _statements(
        self, assigned: Sequence[Step], printer: KernelPrinter | None = None
    ) -> list[str]:
        printer = printer or self.printer
        lines = []
        for number, (target, sign, tree) in enumerate(assigned):
            found = printer.statements(target, tree, f"part{number}", sign)
            lines += [_extremum(line) for line in found]
        return lines

    def _each(self, assigned: Sequence[Step], bound: str) -> list[str]:
        """A loop over the columns alone."""
        body = [f"    {line}" for line in self._statements(assigned)]
        return [f"for c in range({bound}_each.shape[0]):", *body]

    def _some_lines(self, loop: Sequence[Step]) -> list[str]:
        """A loop that takes some places of each column at a time; none where that is no gain.

        What they come to stays in a register. `begin` is the first place that is left.
        """
        used = set().union(*(names(tree) for _, _, tree in loop))
        lanes = [name for name in self.lanes if name in used]
        if used & {"position", *self.scratch} or not light(self._statements(loop)):
            return []
        places = self.places | {name: f"{name}_lines[place]" for name in lanes}
        totals = [target.removesuffix("_each[c]") for target, _, _ in loop]
        steps = [(f"{total}_now", *step[1:]) for total, step in zip(totals, loop, strict=True)]
        body = []
        for now, sign, _ in steps:
            start = f"number({_START[sign]})" if sign in _START else "accumulator(number(0))"
            body.append(f"{now} = {start}")
        body += [f"for line in range({LINES}):", "    place = np.uint64(c + line * apart)"]
        body += [f"    {line}" for line in self._statements(steps, KernelPrinter(places))]
        for now, sign, _ in steps:
            body.append(_extremum(f"{now.removesuffix('_now')}_each[c] {sign} {now}"))
        return [
            f"begin = bottom - (bottom - top) % {LINES}",
            f"for i in range(top, begin, {LINES}):",
            "    at = start + i * apart",
            *(f"    {n}_lines = {n}[at : at + {LINES - 1} * apart + size]" for n in lanes),
            "    for c in range(size):",
            *(f"        {line}" for line in body),
        ]

    def _terms(self, loop: Sequence[Step]) -> list[list[Step]]:
        """What each place adds; what costs more than that is computed for all columns before.

        In a loop that also adds in float64 there are half as many float32 in a register.
        """
        terms: list[Step] = []
        sums: list[Step] = []
        for step in loop:
            target, sign, tree = step
            name = f"{target.removesuffix('_each[c]')}_term"
            if sign == "+=" and not light(self._statements([step])):
                self.ends.append(name)
                self.places[name] = f"{name}_each[c]"
                terms.append((self.places[name], "=", tree))
                tree = Name(name)
            sums.append((target, sign, tree))
        return [group for group in (terms, sums) if group]

    def _all(self, groups: Sequence[Sequence[Step]], begin: str = "top") -> list[str]:
        """A loop over the places of the lanes, and in it one over the columns for each group."""
        assigned = [step for group in groups for step in group]
        written = [t.removesuffix("_line[c]") for t, _, _ in assigned if t.endswith("_line[c]")]
        used = set(written).union(*(names(tree) for _, _, tree in assigned))
        scratch = [name for name in self.scratch if name in used]
        dense = [name for name in self.lanes if name in used]
        dense += [name for name in written if name not in self.scratch]
        lines = [f"for i in range({begin}, bottom):"]
        lines += ["    at = start + i * apart"] if dense else []
        lines += [f"    {name}_line = {name}[at : at + size]" for name in dense]
        for name in scratch:
            place = self.scratch.index(name)
            at = f"({place} * n + i)" if place else "i"
            lines.append(f"    at = {at} * width")
            lines.append(f"    {name}_line = scratch[at : at + size]")
        bound = [*dense, *scratch][0]
        for group in groups:
            lines.append(f"    for c in range({bound}_line.shape[0]):")
            lines += [f"        {line}" for line in self._statements(group)]
        return lines

    def _reduce(self, reductions: Sequence[Step]) -> tuple[list[str], list[Step], list[str]]:
        """(what is cleared, what each place adds, what becomes of the parts)."""
        start: list[str] = []
        loop: list[Step] = []
        after: list[str] = []
        for function, name, value in reductions:
            if function == MOMENTS:
                self.sums += parts(name)
                arrays = ", ".join(f"{part}_each" for part in parts(name))
                start.append(f"column_moments({name}, start, apart, top, bottom, {arrays})")
                after += self._joined(parts(name))
                continue
            if function in _START:
                part, total = f"{name}_part", f"{name}_part_each[c]"
                self.ends.append(part)
                start.append(f"{part}_each[:] = {_START[function]}")
                loop.append((f"{part}_each[c]", function, value))
                after += self._together(part, _PICK[function])
            else:
                part = f"{name}_sum"
                total = f"number({part}_each[c]{' / n' if function == 'mean' else ''})"
                self.sums.append(part)
                start.append(f"{part}_each[:] = 0")
                loop.append((f"{part}_each[c]", "+=", value))
                after += self._together(part)
            after += [
                f"for c in range({name}_each.shape[0]):",
                f"    {name}_each[c] = {total}",
            ]
        return start, loop, after


def _extremum(line: str) -> str:
    """`best max value` as `best = larger(best, value)`."""
    for sign, function in _PICK.items():
        target, found, value = line.partition(f" {sign} ")
        if found and target.endswith(("_each[c]", "_now")):
            return f"{target} = {function}({target}, {value})"
    return line
