"""Elements and slices of dense arrays, taken from and sent to the places that an index names.

Arrays are flat, of `(outer, n, inner)` elements; the index runs along `n`. Threads share the
outer or the inner elements, so that additions to one place keep their order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..strips import share_out
from ..threads import get_num_threads, threads
from .accumulate import copy_of

LINE = 64  # bytes of a line of the cache
CACHE = 1 << 18  # bytes that stay in the cache of a core

NOTHING, ZEROS, COPY = range(3)  # what an array holds before elements are sent to it

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def _take(source, index, out, sizes, outer, inner):
    """`out[o, j, i] = source[o, index[o, j, i], i]` for the ranges of o and i.

    Whether every index names a place, as in the kernels below.
    """
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    fine = True
    for o in range(outer[0], outer[1]):
        given = source[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
        if wide == 1:
            places, part = index[o * many : o * many + many], out[o * many : o * many + many]
            for j in range(part.shape[0]):
                k = np.uint64(places[j])
                fine &= k < n
                part[j] = given[k if k < n else np.uint64(0)]
            continue
        for j in range(many):
            at = (o * many + j) * wide
            places, part = index[at + inner[0] : at + inner[1]], out[at + inner[0] : at + inner[1]]
            for i in range(part.shape[0]):
                k = np.uint64(places[i])
                fine &= k < n
                k = k if k < n else np.uint64(0)
                part[i] = given[k * np.uint64(wide) + np.uint64(inner[0] + i)]
    return fine


@njit(**_options)
def _prepare(out, base, how, sizes, o, inner):
    """Zeros, or what `base` has, where the o-th outer element of `out` lies."""
    n, wide = sizes[0], sizes[2]
    whole = inner[1] - inner[0] == wide
    runs, length = (1, n * wide) if whole else (n, inner[1] - inner[0])
    for run in range(runs):
        start = (o * n + run) * wide + inner[0]
        part = out[start : start + length]
        if how == ZEROS:
            for i in range(part.shape[0]):
                part[i] = 0
        elif how == COPY:
            given = base[start : start + length]
            for i in range(part.shape[0]):
                part[i] = given[i]


@njit(**_options)
def _put(source, index, out, base, how, sizes, outer, inner):
    """`out[o, index[o, j, i], i] = source[o, j, i]`; the last one stays. See `put` and `_take`."""
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    step = np.uint64(source.shape[0] == index.shape[0])
    fine = True
    for o in range(outer[0], outer[1]):
        _prepare(out, base, how, sizes, o, inner)
        taken = out[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
        if wide == 1:
            places, start = index[o * many : o * many + many], np.uint64(o * many)
            for j in range(places.shape[0]):
                k = np.uint64(places[j])
                if k < n:
                    taken[k] = source[(start + np.uint64(j)) * step]
                else:
                    fine = False
            continue
        for j in range(many):
            at = (o * many + j) * wide
            for i in range(inner[0], inner[1]):
                k = np.uint64(index[np.uint64(at + i)])
                if k < n:
                    taken[k * np.uint64(wide) + np.uint64(i)] = source[np.uint64(at + i) * step]
                else:
                    fine = False
    return fine


@njit(**_options)
def _add(source, index, out, base, how, sizes, outer, inner):
    """`out[o, index[o, j, i], i] += source[o, j, i]`, one after the other."""
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    fine = True
    for o in range(outer[0], outer[1]):
        _prepare(out, base, how, sizes, o, inner)
        taken = out[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
        if wide == 1:
            places, part = index[o * many : o * many + many], source[o * many : o * many + many]
            for j in range(places.shape[0]):
                k = np.uint64(places[j])
                if k < n:
                    taken[k] += part[j]
                else:
                    fine = False
            continue
        for j in range(many):
            at = (o * many + j) * wide
            for i in range(inner[0], inner[1]):
                k = np.uint64(index[np.uint64(at + i)])
                if k < n:
                    taken[k * np.uint64(wide) + np.uint64(i)] += source[np.uint64(at + i)]
                else:
                    fine = False
    return fine


@njit(**_options)
def _take_last(source, index, out, sizes, outer, inner):
    """As `_take`, but 0 where a later j names the same place."""
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    across = np.uint64(inner[1] - inner[0])
    last = np.empty(sizes[0] * (inner[1] - inner[0]), np.int64)  # the last j to name each place
    fine = True
    for o in range(outer[0], outer[1]):
        given = source[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
        if wide == 1:
            places, part = index[o * many : o * many + many], out[o * many : o * many + many]
            for j in range(places.shape[0]):
                k = np.uint64(places[j])
                fine &= k < n
                last[k if k < n else np.uint64(0)] = j
            for j in range(places.shape[0]):
                k = np.uint64(places[j])
                k = k if k < n else np.uint64(0)
                part[j] = given[k] if last[k] == j else out.dtype.type(0)
            continue
        for j in range(many):
            at = (o * many + j) * wide
            for i in range(inner[0], inner[1]):
                k = np.uint64(index[np.uint64(at + i)])
                fine &= k < n
                k = k if k < n else np.uint64(0)
                last[k * across + np.uint64(i - inner[0])] = j
        for j in range(many):
            at = (o * many + j) * wide
            for i in range(inner[0], inner[1]):
                k = np.uint64(index[np.uint64(at + i)])
                k = k if k < n else np.uint64(0)
                value = given[k * np.uint64(wide) + np.uint64(i)]
                stays = last[k * across + np.uint64(i - inner[0])] == j
                out[np.uint64(at + i)] = value if stays else out.dtype.type(0)
    return fine


@njit(**_options)
def count_from_end(index, n, out):
    """`out = index` with `n` added to what is below 0; whether all of it is from 0 to n - 1."""
    fine = True
    for i in range(out.shape[0]):
        place = index[i]
        place += n if place < 0 else 0
        fine &= 0 <= place < n
        out[i] = place
    return fine


@njit(**_options)
def _take_slices(source, index, out, sizes, low, high):
    """`out[o, j] = source[o, index[j]]` for the pairs of o and j from `low` to `high - 1`."""
    n, many, wide = sizes
    o, j = low // many, low % many
    for item in range(low, high):
        start = (o * n + index[j]) * wide
        if wide == 1:
            out[item] = source[start]
        else:
            given, part = source[start : start + wide], out[item * wide : item * wide + wide]
            for i in range(part.shape[0]):
                part[i] = given[i]
        j += 1
        if j == many:
            o, j = o + 1, 0


@njit(parallel=True, **_options)
def _take_slices_parallel(source, index, out, sizes, items, shares):
    for share in prange(shares):
        low, high = share * items // shares, (share + 1) * items // shares
        _take_slices(source, index, out, sizes, low, high)


@njit(**_options)
def _add_slices(source, index, out, sizes, outer, places):
    """`out[o, index[j]] += source[o, j]`, one after the other, for ranges of o and of places."""
    n, many, wide = sizes
    for o in range(outer[0], outer[1]):
        for j in range(many):
            if index[j] < places[0] or index[j] >= places[1]:
                continue
            start, at = (o * n + index[j]) * wide, (o * many + j) * wide
            if wide == 1:
                out[start] += source[at]
                continue
            given, taken = source[at : at + wide], out[start : start + wide]
            for i in range(taken.shape[0]):
                taken[i] += given[i]


@njit(parallel=True, **_options)
def _add_slices_parallel(source, index, out, sizes, outer, shares):
    for share in prange(shares):
        if outer >= shares:
            some = share * outer // shares, (share + 1) * outer // shares
            _add_slices(source, index, out, sizes, some, (0, sizes[0]))
        else:
            # each share owns places, so that additions to one place keep their order
            places = share * sizes[0] // shares, (share + 1) * sizes[0] // shares
            _add_slices(source, index, out, sizes, (0, outer), places)


def _shared(kernel, arrays, outer, sizes):
    """A kernel on all elements, from a certain size on in parts of the outer or inner ones."""
    wide = sizes[2]
    parts = get_num_threads() if outer * sizes[1] * wide >= threads.minimum else 1
    if parts == 1 or (outer < parts and wide < 16 * parts):
        return kernel(*arrays, sizes, (0, outer), (0, wide))
    by_outer = outer >= parts
    count = outer if by_outer else wide
    parts = min(count, 4 * parts) if by_outer else parts
    fine = [True] * parts

    def work(part):
        some = part * count // parts, (part + 1) * count // parts
        ranges = (some, (0, wide)) if by_outer else ((0, outer), some)
        fine[part] = kernel(*arrays, sizes, *ranges)

    share_out(work, parts)
    return all(fine)


def take(source, index, out, outer, sizes):
    """`out[o, j, i] = source[o, index[o, j, i], i]`; sizes: (n, index, inner).

    Whether every index names a place, as of `take_last`.
    """
    return _shared(_take, (source, index, out), outer, sizes)


def take_last(source, index, out, outer, sizes):
    """As `take`, but 0 where a later element of the index names the same place."""
    return _shared(_take_last, (source, index, out), outer, sizes)


def put(source, index, base, outer, sizes):
    """(a copy of `base` with `out[o, index[o, j, i], i] = source[o, j, i]`, whether all is fine).

    A source of one element is put everywhere. Of several for one place the last stays.
    """
    return _sent(_put, source, index, base, outer, sizes)


def add(source, index, base, outer, sizes):
    """(`base`, or zeros for None, plus `source[o, j, i]` at `[o, index[o, j, i], i]`, fine)."""
    return _sent(_add, source, index, base, outer, sizes)


def _sent(kernel, source, index, base, outer, sizes):
    """Elements sent to a copy of `base` or to zeros.

    An outer element that stays in the cache is copied or cleared just before the kernel sends to
    it. Else the C library is faster; and the system clears for nothing what nobody touches.
    """
    size, bytes_each = outer * sizes[0] * sizes[2], sizes[0] * sizes[2] * source.itemsize
    few = base is None and sizes[1] * LINE < sizes[0] * source.itemsize
    if few or bytes_each > CACHE:
        out, how = np.zeros(size, source.dtype) if base is None else copy_of(base), NOTHING
    else:
        out, how = np.empty(size, source.dtype), ZEROS if base is None else COPY
    given = out if base is None else base
    return out, _shared(kernel, (source, index, out, given, how), outer, sizes)


def take_slices(source, index, out, outer, sizes):
    """`out[o, j] = source[o, index[j]]` for an index that was checked."""
    items = outer * sizes[1]
    if items * sizes[2] < threads.light:
        _take_slices(source, index, out, sizes, 0, items)
    else:
        _take_slices_parallel(source, index, out, sizes, items, 4 * get_num_threads())


def add_slices(source, index, out, outer, sizes):
    """`out[o, index[j]] += source[o, j]`, one after the other, for an index that was checked."""
    shares = 4 * get_num_threads()
    if outer * sizes[1] * sizes[2] < threads.light or (outer < shares and sizes[2] < shares):
        _add_slices(source, index, out, sizes, (0, outer), (0, sizes[0]))
    else:
        _add_slices_parallel(source, index, out, sizes, outer, shares)
