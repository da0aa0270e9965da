"""How operands of different shapes and strides line up, as layouts that kernels walk through.

A layout depends only on shapes and strides, so each is computed once and kept.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from .geometry import broadcast_strides, coalesce, contiguous_strides

LIMIT = 4
SHORT = 64
BAND = 16


@lru_cache(maxsize=4096)
def layout(shape, strides, to):
    """Where the elements of an operand lie when it is broadcast to the shape `to`.

    (array of sizes and as many strides, period): the elements repeat after `period` of them.
    """
    loops = coalesce(to, [broadcast_strides(shape, strides, to)])
    period = 1
    changing = [steps[0] != 0 for _, steps in loops]
    for size, _ in loops[changing.index(True) if True in changing else len(loops) :]:
        period *= size
    return _array(loops, 0), period


def band(found):
    """How many elements of a layout to bring at once, so that whole runs of memory are read.

    Where neighbours in memory lie far apart in the row, that is many.
    """
    rank = len(found) // 2
    sizes, steps = found[:rank].tolist(), found[rank:].tolist()
    moving = [d for d in range(rank) if steps[d] and sizes[d] > 1]
    if not moving:
        return 1
    near = min(moving, key=lambda d: abs(steps[d]))
    return prod(sizes[near + 1 :]) * min(BAND, sizes[near])


@lru_cache(maxsize=4096)
def rows(operands, to):
    """The layouts of operands, (shape, strides) pairs, for kernels that go row by row.

    None where other ways are better: rows are short, or an operand is transposed.
    """
    strides = [broadcast_strides(shape, steps, to) for shape, steps in operands]
    loops = coalesce(to, strides)
    if not 0 < len(loops) <= LIMIT or loops[-1][0] < SHORT:
        return None
    for number in range(len(operands)):
        steps = [steps[number] for _, steps in loops]
        if 1 in steps[:-1] and steps[-1] > 1:
            return None
    return np.stack([_array(loops, number) for number in range(len(operands))])


@lru_cache(maxsize=4096)
def folding(shape, strides, to):
    """The layouts of values of a shape and of the totals of shape `to` that they add up to."""
    loops = coalesce(shape, [strides, broadcast_strides(to, contiguous_strides(to), shape)])
    return _array(loops, 0), _array(loops, 1)


def _array(loops, operand):
    missing = max(LIMIT - len(loops), 0)
    sizes = [1] * missing + [size for size, _ in loops]
    return np.array(sizes + [0] * missing + [steps[operand] for _, steps in loops], np.int64)
