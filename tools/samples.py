"""Draws the sample calls on which an operator is checked, from what its entry declares.

Works on NumPy arrays and plain values only; `rederive.tools.checks` turns them into tensors.
A sample is drawn in float64 from a seed that follows from the operator's name, so that every run,
and every machine, checks the same numbers.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

INTERVAL = (-2.0, 2.0)  # where arguments without `samples:` are drawn
MAX_POINTS = 64  # combinations of the declared points of several arguments


@dataclass(frozen=True)
class Sample:
    """One call of an operator.

    values: argument name -> float64, int64 or bool array (a tensor), list of arrays (Tensor[]),
    or a plain value. Arguments that are left out take their default.
    strided: the tensor arguments whose memory is to be non-contiguous.
    kink: the values are declared points, where finite differences mean nothing.
    symmetric: the arguments that are symmetric matrices, and stay so when they are varied.
    """

    label: str
    values: dict[str, Any]
    seed: int
    strided: frozenset[str] = field(default_factory=frozenset)
    kink: bool = False
    symmetric: frozenset[str] = field(default_factory=frozenset)

    @property
    def empty(self) -> bool:
        """Whether some tensor has no elements."""
        return any(array.size == 0 for array in self.arrays())

    def arrays(self) -> Iterator[np.ndarray]:
        for value in self.values.values():
            if isinstance(value, np.ndarray):
                yield value
            elif is_arrays(value):
                yield from value


def is_arrays(value: object) -> bool:
    """Whether `value` stands for a Tensor[] argument."""
    return isinstance(value, list) and any(isinstance(item, np.ndarray) for item in value)


def floating(sample: Sample, names: Sequence[str]) -> bool:
    """Whether one of the arguments `names` holds a floating tensor."""
    given = (sample.values.get(name) for name in names)
    arrays = (item for value in given for item in (value if isinstance(value, list) else [value]))
    return any(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays)


def formed(array: np.ndarray, form: str) -> np.ndarray:
    """Matrices of a form: "symmetric", or "positive" definite with eigenvalues of at least 1."""
    turned = np.swapaxes(array, -1, -2) if form else array
    if form == "positive":
        return array @ turned + np.eye(array.shape[-1])
    return (array + turned) / 2 if form else array


def lay_out(array: np.ndarray, strided: bool) -> np.ndarray:
    """A copy of `array` in memory of its own, dense, or with gaps and reversed dimensions.

    The gaps of a floating array hold nan, so that a kernel which reads them is found out.
    """
    if not strided or array.ndim == 0:
        return np.array(array, order="C")
    first, *rest = array.shape
    wide = np.zeros((*reversed(rest), 2 * first), array.dtype)
    if array.dtype.kind == "f":
        wide[...] = np.nan
    view = wide[..., ::2].T
    view[...] = array
    return view


def draw(operator: Any) -> list[Sample]:
    """All sample calls of an operator of the registry."""
    return list(_Drawing(operator).samples())


class _Drawing:
    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.seed = zlib.crc32(operator.name.encode())
        self.generator = np.random.default_rng(self.seed)

    def samples(self) -> Iterator[Sample]:
        if self.operator.calls:
            for number, call in enumerate(self.operator.calls):
                yield from self.declared(number, call)
        else:
            yield from self.invented()
        if self.operator.points:
            yield from self.points()

    def uniform(self, name: str, shape: Sequence[int]) -> np.ndarray:
        low, high = self.operator.samples.get(name, INTERVAL)
        return np.asarray(self.generator.uniform(low, high, tuple(shape)))

    # --- explicit calls --------------------------------------------------------------------

    def declared(self, number: int, call: Mapping[str, Any]) -> Iterator[Sample]:
        kinds = {argument.name: argument for argument in self.operator.arguments}
        values = {name: self.declared_value(kinds[name], given) for name, given in call.items()}
        label = f"call {number + 1}"
        symmetric = frozenset(n for n, g in call.items() if isinstance(g, Mapping) and "form" in g)
        yield Sample(label, values, self.seed, symmetric=symmetric)
        laid = frozenset(
            name
            for name, value in values.items()
            if (is_arrays(value) or (isinstance(value, np.ndarray) and value.ndim > 0))
            and not _dense(call[name])
        )
        if laid:
            yield Sample(f"{label}, strided", values, self.seed, laid, symmetric=symmetric)

    def declared_value(self, argument: Any, given: Any) -> Any:
        """What a value written under `calls:` means for an argument of its type."""
        if argument.type != "Tensor":
            return tuple(given) if isinstance(given, list) else given
        if isinstance(given, Mapping):
            return self.described_tensor(argument.name, given)
        if (argument.many or argument.variadic) and isinstance(given, list | tuple):
            return [self.declared_tensor(argument.name, item) for item in given]
        return self.declared_tensor(argument.name, given)

    def declared_tensor(self, name: str, given: Any) -> Any:
        if isinstance(given, Mapping):
            return self.described_tensor(name, given)
        if isinstance(given, list | tuple):
            return self.uniform(name, given)
        return given  # a number for `Tensor|Scalar`, or None

    def described_tensor(self, name: str, given: Mapping[str, Any]) -> np.ndarray:
        """A tensor written as {values: ...} or {shape: ..., below: ..., dtype: ...}."""
        if "values" in given:
            array = np.asarray(given["values"])
            kind = given.get("dtype", "")
            if kind:
                return array.astype(kind)
            return array.astype(np.int64) if array.dtype.kind == "i" else array
        shape = tuple(given["shape"])
        if "below" in given:
            return np.asarray(self.generator.integers(0, given["below"], shape), np.int64)
        kind = np.dtype(given.get("dtype", "float64")).kind
        if kind == "b":
            return np.asarray(self.generator.random(shape) < 0.5)
        if kind in "iu":
            low, high = self.operator.samples.get(name, (0, 9))
            return np.asarray(self.generator.integers(int(low), int(high), shape, endpoint=True))
        return formed(self.uniform(name, shape), given.get("form", ""))

    # --- pointwise operators without explicit calls ----------------------------------------

    def invented(self) -> Iterator[Sample]:
        tensors = [a for a in self.operator.arguments if a.type == "Tensor"]
        names = [a.name for a in tensors]
        first = names[:1]
        for label, shapes, strided in _layouts(names):
            values = {name: self.uniform(name, shape) for name, shape in shapes.items()}
            yield self.filled(label, values, strided)
        for argument in tensors:
            if argument.or_scalar and argument.name not in first:
                values = {name: self.uniform(name, (3, 4)) for name in names}
                values[argument.name] = float(self.uniform(argument.name, ()))
                yield self.filled(f"{argument.name} is a number", values)
            if argument.optional:
                values = {name: self.uniform(name, (3, 4)) for name in names}
                values[argument.name] = None
                yield self.filled(f"{argument.name} is None", values)
        yield from self.flipped(names)

    def flipped(self, names: Sequence[str]) -> Iterator[Sample]:
        """One sample more for each flag, with the value that is not its default."""
        for argument in self.operator.arguments:
            if argument.type == "bool" and argument.has_default and argument.name != "inplace":
                values: dict[str, Any] = {name: self.uniform(name, (3, 4)) for name in names}
                values[argument.name] = not argument.default
                yield self.filled(f"{argument.name}={not argument.default}", values)

    def filled(
        self, label: str, values: dict[str, Any], strided: frozenset[str] = frozenset()
    ) -> Sample:
        """Add the arguments that are not tensors: drawn if the entry says where, else default."""
        for argument in self.operator.arguments:
            if argument.name in values or argument.type == "Tensor":
                continue
            if argument.name in self.operator.samples or not argument.has_default:
                values[argument.name] = self.plain_value(argument)
        return Sample(label, values, self.seed, strided)

    def plain_value(self, argument: Any) -> Any:
        if argument.type in ("Scalar", "float"):
            return float(self.uniform(argument.name, ()))
        if argument.type == "int" and not (argument.many or argument.variadic):
            low, high = self.operator.samples.get(argument.name, (1, 3))
            return int(self.generator.integers(int(low), int(high), endpoint=True))
        if argument.type == "bool":
            return False
        raise ValueError(
            f"{self.operator.name}: argument {argument.name!r} has no default and cannot be drawn; "
            "declare `calls:`"
        )

    def points(self) -> Iterator[Sample]:
        """The declared points: those of tensors combined in one vector, others one by one."""
        kinds = {argument.name: argument for argument in self.operator.arguments}
        vectors = {n: p for n, p in self.operator.points.items() if kinds[n].type == "Tensor"}
        plain = {n: p for n, p in self.operator.points.items() if n not in vectors}
        combined = itertools.islice(itertools.product(*vectors.values()), MAX_POINTS)
        columns = np.array(list(combined), np.float64).T
        count = columns.shape[1] if vectors else 3
        for choice in itertools.product(*plain.values()):
            values: dict[str, Any] = dict(zip(vectors, columns.copy(), strict=True))
            values.update(zip(plain, choice, strict=True))
            for name, given in (self.operator.calls or [{}])[0].items():
                if name not in values and kinds[name].type != "Tensor":
                    values[name] = self.declared_value(kinds[name], given)
            for argument in self.operator.arguments:
                if argument.type == "Tensor" and not (argument.optional or argument.name in values):
                    values[argument.name] = self.uniform(argument.name, (count,))
            label = ", ".join(["points", *(f"{n}={v}" for n, v in zip(plain, choice, strict=True))])
            yield Sample(label, self.filled("", values).values, self.seed, kink=True)


def _dense(given: Any) -> bool:
    """Whether a tensor written under `calls:` is to stay dense: {shape: [3], dense: true}."""
    return isinstance(given, Mapping) and bool(given.get("dense"))


def _layouts(
    names: Sequence[str],
) -> Iterator[tuple[str, dict[str, tuple[int, ...]], frozenset[str]]]:
    """Label, shape of each tensor, and which are strided, for a pointwise operator."""
    everything = frozenset(names)
    same = dict.fromkeys(names, (3, 4))
    yield "contiguous", same, frozenset()
    yield "strided", same, everything
    yield "0-d", dict.fromkeys(names, ()), frozenset()
    yield "empty", dict.fromkeys(names, (0, 3)), frozenset()
    if len(names) < 2:
        return
    first, others = names[0], names[1:]

    def shapes(one: tuple[int, ...], other: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return {first: one, **dict.fromkeys(others, other)}

    yield "one strided", same, frozenset({first})
    yield "(3, 4) with (4,)", shapes((3, 4), (4,)), frozenset()
    yield "(4,) with (3, 4)", shapes((4,), (3, 4)), frozenset()
    yield "(3, 1) with (1, 4)", shapes((3, 1), (1, 4)), frozenset()
    yield "(2, 3) with ()", shapes((2, 3), ()), frozenset()
    yield "(3, 1) with (3, 4) strided", shapes((3, 1), (3, 4)), frozenset(others)
    yield "(0, 3) with (3,)", shapes((0, 3), (3,)), frozenset()
