"""`rederive docs`: docs/operators.md, every operator as declared and as measured."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rederive.tools import progress, specification
from rederive.tools.checks import Outcome, check_operator

FAMILIES = {
    "pointwise": "a scalar expression, element by element, in one loop; operands broadcast",
    "rowwise": "one lane along the reduced dimensions at a time",
    "composite": "a formula over other operators; gradients follow from theirs",
    "program": "a loop over other operators, written by hand; gradients follow from theirs",
    "library": "a call of NumPy or SciPy on arrays",
    "kernel": "a hand-written kernel",
    "view": "new geometry over the same memory",
}
HEAD = """# Operators

Written by `rederive docs` from `derivatives.yaml`; {count} operators. The forward column is the
entry's own text: a formula, or the NumPy function, hand-written kernel or view that computes it.
Gradients are as declared; *auto* means derived from the forward formula, a dash that the operator
has none. Errors are the worst that `rederive gradcheck` found on the declared samples, in units of
the last place (eps of the dtype), relative to the element (pointwise) or to the largest element of
the result: of the value against the reference, and of the float32 gradient against the float64 one.
All of these operators passed every check: finite differences in first and second order, and
forward against reverse mode.
"""


def write(path: Path, spec: Path, check: bool = False) -> int:
    """Write the page, or with `check` say whether it lists what is declared; 0 if all is well."""
    text = spec.read_text()
    entries, lines = yaml.safe_load(text), lengths(text)
    operators = specification.operators_of(specification.BUILT_IN)
    if check:
        wanted = _without_errors(page(operators, entries, lines, {}))
        found = _without_errors(path.read_text()) if path.is_file() else ""
        if found != wanted:
            print(f"{path} is not what {spec.name} declares; run `rederive docs`")
            return 1
        return 0
    outcomes: dict[str, list[Outcome]] = {}
    for operator in progress.steps(operators, "measuring", lambda o: o.name):
        outcomes[operator.name] = list(check_operator(operator, fast=True))
    failed = [name for name, found in outcomes.items() if not all(o.passed for o in found)]
    if failed:
        print(f"not written: checks of {', '.join(failed)} failed; see `rederive gradcheck`")
        return 1
    path.write_text(page(operators, entries, lines, outcomes))
    print(f"{path}: {len(operators)} operators")
    return 0


def page(
    operators: Sequence[Any],
    entries: list[dict],
    lines: dict[str, int],
    outcomes: dict[str, list[Outcome]],
) -> str:
    """The text of the page. Where nothing was measured, the errors are left open."""
    by_signature = {_one_line(entry["op"]): entry for entry in entries}
    parts = [HEAD.format(count=len(operators)), *_summary(operators, lines)]
    for family, meaning in FAMILIES.items():
        members = [operator for operator in operators if operator.family == family]
        if not members:
            continue
        parts.append(f"\n## {family} ({len(members)})\n\n{meaning[0].upper()}{meaning[1:]}.\n")
        parts.append("| operator | forward | gradients | float64 | float32 | gradient |")
        parts.append("| --- | --- | --- | ---: | ---: | ---: |")
        for operator in members:
            entry = by_signature[_one_line(operator.signature)]
            parts.append(_row(operator, entry, outcomes.get(operator.name, [])))
    return "\n".join(parts) + "\n"


def _summary(operators: Sequence[Any], lines: dict[str, int]) -> list[str]:
    """A table of the families: how many operators, and how long their entries are."""
    table = [
        "| family | operators | differentiable | lines of an entry: median | longest |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for family in FAMILIES:
        members = [operator for operator in operators if operator.family == family]
        if not members:
            continue
        smooth = sum(bool(operator.differentiable) for operator in members)
        sizes = {operator.name: lines[_one_line(operator.signature)] for operator in members}
        longest = max(sizes, key=sizes.__getitem__)
        table.append(
            f"| {family} | {len(members)} | {smooth} | {statistics.median(sizes.values()):g} "
            f"| {sizes[longest]} (`{longest}`) |"
        )
    return table


def lengths(text: str) -> dict[str, int]:
    """Signature of each entry of a spec -> its lines, without comments and empty ones."""
    found = {}
    for entry in yaml.compose(text).value:
        rows = text.splitlines()[entry.start_mark.line : entry.end_mark.line]
        signature = next(value.value for key, value in entry.value if key.value == "op")
        filled = [row for row in rows if row.strip() and not row.lstrip().startswith("#")]
        found[_one_line(signature)] = len(filled)
    return found


def _row(operator: Any, entry: dict, found: list[Outcome]) -> str:
    cells = [
        _code(operator.signature),
        _forward(operator.family, entry),
        _gradients(operator, entry),
        _worst(found, "forward float64", "float64"),
        _worst(found, "forward float32", "float32"),
        _worst(found, "gradient float32", "float32"),
    ]
    return "| " + " | ".join(cells) + " |"


def _one_line(signature: str) -> str:
    return " ".join(signature.split())


def _code(text: object) -> str:
    """Text as code in a cell, where a bar would end the cell."""
    return "`" + " ".join(str(text).split()).replace("|", "\\|") + "`"


def _forward(family: str, entry: dict) -> str:
    lines = [f"{_code(name)} = {_code(value)}" for name, value in entry.get("let", {}).items()]
    value = entry[family]
    for case in value if isinstance(value, list) else [value]:
        lines += _case(case)
    return "<br>".join(lines)


def _case(case: object) -> list[str]:
    """The lines of one formula, or of one case of several."""
    if not isinstance(case, dict):
        return [_code(case)]
    lines = [f"{_code(name)} = {_code(value)}" for name, value in case.get("let", {}).items()]
    results = {key: value for key, value in case.items() if key not in ("let", "if", "over")}
    for name, value in results.items():
        lines.append(_code(value) if name == "result" else f"{_code(name)} = {_code(value)}")
    if "if" in case:
        lines[-1] += f" if {_code(case['if'])}"
    if "over" in case:
        lines[-1] += f" over {_code(case['over'])}"
    return lines


def _gradients(operator: Any, entry: dict) -> str:
    if not operator.differentiable:
        return "-"
    if entry.get("gradients", "auto") == "auto":
        return "*auto*"
    return "<br>".join(f"{name}: {_code(value)}" for name, value in operator.gradients.items())


def _worst(found: list[Outcome], check: str, dtype: str) -> str:
    errors = [outcome.error for outcome in found if outcome.check == check]
    if not errors:
        return ""
    units = max(errors) / np.finfo(dtype).eps
    return "0" if units == 0 else f"{units:.1f}"


def _without_errors(text: str) -> str:
    """The page with the measured columns left out, which differ from machine to machine."""
    return re.sub(r"( \| [0-9.]*){3} \|$", " |", text, flags=re.M)
