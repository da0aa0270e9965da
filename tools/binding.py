"""Turns a sample into tensors and a call of its operator, and takes gradients through it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import rederive
from rederive import autograd
from rederive.tools import samples
from rederive.tools.samples import Sample


class Bound:
    """An operator and one sample, as a function of the leaf tensors that get gradients."""

    def __init__(self, operator: Any, sample: Sample, dtype: str = "float64") -> None:
        self.operator = operator
        self.sample = sample
        self.dtype = dtype
        self.leaves: list[Any] = []
        self.owners: list[str] = []  # the argument that each leaf belongs to
        self.template = {name: self._place(name, value) for name, value in sample.values.items()}

    def _place(self, name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._tensor(name, value)
        if samples.is_arrays(value):
            return [self._tensor(name, item) for item in value]
        kind = next(a for a in self.operator.arguments if a.name == name)
        if kind.type == "Dtype" and isinstance(value, str):
            return getattr(rederive, value)
        return value

    def _tensor(self, name: str, array: np.ndarray) -> Any:
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        tensor = rederive.from_numpy(self._memory(name, array))
        if array.dtype.kind == "f" and name in self.operator.differentiable:
            tensor.requires_grad_()
            self.leaves.append(tensor)
            self.owners.append(name)
            return _Leaf(len(self.leaves) - 1, name in self.sample.symmetric)
        return tensor

    def _memory(self, name: str, array: np.ndarray) -> np.ndarray:
        """The array that a tensor is to share memory with."""
        return samples.lay_out(array, name in self.sample.strided)

    def outputs(self, *leaves: Any) -> tuple[Any, ...]:
        """All outputs that are not None, flat, as a function of the leaves."""
        return tuple(output for output in self._results(*leaves) if output is not None)

    def _results(self, *leaves: Any) -> tuple[Any, ...]:

        def fill(value: Any) -> Any:
            if isinstance(value, _Leaf):
                leaf = leaves[value.index]
                return (leaf + leaf.mT) / 2 if value.symmetric else leaf
            return [fill(item) for item in value] if isinstance(value, list) else value

        given = {name: fill(value) for name, value in self.template.items()}
        positional = []
        for argument in self.operator.arguments:
            if argument.keyword_only or argument.name not in given:
                break
            positional.append(given.pop(argument.name))
        rederive.manual_seed(self.sample.seed)  # an operator may draw random numbers
        result = self.operator.function(*positional, **given)
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    def differentiable(self, *leaves: Any) -> tuple[Any, ...]:
        """The outputs that have gradients."""
        declared = self.operator.outputs
        if len(declared) == 1:
            return self.outputs(*leaves)
        names = self.operator.differentiable_outputs
        pairs = zip(self._results(*leaves), declared, strict=True)
        return tuple(o for o, d in pairs if o is not None and d.name in names)

    def cotangents(self, outputs: tuple[Any, ...], requires_grad: bool = False) -> list[Any]:
        """A random tensor for each output; never ones, which cannot see a missing transpose."""
        generator = np.random.default_rng(self.sample.seed + 1)
        drawn = []
        for output in outputs:
            array = np.asarray(generator.normal(size=tuple(output.shape)), self.dtype)
            drawn.append(rederive.from_numpy(array).requires_grad_(requires_grad))
        return drawn

    def gradients(self, **options: Any) -> list[np.ndarray]:
        """J'g for the random cotangent, zeros where there is none."""
        outputs = self.differentiable(*self.leaves)
        found = autograd.grad(
            outputs, self.leaves, self.cotangents(outputs), allow_unused=True, **options
        )
        return [
            np.zeros(tuple(leaf.shape), self.dtype) if g is None else to_numpy(g)
            for g, leaf in zip(found, self.leaves, strict=True)
        ]


@dataclass(frozen=True)
class _Leaf:
    """Stands in `Bound.template` for the leaf tensor of that number."""

    index: int
    symmetric: bool  # the operator is given its symmetric part


def to_numpy(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().numpy())


def rounded(sample: Sample, dtype: str) -> Sample:
    """The sample with its floating values rounded to `dtype`, kept in float64."""

    def narrowed(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(dtype).astype(np.float64)
        return [narrowed(item) for item in value] if samples.is_arrays(value) else value

    values = {name: narrowed(value) for name, value in sample.values.items()}
    return dataclasses.replace(sample, values=values)
