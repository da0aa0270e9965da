"""`rederive bench`: measures against PyTorch, prints tables, writes docs/performance.md."""

from __future__ import annotations

import argparse
import warnings

import rederive
from rederive.tools import specification
from rederive.tools.bench import (
    bandwidth,
    cases,
    contractions,
    operators,
    process,
    report,
    scaling,
    small,
    training,
)
from rederive.tools.bench.options import SECTIONS

SHORT, LONG = 2e-3, 5e-3  # seconds that a timed round lasts at least

OPERATORS = {
    "small": ([(8,)], SHORT),
    "broadcast": ([(2, 4), (4,)], SHORT),
    "large": ([(1_000_000,)], LONG),
}
CASES = {
    "calls": ("2x4 elements, one call", small.small_calls, SHORT),
    "layouts": ("4096x1024 elements, broadcast and strided", cases.layouts, LONG),
    "lanes": ("along a dimension", cases.lanes, LONG),
    "contractions": ("products, windows and indices", contractions.listing, LONG),
}


def run(options: argparse.Namespace) -> int:
    """Measure what was asked for and print it; the status is 0 whatever the figures say."""
    if options.threads < 1 or options.rounds < 1:
        raise specification.Mistake("--threads and --rounds: at least 1")
    declared = specification.select(
        specification.operators_of(specification.BUILT_IN), list(options.op)
    )
    sections = options.only or SECTIONS
    import torch

    if options.plots is not None:
        scaling.plots(torch, options.plots)
        return 0
    torch.set_num_threads(options.threads)
    rederive.set_num_threads(options.threads)
    parts = [report.machine(options.threads)]
    print(parts[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's deprecations are not ours to show
        for section in sections:
            if section in OPERATORS:
                shapes, at_least = OPERATORS[section]
                measured = operators.measure(
                    declared, rederive, torch, shapes, options.rounds, at_least
                )
                parts += _show(measured)
            elif section in CASES:
                title, listing, at_least = CASES[section]
                chosen = [c for c in listing() if all(text in c.name for text in options.case)]
                measured = cases.measure(chosen, rederive, torch, options.rounds, at_least, title)
                parts += _show(measured)
    if "memory" in sections:
        table = bandwidth.measure(rederive, torch, options.rounds)
        table.show()
        parts += [f"### {table.title}", table.markdown()]
    if "training" in sections:
        table = report.training_table(training.measure(rederive, torch, options.rounds, 2e-2))
        table.show()
        parts += [f"### {table.title}", table.markdown()]
    start = process.start_up(options.rounds) if "start" in sections else None
    regeneration = process.regeneration(3) if "generate" in sections else None
    compilation = process.compilation() if "compile" in sections else None
    table = report.process_table(start, regeneration, compilation)
    if table.rows:
        table.show()
        parts += [f"### {table.title}", table.markdown()]
    if options.write is not None:
        report.write(options.write, "\n\n".join(parts))
        print(f"{options.write} written")
    return 0


def _show(measured: operators.Measured) -> list[str]:
    """Print the table and its summary; returns them for the page."""
    table, summary = report.operators_table(measured), report.operators_summary(measured)
    table.show()
    print(summary)
    for name, reason in measured.skipped.items():
        print(f"  {name} is left out: {reason}")
    return [f"### {table.title}", summary, table.markdown()]
