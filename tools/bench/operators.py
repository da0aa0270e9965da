"""Forward and backward of each declared pointwise operator against the same one of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from rederive.tools import progress, samples
from rederive.tools.bench.timing import Comparison, Work, compare

Shape = tuple[int, ...]

# Loose, because only a different function is to be found out; gradcheck judges the numbers.
AGREE = 1e-3


@dataclass
class Measured:
    """The comparisons of one table, and why some rows were left out."""

    title: str
    rows: str = "operator"  # what a row is
    comparisons: list[Comparison] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def measure(
    operators: Sequence[Any],
    ours: ModuleType,
    theirs: ModuleType,
    shapes: Sequence[Shape],
    rounds: int,
    at_least: float,
) -> Measured:
    """Compare every differentiable pointwise operator that both have.

    shapes: of the first tensor, the second, ...; the last is that of all further ones. Operators
    with fewer tensors than shapes are left out.
    """
    title = " and ".join("x".join(map(str, shape)) for shape in shapes)
    measured = Measured(f"{title} float32 elements")
    found = [(operator, counterpart(operator, theirs)) for operator in operators]
    both = [(o, f) for o, f in found if f is not None and eligible(o, len(shapes))]
    for operator, function in progress.steps(both, measured.title, lambda pair: pair[0].name):
        try:
            values = values_of(operator, shapes)
            one = partial(step, operator, operator.function, ours, values)
            other = partial(step, operator, function, theirs, values)
            reason = disagreement(one()(), other()())
        except Exception as error:  # a signature that PyTorch does not share; the reader is told
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        if reason:
            measured.skipped[operator.name] = reason
        else:
            measured.comparisons.append(compare(operator.name, one, other, rounds, at_least))
    return measured


def eligible(operator: Any, tensors: int) -> bool:
    found = sum(argument.type == "Tensor" for argument in operator.arguments)
    return operator.family == "pointwise" and bool(operator.differentiable) and found >= tensors


def counterpart(operator: Any, library: ModuleType) -> Callable | None:
    """The function of the same public name in PyTorch's module of the same name."""
    for namespace in (*operator.namespace, "torch", "nn.functional", "special"):
        found: Any = library
        for part in namespace.split(".") if namespace != "torch" else ():
            found = getattr(found, part, None)
        function = getattr(found, operator.public, None)
        if callable(function):
            return function
    return None


def values_of(operator: Any, shapes: Sequence[Shape]) -> dict[str, Any]:
    """The arguments of the operator's first sample, its tensors of these shapes."""
    drawn = samples.draw(operator)[0]
    generator = np.random.default_rng(drawn.seed)
    values = dict(drawn.values)
    left = list(shapes)
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            continue
        shape = left.pop(0) if len(left) > 1 else left[0]
        if value.dtype.kind == "f":
            low, high = operator.samples.get(name, samples.INTERVAL)
            values[name] = generator.uniform(low, high, shape).astype(np.float32)
        else:
            values[name] = np.resize(value, shape)
    return values


def step(operator: Any, function: Callable, library: ModuleType, values: Mapping[str, Any]) -> Work:
    """A function that runs forward and backward once and returns output and gradients."""
    leaves: list[Any] = []
    given: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            tensor = library.from_numpy(value.copy())
            if value.dtype.kind == "f" and name in operator.differentiable:
                tensor.requires_grad_()
                leaves.append(tensor)
            given[name] = tensor
        else:
            given[name] = value
    positional = list(_positional(operator, given))
    shape = _shape(values)
    ramp = np.linspace(0.5, 1.5, math.prod(shape), dtype=np.float32)
    cotangent = library.from_numpy(ramp.reshape(shape))

    def run() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        output = function(*positional, **given)
        output.backward(cotangent)
        return [output, *(leaf.grad for leaf in leaves)]

    return run


def _positional(operator: Any, given: dict[str, Any]) -> Iterator[Any]:
    for argument in operator.arguments:
        if argument.keyword_only or argument.name not in given:
            return
        yield given.pop(argument.name)


def _shape(values: Mapping[str, Any]) -> Shape:
    shapes = [value.shape for value in values.values() if isinstance(value, np.ndarray)]
    return np.broadcast_shapes(*shapes)


def disagreement(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """Why the two sides did not compute the same thing, or ""."""
    for what, one, other in zip(["value", *["gradient"] * len(ours)], ours, theirs, strict=False):
        if (one is None) != (other is None):
            return f"{what} is missing on one side"
        if one is None:
            continue
        left, right = (np.asarray(t.detach().numpy()) for t in (one, other))
        if left.shape != right.shape:
            return f"{what} has shape {left.shape} here and {right.shape} there"
        if not np.allclose(left, right, rtol=AGREE, atol=AGREE, equal_nan=True):
            return f"{what} differs"
    return ""
