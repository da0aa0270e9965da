"""Forward passes written out in NumPy, element by element, for what no short expression can say.

An entry names one as `references.name(arguments)`. They are written to be obviously right, and
independently of the kernels; speed does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["gather", "nonzero", "one_hot", "pad", "scatter", "sort", "topk"]


def gather(self: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    result = np.empty(index.shape, self.dtype)
    for place in np.ndindex(index.shape):
        result[place] = self[_moved(place, dim, index[place])] if self.ndim else self
    return result


def scatter(
    self: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray, reduce: str | None
) -> np.ndarray:
    result = self.copy()
    for place in np.ndindex(index.shape):
        target = _moved(place, dim, index[place])
        if reduce == "add":
            result[target] += src[place]
        elif reduce == "multiply":
            result[target] *= src[place]
        else:
            result[target] = src[place]
    return result


def _moved(place: tuple[int, ...], dim: int, to: Any) -> tuple[int, ...]:
    if not place:
        return ()
    moved = list(place)
    moved[dim] = int(to)
    return tuple(moved)


def sort(self: np.ndarray, dim: int, descending: bool) -> tuple[np.ndarray, np.ndarray]:
    if self.ndim == 0:
        return self.copy(), np.zeros((), np.int64)
    order = np.argsort(-self if descending else self, axis=dim, kind="stable")
    return np.take_along_axis(self, order, dim), order


def topk(self: np.ndarray, k: int, dim: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    values, indices = sort(self, dim, largest)
    if self.ndim == 0:
        return values, indices
    return np.take(values, range(k), dim), np.take(indices, range(k), dim)


def nonzero(self: np.ndarray, as_tuple: bool) -> Any:
    return np.nonzero(self) if as_tuple else np.argwhere(self)


def one_hot(self: np.ndarray, num_classes: int) -> np.ndarray:
    count = num_classes if num_classes > 0 else int(self.max()) + 1
    return (self[..., None] == np.arange(count)).astype(np.int64)


def pad(self: np.ndarray, pad: tuple[int, ...], mode: str, value: float | None) -> np.ndarray:
    """Dimension by dimension; with reflect and replicate, cutting off comes last."""
    result = self
    for number in range(len(pad) // 2):
        dim = self.ndim - 1 - number
        before, after = pad[2 * number], pad[2 * number + 1]
        widths = [(0, 0)] * self.ndim
        widths[dim] = max(before, 0), max(after, 0)
        if mode in ("reflect", "replicate"):
            result = np.pad(result, widths, "edge" if mode == "replicate" else mode)
            result = _cut(result, dim, before, after)
            continue
        result = _cut(result, dim, before, after)
        if mode == "constant":
            result = np.pad(result, widths, constant_values=value or 0)
        else:
            result = np.pad(result, widths, "wrap")
    return result


def _cut(array: np.ndarray, dim: int, before: int, after: int) -> np.ndarray:
    kept = np.arange(max(-before, 0), array.shape[dim] - max(-after, 0))
    return np.take(array, kept, dim)
