"""The gradient of a convolution's weight: for each tap a product of two long runs of memory.

With AVX-512 and many channels, products with panels are quicker: weighing_panels.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..threads import get_num_threads, threads
from . import depthwise
from .convolving import check_gradient, taps_of
from .laying_out import grouped, lay_out, layout_of
from .sharing import run_items
from .tiles import LANES, VECTOR_BYTES, copy_row, correlate
from .weighing_panels import weigh

LAID_OUT = 1 << 20  # elements of images, and of gradients, that are laid out together
PARTS = 16  # of the images at most, each with a gradient of its own; they are added at the end
PARTIAL = 1 << 20  # elements that all those gradients may have
LONG = 1024  # results that a part has at least
CHANNELS = 16  # from which on products with panels are quicker, if outputs fill two vectors


@njit(cache=True, nogil=True, error_model="numpy")
def _products(g, g_at, x, x_at, offsets, first, sizes, out, at, count):
    """`correlate` for 1, 2 or 4 rows and 4 taps."""
    taps = (0, 0, 0, 0)
    if count == 4:
        correlate(g, g_at, x, x_at, offsets, first, sizes, out, at, (0, 0, 0, 0), taps)
    elif count == 2:
        correlate(g, g_at, x, x_at, offsets, first, sizes, out, at, (0, 0), taps)
    else:
        correlate(g, g_at, x, x_at, offsets, first, sizes, out, at, (0,), taps)


@njit(cache=True, nogil=True, error_model="numpy")
def _lay_out_rows(flat, place, g, at, sizes, zero):
    """Copy channels of gradients to where they lie as the images do; between rows are zeros."""
    channels, rows, columns, pitch, padded = sizes
    for channel in range(channels):
        for row in range(rows):
            source = place + (channel * rows + row) * columns
            copy_row(flat, source, g, at + channel * padded + row * pitch, columns, zero)


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(images, grads, layout, offsets, out, sizes, low, high):
    """Items from `low` to `high - 1`: each adds what a part of the images gives to some channels.

    sizes: (of a laid out image, run, lanes, images laid out together, channels of an item).
    """
    size, run, lanes, together, each = sizes
    batch, groups, outputs, rows, columns = grads.shape
    pitch, taps = layout[6], offsets.shape[0]
    padded = (run + lanes - 1) // lanes * lanes
    step, g_step = size + lanes, each * padded
    x = np.zeros(together * step, images.dtype)
    g = np.zeros(together * g_step, images.dtype)
    flat = grads.reshape(-1)
    zero = images.dtype.type(0)
    chunks = (outputs + each - 1) // each
    for item in range(low, high):
        part, rest = item // (groups * chunks), item % (groups * chunks)
        group, channel = rest // chunks, rest % chunks * each
        last = min(outputs, channel + each)
        line = out[part, group]
        stop = (part + 1) * batch // out.shape[0]
        for first in range(part * batch // out.shape[0], stop, together):
            count = min(together, stop - first)
            for i in range(count):
                lay_out(images[first + i, group], x, i * step, *layout)
                place = (((first + i) * groups + group) * outputs + channel) * rows * columns
                shape = last - channel, rows, columns, pitch, padded
                _lay_out_rows(flat, place, g, i * g_step, shape, zero)
            shape = padded // lanes, count, padded, g_step, step, taps
            own = channel
            while own < last:
                many = 4 if last - own >= 4 else (2 if last - own >= 2 else 1)
                at = (own - channel) * padded
                for tap in range(0, taps, 4):
                    _products(g, at, x, 0, offsets, tap, shape, line, own * taps + tap, many)
                own += many


def convolution_weight(grad_output, input, size, stride, padding, dilation, groups):
    """The gradient of a weight of `size`."""
    size = tuple(size)
    check_gradient(grad_output, input.shape, size[2:], size[0], stride, padding, dilation)
    images, grads = grouped(input, groups), grouped(grad_output, groups)
    batch, outputs, channels = len(images), size[0] // groups, size[1]
    if images.size == 0 or grads.size == 0:
        return np.zeros(size, input.dtype)
    taps = taps_of(size[2:], padding, dilation)
    lanes = LANES[images.itemsize]
    if depthwise.suits(outputs, channels, stride):
        planes = (array.reshape(batch, -1, *array.shape[3:]) for array in (images, grads))
        return depthwise.weight(*planes, taps, tuple(stride)).reshape(size)
    if VECTOR_BYTES == 64 and outputs >= 2 * lanes and channels >= CHANNELS:
        return weigh(images, grads, taps, tuple(stride)).reshape(size)
    layout = layout_of(channels, taps, tuple(stride), grads.shape[3:], outputs)
    offsets = (np.arange(channels)[:, None] * layout.apart + layout.offsets).reshape(-1)
    count = len(offsets)
    wanted = -(-count // 4) * 4
    offsets = np.append(offsets, np.full(wanted - count, offsets[-1]))
    padded = -(-layout.run // lanes) * lanes
    # as many parts as the shapes say, so that sums do not depend on the number of threads
    enough = batch * layout.run // LONG
    parts = max(1, min(batch, PARTS, enough, PARTIAL // (groups * outputs * wanted)))
    chunks = -(-2 * get_num_threads() // (parts * groups))
    each = max(4, -(-outputs // chunks // 4) * 4)
    together = max(1, min(-(-batch // parts), LAID_OUT // (layout.size + each * padded)))
    out = np.zeros((parts, groups, outputs * wanted), input.dtype)
    given = (
        images,
        grads,
        layout.arguments,
        offsets,
        out,
        (layout.size, layout.run, lanes, together, each),
    )
    items = parts * groups * -(-outputs // each)
    work = batch * groups * layout.run * count * outputs
    run_items(_weigh, given, items, work >= 16 * threads.minimum)
    total = out[0] if parts == 1 else out.sum(axis=0)
    return np.ascontiguousarray(total.reshape(-1, wanted)[:, :count]).reshape(size)
