"""Convolutions of two dimensions, and the gradient of their input: sums over taps.

An item is a block of rows of an image's results, so that what is laid out for it stays in the
second cache. Every output goes over it in turn, four at a time, and its sums are written to where
they belong, unless there is padding between rows or the results lie apart.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numba import njit

from ..threads import get_num_threads, threads
from . import depthwise
from .laying_out import grouped, lay_out, layout_of, masks_of
from .sharing import run_items
from .tiles import LANES, MASKED, NARROW, VECTORS, combine, copy_row

CACHE = 1 << 19  # bytes of an image that an item reads
LAID_OUT = 1 << 21  # the same where they are laid out: more blocks cost more than they give
NEARLY = 0.7  # as many results as an image has columns, from which on it is read as it lies
STACKED = 0.03  # as large a part of an image behind its end, in its last vector, is too much
PRODUCTS = 256  # of a result, from which on copies of images cost less than such parts

# --- sums over taps ----------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(given, numbers, to, further, last, count, vectors):
    """`combine` for 1, 4 or 6 rows."""
    if count == 6:
        combine(given, numbers, to, further, last, (0, 0, 0, 0, 0, 0), vectors)
    elif count == 4:
        combine(given, numbers, to, further, last, (0, 0, 0, 0), vectors)
    else:
        combine(given, numbers, to, further, last, (0,), vectors)


@njit(cache=True, nogil=True, error_model="numpy")
def _line(given, numbers, to, count, run, lanes):
    """A run of results of 1, 4 or 6 outputs.

    It is made up of blocks of so many vectors, or of one less, rather than of single vectors.
    """
    wide, narrow = len(VECTORS), len(NARROW)
    vectors = (run + lanes - 1) // lanes
    narrows = -vectors % wide
    wides = (vectors - narrows * narrow) // wide
    if vectors < narrows * narrow:
        wides, narrows = vectors // wide, 0
    v = np.int64(0)  # a 0 would be a type of its own, and all be compiled twice
    while v < vectors:
        further, rest = (v * lanes, v), run - v * lanes
        if wides > 0:
            last = min(lanes, rest - (wide - 1) * lanes)
            _sums(given, numbers, to, further, last, count, VECTORS)
            wides -= 1
            v += wide
        elif narrows > 0:
            last = min(lanes, rest - (narrow - 1) * lanes)
            _sums(given, numbers, to, further, last, count, NARROW)
            narrows -= 1
            v += narrow
        else:
            _sums(given, numbers, to, further, min(lanes, rest), count, (0,))
            v += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _deliver(sums, at, pitch, out, start, place):
    """Copy the rows of one channel's sums to the output."""
    down, right, rows, columns = place
    zero = sums.dtype.type(0)
    for i in range(rows):
        source, target = at + i * pitch, start + i * down
        if right == 1:
            copy_row(sums, source, out, target, columns, zero)
        else:
            for j in range(columns):
                out[target + j * right] = sums[source + j]


@njit(cache=True, nogil=True, error_model="numpy")
def _next(outputs):
    """How many of the outputs that are left come next: 6 or 4, before the end 1."""
    if outputs >= 6 and outputs != 8:
        return 6
    return 4 if outputs >= 4 else 1


@njit(cache=True, nogil=True, error_model="numpy")
def _convolve(images, layout, taps, masks, weights, bias, out, place, sizes, low, high):
    """Items from `low` to `high - 1`: each is one part of the outputs of a block of rows.

    taps: (offsets, places in the weights); masks: of `masks_of`, or None; weights: (all, from
    channel to channel, from output to output, from group to group); place: (first, from row to
    row, from column to column, rows, columns, from output to output); sizes: (of the laid out
    image or -1, from channel to channel, masks of a tap, lanes, rows of a block, outputs, of a
    part).
    """
    size, x_step, m_step, lanes, tall, outputs, each = sizes
    numbers, w_channel, w_step, w_group = weights
    top, rows, step, plane, columns, stride, pitch = layout
    first, down, right, height, width, apart = place
    groups, channels = images.shape[1:3]
    source = images.reshape(-1)
    if size >= 0:
        source = np.zeros(size + len(VECTORS) * lanes, images.dtype)
    padded = ((tall - 1) * pitch + width + lanes - 1) // lanes * lanes
    direct = right == 1 and pitch == width == down
    sums = np.empty(0 if direct else 6 * padded, images.dtype)
    blocks, parts = (height + tall - 1) // tall, (outputs + each - 1) // each
    ready = -1
    for item in range(low, high):
        block, part = item // parts % blocks, item % parts
        if size < 0:  # blocks are unlike, parts alike: threads are to have as many of each
            block, part = item % blocks, item // blocks % parts
        at = item // (parts * blocks)
        start, m_at = 0, 0
        if size < 0:
            start = at * channels * x_step + block * tall * pitch
            m_at = block * tall * pitch // lanes
        elif ready != item // parts:
            ready = item // parts
            image, begin = images[at // groups, at % groups], top + block * tall * step
            lay_out(image, source, np.int64(0), begin, rows, step, plane, columns, stride, pitch)
        count = min(tall, height - block * tall)
        run = (count - 1) * pitch + width
        channel, last = part * each, min(part * each + each, outputs)
        while channel < last:
            many = _next(last - channel)
            own = at % groups * w_group + channel * w_step
            b_at = at % groups * outputs + channel
            goal = first + (at * outputs + channel) * apart + block * tall * down
            target, there, far = (out, goal, apart) if direct else (sums, 0, padded)
            given = source, start, taps, masks, m_at
            to = target, there, (channels, x_step, w_channel, m_step, w_step, far)
            _line(given, (numbers, own, bias, b_at), to, many, run, lanes)
            if not direct:
                for m in range(many):
                    of_rows = down, right, count, width
                    _deliver(sums, m * padded, pitch, out, goal + m * apart, of_rows)
            channel += many


def _rows_of_block(size, fitting, width, lanes, wanted):
    """How many of `size` rows of results a block has.

    The cache has room for `fitting` rows. There are to be `wanted` blocks at least, and no vector
    reaches beyond one, but for the last.
    """
    blocks = max(-(-size // max(1, fitting)), min(size, wanted))
    whole = lanes // gcd(lanes, width)
    return min(size, -(-size // (blocks * whole)) * whole)


@lru_cache(maxsize=1024)
def _plan(shape, taps, step, rows, columns, outputs, itemsize, workers, stacked):
    """(layout, offsets, masks, (size, from channel to channel, masks of a tap, lanes, rows)).

    shape: of the images; stacked: how many images each of them is made of. Where taps can be read
    from the image as it lies, masks leave out what is outside of it, and there is no layout.
    """
    batch, groups, channels, height, width = shape
    lanes, wanted = LANES[itemsize], -(-workers // max(batch * groups, 1))
    if MASKED and step == (1, 1) and width >= columns > NEARLY * width:
        fitting = CACHE // (channels * width * itemsize)
        tall = _rows_of_block(rows, fitting, width, lanes, wanted)
        own = height // stacked, rows // stacked
        masks = masks_of((own[0], width), taps, (own[1], width), lanes, stacked)
        offsets = np.array([a * width + b for a in taps[0] for b in taps[1]])
        layout = 0, 0, 1, 0, np.zeros(0, np.int64), 1, width
        sizes = -1, height * width, masks.shape[1], lanes, tall
        return layout, offsets, masks.reshape(-1), sizes
    whole = layout_of(channels, taps, step, (rows, columns), outputs)
    fitting = LAID_OUT * rows // (whole.size * itemsize)
    tall = _rows_of_block(rows, fitting, whole.pitch, lanes, wanted)
    block = layout_of(channels, taps, step, (tall, columns), outputs, whole.shared)
    return block.arguments, block.offsets, None, (block.size, block.apart, 0, lanes, tall)


def _is_stacked(images, taps, step, out):
    """Whether to compute all images as one: many lanes would lie behind the end of each."""
    if not MASKED or len(images) == 1 or step != (1, 1) or out.shape[3:] != images.shape[3:]:
        return False
    area, lanes = out.shape[3] * out.shape[4], LANES[images.itemsize]
    products = images.shape[2] * len(taps[0]) * len(taps[1])
    return -area % lanes > STACKED * area and products >= PRODUCTS


def _stacked(images, taps, step, weights, bias, out):
    """`_correlation` of images that are copied below each other, channel by channel."""
    batch, groups, _, *size = images.shape
    tall = np.ascontiguousarray(images.transpose(1, 2, 0, 3, 4))
    tall = tall.reshape(1, groups, -1, batch * size[0], size[1])
    sums = np.empty((1, groups, out.shape[2], batch * size[0], size[1]), out.dtype)
    place = 0, 1, 0, 1, batch * size[0], size[1]
    _correlation(tall, taps, step, weights, bias, sums, place, batch)
    out[...] = sums.reshape(groups, -1, batch, *size).transpose(2, 0, 1, 3, 4)


def _correlation(images, taps, step, weights, bias, out, place, stacked=1):
    """Write into `out` the sums over taps of `images` times numbers.

    images: (batch, group, channel, height, width); weights: (all of them flat, the place of each
    tap's, steps from channel to channel, from output to output and from group to group); bias: one
    for each output; out: (batch, group, outputs, height, width); place: first row and step, first
    column and step, rows and columns of the results in `out`; stacked: see `_plan`.
    """
    if stacked == 1 and _is_stacked(images, taps, step, out):
        return _stacked(images, taps, step, weights, bias, out)
    batch, groups, channels = images.shape[:3]
    outputs, (height, width) = out.shape[2], out.shape[3:]
    top, down, left, right, rows, columns = place
    workers = 2 * get_num_threads()
    layout, offsets, masks, sizes = _plan(
        images.shape, taps, step, rows, columns, outputs, images.itemsize, workers, stacked
    )
    blocks = -(-rows // sizes[4])
    least = -(-workers // max(batch * groups * blocks, 1))
    if masks is not None and batch * groups < workers:
        least = max(least, get_num_threads())
    each = max(4, -(-outputs // least // 4) * 4)
    items = batch * groups * blocks * -(-outputs // each)
    numbers, places, *steps = weights
    given = (
        images,
        layout,
        (offsets, places),
        masks,
        (numbers, *steps),
        bias,
        out.reshape(-1),
        (top * width + left, down * width, right, rows, columns, height * width),
        (*sizes, outputs, each),
    )
    work = batch * groups * rows * columns * channels * len(offsets) * outputs
    run_items(_convolve, given, items, work >= 16 * threads.minimum)


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
        count, area = weight[0].size, weight[0, 0].size
        images, taps = grouped(input, groups), taps_of(kernel, padding, dilation)
        numbers, stride = np.ascontiguousarray(weight).reshape(-1), tuple(stride)
        added = np.zeros(outputs, input.dtype) if bias is None else np.ascontiguousarray(bias)
        if depthwise.suits(outputs // groups, images.shape[2], stride):
            depthwise.forward(images, numbers, added, out, taps, stride, kernel)
        else:
            weights = numbers, np.arange(area), area, count, outputs // groups * count
            _correlation(images, taps, stride, weights, added, out, (0, 1, 0, 1, *size))
    return out.reshape(batch, outputs, *size)


def convolution_input(grad_output, weight, size, stride, padding, dilation, groups):
    """The gradient of an input of `size`: a transposed convolution.

    The results whose rows and columns have one residue modulo the stride are a convolution of
    their own, with the taps that lead there.
    """
    batch, channels, height, width = size
    inputs, outputs, kernel = channels // groups, len(weight) // groups, weight.shape[2:]
    check_gradient(grad_output, size, kernel, len(weight), stride, padding, dilation)
    sizes = (height, width), kernel, tuple(stride), (padding[0], padding[2]), tuple(dilation)
    direct = depthwise.suits(outputs, inputs, stride)
    kinds = _passes(*sizes)
    everywhere = direct or sum(place[4] * place[5] for *_, place in kinds) == height * width
    make = np.empty if everywhere and grad_output.size else np.zeros
    out = make((batch, groups, inputs, height, width), grad_output.dtype)
    if out.size == 0 or grad_output.size == 0:
        return out.reshape(tuple(size))
    images = grouped(grad_output, groups)
    numbers = np.ascontiguousarray(weight).reshape(-1)
    if direct:
        depthwise.backward(images, numbers, out, _residues(*sizes), kernel)
        return out.reshape(tuple(size))
    none = np.zeros(channels, out.dtype)
    area = kernel[0] * kernel[1]
    steps = inputs * area, area
    if area > 1:  # else the weights of neighbouring inputs lie side by side as it is
        numbers, steps = _turned(numbers, groups, outputs, inputs, area), (area, outputs * area)
    for tap_of, reads, place in kinds:
        weights = numbers, tap_of, *steps, outputs * inputs * area
        _correlation(images, reads, (1, 1), weights, none, out, place)
    return out.reshape(tuple(size))


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(weights, out, outputs, inputs, area, low, high):
    """`out[g, i, o] = weights[g, o, i]`, runs of `area` elements, for pairs of g and i."""
    zero = weights.dtype.type(0)
    for line in range(low, high):
        source, target = (line // inputs * outputs * inputs + line % inputs) * area, line * outputs
        for o in range(outputs):
            copy_row(weights, source + o * inputs * area, out, (target + o) * area, area, zero)


def _turned(weights, groups, outputs, inputs, area):
    """Weights with those of an input behind each other: far apart they share few cache lines."""
    out, lines = np.empty_like(weights), groups * inputs
    given = weights, out, outputs, inputs, area
    run_items(_turn, given, lines, weights.size >= threads.minimum)
    return out


@lru_cache(maxsize=1024)
def _passes(size, kernel, stride, padding, dilation):
    """(taps, rows and columns that they read, their places) for each residue of the strides."""
    rows, columns = _residues(size, kernel, stride, padding, dilation)
    found = []
    for top, row_taps, row_reads, row_count in rows:
        for left, column_taps, column_reads, column_count in columns:
            if 0 in (row_count, column_count, len(row_taps), len(column_taps)):
                continue
            taps = np.array([a * kernel[1] + b for a in row_taps for b in column_taps])
            place = (top, stride[0], left, stride[1], row_count, column_count)
            found.append((taps, (row_reads, column_reads), place))
    return found


@lru_cache(maxsize=1024)
def _residues(size, kernel, stride, padding, dilation):
    """(first place, taps, what they read of the gradient, places) of each residue of the strides.

    Of rows, and of columns.
    """
    return tuple(
        tuple(_residue(residue, *sizes) for residue in range(sizes[2]))
        for sizes in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def _residue(residue, n, kernel, stride, padding, dilation):
    first = (residue - padding) % stride
    taps = tuple(tap for tap in range(kernel) if tap * dilation % stride == residue)
    reads = tuple((first + padding - tap * dilation) // stride for tap in taps)
    return first, taps, reads, len(range(first, n, stride))


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
