"""Recurrences along a dimension."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..geometry import normalize_dim


def _promoted(array, dtype):
    """Integers and bool add up and multiply as int64, unless a dtype is asked for."""
    if dtype is not None:
        return array.astype(dtype)
    return array if array.dtype.kind == "f" else array.astype(np.int64)


def cumsum(self, dim, dtype):
    source = _promoted(self, dtype)
    dim = normalize_dim(dim, self.ndim)
    return np.cumsum(source, axis=dim).reshape(self.shape) if self.ndim else np.array(source)


def cumprod(self, dim, dtype):
    source = _promoted(self, dtype)
    dim = normalize_dim(dim, self.ndim)
    return np.cumprod(source, axis=dim).reshape(self.shape) if self.ndim else np.array(source)


def prod(self, dim, keepdim, dtype):
    source = _promoted(self, dtype)
    dim = normalize_dim(dim, self.ndim)
    return np.prod(source, axis=dim, keepdims=keepdim) if self.ndim else np.array(source)


@njit(cache=True, nogil=True)
def _recurrence(multiplier, addend, out):
    rows, n = out.shape
    for row in range(rows):
        state = out.dtype.type(0)
        for i in range(n):
            state = multiplier[row, i] * state + addend[row, i]
            out[row, i] = state


def linear_recurrence(multiplier, addend, dim):
    """`h[i] = multiplier[i] * h[i - 1] + addend[i]` along `dim`."""
    if multiplier.ndim == 0:
        return np.array(addend)
    if multiplier.size == 0:
        return np.empty(multiplier.shape, multiplier.dtype)
    lanes = [
        np.ascontiguousarray(np.moveaxis(a, dim, -1)).reshape(-1, a.shape[dim])
        for a in (multiplier, addend)
    ]
    out = np.empty_like(lanes[0])
    _recurrence(*lanes, out)
    moved = np.moveaxis(multiplier, dim, -1).shape
    return np.ascontiguousarray(np.moveaxis(out.reshape(moved), -1, dim))
