"""Gather, scatter and indexing by integer arrays."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..geometry import normalize_dim
from ..threads import get_num_threads, threads


def check_index(index, n, dim, error=ValueError):
    """An integer array with values from 0 to n - 1, as int64."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"index must be an integer tensor, got {index.dtype}")
    if index.size and (index.min() < 0 or index.max() >= n):
        wrong = index[(index < 0) | (index >= n)].ravel()[0]
        raise error(f"index {wrong} is out of bounds for dimension {dim} with size {n}")
    return index if index.dtype == np.int64 else index.astype(np.int64)


# --- elements along a dimension --------------------------------------------------------------


def _places(shape, dim, index):
    """Where in dense memory of `shape` the elements lie that `index` names along `dim`.

    The index may be smaller than the shape in the other dimensions.
    """
    dim = normalize_dim(dim, len(shape))
    if index.size == 0:
        return np.empty(index.shape, np.int64)
    if max(index.ndim, 1) != max(len(shape), 1):
        raise ValueError("index must have as many dimensions as input")
    shape = shape or (1,)
    array = np.atleast_1d(check_index(index, shape[dim], dim))
    for d, (own, n) in enumerate(zip(array.shape, shape, strict=True)):
        if d != dim and own > n:
            raise ValueError(
                f"Expected index {list(index.shape)} to be no larger than self {list(shape)} "
                f"apart from dimension {dim}"
            )
    step = int(np.prod(shape[dim + 1 :]))
    places = array * step if step != 1 else array
    step = 1
    for d in range(len(shape) - 1, -1, -1):
        if d != dim and array.shape[d] != 1:
            line = np.arange(0, array.shape[d] * step, step)
            places = places + line.reshape([-1 if e == d else 1 for e in range(len(shape))])
        step *= shape[d]
    return places.reshape(index.shape)


def _flat(array):
    return np.ascontiguousarray(array).reshape(-1)


def gather(self, dim, index, sparse_grad=False):
    places = _places(self.shape, dim, index)
    return np.take(_flat(self), places)


def gathered_back(self, dim, index, size):
    """Zeros plus the elements at their places; zeros that nobody touches cost nothing."""
    result = np.zeros(tuple(size), self.dtype)
    places = _places(result.shape, dim, index)
    np.add.at(result.reshape(-1), places.reshape(-1), _flat(self))
    return result


def _scattered(self, dim, index, src):
    """A dense copy of the input, the places to write to and what goes there, all flat."""
    places = _places(self.shape, dim, index)
    if index.size and max(src.ndim, 1) != max(index.ndim, 1):
        raise ValueError("src must have as many dimensions as index")
    if any(own > n for own, n in zip(index.shape, src.shape, strict=False)) and index.size:
        raise ValueError(
            f"Expected index {list(index.shape)} to be no larger than src {list(src.shape)}"
        )
    if index.shape != src.shape:
        src = src[tuple(slice(0, n) for n in index.shape)]
    result = np.array(self, order="C")
    if src.dtype != result.dtype:
        raise ValueError("Expected self.dtype to be equal to src.dtype")
    return result, places.reshape(-1), src.reshape(-1)


def scatter(self, dim, index, src):
    """Of several elements for one place the last one stays."""
    result, places, part = _scattered(self, dim, index, src)
    result.reshape(-1)[places] = part
    return result


def scatter_fill(self, dim, index, value):
    places = _places(self.shape, dim, index)
    result = np.array(self, order="C")
    result.reshape(-1)[places.reshape(-1)] = result.dtype.type(value)
    return result


def scatter_add(self, dim, index, src):
    result, places, part = _scattered(self, dim, index, src)
    np.add.at(result.reshape(-1), places, part)
    return result


def scatter_multiply(self, dim, index, src):
    result, places, part = _scattered(self, dim, index, src)
    np.multiply.at(result.reshape(-1), places, part)
    return result


def last_written(index, dim, size):
    """Which elements of `index` are the last to name their place in a tensor of `size`."""
    places = _places(tuple(size), dim, index)
    flat = places.reshape(-1)
    order = np.arange(flat.size)
    last = np.empty(int(np.prod(size)), np.int64)
    last[flat] = order
    return (last[flat] == order).reshape(index.shape)


# --- slices along a dimension ----------------------------------------------------------------


@njit(cache=True, nogil=True)
def _add_slices(out, index, source, low, high):
    """`out[:, index[j], low:high] += source[:, j, low:high]`, one after the other."""
    for o in range(out.shape[0]):
        for j in range(index.shape[0]):
            target = out[o, index[j], low:high]
            given = source[o, j, low:high]
            for i in range(target.shape[0]):
                target[i] += given[i]


@njit(cache=True, nogil=True, parallel=True)
def _add_slices_parallel(out, index, source, parts):
    n = out.shape[2]
    for part in prange(parts):
        _add_slices(out, index, source, part * n // parts, (part + 1) * n // parts)


def add_slices(out, index, source):
    """`out[:, index[j]] += source[:, j]` for dense (before, along, after) arrays.

    Threads share the last dimension, so that the order of additions is always the same.
    """
    parts = min(get_num_threads(), out.shape[2] // 16)
    if source.size >= threads.minimum and parts > 1:
        _add_slices_parallel(out, index, source, parts)
    else:
        _add_slices(out, index, source, 0, out.shape[2])


def _vector(index, shape, dim, error):
    if index.ndim > 1:
        raise ValueError("index must be a vector")
    dim = normalize_dim(dim, len(shape))
    return dim, np.atleast_1d(check_index(index, shape[dim] if shape else 1, dim, error))


def index_select(self, dim, index):
    dim, index = _vector(index, self.shape, dim, IndexError)
    if self.ndim == 0:
        return np.array(self)
    return np.take(self, index, axis=dim)


def index_add(self, dim, index, source):
    dim, index = _vector(index, self.shape, dim, ValueError)
    result = np.array(self, order="C")
    if self.ndim == 0:
        result += source.sum()
        return result
    n = self.shape[dim]
    around = int(np.prod(self.shape[:dim])), int(np.prod(self.shape[dim + 1 :]))
    wanted = (*self.shape[:dim], len(index), *self.shape[dim + 1 :])
    if source.shape != wanted:
        raise ValueError(f"source is {source.shape}; it must be {wanted}")
    dense = np.ascontiguousarray(source, result.dtype)
    add_slices(
        result.reshape(around[0], n, around[1]),
        np.ascontiguousarray(index),
        dense.reshape(around[0], len(index), around[1]),
    )
    return result


# --- keys of several arrays ------------------------------------------------------------------


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
