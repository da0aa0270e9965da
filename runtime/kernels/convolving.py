"""Convolutions of two dimensions, and the gradient of their input: sums over taps.

A tap is a shifted image times a number. The image is first laid out so that every tap is the
same run of memory at another offset: padded, with a plane for each residue of the row modulo the
stride, and either with columns that taps share (a copy for each residue of the column; the run then
goes over the padding at the ends of rows, too) or with a copy for the column of each tap.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit, prange

from ..threads import get_num_threads, threads
from .tiles import LANES, VECTORS, combine, copy_row, copy_second

BLOCK = 1 << 15  # sums that are computed before they are copied to the output

# --- layout ------------------------------------------------------------------------------------


class Layout:
    """Where the taps of a correlation find an image's elements.

    The result at (i, j) reads, for tap (a, b), the image at row `i * step[0] + taps[0][a]` and
    column `j * step[1] + taps[1][b]`; outside of the image there are zeros.

    Attributes
    ----------
    low, rows : the first row (perhaps above the image) and their number
    columns : the first column of each copy
    pitch : elements from row to row
    offsets : where each tap of each channel begins
    run : how many results, and unused places between them, lie one behind the other
    arguments : what `lay_out` needs
    """

    def __init__(self, channels, taps, step, output, outputs):
        rows, columns = (np.asarray(t, np.int64) for t in taps)
        self.step, self.output = step, output
        self.low = int(rows.min())
        self.rows = (output[0] - 1) * step[0] + int(rows.max()) - self.low + 1
        residues = columns % step[1]
        first_of = np.array([columns[residues == r].min() for r in residues])
        width = output[1] + int((columns - first_of).max()) // step[1]
        self.shared = self._is_cheaper(channels, len(rows), residues, width, outputs)
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
        channel_of = np.arange(channels) * (step[0] * plane)
        self.offsets = (channel_of[:, None, None] + row_of[:, None] + column_of).reshape(-1)
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

    def is_memory_of(self, shape):
        """Whether images of the shape lie in memory as they are laid out."""
        size = (self.rows, self.pitch)
        return (
            self.shared
            and self.step == (1, 1)
            and self.low == self.columns[0] == 0
            and (size == tuple(shape[-2:]))
        )


@lru_cache(maxsize=1024)
def layout_of(channels, taps, step, output, outputs):
    """The layout, which depends on sizes only."""
    return Layout(channels, taps, step, output, outputs)


@njit(cache=True, nogil=True, error_model="numpy")
def lay_out(image, buffer, start, low, rows, step, plane, columns, stride, pitch):
    """Copy an image's elements to where its taps read them; what is padding stays as it is."""
    channels, height, width = image.shape
    flat = image.reshape(-1)
    zero = image.dtype.type(0)
    for copy in range(columns.shape[0]):
        first = columns[copy]
        left = max(0, (stride - 1 - first) // stride)
        right = min(pitch, (width - 1 - first) // stride + 1)
        for c in range(channels):
            base = start + (copy * channels + c) * step * plane
            residue, line = max(0, -low) % step, max(0, -low) // step
            for r in range(max(0, -low), min(rows, height - low)):
                at = base + residue * plane + line * pitch + left
                place = (c * height + low + r) * width + first + left * stride
                if stride == 1:
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


# --- sums over taps ----------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(x, start, offsets, weights, first, places, out, at, sizes, count, vectors):
    """`combine` for 1, 2 or 4 rows."""
    if count == 4:
        combine(x, start, offsets, weights, first, places, out, at, sizes, (0, 0, 0, 0), vectors)
    elif count == 2:
        combine(x, start, offsets, weights, first, places, out, at, sizes, (0, 0), vectors)
    else:
        combine(x, start, offsets, weights, first, places, out, at, sizes, (0,), vectors)


@njit(cache=True, nogil=True, error_model="numpy")
def _deliver(sums, at, pitch, bias, out, start, place):
    """Copy the rows of one channel's sums to the output, and add the bias."""
    down, right, rows, columns = place
    for i in range(rows):
        source, target = at + i * pitch, start + i * down
        if right == 1:
            copy_row(sums, source, out, target, columns, bias)
        else:
            for j in range(columns):
                out[target + j * right] = sums[source + j] + bias


@njit(cache=True, nogil=True, error_model="numpy")
def _convolve(images, layout, taps, weights, bias, out, place, sizes, wide, low, high):
    """Items from `low` to `high - 1`: each is one part of the outputs of one image's group.

    taps: (offsets, places in the weights); weights: (all, from output to output, from group to
    group); place: (first, from row to row, from column to column, rows, columns, from output to
    output); sizes: (of the laid out image or -1, run, lanes, outputs, parts, outputs of a part).
    """
    size, run, lanes, outputs, parts, each = sizes
    offsets, places = taps
    numbers, w_step, w_group = weights
    pitch = layout[6]
    groups = images.shape[1]
    channels, height, width = images.shape[2:]
    padded = (run + lanes - 1) // lanes * lanes
    flat = images.reshape(-1)
    buffer = np.zeros(max(size, 0) + lanes, images.dtype)
    sums = np.empty(each * padded, images.dtype)
    ready = -1
    for item in range(low, high):
        at, part = item // parts, item % parts
        start = 0 if size >= 0 else at * channels * height * width
        if size >= 0 and ready != at:
            lay_out(images[at // groups, at % groups], buffer, 0, *layout)
            ready = at
        source = buffer if size >= 0 else flat
        first, last = part * each, min(part * each + each, outputs)
        base = at % groups * w_group
        for v in range(0, padded, len(wide) * lanes):
            channel = first
            while channel < last:
                count = 4 if last - channel >= 4 else (2 if last - channel >= 2 else 1)
                to = (channel - first) * padded + v
                own = base + channel * w_step
                step = w_step, padded
                if v + len(wide) * lanes <= padded:
                    _sums(
                        source, start + v, offsets, numbers, own, places, sums, to, step, count,
                        wide,
                    )  # fmt: skip
                else:
                    for more in range(0, padded - v, lanes):
                        _sums(
                            source, start + v + more, offsets, numbers, own, places, sums,
                            to + more, step, count, (0,),
                        )  # fmt: skip
                channel += count
        for channel in range(first, last):
            number = bias[at % groups * outputs + channel]
            target = place[0] + (at * outputs + channel) * place[5]
            _deliver(sums, (channel - first) * padded, pitch, number, out, target, place[1:5])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _convolve_parallel(images, layout, taps, weights, bias, out, place, sizes, wide, items, shares):
    for share in prange(shares):
        low, high = share * items // shares, (share + 1) * items // shares
        _convolve(images, layout, taps, weights, bias, out, place, sizes, wide, low, high)


def _correlation(images, taps, step, weights, bias, out, place):
    """Write into `out` the sums over taps of `images` times numbers.

    images: (batch, group, channel, height, width); weights: (all of them flat, the place of each
    tap's, steps from output to output and from group to group); bias: one for each output; out:
    (batch, group, outputs, height, width); place: first row and step, first column and step,
    rows and columns of the results in `out`.
    """
    batch, groups, channels = images.shape[:3]
    outputs, (height, width) = out.shape[2], out.shape[3:]
    top, down, left, right, rows, columns = place
    layout = layout_of(channels, taps, step, (rows, columns), outputs)
    lanes = LANES[images.itemsize]
    padded = -(-layout.run // lanes) * lanes
    least = -(-2 * get_num_threads() // max(batch * groups, 1))
    each = min(max(4, BLOCK // padded // 4 * 4), max(4, -(-outputs // least // 4) * 4))
    parts = -(-outputs // each)
    items = batch * groups * parts
    size = layout.size
    if layout.is_memory_of(images.shape) and layout.run % lanes == 0:
        size = -1
    if layout.pitch == columns == width and (down, right) == (1, 1):  # one run of memory
        rows, columns = 1, rows * columns
    numbers, places, *steps = weights
    given = (
        images,
        layout.arguments,
        (layout.offsets, places),
        (numbers, *steps),
        bias,
        out.reshape(-1),
        (top * width + left, down * width, right, rows, columns, height * width),
        (size, layout.run, lanes, outputs, parts, each),
        VECTORS,
    )
    if batch * groups * layout.run * len(places) * outputs >= 16 * threads.minimum and items > 1:
        _convolve_parallel(*given, items, min(items, 4 * get_num_threads()))
    else:
        _convolve(*given, 0, items)


def taps_of(kernel, padding, dilation):
    """Rows and columns that a result reads, counted from the step that is its own."""
    return tuple(
        tuple(range(-before, n * step - before, step))
        for n, step, before in zip(kernel, dilation, (padding[0], padding[2]), strict=True)
    )


def _output_size(size, kernel, stride, padding, dilation):
    sides = (padding[:2], padding[2:])
    return tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(size, kernel, stride, sides, dilation, strict=True)
    )


def check_gradient(grad_output, size, kernel, outputs, stride, padding, dilation):
    """A gradient must have the shape of the convolution's result: kernels do not look again."""
    wanted = (size[0], outputs, *_output_size(size[2:], kernel, stride, padding, dilation))
    if grad_output.shape != wanted:
        raise ValueError(f"grad_output must be {wanted}")


def convolution(input, weight, bias, stride, padding, dilation, groups):
    """padding: (top, bottom, left, right)."""
    batch, outputs, kernel = len(input), len(weight), weight.shape[2:]
    size = _output_size(input.shape[2:], kernel, stride, padding, dilation)
    if input.dtype.kind != "f":
        return _by_taps(input, weight, bias, size, stride, padding, dilation, groups)
    out = np.empty((batch, groups, outputs // groups, *size), input.dtype)
    if input.size == 0:
        out[...] = 0 if bias is None else bias.reshape(groups, -1, 1, 1)
    elif out.size:
        count = weight[0].size
        weights = np.ascontiguousarray(weight).reshape(-1), np.arange(count), count
        _correlation(
            grouped(input, groups),
            taps_of(kernel, padding, dilation),
            tuple(stride),
            (*weights, outputs // groups * count),
            np.zeros(outputs, input.dtype) if bias is None else np.ascontiguousarray(bias),
            out,
            (0, 1, 0, 1, *size),
        )
    return out.reshape(batch, outputs, *size)


def convolution_input(grad_output, weight, size, stride, padding, dilation, groups):
    """The gradient of an input of `size`: a transposed convolution.

    The results whose rows and columns have one residue modulo the stride are a convolution of
    their own, with the taps that lead there.
    """
    batch, channels, height, width = size
    inputs, kernel = channels // groups, weight.shape[2:]
    check_gradient(grad_output, size, kernel, len(weight), stride, padding, dilation)
    out = np.zeros((batch, groups, inputs, height, width), grad_output.dtype)
    if out.size == 0 or grad_output.size == 0:
        return out.reshape(tuple(size))
    images = grouped(grad_output, groups)
    numbers = np.ascontiguousarray(weight).reshape(-1)
    none = np.zeros(channels, out.dtype)
    outputs = len(weight) // groups
    area = kernel[0] * kernel[1]
    output_of = np.arange(outputs) * (inputs * area)
    kinds = _passes(
        (height, width), kernel, tuple(stride), (padding[0], padding[2]), tuple(dilation)
    )
    for tap_of, reads, place in kinds:
        places = (output_of[:, None] + tap_of).reshape(-1)
        weights = numbers, places, area, outputs * inputs * area
        _correlation(images, reads, (1, 1), weights, none, out, place)
    return out.reshape(tuple(size))


@lru_cache(maxsize=1024)
def _passes(size, kernel, stride, padding, dilation):
    """(taps, rows and columns that they read, their places) for each residue of the strides."""
    rows, columns = (
        list(_residues(*sizes))
        for sizes in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    found = []
    for top, row_taps, row_reads, row_count in rows:
        for left, column_taps, column_reads, column_count in columns:
            if 0 in (row_count, column_count, len(row_taps), len(column_taps)):
                continue
            taps = (row_taps[:, None] * kernel[1] + column_taps).reshape(-1)
            place = (top, stride[0], left, stride[1], row_count, column_count)
            found.append((taps, (row_reads, column_reads), place))
    return found


def _residues(n, kernel, stride, padding, dilation):
    """(first place, taps, what they read of the gradient, places) of each residue of the stride."""
    at = np.arange(kernel) * dilation
    for residue in range(stride):
        first = (residue - padding) % stride
        taps = np.flatnonzero(at % stride == residue)
        reads = (first + padding - at[taps]) // stride
        yield first, taps, tuple(reads.tolist()), len(range(first, n, stride))


def _by_taps(input, weight, bias, size, stride, padding, dilation, groups):
    """A convolution of integers, tap by tap."""
    sides = [(0, 0), (0, 0), tuple(padding[:2]), tuple(padding[2:])]
    images = grouped(np.pad(input, sides), groups)
    by_group = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    out = np.zeros((len(input), groups, len(weight) // groups, *size), input.dtype)
    for a, b in np.ndindex(*weight.shape[2:]):
        rows = slice(a * dilation[0], a * dilation[0] + (size[0] - 1) * stride[0] + 1, stride[0])
        left = b * dilation[1]
        columns = slice(left, left + (size[1] - 1) * stride[1] + 1, stride[1])
        seen = images[:, :, :, rows, columns]
        out += np.einsum("goc,ngchw->ngohw", by_group[:, :, :, a, b], seen)
    out = out.reshape(len(input), len(weight), *size)
    return out if bias is None else out + bias[:, None, None]
