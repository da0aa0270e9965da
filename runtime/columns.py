"""Rowwise kernels on lanes that lie side by side, as the columns of a matrix do."""

from __future__ import annotations

import numpy as np

from .blocks import BLOCK, STRIPS
from .strips import share_out
from .threads import get_num_threads

WIDTH = 1024  # columns that are taken at a time, at most
NARROW = 64  # and at least: whole lines of memory are read fastest
LONG = 64  # places of a lane that may be split

empty = np.empty


class Columns:
    """A kernel over columns, by its name, and what it needs beside its arguments.

    split: for each phase of the work, whether it goes over the places of the lanes; the others
    compute a few numbers for each column. held, ends, sums, scratch: how many numbers of each
    column, extremes and sums of a strip, and lanes in between it wants memory for.
    """

    def __init__(self, name, split, held, ends, sums, scratch):
        self.name = name
        self.kernel = None
        self.split = split
        self.held = held
        self.ends = ends
        self.sums = sums
        self.scratch = scratch

    def found(self, kernels):
        """This, its kernel looked up among those of a module."""
        self.kernel = getattr(kernels, self.name)
        return self

    def run(self, lanes, given, outs):
        """Read the arrays `given` and write `outs`: dense, with some lanes side by side."""
        n, apart = lanes.count, lanes.apart
        size = lanes.rows * n
        if size <= BLOCK and apart <= WIDTH:
            self._whole(lanes, apart, 0, lanes.rows // apart, given, outs)
            return
        outer = lanes.rows // apart
        units = outer * -(-apart // WIDTH)
        if units < STRIPS and n >= LONG and size >= STRIPS * BLOCK:
            self._by_places(lanes, outer, given, outs)
        else:
            self._by_columns(lanes, outer, given, outs)

    def _by_columns(self, lanes, outer, given, outs):
        """Some columns after the other, all of their places at once."""
        apart = lanes.apart
        # each thread needs some columns
        some = -(-apart // get_num_threads())
        width = min(apart, WIDTH if outer > 1 else max(NARROW, min(some, WIDTH)))
        units = outer * -(-apart // width)
        each = max(1, units * BLOCK // (lanes.rows * lanes.count))

        def work(strip):
            low = strip * each
            self._whole(lanes, width, low, min(low + each, units), given, outs)

        share_out(work, -(-units // each))

    def _whole(self, lanes, width, low, high, given, outs):
        """All phases of some units, of `width` columns each."""
        n = lanes.count
        frame = (n, lanes.apart, width, low, high, 0, n, 0, len(self.split), 0, 1)
        self.kernel(*given, frame, *self._memory(width, 1, n, given[0].dtype), *outs)

    def _by_places(self, lanes, outer, given, outs):
        """All columns of a place at once, and the places in strips: memory is read in its order.

        There are as many strips on any number of threads, so that sums do not depend on it.
        """
        n, apart = lanes.count, lanes.apart
        spare = self._memory(apart, STRIPS, n, given[0].dtype)
        each = -(-n // STRIPS)
        for unit in range(outer):
            for phase, split in enumerate(self.split):

                def work(strip, unit=unit, phase=phase):
                    top, bottom = strip * each, min((strip + 1) * each, n)
                    part = (unit, unit + 1, top, bottom, phase, phase + 1, strip, STRIPS)
                    frame = (n, apart, apart, *part)
                    self.kernel(*given, frame, *spare, *outs)

                if split:
                    share_out(work, STRIPS)
                else:
                    work(0)

    def _memory(self, width, strips, n, kind):
        held = empty((self.held + self.ends * strips) * width, kind)
        return held, empty(self.sums * strips * width), empty(self.scratch * n * width, kind)
