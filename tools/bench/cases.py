"""Cases that no declaration spells out: operand layouts, and lanes of tensors.

A case is a function of a library and of float32 leaves; forward and backward are measured. Names
say the geometry, as a program would write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from rederive.tools import progress
from rederive.tools.bench.operators import AGREE, Measured, Shape, disagreement
from rederive.tools.bench.timing import Work, compare


@dataclass(frozen=True)
class Case:
    """One row of a table: `function(library, *leaves)`, whose leaves are of these shapes."""

    name: str
    shapes: Sequence[Shape]
    function: Callable[..., Any]


def measure(
    cases: Sequence[Case],
    ours: ModuleType,
    theirs: ModuleType,
    rounds: int,
    at_least: float,
    title: str,
) -> Measured:
    """Compare every case, forward and backward."""
    measured = Measured(title, "case")
    for case in progress.steps(cases, title, lambda case: case.name):
        one, other = partial(step, case, ours), partial(step, case, theirs)
        reason = disagreement(one()(), other()())
        if reason and not nearer(case, ours, theirs):
            measured.skipped[case.name] = reason
        else:
            measured.comparisons.append(compare(case.name, one, other, rounds, at_least))
    return measured


def nearer(case: Case, ours: ModuleType, theirs: ModuleType) -> bool:
    """Whether we differ because PyTorch is less exact: it is the judge itself, in float64.

    The gradient of batch_norm over 4096 rows is a small difference of large sums; in float32
    PyTorch misses its own float64 result by more than the tolerance, we do not.
    """
    one, other = step(case, ours)(), step(case, theirs)()
    for left, right, exact in zip(one, other, step(case, theirs, np.float64)(), strict=True):
        truth = exact.detach().numpy()
        errors = [float(np.abs(t.detach().numpy() - truth).max()) for t in (left, right)]
        if errors[0] > max(errors[1], AGREE * float(np.abs(truth).max())):
            return False
    return True


def step(case: Case, library: ModuleType, kind: type = np.float32) -> Work:
    """A function that runs a case forward and backward and returns output and gradients."""
    generator = np.random.default_rng(len(case.name))
    leaves = []
    for shape in case.shapes:
        values = np.asarray(generator.uniform(0.5, 1.5, shape), np.float32).astype(kind)
        leaves.append(library.from_numpy(values).requires_grad_())
    shape = tuple(case.function(library, *leaves).shape)
    flow = np.asarray(generator.uniform(0.5, 1.5, shape), np.float32).astype(kind)
    cotangent = library.from_numpy(flow)

    def run() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        output = case.function(library, *leaves)
        output.backward(cotangent)
        return [output, *(leaf.grad for leaf in leaves)]

    return run


def indexed(name: str, shapes: Sequence[Shape], function: Callable[..., Any], index: Any) -> Case:
    """A case whose function also takes an index, as a tensor of either library."""
    made: dict[str, Any] = {}

    def call(library: ModuleType, *leaves: Any) -> Any:
        if library.__name__ not in made:
            made[library.__name__] = library.from_numpy(index)
        return function(library, made[library.__name__], *leaves)

    return Case(name, shapes, call)


def layouts() -> list[Case]:
    """Broadcast and strided operands of pointwise operators, 4096 by 1024 elements."""
    m, n = 4096, 1024
    matrix, turned, image = (m, n), (n, m), (32, 64, 32, 64)
    channels = (64, 1, 1)
    return [
        Case("bias: x + row", [matrix, (n,)], lambda lib, a, b: a + b),
        Case("x * row", [matrix, (n,)], lambda lib, a, b: a * b),
        Case("x * column", [matrix, (m, 1)], lambda lib, a, b: a * b),
        Case("x / column", [matrix, (m, 1)], lambda lib, a, b: a / b),
        Case("x + 0-d", [matrix, ()], lambda lib, a, b: a + b),
        Case("x * 0-d", [matrix, ()], lambda lib, a, b: a * b),
        Case("outer: column * row", [(m, 1), (n,)], lambda lib, a, b: a * b),
        Case("image + channel", [image, channels], lambda lib, a, b: a + b),
        Case("image * channel", [image, channels], lambda lib, a, b: a * b),
        Case("x + y.t()", [matrix, turned], lambda lib, a, b: a + b.t()),
        Case("x * y.t()", [matrix, turned], lambda lib, a, b: a * b.t()),
        Case("x.t() * y.t()", [turned, turned], lambda lib, a, b: a.t() * b.t()),
        Case("exp(x.t())", [turned], lambda lib, a: a.t().exp()),
        Case(
            "x[:, :512] * y[:, 512:]", [matrix, matrix], lambda lib, a, b: a[:, :512] * b[:, 512:]
        ),
        Case("x[:, ::2] * 2", [matrix], lambda lib, a: a[:, ::2] * 2),
        Case("tanh(x[1:-1])", [matrix], lambda lib, a: a[1:-1].tanh()),
    ]


def lanes() -> list[Case]:
    """Operators that work along a dimension, the last and the first, large and small."""
    return [case for shape in ((4096, 1024), (256, 64)) for case in _lanes(shape)]


def _functional(library: ModuleType) -> Any:
    return library.nn.functional


def _layer_norm(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return _functional(library).layer_norm(a, a.shape[1:], weight, bias)


def _rms_norm(library: ModuleType, a: Any, weight: Any) -> Any:
    return _functional(library).rms_norm(a, a.shape[1:], weight)


def _batch_norm(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return _functional(library).batch_norm(a, None, None, weight, bias, True)


def _lanes(shape: Shape) -> Iterator[Case]:
    m, n = shape
    where = f"{m}x{n}"
    along: list[tuple[str, Callable[..., Any]]] = [
        ("sum", lambda lib, a, d: a.sum(d)),
        ("mean", lambda lib, a, d: a.mean(d)),
        ("amax", lambda lib, a, d: a.amax(d)),
        ("var", lambda lib, a, d: a.var(d)),
        ("std", lambda lib, a, d: a.std(d)),
        ("norm", lambda lib, a, d: a.norm(2, d)),
        ("logsumexp", lambda lib, a, d: a.logsumexp(d)),
        ("softmax", lambda lib, a, d: lib.softmax(a, d)),
        ("log_softmax", lambda lib, a, d: lib.log_softmax(a, d)),
        ("cumsum", lambda lib, a, d: a.cumsum(d)),
    ]
    for name, function in along:
        for dim, place in ((1, "last"), (0, "first")):
            call = partial(_along, function, dim)
            yield Case(f"{name}, {place}, {where}", [shape], call)
    yield Case(f"sum of all, {where}", [shape], lambda lib, a: a.sum())
    yield Case(f"layer_norm, {where}", [shape, (n,), (n,)], _layer_norm)
    yield Case(f"rms_norm, {where}", [shape, (n,)], _rms_norm)
    yield Case(f"batch_norm, {where}", [shape, (n,), (n,)], _batch_norm)
    target = np.random.default_rng(0).integers(0, n, m)
    yield Case(f"cross_entropy, {where}", [shape], partial(_cross_entropy, target))


def _along(function: Callable[..., Any], dim: int, library: ModuleType, a: Any) -> Any:
    return function(library, a, dim)


def _cross_entropy(target: np.ndarray, library: ModuleType, a: Any) -> Any:
    return _functional(library).cross_entropy(a, library.from_numpy(target))
