"""Copies, conversions and joins."""

from __future__ import annotations

import math

import numpy as np

from ..geometry import normalize_dim
from ..memory_format import row_major
from ..threads import threads
from .accumulate import copy_into, dense_copy, join

RUN = 256  # elements in a row on average, from which on copying runs pays


def copy(self, memory_format=None):
    row_major(memory_format)
    return dense_copy(self)


def cast(self, dtype):
    if not self.flags.c_contiguous:
        return self.astype(dtype, order="C")
    out = np.empty(self.shape, dtype)
    copy_into(out.reshape(-1), self.reshape(-1))
    return out


def new_zeros(self, size):
    return np.zeros(tuple(size), self.dtype)


def cat(tensors, dim):
    """Join along `dim`; as PyTorch does, empty vectors join with anything."""
    kept = [t for t in tensors if t.shape != (0,)] or tensors[:1]
    try:
        if kept[0].ndim and sum([t.size for t in kept]) >= threads.light:
            return _joined(kept, dim)
        return np.concatenate(kept, dim)
    except ValueError:
        _explain_cat(tensors, kept[0], dim)
        raise


def _joined(arrays, dim):
    """`numpy.concatenate` of large arrays, by several threads where they are dense and long."""
    first = arrays[0]
    dim = normalize_dim(dim, first.ndim)
    before, sizes = math.prod(first.shape[:dim]), [t.shape[dim] for t in arrays]
    shape = (*first.shape[:dim], sum(sizes), *first.shape[dim + 1 :])
    long = before * RUN <= math.prod(shape)
    fits = all(
        t.shape == (*shape[:dim], n, *shape[dim + 1 :]) for t, n in zip(arrays, sizes, strict=True)
    )
    if long and fits and all(t.flags.c_contiguous and t.dtype == first.dtype for t in arrays):
        return join(arrays, before, shape)
    return np.ascontiguousarray(np.concatenate(arrays, dim))


def _explain_cat(tensors, first, dim):
    """Raise for tensors that do not fit each other, saying which."""
    if first.ndim == 0:
        raise ValueError("zero-dimensional tensors cannot be concatenated")
    dim = normalize_dim(dim, first.ndim)
    for position, t in enumerate(tensors):
        if t.shape == (0,):
            continue
        if t.ndim != first.ndim:
            raise ValueError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}"
            )
        for d, (wanted, n) in enumerate(zip(first.shape, t.shape, strict=True)):
            if d != dim and n != wanted:
                raise ValueError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size "
                    f"{wanted} but got size {n} for tensor number {position} in the list."
                )


def stack(tensors, dim):
    shape = tensors[0].shape
    dim = normalize_dim(dim, len(shape) + 1)
    for position, t in enumerate(tensors):
        if t.shape != shape:
            raise ValueError(
                f"stack expects each tensor to be equal size, but got {list(shape)} "
                f"at entry 0 and {list(t.shape)} at entry {position}"
            )
    place = (*shape[:dim], 1, *shape[dim:])
    if len(tensors) * tensors[0].size >= threads.light:
        return _joined([t.reshape(place) for t in tensors], dim)
    return np.ascontiguousarray(np.concatenate([t.reshape(place) for t in tensors], dim))


def flip(self, dims):
    return np.array(np.flip(self, dims) if self.ndim else self, order="C")


def repeat(self, repeats):
    if len(repeats) < self.ndim:
        raise ValueError(
            f"repeats {list(repeats)} has fewer entries than the input has dimensions; give one "
            "for each, and more in front to add dimensions"
        )
    return np.tile(self, repeats)


def fold_repeats(self, size):
    """Sum the copies that `repeat` laid out, back to `size`."""
    size = tuple(size)
    missing = self.ndim - len(size)
    padded = (1,) * missing + size
    split = []
    for n, own in zip(self.shape, padded, strict=True):
        split += [n // max(own, 1), own]
    folded = self.reshape(split).sum(axis=tuple(range(0, 2 * self.ndim, 2)))
    return np.ascontiguousarray(folded.reshape(size))


def sum_to_size(self, size):
    """Sum over the dimensions along which `size` would broadcast to the input's shape."""
    extra = self.ndim - len(size)
    if extra < 0 or any(n not in (1, own) for n, own in zip(size, self.shape[extra:], strict=True)):
        raise ValueError(f"size {list(size)} does not broadcast to {list(self.shape)}")
    axes = tuple(range(extra)) + tuple(
        extra + d for d, n in enumerate(size) if n == 1 and self.shape[extra + d] != 1
    )
    kind = self.dtype if self.dtype.kind == "f" else np.int64
    total = self.sum(axis=axes, keepdims=True, dtype=kind) if axes else self
    return np.array(total.reshape(size), order="C")


def shift(self, places, dim, fill):
    """Move elements `places` along `dim`; what comes in is `fill`."""
    n = places
    result = np.full(self.shape, fill, self.dtype)
    if self.ndim == 0 or abs(n) >= self.shape[dim]:
        return result if n else np.array(self)
    target = np.moveaxis(result, dim, 0)
    source = np.moveaxis(self, dim, 0)
    length = self.shape[dim]
    if n >= 0:
        target[n:] = source[: length - n]
    else:
        target[:n] = source[-n:]
    return result
