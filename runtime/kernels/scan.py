"""Recurrences along a dimension."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..geometry import normalize_dim
from ..strips import share_out


def _promoted(array, dtype):
    """Integers and bool add up and multiply as int64, unless a dtype is asked for."""
    if dtype is not None:
        return array.astype(dtype)
    return array if array.dtype.kind == "f" else array.astype(np.int64)


COLUMNS = 256  # lanes side by side that are added up at the same time
LINES = 4  # the same of lanes one after the other: as many sums as an addition takes cycles
STRIP = 65536  # elements that are worth a thread


@njit(cache=True, nogil=True)
def _add_up(source, out, sums, n, inner, first, last, backwards):
    """Running sums of lanes of `n` elements, `inner` apart; `sums` says in which dtype.

    first, last: of the units of work, which are LINES lanes, or COLUMNS of them where they lie
    side by side. The arrays are (lanes, n) where `inner` is 1, else (outer, n, inner), flat.
    """
    zero = sums.dtype.type(0)
    step = -1 if backwards else 1
    lanes = source.shape[0] // n
    if inner == 1:
        for unit in range(first, last):
            row = unit * LINES
            at = row * n + (n - 1 if backwards else 0)
            if row + LINES <= lanes:
                a, b, c, d = zero, zero, zero, zero
                for _ in range(n):
                    a += source[np.uint64(at)]
                    b += source[np.uint64(at + n)]
                    c += source[np.uint64(at + 2 * n)]
                    d += source[np.uint64(at + 3 * n)]
                    out[np.uint64(at)] = a
                    out[np.uint64(at + n)] = b
                    out[np.uint64(at + 2 * n)] = c
                    out[np.uint64(at + 3 * n)] = d
                    at += step
                continue
            for line in range(lanes - row):
                a = zero
                for k in range(n):
                    place = np.uint64(at + line * n + k * step)
                    a += source[place]
                    out[place] = a
        return
    groups = (inner + COLUMNS - 1) // COLUMNS
    for unit in range(first, last):
        column = unit % groups * COLUMNS
        part = sums[: min(COLUMNS, inner - column)]
        part[:] = zero
        start = unit // groups * n * inner + column
        for k in range(n):
            at = start + (n - 1 - k if backwards else k) * inner
            taken, written = source[at : at + len(part)], out[at : at + len(part)]
            for i in range(part.shape[0]):
                part[i] += taken[i]
                written[i] = part[i]


def _running_sums(self, dim, dtype, backwards):
    source = _promoted(self, dtype)
    if not source.flags.c_contiguous:
        source = np.ascontiguousarray(source)
    dim = normalize_dim(dim, self.ndim)
    out = np.empty_like(source)
    if not source.size:
        return out
    n = source.shape[dim] if source.ndim else 1
    inner = math.prod(source.shape[dim + 1 :])
    outer = source.size // (n * inner)
    units = -(-outer // LINES) if inner == 1 else outer * -(-inner // COLUMNS)
    each = max(1, STRIP * units // source.size)
    given, taken = source.reshape(-1), out.reshape(-1)
    wide = np.float64 if source.dtype.kind == "f" else np.int64
    if each >= units:
        _add_up(given, taken, np.empty(COLUMNS, wide), n, inner, 0, units, backwards)
        return out

    def work(strip):
        first = strip * each
        last = min(first + each, units)
        _add_up(given, taken, np.empty(COLUMNS, wide), n, inner, first, last, backwards)

    share_out(work, -(-units // each))
    return out


def cumsum(self, dim, dtype):
    return _running_sums(self, dim, dtype, False)


def reverse_cumsum(self, dim):
    """Sums of the elements from each one on."""
    return _running_sums(self, dim, None, True)


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
