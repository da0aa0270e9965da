"""Tables of what was measured, for the terminal and for docs/performance.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from rederive.tools.bench.operators import Measured
from rederive.tools.bench.timing import Comparison, geometric_mean, readable
from rederive.tools.progress import Table

BEGIN = "<!-- figures: written by `rederive bench --write`, not by hand -->"
END = "<!-- end of figures -->"
HEADER = f"""# Performance

How fast the library is, and how that is measured.

{BEGIN}
{END}
"""


def machine(threads: int) -> str:
    """The processor and the versions, and nothing that names the machine."""
    versions = ", ".join(
        f"{shown} {_version(package)}"
        for shown, package in (("NumPy", "numpy"), ("Numba", "numba"), ("PyTorch", "torch"))
    )
    return (
        f"{processor()}, {os.cpu_count()} cores visible, {threads} threads on both sides; "
        f"Python {platform.python_version()}, {versions}."
    )


def processor() -> str:
    """The processor's model as Linux names it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def operators_table(measured: Measured) -> Table:
    """One row for each comparison, slowest ratio first."""
    table = Table(
        f"Forward and backward, {measured.title}",
        (measured.rows, "rederive", "PyTorch", "times faster"),
        right=frozenset({"rederive", "PyTorch", "times faster"}),
    )
    for c in sorted(measured.comparisons, key=lambda c: c.ratio):
        table.add(c.name, readable(c.ours), readable(c.theirs), f"{c.ratio:.2f}")
    return table


def operators_summary(measured: Measured) -> str:
    found = measured.comparisons
    if not found:
        return f"{measured.title}: nothing was measured."
    slower = [c.name for c in found if c.ratio < 1]
    tail = f": {', '.join(slower)}" if slower else ""
    return (
        f"{measured.title}: {geometric_mean(found):.2f} times faster than PyTorch in the geometric "
        f"mean of {len(found)}; {len(slower)} slower{tail}."
    )


def training_table(comparisons: Iterable[Comparison]) -> Table:
    """A row for each network, followed by the parts of its step."""
    table = Table(
        "Training steps, float32",
        ("step and its parts", "rederive", "PyTorch", "times faster"),
        right=frozenset({"rederive", "PyTorch", "times faster"}),
    )
    for c in comparisons:
        table.add(c.name, readable(c.ours), readable(c.theirs), f"{c.ratio:.2f}")
    return table


def process_table(
    start: Comparison | None, regeneration: float | None, compilation: tuple[float, float] | None
) -> Table:
    table = Table(
        "Whole processes", ("what", "rederive", "PyTorch"), right=frozenset({"rederive", "PyTorch"})
    )
    if start is not None:
        table.add(start.name, readable(start.ours), readable(start.theirs))
    if regeneration is not None:
        table.add("regenerate everything, in memory", readable(regeneration), "")
    if compilation is not None:
        table.add("call every operator, nothing compiled yet", readable(compilation[0]), "")
        table.add("call every operator, all in the cache", readable(compilation[1]), "")
    return table


def write(path: Path, figures: str) -> None:
    """Replace the figures between the marks of the page; a page without them gets them."""
    text = path.read_text() if path.exists() else HEADER
    if BEGIN not in text or END not in text:
        text = text.rstrip("\n") + f"\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{BEGIN}\n\n{figures.strip()}\n\n{END}{after}")
