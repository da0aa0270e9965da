"""Mistakes in a specification: how they are collected, ordered and printed.

Owns `Diagnostic`, `SpecError` and the nearest-name hints. Knows nothing of YAML or formulas.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from rederive.codegen.model import Mark

# A hostile file must produce neither more text than a person can read nor endless work.
MOST_SHOWN = 100
MOST_COLLECTED = 500
WIDEST = 120  # columns of a line before and after the place that is shown
_START = Mark(1, 1)


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: where, what, the source line, and how to mend it (`hint`, may be empty)."""

    path: str
    mark: Mark
    message: str
    line: str = ""
    hint: str = ""

    def __str__(self) -> str:
        parts = [f"{self.path}:{self.mark.line}:{self.mark.column}: error: {self.message}"]
        if self.line.strip():
            cut = self.mark.column - WIDEST if self.mark.column > WIDEST else 0
            line = self.line[cut : cut + 2 * WIDEST]
            start = self.mark.column - 1 - cut
            # A mark may point one past the end of a line ("something is missing here").
            caret = "^" * max(1, min(self.mark.length, len(line) - start))
            parts.append(f"  {line}")
            parts.append(f"  {' ' * start}{caret}")
        if self.hint:
            parts.append(f"  {self.hint}")
        return "\n".join(parts)


class SpecError(Exception):
    """A specification has mistakes; `diagnostics` holds all of them, in file order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        shown = [str(d) for d in self.diagnostics[:MOST_SHOWN]]
        hidden = len(self.diagnostics) - len(shown)
        if hidden:
            shown.append(f"... and {hidden} more errors")
        return "\n".join(shown)


class Mistake(Exception):
    """One mistake, raised where it is found and turned into a `Diagnostic` by `Problems`."""

    def __init__(self, message: str, mark: Mark | None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark
        self.hint = hint


class TooMany(Exception):
    """So many mistakes that looking for more is no use."""


@dataclass
class Problems:
    """Collects the mistakes of one file; `add` raises `TooMany` when there are enough."""

    path: str
    lines: tuple[str, ...]
    found: list[Diagnostic] = field(default_factory=list)

    def add(self, message: str, mark: Mark | None, hint: str = "") -> None:
        mark = mark or _START
        line = self.lines[mark.line - 1] if 0 < mark.line <= len(self.lines) else ""
        if len(self.found) >= MOST_COLLECTED:
            raise TooMany
        self.found.append(Diagnostic(self.path, mark, message, line, hint))

    def take(self, mistake: Mistake, context: str = "") -> None:
        message = f"{context}: {mistake.message}" if context else mistake.message
        self.add(message, mistake.mark, mistake.hint)

    def sorted(self) -> list[Diagnostic]:
        unique = dict.fromkeys(self.found)
        return sorted(unique, key=lambda d: (d.mark.line, d.mark.column))

    def raise_if_any(self) -> None:
        if self.found:
            raise SpecError(self.sorted())


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint "did you mean 'x'?", or "" when nothing is near."""
    if not 0 < len(name) <= 64:
        return ""
    candidates = sorted(set(known) - {name})
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else ""


def hints(*parts: str) -> str:
    """Join the parts of a hint that are not empty."""
    return "  ".join(part for part in parts if part)
