"""Adding and copying flat arrays, where gradients meet and stay; repeating over rows."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..quiet import quietly
from ..strips import share_out
from ..threads import threads
from . import tiles

CHUNK = 16384  # elements that a thread adds at a time
PIECE = 1 << 16  # bytes that it copies
STREAMED = 1 << 23  # bytes from which on a copy that is not read soon goes past the cache
STRIP = 1 << 18

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def _add(target, source):
    for i in range(target.shape[0]):
        target[i] += source[i]


@njit(parallel=True, **_options)
def _add_parallel(target, source):
    n = target.shape[0]
    for part in prange((n + CHUNK - 1) // CHUNK):
        low = part * CHUNK
        high = min(low + CHUNK, n)
        _add(target[low:high], source[low:high])


def add_into(target, source):
    """`target += source` for dense flat arrays; returns `target`. RuntimeError on other sizes."""
    if len(source) != len(target):
        raise RuntimeError(
            f"gradients of {len(target)} and {len(source)} elements meet; they must be as many"
        )
    if len(target) < threads.light:
        _add(target, source)
    else:
        _add_parallel(target, source)
    return target


@njit(**_options)
def _copy_runs(source, out, given, taken, width, low, high):
    """The bytes from `low` to `high - 1` of `copy_runs`."""
    run, column = low // width, low % width
    while low < high:
        count = min(width - column, high - low)
        start, at = given[0] + run * given[1] + column, taken[0] + run * taken[1] + column
        values, written = source[start : start + count], out[at : at + count]
        for i in range(written.shape[0]):
            written[i] = values[i]
        low += count
        run += 1
        column = 0


@njit(parallel=True, **_options)
def _copy_runs_parallel(source, out, given, taken, width, size):
    parts = (size + PIECE - 1) // PIECE
    for part in prange(parts):
        low = part * PIECE
        _copy_runs(source, out, given, taken, width, low, min(low + PIECE, size))


def copy_runs(source, out, given, taken, width, runs):
    """Copy runs of `width` bytes; given, taken: (where the first lies, from one to the next).

    Both arrays are flat bytes, so that one kernel serves every dtype.
    """
    _copy_runs_parallel(source, out, given, taken, width, width * runs)


def convert(target, source):
    """Copy an array into another of its shape, which may be of another dtype."""
    np.copyto(target, source, casting="unsafe")


def copy_into(target, source):
    """Copy a dense flat array into another of as many elements, which may be of another dtype."""
    size, large = source.nbytes, len(source) >= threads.light
    if source.dtype == target.dtype and large:
        copy_runs(source.view(np.uint8), target.view(np.uint8), (0, size), (0, size), size, 1)
    elif source.dtype == target.dtype:
        np.copyto(target, source)
    elif not large:
        quietly(convert, target, source)
    else:

        def work(strip):
            part = slice(strip * STRIP, (strip + 1) * STRIP)
            quietly(convert, target[part], source[part])

        share_out(work, -(-len(source) // STRIP))


@njit(parallel=True, **_options)
def _fill_parallel(target, value):
    n = target.shape[0]
    for part in prange((n + CHUNK - 1) // CHUNK):
        span = target[part * CHUNK : min((part + 1) * CHUNK, n)]
        for i in range(span.shape[0]):
            span[i] = value[0]


def fill(target, value):
    """Write one number everywhere in a dense flat array."""
    if len(target) < threads.light:
        target.fill(value)
        return
    # as whole numbers of the same size, so that one kernel serves several dtypes
    kind = f"u{target.itemsize}"
    _fill_parallel(target.view(kind), np.full(1, value, target.dtype).view(kind))


def copy_of(source):
    """A dense flat array in memory of its own."""
    if len(source) < threads.light:
        return source.copy()
    out = np.empty_like(source)
    if source.nbytes < STREAMED:
        copy_into(out, source)
    else:
        _stream_parallel(source, out)
    return out


def dense_copy(array):
    """A dense copy of an array of any shape."""
    if array.flags.c_contiguous and array.size >= threads.light:
        return copy_of(array.reshape(-1)).reshape(array.shape)
    return np.array(array, order="C")


def join(arrays, before, shape):
    """Dense arrays of one dtype behind each other in `shape`, in each of `before` slices."""
    out = np.empty(shape, arrays[0].dtype)
    flat, pitch, at = out.reshape(-1).view(np.uint8), out.nbytes // before, 0
    for array in arrays:
        width = array.nbytes // before
        given = array.reshape(-1).view(np.uint8)
        copy_runs(given, flat, (0, width), (at, pitch), width, before)
        at += width
    return out


@njit(**_options)
def stream(source, target):
    """Copy a dense flat array past the cache: what is written is not read soon.

    Memory that is written otherwise is read first.
    """
    lanes = tiles.VECTOR_BYTES // target.itemsize
    skip = min(-(target.ctypes.data // target.itemsize) % lanes, target.shape[0])
    rest = (target.shape[0] - skip) % lanes
    for i in range(skip):
        target[i] = source[i]
    tiles.stream_vectors(source, skip, target, skip, target.shape[0] - skip - rest)
    for i in range(target.shape[0] - rest, target.shape[0]):
        target[i] = source[i]


@njit(parallel=True, **_options)
def _stream_parallel(source, target):
    n = target.shape[0]
    for strip in prange((n + STRIP - 1) // STRIP):
        low = strip * STRIP
        high = min(low + STRIP, n)
        stream(source[low:high], target[low:high])


@njit(**_options)
def _add_to_rows(target, row):
    n = row.shape[0]
    for low in range(0, target.shape[0], n):
        part = target[low : low + n]
        for i in range(part.shape[0]):
            part[i] += row[i]


@njit(**_options)
def add_groups(values, numbers, out):
    """Sums of as many groups as `out` holds, by the numbers of their elements, group by group.

    What each addition in float64 rounds away is kept where the values are of that precision.
    """
    count = numbers.shape[0] // out.shape[0]
    for i in range(out.shape[0]):
        group = numbers[i * count : (i + 1) * count]
        total = lost = 0.0
        for k in range(group.shape[0]):
            value = values[np.uint64(group[k])]
            added = total + value
            if values.itemsize == 8:
                part = added - total
                lost += (total - (added - part)) + (value - part)
            total = added
        # an infinite total has lost nothing that is a number
        out[i] = total + lost if np.isfinite(lost) else total


MOST = 262144  # beyond that memory sets the speed


def add_to_rows(target, row):
    """`target += row`, along the last dimension of a dense array."""
    if 0 < target.size <= MOST:
        _add_to_rows(target.ravel(), row if row.flags.c_contiguous else row.copy())
    else:
        target += row


@njit(**_options)
def _repeat_each(values, count, out):
    for row in range(values.shape[0]):
        part = out[row * count : (row + 1) * count]
        for i in range(part.shape[0]):
            part[i] = values[row]


def repeat_each(values, count):
    """Each of the values `count` times in a row."""
    out = np.empty(len(values) * count, values.dtype)
    _repeat_each(values, count, out)
    return out


@njit(**_options)
def _outer(first, second, out):
    n = second.shape[0]
    for row in range(first.shape[0]):
        value, part = first[row], out[row * n : (row + 1) * n]
        for i in range(part.shape[0]):
            part[i] = value * second[i]


def outer(first, second):
    """All products of an element of one vector with one of the other, as a matrix."""
    first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
    out = np.empty(len(first) * len(second), first.dtype)
    _outer(first, second, out)
    return out.reshape(len(first), len(second))
