"""Sorting and selecting along a dimension, by unsigned keys that order as the elements do.

nan counts as larger than every number, and both zeros as equal. Equal elements keep their order.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit, prange, uint64

from ..geometry import normalize_dim
from ..threads import get_num_threads, threads

FEW = 64  # up to so many are selected without sorting the whole lane


@njit(cache=True, nogil=True)
def _float_keys(bits, constants, out):
    """Keys of floats from their bits; see `_constants`."""
    infinity, top, flip = constants
    for i in range(out.shape[0]):
        size = bits[i] & ~top
        key = ~bits[i] if bits[i] > top else bits[i] | top
        key = ~(top & ~top) if size > infinity else key
        out[i] = key ^ flip


@lru_cache(maxsize=64)
def _constants(dtype, descending):
    """The infinity of a dtype as keys have it, their upper bit, and all ones to reverse them."""
    wide = np.uint64 if dtype.itemsize == 8 else np.uint32
    infinity = dtype.type(np.inf).view(wide) if dtype.kind == "f" else wide(0)
    top = wide(1) << wide(8 * wide().itemsize - 1)
    return np.array([infinity, top, ~wide(0) if descending else 0], wide)


def _keys(lanes, descending):
    """Unsigned integers, of 4 or 8 bytes, that order as the elements of `lanes` do."""
    constants = _constants(lanes.dtype, bool(descending))
    wide = constants.dtype
    if lanes.dtype.kind == "f":
        keys = np.empty(lanes.shape, wide)
        _float_keys(lanes.view(wide).reshape(-1), constants, keys.reshape(-1))
        return keys
    _, top, flip = constants
    if lanes.dtype.kind == "i":
        flip ^= top
        keys = lanes.astype(f"i{wide.itemsize}").view(wide)
    else:
        keys = lanes.astype(np.uint32)
    return np.bitwise_xor(keys, flip, out=keys) if flip else keys


@njit(cache=True, nogil=True)
def _insertion(keys, out):
    """The places of few keys in rising order."""
    for i in range(keys.shape[0]):
        key = keys[i]
        at = i
        while at > 0 and keys[out[at - 1]] > key:
            out[at] = out[at - 1]
            at -= 1
        out[at] = i


@njit(cache=True, nogil=True)
def _radix(keys, places, other_keys, other_places, counts):
    """Sort `keys` and, alike, `places`: byte by byte from the lowest, skipping equal bytes."""
    n = keys.shape[0]
    counts[:] = 0
    for i in range(n):
        key = uint64(keys[i])
        for digit in range(counts.shape[0]):
            counts[digit, key & uint64(255)] += 1
            key >>= uint64(8)
    source, target = keys, other_keys
    order, moved = places, other_places
    for digit in range(counts.shape[0]):
        shift = uint64(8 * digit)
        if counts[digit, (uint64(source[0]) >> shift) & uint64(255)] == n:
            continue
        start = 0
        for bucket in range(256):
            size = counts[digit, bucket]
            counts[digit, bucket] = start
            start += size
        for i in range(n):
            key = source[i]
            bucket = (uint64(key) >> shift) & uint64(255)
            at = counts[digit, bucket]
            counts[digit, bucket] = at + 1
            target[at] = key
            moved[at] = order[i]
        source, target = target, source
        order, moved = moved, order
    if order is not places:
        for i in range(n):  # `places[:] = order` would compile what words its errors, too
            places[i] = order[i]


@njit(cache=True, nogil=True)
def _sort(keys, out, low, high):
    """For each row from `low` to `high - 1` the places of its keys in rising order."""
    n = keys.shape[1]
    if n <= 32:
        for row in range(low, high):
            _insertion(keys[row], out[row])
        return
    other_keys = np.empty_like(keys[0])
    other_places = np.empty(n, np.int64)
    counts = np.empty((keys.itemsize, 256), np.int64)
    for row in range(low, high):
        for i in range(n):
            out[row, i] = i
        _radix(keys[row], out[row], other_keys, other_places, counts)


@njit(cache=True, nogil=True, parallel=True)
def _sort_parallel(keys, out, parts):
    n = keys.shape[0]
    for part in prange(parts):
        _sort(keys, out, part * n // parts, (part + 1) * n // parts)


@njit(cache=True, nogil=True)
def _select(keys, out, low, high):
    """For each row the places of its smallest keys, in rising order: as many as `out` has."""
    k = out.shape[1]
    best = np.empty_like(keys[0, :k])
    for row in range(low, high):
        places = out[row]
        found = 0
        for i in range(keys.shape[1]):
            key = keys[row, i]
            if found == k:
                if key >= best[k - 1]:
                    continue
                at = k - 1
            else:
                at = found
                found += 1
            while at > 0 and best[at - 1] > key:
                best[at] = best[at - 1]
                places[at] = places[at - 1]
                at -= 1
            best[at] = key
            places[at] = i


@njit(cache=True, nogil=True, parallel=True)
def _select_parallel(keys, out, parts):
    n = keys.shape[0]
    for part in prange(parts):
        _select(keys, out, part * n // parts, (part + 1) * n // parts)


def _run(serial, parallel, keys, out):
    rows = keys.shape[0]
    parts = min(rows, 4 * get_num_threads())
    if keys.size >= threads.minimum and parts > 1:
        parallel(keys, out, parts)
    elif keys.size:
        serial(keys, out, 0, rows)


def _lanes(array, dim):
    """The elements with `dim` last (and the last in its place), as a dense matrix."""
    moved = array.swapaxes(dim, -1)
    *others, n = moved.shape
    return np.ascontiguousarray(moved).reshape(math.prod(others), n)


def _placed(lanes, shape, dim):
    """The inverse of `_lanes` for a tensor of `shape`, whose size along `dim` may be another."""
    if dim == len(shape) - 1:
        return lanes.reshape(*shape[:-1], lanes.shape[1])
    others = list(shape)
    others[dim] = others[-1]
    return np.ascontiguousarray(lanes.reshape(*others[:-1], lanes.shape[1]).swapaxes(dim, -1))


@njit(cache=True, nogil=True)
def _pick(lanes, places, out):
    """`out[row, i] = lanes[row, places[row, i]]`."""
    for row in range(out.shape[0]):
        lane = lanes[row]
        for i in range(out.shape[1]):
            out[row, i] = lane[np.uint64(places[row, i])]


def _chosen(self, lanes, dim, places):
    """Values and places of what was selected from the lanes of `self`."""
    values = np.empty(places.shape, lanes.dtype)
    wide = _UNSIGNED[lanes.itemsize]  # fewer to compile for than dtypes
    _pick(lanes.view(wide), places, values.view(wide))
    return _placed(values, self.shape, dim), _placed(places, self.shape, dim)


_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def sort(self, dim, descending, stable):
    dim = normalize_dim(dim, self.ndim)
    if self.ndim == 0:
        return np.array(self), np.zeros((), np.int64)
    lanes = _lanes(self, dim)
    keys = _keys(lanes, descending)
    places = np.empty(keys.shape, np.int64)
    _run(_sort, _sort_parallel, keys, places)
    return _chosen(self, lanes, dim, places)


def topk(self, k, dim, largest, sorted):
    """Always in order; of equal elements those that come first are taken."""
    if self.dtype == bool:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    dim = normalize_dim(dim, self.ndim)
    if not 0 <= k <= (self.shape[dim] if self.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if self.ndim == 0:
        return np.array(self), np.zeros((), np.int64)
    lanes = _lanes(self, dim)
    keys = _keys(lanes, largest)
    if 0 < k <= FEW:
        places = np.empty((keys.shape[0], k), np.int64)
        _run(_select, _select_parallel, keys, places)
    else:
        places = np.empty(keys.shape, np.int64)
        _run(_sort, _sort_parallel, keys, places)
        places = np.ascontiguousarray(places[:, :k])
    return _chosen(self, lanes, dim, places)


def nonzero(self):
    """The places of the elements that are not zero, one a row; laid out column by column."""
    return np.stack(np.nonzero(self)).T if self.ndim else np.empty((int(bool(self)), 0), np.int64)


def one_hot(self, num_classes):
    if self.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if self.size == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return np.zeros((*self.shape, num_classes), np.int64)
    if self.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(self.max()) + 1
    elif self.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    result = np.zeros((*self.shape, num_classes), np.int64)
    np.put_along_axis(result, self[..., None], 1, axis=-1)
    return result
