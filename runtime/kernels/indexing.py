"""Gather, scatter and indexing by integer arrays."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..geometry import normalize_dim
from . import moving
from .accumulate import dense_copy


def check_index(index, n, dim, error=ValueError):
    """An integer array with values from 0 to n - 1, as int64."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"index must be an integer tensor, got {index.dtype}")
    if index.size and (index.min() < 0 or index.max() >= n):
        raise error(_out_of_bounds(index, 0, n, dim))
    return index if index.dtype == np.int64 else index.astype(np.int64)


def _out_of_bounds(index, least, n, dim):
    """What is said of the first number that is not from `least` to n - 1."""
    wrong = index[(index < least) | (index >= n)].ravel()[0]
    return f"index {wrong} is out of bounds for dimension {dim} with size {n}"


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


@lru_cache(maxsize=1024)
def _sizes(shape, dim, named):
    """(outer, sizes) for `moving` where an index of shape `named` goes along `dim`, else None.

    sizes: of `shape` along the dimension, of the index there, and of what lies within.
    """
    dim = normalize_dim(dim, len(shape))
    if not shape or 0 in named or len(named) != len(shape):
        return None
    if any(n != m for d, (n, m) in enumerate(zip(shape, named, strict=True)) if d != dim):
        return None
    return math.prod(shape[:dim]), (shape[dim], named[dim], math.prod(shape[dim + 1 :]))


def _along(shape, dim, index):
    """What `_sizes` says, and the dense flat index; None where the index is smaller elsewhere."""
    found = _sizes(shape, dim, index.shape)
    if found is None:
        return None
    if index.dtype != np.int64:
        check_index(index, shape[dim], dim)
        index = index.astype(np.int64)
    return found, _flat(index)


def _taken(kernel, self, found, index, dim):
    """What a kernel takes from the places of an index; an error where it names none."""
    (outer, sizes), array = found
    out = np.empty(index.size, self.dtype)
    if not kernel(_flat(self), array, out, outer, sizes):
        check_index(index, sizes[0], dim)
    return out.reshape(index.shape)


def _sent(kernel, source, found, base, shape, index, dim):
    """What a kernel sends to the places of an index in `base`; an error where it names none."""
    (outer, sizes), array = found
    result, fine = kernel(source, array, base, outer, sizes)
    if not fine:
        check_index(index, sizes[0], dim)
    return result.reshape(shape)


def gather(self, dim, index, sparse_grad=False):
    found = _along(self.shape, dim, index)
    if found is not None:
        return _taken(moving.take, self, found, index, dim)
    places = _places(self.shape, dim, index)
    return np.take(_flat(self), places)


def gathered_back(self, dim, index, size):
    """Zeros plus the elements at their places."""
    size = tuple(size)
    found = _along(size, dim, index)
    if found is not None and self.dtype != bool:
        return _sent(moving.add, _flat(self), found, None, size, index, dim)
    result = np.zeros(size, self.dtype)
    places = _places(size, dim, index)
    np.add.at(result.reshape(-1), places.reshape(-1), _flat(self))
    return result


def _part(self, index, src):
    """The elements of `src` that the index is for."""
    if index.size and max(src.ndim, 1) != max(index.ndim, 1):
        raise ValueError("src must have as many dimensions as index")
    if any(own > n for own, n in zip(index.shape, src.shape, strict=False)) and index.size:
        raise ValueError(
            f"Expected index {list(index.shape)} to be no larger than src {list(src.shape)}"
        )
    if index.shape != src.shape:
        src = src[tuple(slice(0, n) for n in index.shape)]
    if src.dtype != self.dtype:
        raise ValueError("Expected self.dtype to be equal to src.dtype")
    return src


def scatter(self, dim, index, src):
    """Of several elements for one place the last one stays."""
    found = _along(self.shape, dim, index)
    places = _places(self.shape, dim, index) if found is None else None
    part = _part(self, index, src)
    if found is not None:
        return _sent(moving.put, _flat(part), found, _flat(self), self.shape, index, dim)
    result = np.array(self, order="C")
    result.reshape(-1)[places.reshape(-1)] = part.reshape(-1)
    return result


def scatter_fill(self, dim, index, value):
    value = self.dtype.type(value)
    found = _along(self.shape, dim, index)
    if found is not None:
        return _sent(moving.put, np.full(1, value), found, _flat(self), self.shape, index, dim)
    places = _places(self.shape, dim, index)
    result = np.array(self, order="C")
    result.reshape(-1)[places.reshape(-1)] = value
    return result


def scatter_add(self, dim, index, src):
    found = _along(self.shape, dim, index) if self.dtype != bool else None
    places = _places(self.shape, dim, index) if found is None else None
    part = _part(self, index, src)
    if found is not None:
        return _sent(moving.add, _flat(part), found, _flat(self), self.shape, index, dim)
    result = np.array(self, order="C")
    np.add.at(result.reshape(-1), places.reshape(-1), part.reshape(-1))
    return result


def scatter_multiply(self, dim, index, src):
    places = _places(self.shape, dim, index)
    part, result = _part(self, index, src), np.array(self, order="C")
    np.multiply.at(result.reshape(-1), places.reshape(-1), part.reshape(-1))
    return result


def gather_last(self, dim, index):
    """As `gather`, but 0 where a later element of the index names the same place."""
    found = _along(self.shape, dim, index)
    if found is not None:
        return _taken(moving.take_last, self, found, index, dim)
    places = _places(self.shape, dim, index)
    flat, order = places.reshape(-1), np.arange(places.size)
    last = np.empty(self.size, np.int64)
    last[flat] = order
    return np.where(last[flat] == order, _flat(self)[flat], self.dtype.type(0)).reshape(index.shape)


# --- slices along a dimension ----------------------------------------------------------------


def add_along(result, dim, index, source):
    """Add slices of `source` to those of a dense array that a flat index names along `dim`."""
    outer, inner = math.prod(result.shape[:dim]), math.prod(result.shape[dim + 1 :])
    sizes = result.shape[dim], len(index), inner
    dense = np.ascontiguousarray(source, result.dtype).reshape(-1)
    moving.add_slices(dense, np.ascontiguousarray(index), result.reshape(-1), outer, sizes)


def take_along(array, dim, index, named):
    """The slices that a flat index names along `dim`, which becomes dimensions of sizes `named`."""
    before, after = array.shape[:dim], array.shape[dim + 1 :]
    out = np.empty((*before, *named, *after), array.dtype)
    sizes = array.shape[dim], len(index), math.prod(after)
    moving.take_slices(_flat(array), index, out.reshape(-1), math.prod(before), sizes)
    return out


def _vector(index, shape, dim, error):
    if index.ndim > 1:
        raise ValueError("index must be a vector")
    dim = normalize_dim(dim, len(shape))
    return dim, np.atleast_1d(check_index(index, shape[dim] if shape else 1, dim, error))


def index_select(self, dim, index):
    dim, index = _vector(index, self.shape, dim, IndexError)
    if self.ndim == 0:
        return np.array(self)
    return take_along(self, dim, np.ascontiguousarray(index), index.shape)


def selected_back(self, dim, index, size):
    """Zeros of a size plus the slices of the input at the places that `index` names."""
    result = np.zeros(tuple(size), self.dtype)
    dim, index = _vector(index, result.shape, dim, ValueError)
    if result.ndim == 0:
        return result + self.sum()
    add_along(result, dim, index, self)
    return result


def index_add(self, dim, index, source):
    dim, index = _vector(index, self.shape, dim, ValueError)
    result = dense_copy(self)
    if self.ndim == 0:
        result += source.sum()
        return result
    wanted = (*self.shape[:dim], len(index), *self.shape[dim + 1 :])
    if source.shape != wanted:
        raise ValueError(f"source is {source.shape}; it must be {wanted}")
    add_along(result, dim, index, source)
    return result


# --- one array of any shape, as in t[:, array] -------------------------------------------------


def _named(index, n, dim):
    """The flat places that an index names, numbers below 0 counted from the end."""
    if index.dtype != np.int64:
        index = check_index(index, n, dim, IndexError)
    places = np.empty(index.size, np.int64)
    if not moving.count_from_end(_flat(index), n, places):
        if n == 0:
            raise IndexError("index is out of bounds for dimension with size 0")
        raise IndexError(_out_of_bounds(index, -n, n, dim))
    return places


def index_along(self, dim, index):
    return take_along(self, dim, _named(index, self.shape[dim], dim), index.shape)


def indexed_along_back(self, dim, index, size):
    result = np.zeros(tuple(size), self.dtype)
    add_along(result, dim, _named(index, result.shape[dim], dim), self)
    return result


# --- keys of several arrays ------------------------------------------------------------------


def _key(shape, indices):
    """A NumPy index: None stands for a whole dimension."""
    for dim, item in enumerate(indices):
        if item is not None and item.dtype != bool:
            n = shape[dim]
            if item.size and (item.min() < -n or item.max() >= n):
                raise IndexError(_out_of_bounds(item, -n, n, dim))
    return tuple(slice(None) if item is None else item for item in indices)


def _single(shape, indices):
    """An index of neighbouring dimensions as one, and the sizes around it; None of others.

    (flat places, shape of the index, outer elements, (places there are, places named, inner)).
    """
    dims = [d for d, item in enumerate(indices) if item is not None]
    if not dims or dims != list(range(dims[0], dims[-1] + 1)):
        return None
    arrays = [indices[d] for d in dims]
    if any(array.dtype == bool for array in arrays):
        return None
    place = None
    for d, array in zip(dims, arrays, strict=True):
        array = np.where(array < 0, array + shape[d], array) if (array < 0).any() else array
        place = array if place is None else place * shape[d] + array
    sizes = math.prod(shape[d] for d in dims), place.size, math.prod(shape[dims[-1] + 1 :])
    return _flat(place), place.shape, math.prod(shape[: dims[0]]), sizes


def _shape_of(shape, indices, named):
    """The shape of a result: that of the index in the place of the dimensions indexed."""
    dims = [d for d, item in enumerate(indices) if item is not None]
    return (*shape[: dims[0]], *named, *shape[dims[-1] + 1 :])


def index(self, indices):
    key = _key(self.shape, indices)
    found = _single(self.shape, indices)
    if found is None:
        return np.ascontiguousarray(self[key])
    places, named, outer, sizes = found
    out = np.empty(outer * sizes[1] * sizes[2], self.dtype)
    moving.take_slices(_flat(self), places, out, outer, sizes)
    return out.reshape(_shape_of(self.shape, indices, named))


def _add_at(result, indices, values):
    key = _key(result.shape, indices)
    found = _single(result.shape, indices)
    if found is None or result.dtype == bool:
        np.add.at(result, key, values)
        return result
    places, named, outer, sizes = found
    shape = _shape_of(result.shape, indices, named)
    dense = np.ascontiguousarray(np.broadcast_to(values, shape), result.dtype).reshape(-1)
    moving.add_slices(dense, places, result.reshape(-1), outer, sizes)
    return result


def index_put_add(self, indices, values):
    return _add_at(dense_copy(self), indices, values)


def indexed_back(self, indices, size):
    """Zeros of a size plus the elements of the input at the places that the indices name."""
    return _add_at(np.zeros(tuple(size), self.dtype), indices, self)
