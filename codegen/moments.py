"""Mean and variance of a lane from one reading of it.

A formula says the mean first and then a sum of squared deviations from it, so that one pass waits
for the other. Both follow from sums over deviations from any number near the mean, which one pass
finds: levels of reductions are rewritten so wherever a lane that is read from memory has its mean
taken and then squares of `lane - number` added up, whatever the number is.
"""

from __future__ import annotations

from collections.abc import Callable

from .model import Binary, Call, Constant, Expr, Name

MOMENTS = "moments"
"""The reduction of a lane to three numbers, under the lane's name."""

Step = tuple[str, str, Expr]
Levels = dict[int, list[Step]]


def parts(lane: str) -> tuple[str, str, str]:
    """Names of a number near the lane's mean, what the mean is beyond it, and the sum of squared
    deviations from the mean.
    """
    return f"{lane}_near", f"{lane}_rest", f"{lane}_spread"


def merge(
    steps: Levels, reductions: Levels, lanes: set[str], differs: Callable[[Expr], bool]
) -> None:
    """Rewrite the levels of a kernel.

    lanes: those read from memory. differs: whether an expression is another along the lane.
    """
    for level in sorted(reductions):
        for reduction in list(reductions.get(level, ())):
            function, _, value = reduction
            if function == "mean" and isinstance(value, Name) and value.id in lanes:
                later = [
                    (at, item, form)
                    for at, found in reductions.items()
                    for item in found
                    if at > level and (form := _from_moments(item, value.id, differs))
                ]
                _merge(steps, reductions, level, reduction, later)


def _merge(
    steps: Levels, reductions: Levels, level: int, mean: Step, later: list[tuple[int, Step, Expr]]
) -> None:
    """The same for one lane, whose `later` reductions come from its moments if one is a square."""
    _, name, value = mean
    assert isinstance(value, Name)
    if not any(_squared(item[2]) for _, item, _ in later):
        return
    place = reductions[level].index(mean)
    reductions[level][place] = (MOMENTS, value.id, value)
    near, rest, _ = map(Name, parts(value.id))
    whole = Call("number", (Binary("+", near, rest),))
    steps.setdefault(level + 1, []).insert(0, ("row", name, whole))
    for at, item, form in later:
        reductions[at].remove(item)
        if not reductions[at]:
            del reductions[at]
        steps.setdefault(at, []).append(("row", item[1], form))


def _from_moments(reduction: Step, lane: str, differs: Callable[[Expr], bool]) -> Expr | None:
    """A later reduction of the lane, computed from its moments; None where that does not go."""
    function, _, tree = reduction
    if function not in ("sum", "mean"):
        return None
    near, rest, spread = map(Name, parts(lane))
    squared = _squared(tree)
    center = _center(squared or tree, lane, either=squared is not None)
    if center is None or differs(center):
        return None
    if squared:
        total: Expr = Call("squares_about", (near, rest, spread, Name("n"), center))
        total = Binary("/", total, Name("n")) if function == "mean" else total
    elif function == "mean":
        total = Call("off_center", (near, rest, center))
    else:
        return None
    return Call("number", (total,))


def _squared(tree: Expr) -> Expr | None:
    """What an expression is the square of."""
    match tree:
        case Call("square", (inner,)) | Binary("**", inner, Constant(2)):
            return inner
        case Binary("*", left, right) if left == right:
            return left
    return None


def _center(tree: Expr, lane: str, either: bool) -> Expr | None:
    """The number that is subtracted from the lane; in `either` order."""
    match tree:
        case Binary("-", Name(found), center) if found == lane:
            return center
        case Binary("-", center, Name(found)) if found == lane and either:
            return center
    return None
