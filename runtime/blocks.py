"""Flat kernels on operands that are not flat, by blocks that stay in the cache.

An operand that is broadcast or strided is brought into a block of dense elements just before the
kernel reads it, and a gradient that is to be summed is added up just after the kernel wrote it.
So one kernel serves every geometry, and memory is passed through once.
"""

from __future__ import annotations

import numpy as np

from .geometry import Size, contiguous_strides
from .kernels.folding import fold, fold_strip, fold_strips
from .kernels.gathering import gather, gather_blocks
from .plan import band, folding, layout
from .strips import share_out
from .threads import threads

ndarray = np.ndarray
empty = np.empty

# Elements of a block: few enough for the second cache with three operands, many enough that what
# each block costs in Python does not matter.
BLOCK = 65536
# Into how many strips of blocks the elements are split at most. Sums are made strip by strip, so
# that they do not depend on the number of threads.
STRIPS = 8
WIDEST = 8 * BLOCK  # of a block, where rows are so long that a band of them is no smaller
ALONE = 1 << 20  # fewer elements are added up before another thread is awake


class Laid:
    """An operand with a layout."""

    __slots__ = ("data", "layout", "offset", "period")

    def __init__(self, data, offset, found):
        self.data = data
        self.offset = offset
        self.layout, self.period = found

    def whole(self, n):
        """All `n` elements, dense."""
        out = empty(n, self.data.dtype)
        gather(self.data, self.offset, self.layout, 0, out)
        return out

    def parts(self, block):
        """A function that brings the elements from `low` to `high` into memory of its own."""
        held = empty(block, self.data.dtype)
        known = False

        def part(low, high):
            nonlocal known
            if not known:
                gather(self.data, self.offset, self.layout, low, held[: high - low])
                # blocks of whole periods are all the same
                known = not block % self.period
            return held[: high - low]

        return part


class Folded:
    """A result that is added up: `total(dtype)` are the sums, once all parts were added."""

    __slots__ = ("dtype", "size", "strides", "sums", "target")

    def __init__(self, dtype, size, found):
        self.dtype = dtype
        self.size = size
        self.strides, self.target = found
        self.sums = {}  # by strip

    def add(self, values, low, strip):
        sums = self.sums.get(strip)
        if sums is None:
            sums = self.sums[strip] = np.zeros(self.size)
        # a part is dense in itself, wherever it comes from
        fold(values, -low, self.strides, self.target, low, len(values), sums)

    def total(self, dtype):
        if len(self.sums) == 1:
            return self.sums[0].astype(dtype)
        total = np.zeros(self.size)
        for strip in sorted(self.sums):
            total += self.sums[strip]
        return total.astype(dtype)


def operand(tensor, shape, n):
    """A tensor as what `run` takes for `n` elements of a shape: an array, or a Laid if long."""
    flat = tensor._flat
    if flat is not None and tensor.shape == shape:
        return flat
    found = layout(tensor.shape, tensor._strides, shape)
    laid = Laid(tensor._data, tensor._offset, found)
    return laid if n > BLOCK else laid.whole(n)


# one element, however many are asked for
ONE = np.array([1, 1, 1, 1 << 62, 0, 0, 0, 0]), 1


def number_operand(value, dtype, n):
    """A number in the place of a tensor."""
    return Laid(filled(1, value, dtype), 0, ONE) if n > BLOCK else filled(n, value, dtype)


def filled(n, value, dtype):
    """`n` times a number; an integer that the dtype does not hold loses its upper bits."""
    try:
        return np.full(n, value, dtype)
    except OverflowError:
        bits = int(value) & ((1 << (8 * dtype.itemsize)) - 1)
        return np.full(n, bits, f"u{dtype.itemsize}").view(dtype)


def dense_copy(tensor):
    """The elements of a strided tensor in row-major order."""
    found = layout(tensor.shape, tensor._strides, tensor.shape)
    n = tensor.shape.numel()
    out = empty(n, tensor.dtype.numpy)
    block = max(band(found[0]), _whole_blocks([band(found[0])]))
    if n < threads.light:
        for low in range(0, n, block):
            gather(tensor._data, tensor._offset, found[0], low, out[low : low + block])
    else:
        gather_blocks(tensor._data, tensor._offset, found[0], block, out)
    return out


def sum_to(tensor, shape, divisor=1, copy=None):
    """The sum of a floating tensor over what was broadcast from `shape`, as a flat array.

    divisor: what the sums are divided by before they are rounded to the tensor's dtype.
    copy: where to the elements of a dense tensor are copied on the way.
    """
    strides, target = folding(tensor.shape, tensor._strides, shape)
    count, size = tensor.shape.numel(), shape.numel()
    each = max(BLOCK, -(-count // STRIPS), 4 * size)
    strips = max(1, -(-count // each))
    sums = np.zeros((strips, size))
    step = _whole_blocks([4 * max(int(strides[len(strides) // 2 - 1]), 1)])  # by four rows
    given = tensor._data, tensor._offset, strides, target
    if count < max(ALONE, threads.light):
        for strip, low in enumerate(range(0, count, each)):
            fold_strip(*given, low, min(low + each, count), copy, step, sums[strip])
    else:
        fold_strips(*given, each, count, copy, step, sums)
    sums = sums.sum(0) if strips > 1 else sums[0]
    return (sums if divisor == 1 else sums / divisor).astype(tensor.dtype.numpy)


def summed(array, shape, divisor=1):
    """The sum of a dense floating array over what was broadcast from `shape`, as a flat array.

    None where that takes more than one pass of a kernel.
    """
    if array.dtype.kind != "f" or not array.flags.c_contiguous or array.size > BLOCK:
        return None
    if len(shape) > array.ndim:
        return None
    whole = Size(array.shape)
    strides, target = folding(whole, contiguous_strides(whole), shape)
    sums = np.zeros(shape.numel())
    fold(array.ravel(), 0, strides, target, 0, array.size, sums)
    return (sums if divisor == 1 else sums / divisor).astype(array.dtype)


def run(kernel, parallel, arguments, outs, n):
    """Call a flat kernel for all `n` elements: arguments are arrays, Laid or numbers.

    outs: arrays, or Folded where what the kernel writes is added up.
    """
    folded = [o for o in outs if type(o) is Folded]
    laid = [a for a in arguments if type(a) is Laid]
    if not folded and not laid:
        (kernel if n < threads.minimum else parallel)(*arguments, *outs)
    elif n <= BLOCK:
        taken = [empty(n, o.dtype) if type(o) is Folded else o for o in outs]
        kernel(*arguments, *taken)
        for out, values in zip(outs, taken, strict=True):
            if type(out) is Folded:
                out.add(values, 0, 0)
    else:
        _by_strips(kernel, arguments, outs, n, _block(laid), folded)


def run_rows(kernel, layouts, tensors, numbers, outs, n):
    """Call the form of a kernel that finds the rows of its operands by itself."""
    offsets = np.array([t._offset for t in tensors])
    data = [t._data for t in tensors]
    strips = min(STRIPS, n // BLOCK)
    each = -(-n // strips)

    def work(strip):
        low = strip * each
        kernel(layouts, offsets, low, min(low + each, n), *data, *numbers, *outs)

    share_out(work, strips)


def _by_strips(kernel, arguments, outs, n, block, folded):
    blocks = -(-n // block)
    # sums of their own are worth it where they are few
    strips = min([STRIPS, blocks, *(max(1, n // (4 * o.size)) for o in folded)])
    each = -(-blocks // strips) * block

    def work(strip):
        takers = [_taker(a, block) for a in (*arguments, *outs)]
        end = min((strip + 1) * each, n)
        for low in range(strip * each, end, block):
            high = min(low + block, end)
            values = [take(low, high) for take in takers]
            kernel(*values)
            for out, written in zip(outs, values[len(arguments) :], strict=True):
                if type(out) is Folded:
                    out.add(written, low, strip)

    share_out(work, strips)


def _taker(value, block):
    """A function from the bounds of a block to the kernel's argument for it."""
    if type(value) is ndarray:
        return lambda low, high: value[low:high]
    if type(value) is Laid:
        return value.parts(block)
    if type(value) is Folded:
        held = empty(block, value.dtype)
        return lambda low, high: held[: high - low]
    return lambda low, high: value


def _block(laid):
    """Whole periods, and whole bands of rows."""
    bands = [band(a.layout) for a in laid]
    widest = max(bands, default=1)
    if BLOCK < widest <= WIDEST:
        return widest
    return _whole_blocks([a.period for a in laid] + bands)


def _whole_blocks(sizes):
    block = BLOCK
    for size in sorted(set(sizes)):
        if size <= BLOCK:
            block = BLOCK // size * size
    return block
