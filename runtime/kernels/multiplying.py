"""Products of matrices, made of blocks in vector registers.

With AVX-512 they take 0.85 to 0.95 of OpenBLAS's time, and leave no threads behind that keep a core
busy for a while, which the parallel loops that follow would have to share with them. Small
products, other machines and other dtypes are left to NumPy.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod

import numpy as np
from numba import njit

from ..threads import threads
from .panels import multiples, multiply, pack, put
from .sharing import share
from .tiles import LANES, VECTOR_BYTES, VECTORS

DEPTH = 512  # terms that are added at once: what they read of both factors stays in the cache
ROWS = 1024  # of the first factor that go with a panel of the second
SUMS = 64  # rows at once whose last vector reaches beyond the result, and are moved there after
APART = 1024  # elements from row to row, from which on the lines of a panel are brought together
NARROW = 8  # rows or columns; products with fewer are left to NumPy
TINY = 1 << 13  # terms of one product of many; with fewer they are left to NumPy
LEAST = 1 << 19 if VECTOR_BYTES == 64 else float("inf")  # terms in all from which on we multiply

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def _block(x, start, terms, y, y_at, y_steps, out, at, lines, sizes, add, room, wide):
    """The product of some rows with some columns, of at most DEPTH terms each.

    terms, lines: where these lie in a row of x and in a panel; sizes: (rows, from row to row of
    x, columns, lanes, from row to row of out); room: for a panel of y, and for sums.
    """
    rows, x_step, columns, lanes, step = sizes
    panel, sums = room
    depth, width = len(terms), len(wide) * lanes
    zero = np.int64(0)  # not a type of its own, as 0 would be
    for j in range(0, columns, width):
        some = min(width, columns - j)
        given, own = panel, y_at + j * y_steps[1]
        if panel.shape[0]:
            pack(y, own, y_steps[0], y_steps[1], depth, some, lanes, panel, width)
        else:
            given = y[own:]
        if some % lanes == 0:
            multiply(
                x, start, x_step, terms, given, lines, out, at + j, step, rows, some, lanes, wide,
                add,
            )  # fmt: skip
            continue
        for i in range(0, rows, SUMS):
            few, own = min(SUMS, rows - i), start + i * x_step
            multiply(
                x, own, x_step, terms, panel, lines, sums, zero, width, few, some, lanes, wide,
                zero,
            )  # fmt: skip
            put(sums, width, few, some, out, at + i * step + j, step, add)


@njit(**_options)
def _products(x, y, out, steps, sizes, wide, low, high):
    """Items from `low` to `high - 1`: each is a part of the rows or of the columns of a product.

    steps: from matrix to matrix, row to row and column to column of x, y and out; sizes: (rows,
    terms, columns, lanes, parts of the rows, parts of the columns).
    """
    rows, depth, columns, lanes, tall, broad = sizes
    most, width = min(depth, DEPTH), len(wide) * lanes
    ragged, y_steps = columns % lanes > 0, steps[1, 1:]
    # otherwise rows of y are lines of a panel as they lie
    packed = ragged or y_steps[1] != 1 or y_steps[0] >= APART
    room = (
        np.empty(most * width if packed else 0, x.dtype),
        np.empty(SUMS * width if ragged else 0, x.dtype),
    )
    terms = multiples(steps[0, 2], most)
    lines = multiples(width if packed else y_steps[0], most)
    for item in range(low, high):
        matrix, part = item // (tall * broad), item % (tall * broad)
        top, bottom = part // broad * rows // tall, (part // broad + 1) * rows // tall
        groups = (columns + width - 1) // width
        first = part % broad * groups // broad * width
        last = min(columns, (part % broad + 1) * groups // broad * width)
        for k in range(0, depth, DEPTH):
            deep = min(DEPTH, depth - k)
            for i in range(top, bottom, ROWS):
                size = (min(ROWS, bottom - i), steps[0, 1], last - first, lanes, steps[2, 1])
                start = matrix * steps[0, 0] + i * steps[0, 1] + k * steps[0, 2]
                y_at = matrix * steps[1, 0] + k * steps[1, 1] + first * steps[1, 2]
                at = matrix * steps[2, 0] + i * steps[2, 1] + first
                _block(
                    x, start, terms[:deep], y, y_at, y_steps, out, at, lines[:deep], size,
                    int(k > 0), room, wide,
                )  # fmt: skip


def mm(x, y):
    """`x @ y` for two matrices."""
    if x.size * y.shape[1] < LEAST:
        return np.dot(x, y)
    return _product(x, y) if _is_ours(x, y) else np.dot(x, y)


def bmm(x, y):
    """`x @ y` for as many matrices on both sides, all of whose leading dimensions are the same."""
    if x.size * y.shape[-1] < LEAST:
        return np.matmul(x, y)
    return _product(x, y) if _is_ours(x, y) else np.matmul(x, y)


def _is_ours(x, y):
    rows, depth, columns = *x.shape[-2:], y.shape[-1]
    large = min(rows, columns) >= NARROW and rows * depth * columns >= TINY
    return large and x.dtype.char in "fd"


def _product(x, y):
    steps, sizes, items, workers, dense = _plan(
        x.shape, x.strides, y.shape, y.strides, x.itemsize, threads.wanted, threads.minimum
    )
    x, y = (a if fine else np.ascontiguousarray(a) for a, fine in zip((x, y), dense, strict=True))
    out = np.empty((*x.shape[:-1], y.shape[-1]), x.dtype)
    given = x.ravel("K"), y.ravel("K"), out.reshape(-1), steps, sizes, VECTORS
    if workers > 1:
        share(_products, given, items, workers)
    else:
        _products(*given, 0, items)
    return out


@lru_cache(maxsize=1024)
def _plan(x_shape, x_strides, y_shape, y_strides, itemsize, workers, minimum):
    """What the kernel is told, how many threads share it, and which factors need no copy."""
    rows, depth, columns = *x_shape[-2:], y_shape[-1]
    count = prod(x_shape[:-2])
    (x_steps, x_dense), (y_steps, y_dense) = (
        _steps(shape, [stride // itemsize for stride in strides])
        for shape, strides in ((x_shape, x_strides), (y_shape, y_strides))
    )
    steps = np.array((x_steps, y_steps, (rows * columns, columns, 1)))
    workers = workers if count * rows * depth * columns >= 16 * minimum else 1
    parts = workers // gcd(count, workers)
    tall = parts if rows >= columns or columns < parts * len(VECTORS) * LANES[itemsize] else 1
    sizes = (rows, depth, columns, LANES[itemsize], tall, parts // tall)
    return steps, sizes, count * parts, workers, (x_dense, y_dense)


def _steps(shape, strides):
    """From matrix to matrix, row to row, column to column; whether the elements lie like that."""
    *leading, rows, columns = shape
    for inner in ((1, rows), (columns, 1)):
        dense = [rows * columns, *inner]
        for size in reversed(leading[1:]):
            dense.insert(0, dense[0] * size)
        of_each = zip(shape, dense[-len(shape) :], strides, strict=True)
        if all(size == 1 or one == other for size, one, other in of_each):
            return (rows * columns, *inner), True
    return (rows * columns, columns, 1), False
