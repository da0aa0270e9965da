"""The checks that every declared operator has to pass, one function each.

A check takes a bound call and returns how far off it was; it raises `Failed` with what was
found. `check_operator` runs all that apply on all samples and never raises. `rederive gradcheck`
and the test that iterates the registry both stand on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import rederive
from rederive import autograd
from rederive.autograd import forward_ad
from rederive.tools import reference, samples
from rederive.tools.binding import Bound, rounded, to_numpy
from rederive.tools.samples import Sample

# Finite differences in float64 with this step are good to about 1e-9 of the function's size, so a
# formula that is off by 0.1 % stands far above the tolerance (PyTorch's default would pass it).
EPS, ATOL, RTOL = 1e-6, 2e-6, 2e-5
# A forward pass, or a product of derivatives, may lose this many units in the last place.
ULPS = 200
# Second order needs a column for each input element; above this many a random projection is used.
FULL_SECOND_ORDER = 12
# Messages of `gradcheck` print whole Jacobians; this many characters of them are enough.
MAX_MESSAGE = 300


class Failed(Exception):
    """A check found something wrong."""


@dataclass(frozen=True)
class Outcome:
    """What one check on one sample found."""

    operator: str
    family: str
    check: str
    sample: str
    seed: int
    passed: bool
    seconds: float
    error: float = 0.0  # the worst relative error, where the check measures one
    message: str = ""


def compare(found: np.ndarray, wanted: np.ndarray, dtype: str, what: str, scale: float) -> float:
    """The worst error of `found` relative to `wanted` and `scale`; raises Failed above ULPS."""
    if found.shape != wanted.shape:
        raise Failed(f"{what} has shape {found.shape}; the shape expected is {wanted.shape}")
    if found.dtype.kind != "f":
        if not np.array_equal(found, wanted.astype(found.dtype)):
            raise Failed(f"{what} is {found.tolist()}; expected {wanted.tolist()}")
        return 0.0
    wanted = wanted.astype(np.float64)
    with np.errstate(all="ignore"):
        narrow = wanted.astype(dtype).astype(np.float64)  # what overflows in float32 is infinite
        same = (found == narrow) | (np.isnan(found) & np.isnan(narrow))
        error = np.abs(found - narrow) / np.maximum(np.abs(narrow), scale)
    error = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
    worst = float(error.max(initial=0.0))
    if worst > ULPS * np.finfo(dtype).eps:
        at = np.unravel_index(int(np.argmax(error)), error.shape)
        place = f" at {tuple(int(i) for i in at)}" if error.ndim else ""
        raise Failed(f"{what}{place} is {found[at]:.9g}; expected {narrow[at]:.9g}")
    return worst


def scale_of(operator: Any, wanted: np.ndarray) -> float:
    """The size against which errors count: an element's own, or that of the whole result."""
    finite = np.abs(wanted[np.isfinite(wanted)]) if wanted.dtype.kind == "f" else np.zeros(0)
    if operator.family == "pointwise" or not finite.size:
        return 1.0
    return max(1.0, float(finite.max()))


# --- the checks ------------------------------------------------------------------------------


def forward(bound: Bound) -> float:
    """The outputs agree with the reference; without one, float32 agrees with float64."""
    found = [to_numpy(output) for output in bound.outputs(*bound.leaves)]
    if bound.operator.reference:
        wanted = _expected(bound)
    elif bound.dtype == "float64":
        return 0.0
    else:
        exact = Bound(bound.operator, rounded(bound.sample, bound.dtype))
        wanted = [to_numpy(output) for output in exact.outputs(*exact.leaves)]
    if len(found) != len(wanted):
        raise Failed(f"{len(found)} outputs; the reference gives {len(wanted)}")
    worst = 0.0
    for output, array, value in zip(_names(bound, found), found, wanted, strict=True):
        if array.dtype.kind == "f" and array.dtype != _dtype_asked(bound):
            raise Failed(f"{output} is {array.dtype}; expected {_dtype_asked(bound)}")
        scale = scale_of(bound.operator, value)
        worst = max(worst, compare(array, value, bound.dtype, output, scale))
    return worst


def _dtype_asked(bound: Bound) -> str:
    """The dtype of floating results: that of the inputs, unless the call names another."""
    named = [bound.sample.values.get(a.name) for a in bound.operator.arguments if a.type == "Dtype"]
    return next((dtype for dtype in named if dtype is not None), bound.dtype)


def _expected(bound: Bound) -> list[np.ndarray]:
    sample = rounded(bound.sample, bound.dtype)
    values = {a.name: a.default for a in bound.operator.arguments if a.has_default or a.optional}
    result = reference.evaluate(bound.operator.reference, values | sample.values)
    parts = result if isinstance(result, tuple | list) else (result,)
    return [np.asarray(part) for part in parts if part is not None]


def _names(bound: Bound, found: list[np.ndarray]) -> list[str]:
    declared = bound.operator.outputs
    if len(declared) == len(found):
        return [output.name for output in declared]
    return [f"{declared[0].name}[{i}]" for i in range(len(found))]


def gradient(bound: Bound) -> float:
    """The gradients agree with central differences."""
    try:
        _numerically(bound, lambda f, leaves: autograd.gradcheck(f, leaves, **_tolerances()))
    except Failed as failure:
        raise Failed(_located(bound) or str(failure)) from None
    return 0.0


def _located(bound: Bound) -> str:
    """Where the gradient of <g, f> is furthest from its central differences, g being random."""
    worst, message = 0.0, ""
    for position, (owner, formula) in enumerate(zip(bound.owners, bound.gradients(), strict=True)):
        leaves = [leaf.detach() for leaf in bound.leaves]
        values = to_numpy(leaves[position])
        for at in np.ndindex(values.shape):
            sides = []
            for step in (EPS, -EPS):
                moved = values.copy()
                moved[at] += step
                leaves[position] = rederive.from_numpy(moved)
                outputs = bound.differentiable(*leaves)
                cotangents = bound.cotangents(outputs)
                pairs = zip(cotangents, outputs, strict=True)
                sides.append(sum(float((to_numpy(g) * to_numpy(f)).sum()) for g, f in pairs))
            numeric = (sides[0] - sides[1]) / (2 * EPS)
            error = abs(formula[at] - numeric) / (ATOL + RTOL * abs(numeric))
            if not error <= max(worst, 1.0):
                worst = float("inf") if np.isnan(error) else error
                place = f" at {at}" if at else ""
                message = (
                    f"gradient of {owner}: {formula[at]:.9g}{place}; "
                    f"finite differences give {numeric:.9g}"
                )
    return message


def second_order(bound: Bound, fast: bool = False) -> float:
    """The gradients of the gradients agree with central differences of the gradients."""
    size = sum(leaf.numel() for leaf in bound.leaves)
    fast = fast or size > FULL_SECOND_ORDER

    def run(function: Callable, leaves: tuple) -> bool:
        cotangents = bound.cotangents(function(*leaves), requires_grad=True)
        return autograd.gradgradcheck(function, leaves, cotangents, fast_mode=fast, **_tolerances())

    _numerically(bound, run)
    return 0.0


def _tolerances() -> dict[str, float]:
    return {"eps": EPS, "atol": ATOL, "rtol": RTOL}


def _numerically(bound: Bound, run: Callable) -> None:
    """Run a comparison with finite differences; on failure find the arguments to blame."""
    try:
        passed = run(bound.differentiable, tuple(bound.leaves))
        message = "gradients differ from finite differences"
    except autograd.GradcheckError as error:
        passed, message = False, str(error)
    if passed:
        return
    blamed = []
    for position, owner in enumerate(bound.owners):
        others = [leaf.detach() for leaf in bound.leaves]

        def alone(leaf: Any, others: list = others, position: int = position) -> tuple:
            return bound.differentiable(*others[:position], leaf, *others[position + 1 :])

        try:
            alright = run(alone, (bound.leaves[position],))
        except autograd.GradcheckError:
            alright = False
        if not alright and owner not in blamed:
            blamed.append(owner)
    text = " ".join(message.split())
    if len(text) > MAX_MESSAGE:  # between the first line and the last stand the Jacobians
        lines = message.splitlines()
        text = " ".join(lines[:1] + lines[1:][-1:])[:MAX_MESSAGE] + " ..."
    raise Failed(f"gradient of {', '.join(blamed or bound.owners)}: {text}")


def forward_mode(bound: Bound) -> float:
    """<g, Jv> = <J'g, v> for random g and v, J by forward mode and J' by reverse mode."""
    generator = np.random.default_rng(bound.sample.seed + 2)
    tangents = [np.asarray(generator.normal(size=tuple(x.shape))) for x in bound.leaves]
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(leaf.detach(), rederive.from_numpy(tangent))
            for leaf, tangent in zip(bound.leaves, tangents, strict=True)
        ]
        outputs = bound.differentiable(*duals)
        cotangents = [to_numpy(g) for g in bound.cotangents(outputs)]
        pushed = [forward_ad.unpack_dual(output).tangent for output in outputs]
        pushed = [None if tangent is None else to_numpy(tangent) for tangent in pushed]
    terms = [g * t for g, t in zip(cotangents, pushed, strict=True) if t is not None]
    pulled = [g * v for g, v in zip(bound.gradients(), tangents, strict=True)]
    left, right = (sum(float(term.sum()) for term in side) for side in (terms, pulled))
    size = sum(float(np.abs(term).sum()) for term in [*terms, *pulled])
    error = abs(left - right) / max(size, 1.0)
    if not error <= ULPS * np.finfo(np.float64).eps:
        raise Failed(f"forward mode gives <g, Jv> = {left:.12g}, reverse <J'g, v> = {right:.12g}")
    return error


def forward_over_reverse(bound: Bound) -> float:
    """The derivative of the gradients along a direction agrees between the two orders of modes."""
    generator = np.random.default_rng(bound.sample.seed + 3)
    along = [rederive.from_numpy(generator.normal(size=tuple(x.shape))) for x in bound.leaves]

    def gradients(leaves: list[Any]) -> list[Any]:
        outputs = bound.differentiable(*leaves)
        cotangents = bound.cotangents(outputs)
        found = autograd.grad(outputs, leaves, cotangents, create_graph=True, allow_unused=True)
        return [None if g is None or not g.requires_grad else g for g in found]

    plain = gradients(bound.leaves)
    kept = [(g, v) for g, v in zip(plain, along, strict=True) if g is not None]
    if not kept:
        return 0.0
    rows, given = zip(*kept, strict=True)
    wanted = autograd.grad(rows, bound.leaves, given, allow_unused=True)
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(x, v).requires_grad_()
            for x, v in zip(bound.leaves, along, strict=True)
        ]
        found = [None if g is None else forward_ad.unpack_dual(g).tangent for g in gradients(duals)]
    worst = 0.0
    for owner, one, other in zip(bound.owners, found, wanted, strict=True):
        pair = [t for t in (one, other) if t is not None]
        if not pair:
            continue
        zeros = np.zeros(tuple(pair[0].shape))
        left, right = (zeros if t is None else to_numpy(t) for t in (one, other))
        scale = max(1.0, scale_of(bound.operator, right))
        what = f"derivative of the gradient of {owner} by forward mode"
        worst = max(worst, compare(left, right, "float64", what, scale))
    return worst


def lowerings(bound: Bound) -> float:
    """The kernels and the formulas over tensors give the same gradients (points included)."""
    kernel = bound.gradients()
    graph = bound.gradients(create_graph=True)
    worst = 0.0
    for owner, found, wanted in zip(bound.owners, kernel, graph, strict=True):
        what = f"gradient of {owner}: by kernel"
        scale = max(1.0, scale_of(bound.operator, wanted))
        worst = max(worst, compare(found, wanted, "float64", what, scale))
        if bound.sample.kink and np.isnan(found).any():
            raise Failed(f"gradient of {owner} is nan at a declared point: {found.tolist()}")
    return worst


def single_precision(bound: Bound) -> float:
    """The float32 gradients agree with the float64 ones."""
    narrow = Bound(bound.operator, bound.sample, "float32")
    exact = Bound(bound.operator, rounded(bound.sample, "float32"))
    worst = 0.0
    pairs = zip(narrow.owners, narrow.gradients(), exact.gradients(), strict=True)
    for owner, found, wanted in pairs:
        # The cotangents differ by a rounding, and a formula may cancel: hence the whole's scale.
        finite = np.abs(wanted[np.isfinite(wanted)])
        scale = 10.0 * max(1.0, float(finite.max(initial=0.0)))
        worst = max(worst, compare(found, wanted, "float32", f"gradient of {owner}", scale))
    return worst


# --- all of them -----------------------------------------------------------------------------


def check_operator(operator: Any, fast: bool = False) -> Iterator[Outcome]:
    """Run every check that applies on every sample of an operator."""
    try:
        drawn = samples.draw(operator)
    except Exception as error:  # a declaration that cannot be drawn fails, and others go on
        nothing = Sample("none drawn", {}, 0)
        yield _outcome(operator, nothing, "samples", lambda error=error: _raise(error))
        return
    for sample in drawn:
        for name, run in _plan(operator, sample, fast):
            yield _outcome(operator, sample, name, run)


def _raise(error: Exception) -> float:
    raise error


def _outcome(operator: Any, sample: Sample, check: str, run: Callable[[], float]) -> Outcome:
    begin = time.perf_counter()
    error, message = 0.0, ""
    try:
        error = run()
    except Failed as failure:
        message = str(failure)
    except Exception as unexpected:  # an operator that raises has failed, and others go on
        message = f"{type(unexpected).__name__}: {unexpected}"
    return Outcome(
        operator=operator.name,
        family=operator.family,
        check=check,
        sample=sample.label,
        seed=sample.seed,
        passed=not message,
        seconds=time.perf_counter() - begin,
        error=error,
        message=message,
    )


def _plan(operator: Any, sample: Sample, fast: bool) -> Iterator[tuple[str, Callable[[], float]]]:
    """The checks that apply to a sample, each with what runs it."""

    def bound(dtype: str = "float64") -> Bound:
        return Bound(operator, sample, dtype)

    yield "forward float64", lambda: forward(bound())
    yield "forward float32", lambda: forward(bound("float32"))
    if not samples.floating(sample, operator.differentiable):
        return
    yield "lowerings", lambda: lowerings(bound())
    if sample.kink:
        return
    yield "forward mode", lambda: forward_mode(bound())
    yield "gradient float32", lambda: single_precision(bound())
    if not sample.empty:
        yield "gradient", lambda: gradient(bound())
        yield "second order", lambda: second_order(bound(), fast)
