"""How many floating point operations a call takes, from the shapes of its inputs."""

from __future__ import annotations

from math import prod


def flops_of(name, shapes):
    """The operations of matrix products, additions and multiplications; 0 for anything else.

    As in PyTorch the elementwise ones count the elements of their first input.
    """
    if name in ("add", "mul"):
        return prod(shapes[0])
    if name == "addmm":
        shapes = shapes[1:]
    if name in ("mm", "addmm", "bmm", "batched_matmul"):
        first, second = shapes[:2]
        leading = max(prod(first[:-2]), prod(second[:-2]))
        return 2 * leading * prod(first[-2:]) * second[-1]
    return 0
