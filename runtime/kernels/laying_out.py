"""Where images are laid out so that the taps of a correlation read runs of memory.

A tap is a shifted image times a number. The image is padded, with a plane for each residue of the
row modulo the stride, and either with columns that taps share (a copy for each residue of the
column; the run then goes over the padding at the ends of rows, too) or with a copy for the column
of each tap.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from .tiles import copy_row, copy_second


class Layout:
    """Where the taps of a correlation find an image's elements.

    The result at (i, j) reads, for tap (a, b), the image at row `i * step[0] + taps[0][a]` and
    column `j * step[1] + taps[1][b]`; outside of the image there are zeros.

    Attributes
    ----------
    low, rows : the first row (perhaps above the image) and their number
    columns : the first column of each copy
    pitch : elements from row to row
    offsets : where each tap of the first channel begins
    apart : elements from channel to channel
    run : how many results, and unused places between them, lie one behind the other
    arguments : what `lay_out` needs
    """

    def __init__(self, channels, taps, step, output, outputs, shared):
        rows, columns = (np.asarray(t, np.int64) for t in taps)
        self.step, self.output = step, output
        self.low = int(rows.min())
        self.rows = (output[0] - 1) * step[0] + int(rows.max()) - self.low + 1
        residues = columns % step[1]
        first_of = np.array([columns[residues == r].min() for r in residues])
        width = output[1] + int((columns - first_of).max()) // step[1]
        if shared is None:
            shared = self._is_cheaper(channels, len(rows), residues, width, outputs)
        self.shared = shared
        self.pitch = width if self.shared else output[1]
        self.columns = np.unique(first_of) if self.shared else columns
        plane = self.plane
        self.size = len(self.columns) * channels * step[0] * plane
        row_of = (rows - self.low) % step[0] * plane + (rows - self.low) // step[0] * self.pitch
        copy = channels * step[0] * plane
        if self.shared:
            column_of = np.searchsorted(self.columns, first_of) * copy
            column_of += (columns - first_of) // step[1]
        else:
            column_of = np.arange(len(columns)) * copy
        self.offsets = (row_of[:, None] + column_of).reshape(-1)
        self.apart = step[0] * plane
        self.run = (output[0] - 1) * self.pitch + output[1]
        self.arguments = self.low, self.rows, step[0], plane, self.columns, step[1], self.pitch

    @property
    def plane(self):
        """Elements of one channel's rows of one residue."""
        return -(-self.rows // self.step[0]) * self.pitch

    def _is_cheaper(self, channels, rows, residues, width, outputs):
        """Whether computing the padding of shared columns costs less than copies for each tap.

        A product of vectors counts 1, copying a row 10.
        """
        height, taps, copies = self.output[0], len(residues), len(set(residues.tolist()))
        products = channels * rows * taps * outputs / 16
        copied = 10 * channels * self.rows
        shared = (height - 1) * width + self.output[1]
        together = shared * products + copied * copies + 10 * outputs * height
        return together <= height * self.output[1] * products + copied * taps


@lru_cache(maxsize=1024)
def layout_of(channels, taps, step, output, outputs, shared=None):
    """The layout, which depends on sizes only; shared: whether columns are, if that is known."""
    return Layout(channels, taps, step, output, outputs, shared)


@njit(cache=True, nogil=True, error_model="numpy")
def lay_out(image, buffer, start, low, rows, step, plane, columns, stride, pitch):
    """Copy an image's elements to where its taps read them, and zeros to rows outside of it.

    The padding at the ends of rows stays as it is.
    """
    channels, height, width = image.shape
    flat = image.reshape(-1)
    zero = image.dtype.type(0)
    for c in range(channels):
        for copy in range(columns.shape[0]):
            first = columns[copy]
            left = max(0, (stride - 1 - first) // stride)
            right = min(pitch, (width - 1 - first) // stride + 1)
            base = start + (copy * channels + c) * step * plane
            residue = line = 0
            for r in range(rows):
                at = base + residue * plane + line * pitch + left
                place = (c * height + low + r) * width + first + left * stride
                if low + r < 0 or low + r >= height:
                    for j in range(right - left):
                        buffer[at + j] = zero
                elif stride == 1:
                    copy_row(flat, place, buffer, at, right - left, zero)
                elif stride == 2:
                    copy_second(flat, place, buffer, at, right - left)
                else:
                    for j in range(right - left):
                        buffer[at + j] = flat[place + j * stride]
                residue += 1
                if residue == step:
                    residue = 0
                    line += 1


def grouped(array, groups):
    """(batch, channel, height, width) as (batch, group, channel, height, width), dense."""
    batch, channels, *size = array.shape
    return np.ascontiguousarray(array).reshape(batch, groups, channels // groups, *size)


@lru_cache(maxsize=1024)
def masks_of(size, taps, output, lanes, images=1):
    """Which lanes of a run over images' own rows are inside of them, tap by tap.

    size: of an image, as wide as the output; images: how many lie one below the other, of which
    each has as many rows as its output. A bit for each lane, a number for each vector.
    """
    places = np.arange(-(-images * output[0] * output[1] // lanes) * lanes)
    row, column = places // output[1], places % output[1]
    row = np.where(row < images * output[0], row % output[0], output[0])
    inside = [
        (row < output[0])
        & (row + a >= 0) & (row + a < size[0])
        & (column + b >= 0) & (column + b < size[1])
        for a in taps[0]
        for b in taps[1]
    ]  # fmt: skip
    kind = np.uint16 if lanes == 16 else np.uint8
    return np.packbits(inside, axis=1, bitorder="little").view(kind)
