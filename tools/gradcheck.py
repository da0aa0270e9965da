"""`rederive gradcheck`: every check on every declared operator, with a table of the findings."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rederive.tools import progress, specification
from rederive.tools.checks import Outcome, check_operator
from rederive.tools.specification import Places

MAX_PRINTED = 8  # failures of one operator written out; the others are counted


def run(
    package: str = specification.BUILT_IN,
    names: Sequence[str] = (),
    spec: str | None = None,
    as_json: bool = False,
    fast: bool = False,
) -> int:
    """Check the operators of a package and print what was found; 0 if all passed, else 1."""
    operators = specification.select(specification.operators_of(package), list(names))
    if not operators:
        raise specification.Mistake(f"{package}: declares no operators")
    places = specification.places(package, spec)
    begin = time.perf_counter()
    outcomes: list[Outcome] = []
    for operator in progress.steps(operators, "gradcheck", lambda o: o.name):
        outcomes.extend(check_operator(operator, fast))
    seconds = time.perf_counter() - begin
    failures = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        print(json.dumps(_document(package, operators, outcomes, places, seconds), indent=2))
        return 1 if failures else 0
    for operator in operators:
        found = [outcome for outcome in outcomes if outcome.operator == operator.name]
        if not all(outcome.passed for outcome in found):
            print(explain(found, operator, places, package))
    summary(outcomes).show()
    verdict = f"{len(failures)} failed, " if failures else ""
    print(
        f"{len(operators)} operators, {verdict}{len(outcomes) - len(failures)} checks passed "
        f"in {seconds:.1f} s"
    )
    return 1 if failures else 0


def explain(
    outcomes: Sequence[Outcome],
    operator: Any,
    places: Places,
    package: str = specification.BUILT_IN,
) -> str:
    """The failures of one operator: where it stands, what was found, and the formulas to blame."""
    failures = [outcome for outcome in outcomes if not outcome.passed]
    place = places.entry(operator.name)
    lines = [
        (f"{place}: " if place else "")
        + f"{operator.name}: {len(failures)} of {len(outcomes)} checks failed"
    ]
    for failure in failures[:MAX_PRINTED]:
        lines.append(f"    {failure.check} ({failure.sample}): {failure.message}")
    if len(failures) > MAX_PRINTED:
        lines.append(f"    ... and {len(failures) - MAX_PRINTED} more")
    if any(failure.check.startswith("forward float") for failure in failures):
        lines.append(f"  reference: {operator.reference or 'none; float64 is compared'}")
    lines.extend(_formulas(failures, operator, places))
    subject = "" if package == specification.BUILT_IN else f"{package} "
    lines.append(
        f"  samples are drawn with seed {failures[0].seed}; "
        f"repeat with: rederive gradcheck {subject}--op {operator.name}"
    )
    return "\n".join(lines)


def _formulas(failures: Sequence[Outcome], operator: Any, places: Places) -> list[str]:
    """The gradient formulas that the failures are about, each with its place."""
    about = [f for f in failures if not f.check.startswith("forward float")]
    if not about:
        return []
    blamed = [a for a in operator.differentiable if any(_blames(f.message, a) for f in about)]
    lines = []
    for argument in blamed or operator.differentiable:
        place = places.gradient(operator.name, argument)
        formula = operator.gradients.get(argument) or "derived from the forward formula"
        lines.append(f"  gradient of {argument}: {formula}" + (f"    ({place})" if place else ""))
    if any(failure.check == "forward mode" for failure in about):
        for argument, formula in operator.jvp.items():
            if formula != operator.gradients.get(argument):
                lines.append(f"  tangent of {argument}: {formula}")
    return lines


def _blames(message: str, argument: str) -> bool:
    """Whether the message reads `gradient of a, b: ...` and names the argument."""
    if not message.startswith("gradient of "):
        return False
    named = message.removeprefix("gradient of ").partition(":")[0].partition(" is nan")[0]
    return argument in [name.strip() for name in named.split(",")]


def summary(outcomes: Sequence[Outcome]) -> progress.Table:
    """One row for each family: operators, checks, failures, time and the worst relative error."""
    table = progress.Table(
        "",
        ("family", "operators", "checks", "failed", "time", "worst error", "of"),
        right=frozenset({"operators", "checks", "failed", "time", "worst error"}),
    )
    families: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        families[outcome.family].append(outcome)
    for family, found in families.items():
        double = [outcome for outcome in found if "float32" not in outcome.check]
        worst = max(double, key=lambda outcome: outcome.error)
        table.add(
            family,
            len({outcome.operator for outcome in found}),
            len(found),
            sum(not outcome.passed for outcome in found),
            f"{sum(outcome.seconds for outcome in found):.1f} s",
            f"{worst.error:.1e}",
            f"{worst.operator} ({worst.check})" if worst.error else "",
        )
    return table


def _document(
    package: str,
    operators: Sequence[Any],
    outcomes: Sequence[Outcome],
    places: Places,
    seconds: float,
) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "package": package,
        "passed": all(outcome.passed for outcome in outcomes),
        "operators": len(operators),
        "seconds": round(seconds, 3),
        "checks": [
            dataclasses.asdict(outcome) | {"place": places.entry(outcome.operator)}
            for outcome in outcomes
        ],
    }
