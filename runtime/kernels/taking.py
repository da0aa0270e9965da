"""Items of a parallel loop, taken by whichever thread is free.

A thread that wakes late, or that the system stops for a while, takes fewer. Each begins with a
share of its own, neighbours in memory, and then helps with what is left of the others'.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable


@intrinsic
def _count(typingctx, taken, place):
    """The number at a place, to which 1 is added before any other thread sees it."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        return builder.atomic_rmw("add", address, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.Array(types.int64, 1, "C"), types.int64), generate


@register_jitable
def take(taken, share, items):
    """An item below `items` that no thread has taken yet, or `items`.

    taken: how many are, for each share; zeros at first.
    """
    shares = len(taken)
    for turn in range(shares):
        of = (share + turn) % shares
        item = of * items // shares + _count(taken, of)
        if item < (of + 1) * items // shares:
            return item
    return items
