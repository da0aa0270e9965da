"""Lowering of the rowwise family for lanes that lie side by side: a matrix's first dimension.

The same work as in `lower_rowwise`, with an inner loop over the lanes: what is one number a lane
becomes one for each column. Memory is read line by line, and no lane has to be brought anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .expressions import names
from .kernel_text import KernelPrinter
from .model import Expr

REDUCTIONS = {"sum", "mean", "max", "min"}
_START = {"max": "-np.inf", "min": "np.inf"}
_PICK = {"max": "larger", "min": "smaller"}

Step = tuple[str, str, Expr]


@dataclass(frozen=True)
class Columns:
    """The text of a kernel over columns, for the template."""

    held: tuple[str, ...]  # numbers of a lane in the dtype of the input, one for each column
    sums: tuple[str, ...]  # the same in the dtype of accumulators
    body: tuple[str, ...]

    @property
    def literals(self) -> bool:
        """Whether there is a number in the dtype of the input."""
        return any("number(" in line for line in self.body)


class ColumnPrinter:
    """Prints the work of an emitter of rows; `lanes` and `rows` are its arguments by kind."""

    def __init__(self, lanes: Sequence[str], rows: Sequence[str], scratch: Sequence[str]) -> None:
        self.lanes = tuple(lanes)
        self.rows = tuple(rows)
        self.scratch = tuple(scratch)
        self.held: list[str] = []
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
                if kind != "lane":
                    self.held.append(name)
                    self.places[name] = f"{name}_each[c]"
        self.printer = KernelPrinter(self.places)
        lines: list[str] = []
        for level in sorted({*steps, *reductions}):
            for kind, name, tree in steps.get(level, ()):
                assigned = [(self.places[name], "=", tree)]
                lines += self._each(assigned, name) if kind == "row" else self._all(assigned)
            lines += self._reduce(reductions.get(level, ()))
        rows = [(f"{out}_each[c]", "=", tree) for out, tree, kind in final if kind == "row"]
        for target, sign, tree in rows:
            lines += self._each([(target, sign, tree)], target.removesuffix("_each[c]"))
        lanes = [(f"{out}_line[c]", "=", tree) for out, tree, kind in final if kind == "lane"]
        if lanes:
            lines += self._all(lanes)
        opened = ["row = unit // groups * apart + column"] if self.rows or rows else []
        opened += [f"{name}_each = {name}_held[:size]" for name in (*self.held, *self.sums)]
        opened += [f"{name}_each = {name}[row : row + size]" for name in self.rows]
        opened += [
            f"{out}_each = {out}[row : row + size]" for out, _, kind in final if kind == "row"
        ]
        return Columns(tuple(self.held), tuple(self.sums), (*opened, *lines))

    def _statements(self, assigned: Sequence[Step]) -> list[str]:
        lines = []
        for number, (target, sign, tree) in enumerate(assigned):
            for line in self.printer.statements(target, tree, f"part{number}"):
                lines.append(line.replace(f"{target} = ", f"{target} {sign} ", 1))
        return lines

    def _each(self, assigned: Sequence[Step], bound: str) -> list[str]:
        """A loop over the columns alone."""
        body = [f"    {line}" for line in self._statements(assigned)]
        return [f"for c in range({bound}_each.shape[0]):", *body]

    def _all(
        self, assigned: Sequence[Step], change: Callable[[str], str] = lambda line: line
    ) -> list[str]:
        """A loop over the places of the lanes, and in it over the columns."""
        written = [t.removesuffix("_line[c]") for t, _, _ in assigned if t.endswith("_line[c]")]
        used = set(written).union(*(names(tree) for _, _, tree in assigned))
        scratch = [name for name in self.scratch if name in used]
        dense = [name for name in self.lanes if name in used]
        dense += [name for name in written if name not in self.scratch]
        lines = ["for i in range(n):"]
        lines += ["    at = start + i * apart"] if dense else []
        lines += [f"    {name}_line = {name}[at : at + size]" for name in dense]
        lines += [
            f"    {name}_line = {name}_lane[i * width : i * width + size]" for name in scratch
        ]
        lines.append(f"    for c in range({[*dense, *scratch][0]}_line.shape[0]):")
        return lines + [f"        {change(line)}" for line in self._statements(assigned)]

    def _reduce(self, reductions: Sequence[Step]) -> list[str]:
        start: list[str] = []
        loop: list[Step] = []
        after: list[str] = []
        for function, name, value in reductions:
            if function in _START:
                start.append(f"{name}_each[:] = {_START[function]}")
                loop.append((f"{name}_each[c]", function, value))
                continue
            self.sums.append(f"{name}_sum")
            start.append(f"{name}_sum_each[:] = 0")
            loop.append((f"{name}_sum_each[c]", "+=", value))
            part = " / n" if function == "mean" else ""
            after += [
                f"for c in range({name}_each.shape[0]):",
                f"    {name}_each[c] = number({name}_sum_each[c]{part})",
            ]
        return [*start, *(self._all(loop, _extremum) if loop else ()), *after]


def _extremum(line: str) -> str:
    """`best max value` as `best = larger(best, value)`."""
    for sign, function in _PICK.items():
        target, found, value = line.partition(f" {sign} ")
        if found and target.endswith("_each[c]"):
            return f"{target} = {function}({target}, {value})"
    return line
