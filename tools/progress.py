"""Progress bars and tables: through rich on a terminal, plain text everywhere else.

Bars go to standard error, so that tables and JSON on standard output can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


class Bar:
    """What `bar` yields: counts steps and names the present one. This one shows nothing."""

    def step(self, description: str = "") -> None:
        """One step is done; `description` names the one that begins."""


class _RichBar(Bar):
    def __init__(self, progress, task) -> None:
        self._progress = progress
        self._task = task
        self._started = False

    def step(self, description: str = "") -> None:
        self._progress.update(self._task, advance=int(self._started), description=description)
        self._started = True


@contextmanager
def bar(title: str, total: int) -> Iterator[Bar]:
    """Show a progress bar of `total` steps while the block runs.

    Call `step(name)` as each step begins. Silent unless standard error is a terminal and rich
    is installed.
    """
    if not sys.stderr.isatty():
        yield Bar()
        return
    try:
        from rich import progress as rich_progress
        from rich.console import Console
    except ImportError:
        yield Bar()
        return
    columns = (
        rich_progress.TextColumn("{task.fields[title]}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("{task.description}"),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _RichBar(progress, progress.add_task("", total=total, title=title))


def steps(items: Sequence, title: str, name=str) -> Iterator:
    """Iterate over `items` behind a progress bar; `name(item)` is shown beside it."""
    with bar(title, len(items)) as progress:
        for item in items:
            progress.step(name(item))
            yield item
        progress.step()


@dataclass
class Table:
    """Rows of text under headings; numbers are right-aligned by naming the column in `right`."""

    title: str
    columns: tuple[str, ...]
    right: frozenset[str] = frozenset()
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        if len(cells) != len(self.columns):
            raise ValueError(f"table: {len(cells)} cells; {len(self.columns)} columns")
        self.rows.append(tuple(str(cell) for cell in cells))

    def plain(self) -> str:
        """The table as aligned text."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        text = [self.title] if self.title else []
        for number, line in enumerate(lines):
            text.append(
                "  ".join(
                    cell.rjust(width) if column in self.right else cell.ljust(width)
                    for cell, width, column in zip(line, widths, self.columns, strict=True)
                ).rstrip()
            )
            if number == 0:
                text.append("  ".join("-" * width for width in widths))
        return "\n".join(text)

    def markdown(self) -> str:
        """The table as GitHub-flavoured Markdown, without its title."""
        rule = ("---:" if column in self.right else "---" for column in self.columns)
        lines: Iterable[Iterable[str]] = (self.columns, rule, *self.rows)
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

    def show(self) -> None:
        """Print on standard output."""
        if sys.stdout.isatty():
            try:
                from rich.console import Console
                from rich.table import Table as RichTable
            except ImportError:
                pass
            else:
                table = RichTable(title=self.title or None, title_justify="left")
                for column in self.columns:
                    table.add_column(column, justify="right" if column in self.right else "left")
                for row in self.rows:
                    table.add_row(*(cell.replace("[", "\\[") for cell in row))
                Console().print(table)
                return
        print(self.plain())
