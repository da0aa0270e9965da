"""Where the lanes of a tensor lie, and kernels run on lanes that are not the last dimension.

Kernels take lanes one after the other, dense. Others are brought so by blocks that stay in the
cache, and what a kernel writes for them is put back: memory is passed through once.
"""

from __future__ import annotations

import numpy as np

from . import dtypes
from .geometry import Size, contiguous_strides
from .kernels.gathering import gather, scatter
from .operator import numel
from .plan import layout
from .strips import share_out
from .tensor import Tensor, from_flat, view_of
from .threads import threads

BLOCK = 65536
BAND = 16  # lanes that lie side by side are brought in such numbers

LANE, ROW, WHOLE = range(3)


class Lanes:
    """Where the lanes of a tensor lie: the reduced dimensions, and the shapes around them."""

    __slots__ = ("count", "dims", "kept", "last", "order", "rows", "shape", "without")

    def __init__(self, shape, dims):
        self.shape = shape
        self.dims = dims
        ndim = len(shape)
        others = tuple(d for d in range(ndim) if d not in dims)
        self.order = (*others, *dims)
        self.kept = Size(1 if d in dims else n for d, n in enumerate(shape))
        self.without = Size(n for d, n in enumerate(shape) if d not in dims)
        self.count = numel([shape[d] for d in dims])
        self.rows = numel(self.without)
        # sizes of 1 may stand anywhere
        order = [d for d in self.order if shape[d] != 1]
        self.last = order == sorted(order)

    def reduced(self, keepdim):
        """Shape of a result with one number a lane."""
        return self.kept if keepdim else self.without

    def keep(self, tensor):
        """A per-lane tensor with its reduced dimensions as ones, so that it broadcasts."""
        from . import operators as ops

        return tensor if tensor.shape == self.kept else ops.reshape(tensor, self.kept)

    def spread(self, rows):
        """One number a lane, given dense, as a tensor that repeats it along the lane."""
        steps = contiguous_strides(self.kept)
        strides = tuple(0 if d in self.dims else step for d, step in enumerate(steps))
        base = from_flat(rows, self.kept, dtypes.from_numpy_dtype(rows.dtype))
        return view_of(base, self.shape, strides, 0)

    def position(self):
        """The index along the lane, broadcastable against the input."""
        shape = [1] * len(self.shape)
        for dim in self.dims:
            shape[dim] = self.shape[dim]
        return from_flat(np.arange(self.count), Size(shape), dtypes.int64)

    def layout(self, strides):
        """The layout that walks through the lanes one after the other; None if too ragged."""
        shape = tuple(self.shape[d] for d in self.order)
        found = layout(shape, tuple(strides[d] for d in self.order), shape)
        return None if found is None else found[0]

    def run(self, kernels, sources, outs):
        """Call a rowwise kernel: (serial, parallel), (role, value) pairs in and out.

        A LANE is a tensor (or dense array) of the lanes' shape, a ROW has one element a lane,
        what is WHOLE is handed on. The kernel adds to a WHOLE result, so that it may be called
        for some lanes at a time.
        """
        if self.last:
            kernel = kernels[self.rows * self.count >= threads.minimum]
            given = [v._dense() if role == LANE else v for role, v in sources]
            kernel(*given, self.rows, self.count, *[out for _, out in outs])
            return
        sources = [self._source(*source) for source in sources]
        taken = [self._out(*out) for out in outs]
        band = BAND if self.rows >= BAND else 1
        block = max(1, BLOCK // (band * max(1, self.count))) * band
        strips = -(-self.rows // block)

        def work(strip):
            low = strip * block
            high = min(low + block, self.rows)
            given = [part(low, high) for part in sources]
            written = [part(low, high) for part, _ in taken]
            kernels[0](*given, high - low, self.count, *written)
            for (_, back), values in zip(taken, written, strict=True):
                if back is not None:
                    back(low, values)

        if any(role == WHOLE for role, _ in outs):
            for strip in range(strips):
                work(strip)
        else:
            share_out(work, strips)

    def _source(self, role, value):
        """A function from a range of lanes to the kernel's argument for them."""
        if role == WHOLE:
            return lambda low, high: value
        if role == ROW:
            return lambda low, high: value[low:high]
        found, n = self.layout(value._strides), self.count
        if found is None:
            dense = np.ascontiguousarray(value._nd().transpose(self.order)).reshape(-1)
            return lambda low, high: dense[low * n : high * n]

        def lanes(low, high):
            buffer = np.empty((high - low) * n, value.dtype.numpy)
            gather(value._data, value._offset, found, low * n, buffer)
            return buffer

        return lanes

    def _out(self, role, value):
        """The same for a result, and a function that puts back what was written."""
        if role != LANE:
            return self._source(role, value), None
        found, n = self.layout(contiguous_strides(self.shape)), self.count

        def buffer(low, high):
            return np.empty((high - low) * n, value.dtype)

        def back(low, values):
            if found is None:
                moved = value.reshape(self.shape).transpose(self.order)
                lines = np.unravel_index(np.arange(low, low + len(values) // n), self.without)
                moved[lines] = values.reshape(-1, *moved.shape[len(self.without) :])
            else:
                scatter(values, value, 0, found, low * n)

        return buffer, back


def lane_tensor(value, shape):
    """A flat array of a shape as a tensor; tensors as they are."""
    if isinstance(value, Tensor):
        return value
    return from_flat(value, shape, dtypes.from_numpy_dtype(value.dtype))
