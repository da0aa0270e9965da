"""The options of `rederive bench`; imports nothing, so that the command line starts quickly."""

from __future__ import annotations

import argparse
from pathlib import Path

SECTIONS = (
    *("small", "broadcast", "calls", "large", "layouts", "lanes"),
    "contractions",
    *("memory", "training", "start", "generate", "compile"),
)


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only", action="append", choices=SECTIONS, help="measure only this (may be given again)"
    )
    command.add_argument(
        "--op", action="append", default=[], metavar="NAME", help="only this operator"
    )
    command.add_argument(
        "--case", action="append", default=[], metavar="TEXT", help="only cases with this in them"
    )
    command.add_argument("--threads", type=int, default=2, help="threads of both sides (2)")
    command.add_argument("--rounds", type=int, default=9, help="alternating rounds (9)")
    command.add_argument(
        "--plots",
        type=Path,
        metavar="PNG",
        help="measure how time grows with size, threads, nodes and rank instead, and draw it",
    )
    command.add_argument(
        "--write",
        nargs="?",
        const=Path("docs/performance.md"),
        type=Path,
        metavar="FILE",
        help="put the figures into this page (docs/performance.md)",
    )
