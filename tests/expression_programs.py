"""Programs of declared operators drawn at random: expressions in which values are used again.

A program is written down once, as a list of steps, and can then be run on other numbers and by
another library. It takes leaves of a few shapes. A step calls an operator as one of the samples
that its entry declares, but with earlier results in the place of the floating arrays: spread to the
shape that the sample has there, and where they leave the declared interval bent into it smoothly.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import rederive
from random_calls import by_position
from rederive.generated.registry import OPERATORS
from rederive.tools import samples

SHAPES = ((3, 4), (4,), (), (2, 3), (3, 1))  # of the leaves
KEPT = 3  # outputs of a program: the last results, and all that nothing else uses


def fitting(operator):
    """Whether programs use an operator: public, and made of formulas over numbers or lanes."""
    families = operator.family in ("pointwise", "rowwise", "view")
    groups = operator.group in ("product", "scan")
    return (
        bool(operator.differentiable)
        and "internal" not in operator.namespace
        and (families or groups)
    )


def calls(operator):
    """The samples of an operator that a program may follow."""
    drawn = [s for s in samples.draw(operator) if not (s.kink or s.empty or s.symmetric)]
    return [s for s in drawn if samples.floating(s, operator.differentiable)]


CHOICES = [(o, calls(o)) for o in OPERATORS if fitting(o)]
CHOICES = [(operator, drawn) for operator, drawn in CHOICES if drawn]


@dataclass(frozen=True)
class Operand:
    """An earlier result where a sample has an array: its number, the shape, how it is bent."""

    source: int
    shape: tuple
    positions: tuple | None  # of the elements that are taken, None where the shape is right
    interval: tuple | None


@dataclass(frozen=True)
class Step:
    """A call of an operator: argument -> Operand, array, or plain value."""

    operator: object
    values: dict


class Program:
    """Leaves, steps, and the numbers of the results that are the outputs."""

    def __init__(self, seed):
        generator = np.random.default_rng(seed)
        self.leaves = [generator.uniform(-2, 2, shape) for shape in SHAPES]
        self.steps = []
        self.results = [rederive.from_numpy(leaf) for leaf in self.leaves]
        self.used = set()

    def extend(self, choice, call, sources):
        """Add a step: which operator, which of its samples, which results it is given.

        A step is left out whose result is not finite, or has nothing that can be differentiated.
        """
        operator, drawn = CHOICES[choice % len(CHOICES)]
        sample = drawn[call % len(drawn)]
        numbers = itertools.cycle(sources)
        values = {
            name: self._operand(operator, name, value, next(numbers) % len(self.results))
            if _replaced(operator, name, value)
            else value
            for name, value in sample.values.items()
        }
        step = Step(operator, values)
        found = results_of(rederive, step, self.results, operator.function)
        if not found or not all(np.isfinite(r.numpy()).all() for r in found):
            return
        self.steps.append(step)
        self.results += found
        self.used |= {v.source for v in values.values() if isinstance(v, Operand)}

    def _operand(self, operator, name, value, source):
        given = self.results[source].numpy()
        low, high = operator.samples.get(name, samples.INTERVAL)
        inside = given.size and low <= given.min() and given.max() <= high
        taken = None if given.shape == value.shape else np.arange(value.size) % given.size
        positions = None if taken is None else tuple(taken.tolist())
        return Operand(source, value.shape, positions, None if inside else (low, high))

    def outputs(self):
        """The numbers of the results that count."""
        first = len(self.leaves)
        free = [i for i in range(first, len(self.results)) if i not in self.used]
        return sorted({*free, *range(max(first, len(self.results) - KEPT), len(self.results))})

    def run(self, library, leaves, function_of=lambda operator: operator.function):
        """The outputs as tensors of a library, from leaves that are such."""
        results = list(leaves)
        for step in self.steps:
            results += results_of(library, step, results, function_of(step.operator))
        return [results[i] for i in self.outputs()]

    def __repr__(self):
        lines = []
        for step in self.steps:
            shown = [
                f"{name}=#{v.source}{list(v.shape)}" if isinstance(v, Operand) else f"{name}={v}"
                for name, v in step.values.items()
            ]
            lines.append(f"{step.operator.name}({', '.join(shown)})")
        return "\n".join(lines)


def _replaced(operator, name, value):
    """Whether an earlier result stands for a sample's value."""
    floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return floating and name in operator.differentiable


def results_of(library, step, results, function):
    """The results of a step that have a gradient."""

    def given(name, value):
        if isinstance(value, Operand):
            return _laid(library, value, results[value.source])
        if isinstance(value, np.ndarray):
            return library.from_numpy(np.array(value))
        kind = next(a.type for a in step.operator.arguments if a.name == name)
        return getattr(library, value) if kind == "Dtype" and isinstance(value, str) else value

    values = {name: given(name, value) for name, value in step.values.items()}
    positional, left = by_position(step.operator, values)
    found = function(*positional, **left)
    found = list(found) if isinstance(found, tuple | list) else [found]
    return [f for f in found if f.dtype.is_floating_point and f.numel()]


def _laid(library, operand, value):
    if operand.positions is not None:
        value = value.reshape(-1)[library.tensor(operand.positions)].reshape(operand.shape)
    if operand.interval is not None:
        low, high = operand.interval
        value = low + (high - low) * library.sigmoid(value)
    return value
