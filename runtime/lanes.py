"""Where the lanes of a tensor lie, and kernels run on lanes that are not the last dimension.

Kernels take lanes one after the other, dense. Others are brought so by blocks that stay in the
cache, and what a kernel writes for them is put back: memory is passed through once.
"""

from __future__ import annotations

import numpy as np

from . import dtypes
from .blocks import BLOCK
from .geometry import Size, contiguous_strides
from .kernels.gathering import gather, scatter
from .operator import numel
from .plan import layout
from .strips import share_out
from .tensor import Tensor, from_flat, view_of
from .threads import get_num_threads, threads

BAND = 16  # lanes that lie side by side are brought in such numbers
WIDE = 64  # as many of them read whole lines of the cache from each row of memory
LARGE = 4 * BLOCK  # elements of a block of WIDE lanes at most
LONG = 16  # elements of a run at least, for a kernel to go from run to run

empty = np.empty

LANE, ROW, WHOLE, RUN = range(4)


class Lanes:
    """Where the lanes of a tensor lie: the reduced dimensions, and the shapes around them."""

    __slots__ = (
        "apart",
        "count",
        "dims",
        "kept",
        "last",
        "order",
        "rows",
        "runs",
        "shape",
        "turned",
        "without",
    )

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
        self.apart = self._apart()
        self.runs = self._runs()
        self.turned = None if self.last else self.layout(contiguous_strides(shape))

    def reduced(self, keepdim):
        """Shape of a result with one number a lane."""
        return self.kept if keepdim else self.without

    def keep(self, tensor):
        """A per-lane tensor with its reduced dimensions as ones, so that it broadcasts."""
        from . import operators as ops

        if not isinstance(tensor, Tensor) or tensor.shape == self.kept:
            return tensor
        return ops.reshape(tensor, self.kept)

    def keep_runs(self, tensor):
        """A tensor of one number a run, so that it broadcasts."""
        from . import operators as ops

        if not isinstance(tensor, Tensor):
            return tensor
        return ops.reshape(tensor, self.shape_of_runs(tensor.shape.numel()))

    def sum_of_runs(self, tensor, shape):
        """Sums over each run as the gradient of a tensor of `shape`, which has a number for it."""
        from . import operators as ops

        total = ops.sum_to_size(tensor, self.shape_of_runs(shape.numel()))
        return ops.reshape(total, shape)

    def shape_of_runs(self, n):
        """The last dimensions but one that have `n` elements, and a 1 for the last."""
        first = len(self.shape) - 1
        while first and numel(self.shape[first - 1 : -1]) <= n:
            first -= 1
        return Size((*self.shape[first:-1], 1))

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
        """The layout that walks through the lanes one after the other."""
        shape = tuple(self.shape[d] for d in self.order)
        return layout(shape, tuple(strides[d] for d in self.order), shape)[0]

    def run(self, kernels, sources, outs):
        """Call a rowwise kernel: (serial, parallel, columns, runs), (role, value) pairs in and out.

        A LANE is a tensor (or dense array) of the lanes' shape, a ROW has one element a lane, a
        RUN one for each run, what is WHOLE is handed on. The kernel adds to a WHOLE result, so
        that it may be called for some lanes at a time.
        """
        if kernels[0] is None or self._in_runs(kernels[3], sources):
            self._run_runs(kernels, sources, outs)
            return
        if self.last:
            kernel = kernels[self.rows * self.count >= threads.rows]
            given = [v._dense() if role == LANE else v for role, v in sources]
            kernel(*given, self.rows, self.count, *[out for _, out in outs])
            return
        if self.apart and kernels[2] is not None and self._side_by_side(sources):
            given = [value._flat if role == LANE else value for role, value in sources]
            kernels[2].run(self, given, [out for _, out in outs])
            return
        block = self._block()
        if self.rows <= block:
            self._run_at_once(kernels[0], sources, outs)
            return
        sources = [self._source(*source) for source in sources]
        taken = [self._out(*out) for out in outs]
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

    def _apart(self):
        """How many lanes lie side by side, each with its elements so far apart; 0 if few do."""
        wide = [d for d, n in enumerate(self.shape) if n != 1]
        inside = [place for place, d in enumerate(wide) if d in self.dims]
        if self.last or not inside or len(inside) <= inside[-1] - inside[0]:
            return 0
        apart = numel([self.shape[d] for d in wide[inside[-1] + 1 :]])
        return apart if apart >= BAND and self.count else 0

    def _runs(self):
        """(runs, length, from lane to lane, from run to run) of lanes that are several dense runs.

        The last dimension is a run where lanes are dense; None where runs lie otherwise.
        """
        wide = [d for d, n in enumerate(self.shape) if n != 1]
        if self.last:
            length = self.shape[-1] if self.shape else 1
            return self.count // max(length, 1), length, self.count, length
        apart = [place for place, d in enumerate(wide) if d not in self.dims]
        together = apart[-1] - apart[0] < len(apart)
        if not (together and apart[0] > 0 and apart[-1] < len(wide) - 1):
            return None
        length = numel([self.shape[d] for d in wide[apart[-1] + 1 :]])
        return self.count // max(length, 1), length, length, self.rows * length

    def _in_runs(self, kernel, sources):
        """Whether to go from run to run of lanes where they lie."""
        if kernel is None or self.last or self.runs is None or self.runs[1] < LONG:
            return False
        return self._side_by_side(sources)

    def _run_runs(self, kernels, sources, outs):
        """Some lanes after the other where they lie, each run by run."""
        given = [value._dense() if role == LANE else value for role, value in sources]
        taken = [out for _, out in outs]
        count = get_num_threads()
        strips = min(4 * count if count > 1 else 1, -(-self.rows * self.count // BLOCK))

        def work(strip):
            low, high = strip * self.rows // strips, (strip + 1) * self.rows // strips
            kernels[3](*given, *self.runs, low, high, *taken)

        share_out(work, strips)

    @staticmethod
    def _side_by_side(sources):
        """Whether all lanes are dense floating tensors, so that they lie as the results do."""
        for role, value in sources:
            if role == LANE and (value._flat is None or not value.dtype.is_floating_point):
                return False
        return True

    def _block(self):
        """How many lanes to bring together: whole bands, more of them where lanes are short."""
        band = BAND if self.rows >= BAND else 1
        lane = max(1, self.count)
        return max(BLOCK // (band * lane), min(WIDE, LARGE // lane) // band, 1) * band

    def _run_at_once(self, kernel, sources, outs):
        """All lanes in one block."""
        given, n = [], self.rows * self.count
        for role, value in sources:
            if role == LANE:
                found = self.turned
                if value._flat is None:
                    found = self.layout(value._strides)
                rows = empty(n, value.dtype.numpy)
                gather(value._data, value._offset, found, 0, rows)
                value = rows
            given.append(value)
        taken = [empty(n, out.dtype) if role == LANE else out for role, out in outs]
        kernel(*given, self.rows, self.count, *taken)
        for (role, out), rows in zip(outs, taken, strict=True):
            if role == LANE:
                scatter(rows, out, 0, self.turned, 0)

    def _source(self, role, value):
        """A function from a range of lanes to the kernel's argument for them."""
        if role == WHOLE:
            return lambda low, high: value
        if role == ROW:
            return lambda low, high: value[low:high]
        found, n = self.layout(value._strides), self.count

        def lanes(low, high):
            buffer = np.empty((high - low) * n, value.dtype.numpy)
            gather(value._data, value._offset, found, low * n, buffer)
            return buffer

        return lanes

    def _out(self, role, value):
        """The same for a result, and a function that puts back what was written."""
        if role != LANE:
            return self._source(role, value), None
        found, n = self.turned, self.count

        def buffer(low, high):
            return np.empty((high - low) * n, value.dtype)

        def back(low, values):
            scatter(values, value, 0, found, low * n)

        return buffer, back


def lane_tensor(value, shape):
    """A flat array of a shape as a tensor; tensors as they are."""
    if isinstance(value, Tensor):
        return value
    return from_flat(value, shape, dtypes.from_numpy_dtype(value.dtype))
