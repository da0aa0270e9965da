"""Elements and slices of dense arrays, taken from and sent to the places that an index names.

Arrays are flat, of `(outer, n, inner)` elements; the index runs along `n`. Threads share the
outer or the inner elements, so that additions to one place keep their order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..strips import share_out
from ..threads import get_num_threads, threads

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
def _put(source, index, out, sizes, outer, inner):
    """`out[o, index[o, j, i], i] = source[o, j, i]`; the last one stays."""
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    fine = True
    for o in range(outer[0], outer[1]):
        taken = out[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
        for j in range(many):
            at = (o * many + j) * wide
            for i in range(inner[0], inner[1]):
                k = np.uint64(index[np.uint64(at + i)])
                if k < n:
                    taken[k * np.uint64(wide) + np.uint64(i)] = source[np.uint64(at + i)]
                else:
                    fine = False
    return fine


@njit(**_options)
def _add(source, index, out, sizes, outer, inner):
    """`out[o, index[o, j, i], i] += source[o, j, i]`, one after the other."""
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    fine = True
    for o in range(outer[0], outer[1]):
        taken = out[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
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
def _mark(source, index, out, sizes, outer, inner):
    """`source[o, j, i]` is set where no later j names the same place; `out` marks the places."""
    n, many, wide = np.uint64(sizes[0]), sizes[1], sizes[2]
    fine = True
    for o in range(outer[0], outer[1]):
        seen = out[o * sizes[0] * wide : (o + 1) * sizes[0] * wide]
        for j in range(many - 1, -1, -1):
            at = (o * many + j) * wide
            for i in range(inner[0], inner[1]):
                k = np.uint64(index[np.uint64(at + i)])
                if k < n:
                    place = k * np.uint64(wide) + np.uint64(i)
                    source[np.uint64(at + i)] = not seen[place]
                    seen[place] = True
                else:
                    fine = False
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
def _take_slices(source, index, out, sizes, outer, inner):
    """`out[o, j] = source[o, index[j]]`."""
    n, many, wide = sizes
    for o in range(outer[0], outer[1]):
        if wide == 1:
            given, part = source[o * n : o * n + n], out[o * many : o * many + many]
            for j in range(part.shape[0]):
                part[j] = given[np.uint64(index[j])]
            continue
        for j in range(many):
            start, at = (o * n + index[j]) * wide, (o * many + j) * wide
            given = source[start + inner[0] : start + inner[1]]
            part = out[at + inner[0] : at + inner[1]]
            for i in range(part.shape[0]):
                part[i] = given[i]
    return True


@njit(**_options)
def _add_slices(source, index, out, sizes, outer, inner):
    """`out[o, index[j]] += source[o, j]`, one after the other."""
    n, many, wide = sizes
    for o in range(outer[0], outer[1]):
        if wide == 1:
            given, taken = source[o * many : o * many + many], out[o * n : o * n + n]
            for j in range(given.shape[0]):
                taken[np.uint64(index[j])] += given[j]
            continue
        for j in range(many):
            start, at = (o * n + index[j]) * wide, (o * many + j) * wide
            given = source[at + inner[0] : at + inner[1]]
            taken = out[start + inner[0] : start + inner[1]]
            for i in range(taken.shape[0]):
                taken[i] += given[i]
    return True


def _shared(kernel, source, index, out, outer, sizes):
    """A kernel on all elements, from a certain size on in parts of the outer or inner ones."""
    wide = sizes[2]
    parts = get_num_threads() if outer * sizes[1] * wide >= threads.minimum else 1
    if parts == 1 or (outer < parts and wide < 16 * parts):
        return kernel(source, index, out, sizes, (0, outer), (0, wide))
    by_outer = outer >= parts
    count = outer if by_outer else wide
    parts = min(count, 4 * parts) if by_outer else parts
    fine = [True] * parts

    def work(part):
        some = part * count // parts, (part + 1) * count // parts
        ranges = (some, (0, wide)) if by_outer else ((0, outer), some)
        fine[part] = kernel(source, index, out, sizes, *ranges)

    share_out(work, parts)
    return all(fine)


def take(source, index, out, outer, sizes):
    """`out[o, j, i] = source[o, index[o, j, i], i]`; sizes: (n, index, inner).

    Whether every index names a place, as of `put`, `add` and `mark`.
    """
    return _shared(_take, source, index, out, outer, sizes)


def put(source, index, out, outer, sizes):
    """`out[o, index[o, j, i], i] = source[o, j, i]`; of several for one place the last stays."""
    return _shared(_put, source, index, out, outer, sizes)


def add(source, index, out, outer, sizes):
    """`out[o, index[o, j, i], i] += source[o, j, i]`, one after the other."""
    return _shared(_add, source, index, out, outer, sizes)


def mark(last, index, seen, outer, sizes):
    """Set in `last` which elements of the index are the last for their place."""
    return _shared(_mark, last, index, seen, outer, sizes)


def take_slices(source, index, out, outer, sizes):
    """`out[o, j] = source[o, index[j]]` for an index that was checked."""
    _shared(_take_slices, source, index, out, outer, sizes)


def add_slices(source, index, out, outer, sizes):
    """`out[o, index[j]] += source[o, j]`, one after the other, for an index that was checked."""
    _shared(_add_slices, source, index, out, outer, sizes)
