"""Flat kernels on operands that are not flat, by blocks that stay in the cache.

An operand that is broadcast or strided is brought into a block of dense elements just before the
kernel reads it, and a gradient that is to be summed is added up just after the kernel wrote it.
So one kernel serves every geometry, and memory is passed through once.
"""

from __future__ import annotations

import numpy as np

from .kernels.gathering import fold, gather
from .plan import folding, layout
from .threads import threads

ndarray = np.ndarray
empty = np.empty

# Elements of a block: few enough for the second cache with three operands, enough for each of a
# few threads to be worth starting.
BLOCK = 131072


class Laid:
    """An operand with a layout: `part(low, high)` are its elements, dense."""

    __slots__ = ("data", "held", "layout", "offset", "period")

    def __init__(self, data, offset, found):
        self.data = data
        self.offset = offset
        self.layout, self.period = found
        self.held = None

    def whole(self, n):
        """All `n` elements."""
        return gather(self.data, self.offset, self.layout, 0, empty(n, self.data.dtype))

    def part(self, low, high, block):
        held = self.held
        if held is None:
            held = self.held = empty(block, self.data.dtype)
        elif not block % self.period:
            return held[: high - low]
        return gather(self.data, self.offset, self.layout, low, held[: high - low])


class Folded:
    """A result that is added up: `total(dtype)` are the sums, once all parts were added."""

    __slots__ = ("dtype", "held", "strides", "sums", "target")

    def __init__(self, dtype, size, found):
        self.dtype = dtype
        self.sums = np.zeros(size)
        self.strides, self.target = found
        self.held = None

    def part(self, low, high, block):
        if self.held is None:
            self.held = empty(block, self.dtype)
        return self.held[: high - low]

    def add(self, values, low):
        # a part is dense in itself, wherever it comes from
        fold(values, -low, self.strides, self.target, low, len(values), self.sums)

    def total(self, dtype):
        return self.sums.astype(dtype)


def operand(tensor, shape, n):
    """A tensor as what `run` takes for `n` elements of a shape: an array, or a Laid if long."""
    flat = tensor._flat
    if flat is not None and tensor.shape == shape:
        return flat
    found = layout(tensor.shape, tensor._strides, shape)
    if found is None:
        return np.ascontiguousarray(np.broadcast_to(tensor._nd(), shape)).reshape(-1)
    laid = Laid(tensor._data, tensor._offset, found)
    return laid if n > BLOCK else laid.whole(n)


# one element, however many are asked for
ONE = np.array([1, 1, 1, 1 << 62, 0, 0, 0, 0]), 1


def number_operand(value, dtype, n):
    """A number in the place of a tensor."""
    return Laid(np.full(1, value, dtype), 0, ONE) if n > BLOCK else np.full(n, value, dtype)


def dense_copy(tensor):
    """The elements of a strided tensor in row-major order."""
    found = layout(tensor.shape, tensor._strides, tensor.shape)
    if found is None:
        return tensor._nd().ravel()
    out = empty(tensor.shape.numel(), tensor.dtype.numpy)
    return gather(tensor._data, tensor._offset, found[0], 0, out)


def sum_to(tensor, shape):
    """The sum of a floating tensor over what was broadcast from `shape`; None if too ragged."""
    found = folding(tensor.shape, tensor._strides, shape)
    if found is None:
        return None
    strides, target = found
    sums = np.zeros(shape.numel())
    count = tensor.shape.numel()
    if count:
        fold(tensor._data, tensor._offset, strides, target, 0, count, sums)
    return sums.astype(tensor.dtype.numpy)


def run(kernel, parallel, arguments, outs, n):
    """Call a flat kernel for all `n` elements: arguments are arrays, Laid or numbers.

    outs: arrays, or Folded where what the kernel writes is added up.
    """
    if n <= BLOCK:
        taken = [o.part(0, n, n) if type(o) is Folded else o for o in outs]
        (kernel if n < threads.minimum else parallel)(*arguments, *taken)
        for out, values in zip(outs, taken, strict=True):
            if out is not values and n:
                out.add(values, 0)
        return
    block = _block(arguments, outs, n)
    chosen = kernel if block < threads.minimum else parallel
    for low in range(0, n, block):
        high = min(low + block, n)
        given = [_part(a, low, high, block) for a in arguments]
        taken = [_part(o, low, high, block) for o in outs]
        chosen(*given, *taken)
        for out, values in zip(outs, taken, strict=True):
            if type(out) is Folded:
                out.add(values, low)


def _part(value, low, high, block):
    if type(value) is ndarray:
        return value[low:high]
    return value.part(low, high, block) if type(value) in (Laid, Folded) else value


def _block(arguments, outs, n):
    """All at once where everything is dense; otherwise whole periods, or whole rows."""
    laid = [a for a in arguments if type(a) is Laid]
    if not laid and not any(type(o) is Folded for o in outs):
        return n
    block = BLOCK
    for size in sorted({a.period for a in laid} | {16 * int(a.layout[3]) for a in laid}):
        if size <= BLOCK:
            block = BLOCK // size * size
    return block
