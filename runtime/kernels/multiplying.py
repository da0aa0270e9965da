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
from .accumulate import add_to_rows
from .panels import multiples, multiply_onto, pack, put
from .sharing import share
from .taking import take
from .tiles import LANES, VECTOR_BYTES, VECTORS

DEPTH = 512  # terms that are added at once: what they read of both factors stays in the cache
ROWS = 1024  # of the first factor that go with a panel of the second
SUMS = 64  # rows at once whose last vector reaches beyond the result, and are moved there after
APART = 1024  # elements from row to row, from which on the lines of a panel are brought together
HELD = 1 << 19  # bytes of a panel that several items in a row may use; the second cache has room
TAKEN = 1 << 20  # terms that a thread takes at a time, if there are several
NARROW = 8  # rows or columns; products with fewer are left to NumPy
TINY = 1 << 13  # terms of one product of many; with fewer they are left to NumPy
LEAST = 1 << 19 if VECTOR_BYTES == 64 else float("inf")  # terms in all from which on we multiply

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def _tile(x, start, terms, panel, lines, out, at, base, base_at, sizes, add, sums, wide):
    """Some rows times a panel, of at most DEPTH terms each, for all columns of the panel.

    sizes: (rows, from row to row of x, of out and of base, columns, lanes); add: 1 where the sums
    are added to what is there, 2 where base is added to them; sums: room for rows whose last
    vector reaches beyond the result.
    """
    rows, x_step, step, base_step, columns, lanes = sizes
    width, whole, zero = len(wide) * lanes, columns % lanes == 0, np.int64(0)
    more = min(add, 1)
    for i in range(0, rows, rows if whole else SUMS):
        few, own, to = min(rows if whole else SUMS, rows - i), start + i * x_step, at + i * step
        target, place, pitch = (out, to, step) if whole else (sums, zero, width)
        from_base = base_at + i * base_step
        multiply_onto(
            x, own, x_step, terms, panel, lines, target, place, pitch, few, columns, lanes, wide,
            base, from_base, base_step, more if whole else zero,
        )  # fmt: skip
        if not whole:
            if add == 2:
                put(base[from_base:], base_step, few, columns, out, to, step, zero)
            put(sums, width, few, columns, out, to, step, more)


@njit(**_options)
def _place(item, sizes, width):
    """Which matrix, which panel of its columns, and which of its rows an item is made of.

    Rows go by fours, which a block has; there are none where other parts have more columns.
    """
    rows, _, columns, _, tall, broad, chunks, _ = sizes
    groups, quads, all_chunks = (columns + width - 1) // width, (rows + 3) // 4, tall * chunks
    most = (groups + broad - 1) // broad
    chunk, group, part = item % chunks, item // chunks % most, item // (chunks * most)
    matrix, part = part // (tall * broad), part % (tall * broad)
    chunk, group = chunk + part // broad * chunks, group + part % broad * groups // broad
    low, high = 4 * (chunk * quads // all_chunks), 4 * ((chunk + 1) * quads // all_chunks)
    if group >= (part % broad + 1) * groups // broad:
        high = low
    return matrix, group, low, min(high, rows)


@njit(**_options)
def _products(x, y, base, out, steps, sizes, wide, items, taken, low, high):
    """Items that `take` gives: each is a panel of columns, for some of the rows of a product.

    They begin with those of the thread `low`, of which there is one.

    steps: from matrix to matrix, row to row and column to column of x, y, out and base; sizes:
    (rows, terms, columns, lanes, parts of the rows, parts of the columns, items that a panel of a
    part is made of, 2 if base is added).
    """
    _, depth, columns, lanes, _, _, _, onto = sizes
    width, y_row, y_column = len(wide) * lanes, steps[1, 1], steps[1, 2]
    ragged, held = columns % lanes > 0, depth * width * x.itemsize <= HELD
    # otherwise rows of y are lines of a panel as they lie
    packed = ragged or y_column != 1 or y_row >= APART
    panel = np.empty((depth if held else DEPTH) * width if packed else 0, x.dtype)
    sums = np.empty(SUMS * width if ragged else 0, x.dtype)
    terms = multiples(steps[0, 2], min(depth, DEPTH))
    lines = multiples(width if packed else y_row, min(depth, DEPTH))
    kept = -1, -1
    item = take(taken, low, items)
    while item < items:
        matrix, group, top, bottom = _place(item, sizes, width)
        j, some = group * width, min(width, columns - group * width)
        for k in range(0, depth if top < bottom else 0, DEPTH):
            deep, given = min(DEPTH, depth - k), y
            at = matrix * steps[1, 0] + k * y_row + j * y_column
            if packed:
                given, own = panel, k * width if held else 0
                if not held or kept != (matrix, group):
                    pack(y, at, y_row, y_column, deep, some, lanes, panel[own:], width)
                at = own
            # sums of earlier terms lie in out, those of the first begin with base
            add, there, n = (onto, base, 3) if k == 0 else (1, out, 2)
            for i in range(top, bottom, ROWS):
                start = matrix * steps[0, 0] + i * steps[0, 1] + k * steps[0, 2]
                to = matrix * steps[2, 0] + i * steps[2, 1] + j
                own = matrix * steps[n, 0] + i * steps[n, 1] + j
                size = min(ROWS, bottom - i), steps[0, 1], steps[2, 1], steps[n, 1], some, lanes
                _tile(
                    x, start, terms[:deep], given[at:], lines[:deep], out, to, there, own, size,
                    add, sums, wide,
                )  # fmt: skip
        kept = (matrix, group) if top < bottom else kept
        item = take(taken, low, items)


def mm(x, y, base=None):
    """`x @ y` for two matrices; `base` is added, a row for all or a matrix, of the same dtype."""
    if x.size * y.shape[1] >= LEAST and _is_ours(x, y):
        return _product(x, y, base)
    out = np.dot(x, y)
    if base is None:
        return out
    if base.ndim == 1:
        add_to_rows(out, base)
    else:
        out += base
    return out


def bmm(x, y):
    """`x @ y` for as many matrices on both sides, all of whose leading dimensions are the same."""
    if x.size * y.shape[-1] < LEAST:
        return np.matmul(x, y)
    return _product(x, y) if _is_ours(x, y) else np.matmul(x, y)


def _is_ours(x, y):
    rows, depth, columns = *x.shape[-2:], y.shape[-1]
    large = min(rows, columns) >= NARROW and rows * depth * columns >= TINY
    return large and x.dtype.char in "fd"


def _product(x, y, base=None):
    steps, sizes, items, workers, dense = _plan(
        x.shape, x.strides, y.shape, y.strides, x.itemsize, threads.wanted, threads.minimum,
        0 if base is None else base.ndim,
    )  # fmt: skip
    x, y = (a if fine else np.ascontiguousarray(a) for a, fine in zip((x, y), dense, strict=True))
    out = np.empty((*x.shape[:-1], y.shape[-1]), x.dtype)
    flat = out.reshape(-1)
    base = flat if base is None else np.ascontiguousarray(base).reshape(-1)
    taken = np.zeros(workers, np.int64)
    given = x.ravel("K"), y.ravel("K"), base, flat, steps, sizes, VECTORS, items, taken
    if workers > 1:
        share(_products, given, workers, workers)
    else:
        _products(*given, 0, 1)
    return out


@lru_cache(maxsize=1024)
def _plan(x_shape, x_strides, y_shape, y_strides, itemsize, workers, minimum, base):
    """What the kernel is told, how many threads share it, and which factors need no copy."""
    rows, depth, columns = *x_shape[-2:], y_shape[-1]
    count, width = prod(x_shape[:-2]), len(VECTORS) * LANES[itemsize]
    (x_steps, x_dense), (y_steps, y_dense) = (
        _steps(shape, [stride // itemsize for stride in strides])
        for shape, strides in ((x_shape, x_strides), (y_shape, y_strides))
    )
    result = rows * columns, columns, 1
    steps = np.array((x_steps, y_steps, result, result if base == 2 else (0, 0, 1)))
    workers = workers if count * rows * depth * columns >= 16 * minimum else 1
    parts = workers // gcd(count, workers)
    tall = parts if rows >= columns or columns < parts * width else 1
    broad, chunks = parts // tall, 1
    if workers > 1 and depth * width * itemsize <= HELD:
        chunks = max(1, rows // tall * depth * min(columns, width) // TAKEN)
    sizes = (rows, depth, columns, LANES[itemsize], tall, broad, chunks, 2 if base else 0)
    panels = -(-columns // (width * broad))
    return steps, sizes, count * parts * panels * chunks, workers, (x_dense, y_dense)


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
