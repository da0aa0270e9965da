"""How operands of different shapes and strides line up, and the geometry a kernel gets.

Plans depend only on shapes and strides, so they are computed once and kept.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .geometry import Size, broadcast_shapes

LIMIT = 4


@lru_cache(maxsize=4096)
def broadcast_plan(shapes, strides):
    """(result shape, geometry or None) for operands broadcast together.

    The geometry is an array of unsigned integers: four sizes, then four strides for each
    operand, 0 where it is broadcast. None means that after coalescing more than four
    dimensions remain; the caller then makes its operands dense.
    """
    shape = broadcast_shapes(*shapes)
    rows = []
    for own, steps in zip(shapes, strides, strict=True):
        missing = len(shape) - len(own)
        rows.append(
            [0] * missing + [0 if n == 1 else step for n, step in zip(own, steps, strict=True)]
        )
    sizes, rows = _coalesce(list(shape), rows)
    if len(sizes) > LIMIT:
        return Size(shape), None
    pad = LIMIT - len(sizes)
    sizes = [1] * pad + sizes
    values = list(sizes)
    for row in rows:
        values += [0] * pad + row
    return Size(shape), np.array(values, dtype=np.uint64)


def _coalesce(sizes, rows):
    """Merge neighbouring dimensions that every operand walks through in one stride."""
    kept = [i for i, n in enumerate(sizes) if n != 1]
    sizes = [sizes[i] for i in kept]
    rows = [[row[i] for i in kept] for row in rows]
    dim = len(sizes) - 2
    while dim >= 0:
        if all(row[dim] == row[dim + 1] * sizes[dim + 1] for row in rows):
            sizes[dim : dim + 2] = [sizes[dim] * sizes[dim + 1]]
            for row in rows:
                row[dim : dim + 2] = [row[dim + 1]]
        dim -= 1
    return sizes, rows
