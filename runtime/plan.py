"""How operands of different shapes and strides line up, as layouts that kernels walk through.

A layout depends only on shapes and strides, so each is computed once and kept.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .geometry import broadcast_strides, coalesce, contiguous_strides

LIMIT = 4
SHORT = 64


@lru_cache(maxsize=4096)
def layout(shape, strides, to):
    """Where the elements of an operand lie when it is broadcast to the shape `to`.

    (array of four sizes and four strides, period): the elements repeat after `period` of them.
    None if more than four dimensions remain after merging those that go on evenly.
    """
    loops = coalesce(to, [broadcast_strides(shape, strides, to)])
    if len(loops) > LIMIT:
        return None
    period = 1
    changing = [steps[0] != 0 for _, steps in loops]
    for size, _ in loops[changing.index(True) if True in changing else len(loops) :]:
        period *= size
    return _array(loops, 0), period


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
    if len(loops) > LIMIT:
        return None
    return _array(loops, 0), _array(loops, 1)


def _array(loops, operand):
    missing = LIMIT - len(loops)
    sizes = [1] * missing + [size for size, _ in loops]
    return np.array(sizes + [0] * missing + [steps[operand] for _, steps in loops], np.int64)
