"""Gather, scatter and indexing by integer arrays."""

from __future__ import annotations

import numpy as np

from ..geometry import normalize_dim


def _place(shape, dim, index):
    """Index arrays that address, along `dim`, the places named by `index`."""
    grid = list(np.ogrid[tuple(slice(0, n) for n in index.shape)]) if index.ndim else []
    if grid:
        grid[dim] = index
    return tuple(grid)


def _check(shape, dim, index, name="index"):
    """`dim` counted from the front, after the errors of dimension and index."""
    dim = normalize_dim(dim, len(shape))
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an integer tensor, got {index.dtype}")
    n = shape[dim] if shape else 1
    if index.size and (index.min() < 0 or index.max() >= n):
        wrong = index[(index < 0) | (index >= n)].ravel()[0]
        raise IndexError(f"index {wrong} is out of bounds for dimension {dim} with size {n}")
    return dim


def gather(self, dim, index):
    if self.ndim != index.ndim:
        raise ValueError("index must have as many dimensions as input")
    dim = _check(self.shape, dim, index)
    if self.ndim == 0:
        return np.array(self)
    return self[_place(self.shape, dim, index)]


def scatter_add(self, dim, index, src):
    if self.ndim != index.ndim or self.ndim != src.ndim:
        raise ValueError("index and src must have as many dimensions as input")
    dim = _check(self.shape, dim, index)
    result = np.array(self, order="C")
    if self.ndim == 0:
        result += src
        return result
    part = src[tuple(slice(0, n) for n in index.shape)]
    np.add.at(result, _place(self.shape, dim, index), part)
    return result


def index_select(self, dim, index):
    if index.ndim > 1:
        raise ValueError("index must be a vector")
    dim = _check(self.shape, dim, index)
    if self.ndim == 0:
        return np.array(self)
    return np.take(self, np.atleast_1d(index), axis=dim)


def index_add(self, dim, index, source):
    if index.ndim > 1:
        raise ValueError("index must be a vector")
    dim = _check(self.shape, dim, index)
    result = np.array(self, order="C")
    if self.ndim == 0:
        result += source.sum()
        return result
    np.add.at(np.moveaxis(result, dim, 0), np.atleast_1d(index), np.moveaxis(source, dim, 0))
    return result


def _key(shape, indices):
    """A NumPy index: None stands for a whole dimension."""
    for dim, item in enumerate(indices):
        if item is not None and item.dtype != bool:
            n = shape[dim]
            if item.size and (item.min() < -n or item.max() >= n):
                wrong = item[(item < -n) | (item >= n)].ravel()[0]
                raise IndexError(
                    f"index {wrong} is out of bounds for dimension {dim} with size {n}"
                )
    return tuple(slice(None) if item is None else item for item in indices)


def index(self, indices):
    return np.ascontiguousarray(self[_key(self.shape, indices)])


def index_put_add(self, indices, values):
    result = np.array(self, order="C")
    np.add.at(result, _key(self.shape, indices), values)
    return result
