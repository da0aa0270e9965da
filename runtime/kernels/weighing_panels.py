"""The gradient of a convolution's weight, as products of images with panels of gradients.

The rows of a panel are places of the output, its columns are outputs. For each tap, the lines of
the panel that are not in the padding meet the elements of the image that they read, wherever
those lie; the sums, a row for each channel, are added up over places and images.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..threads import get_num_threads, threads
from .panels import multiply, pack, whole
from .sharing import share
from .tiles import LANES, VECTORS

PLACES = 512  # rows of a panel: what is read of it and of the image stays in the cache
PARTS = 8  # of the images at most, each with sums of its own; they are added at the end
PARTIAL = 1 << 18  # elements that all those sums may have
LONG = 1024  # places that a part has at least

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def _find(first, count, columns, size, taps, stride, images, steps, terms, lines, ends):
    """Where the places from `first` on find what each tap reads, and their lines of the panel.

    steps: from image to image, from line to line and from tap to tap. ends: of each tap's list.
    """
    apart, pitch, most = steps
    rows_of, columns_of = taps
    height, width = size
    for tap in range(ends.shape[0]):
        top, left = rows_of[tap // len(columns_of)], columns_of[tap % len(columns_of)]
        low = max(0, (stride[1] - 1 - left) // stride[1])
        high = min(columns, (width - 1 - left) // stride[1] + 1)
        at = tap * most
        for n in range(images):
            for i in range(first // columns, (first + count - 1) // columns + 1):
                row = i * stride[0] + top
                if row < 0 or row >= height:
                    continue
                line = (n * count + i * columns - first) * pitch
                place = n * apart + row * width + left
                begin, end = first - i * columns, first + count - i * columns
                for j in range(max(low, begin), min(high, end)):
                    terms[at] = place + j * stride[1]
                    lines[at] = line + j * pitch
                    at += 1
        ends[tap] = at - tap * most


@njit(**_options)
def _add_up(images, grads, taps, stride, out, sizes, wide, low, high):
    """Items from `low` to `high - 1`: what a part of the images gives to some channels of a panel.

    out: (part, group, panel, tap, channel, output). sizes: (lanes, places of a panel that are of
    one image, images of a panel, channels of an item).
    """
    lanes, chunk, together, each = sizes
    batch, groups, channels, height, width = images.shape
    outputs, columns = grads.shape[2], grads.shape[4]
    parts, panels, count, pitch = out.shape[0], out.shape[2], out.shape[3], out.shape[5]
    area, plane, most = grads.shape[3] * columns, height * width, chunk * together
    one = np.int64(1)  # not a type of its own, as 1 would be
    x, g, sums = images.reshape(-1), grads.reshape(-1), out.reshape(-1)
    panel = np.empty(most * pitch, x.dtype)
    terms, lines = np.empty(count * most, np.int64), np.empty(count * most, np.int64)
    ends = np.empty(count, np.int64)
    steps = groups * channels * plane, pitch, most
    blocks = (channels + each - 1) // each
    for item in range(low, high):
        channel, rest = item % blocks * each, item // blocks
        column, group, part = (
            rest % panels * pitch,
            rest // panels % groups,
            rest // panels // groups,
        )
        some = min(pitch, outputs - column)
        rows = min(each, channels - channel)
        goal = (rest * count * channels + channel) * pitch
        stop = (part + 1) * batch // parts
        for first in range(0, area, chunk):
            size = min(chunk, area - first)
            _find(
                first, size, columns, (height, width), taps, stride, together, steps, terms,
                lines, ends,
            )  # fmt: skip
            for image in range(part * batch // parts, stop, together):
                many = min(together, stop - image)
                for n in range(many):
                    place = (((image + n) * groups + group) * outputs + column) * area + first
                    pack(g, place, one, area, size, some, lanes, panel[n * size * pitch :], pitch)
                start = ((image * groups + group) * channels + channel) * plane
                for tap in range(count):
                    own = slice(tap * most, tap * most + ends[tap] // together * many)
                    multiply(
                        x, start, plane, terms[own], panel, lines[own], sums,
                        goal + tap * channels * pitch, pitch, rows, some, lanes, wide, one,
                    )  # fmt: skip


@njit(**_options)
def _deliver(sums, out, low, high):
    """Add up the parts' sums of channels from `low` to `high - 1`, and turn them as weights lie."""
    parts, _, panels, count, channels, pitch = sums.shape
    outputs = out.shape[1]
    total = np.empty((count, pitch), sums.dtype)
    for item in range(low, high):
        channel, rest = item % channels, item // channels
        group, panel = rest // panels, rest % panels
        for tap in range(count):
            total[tap] = 0
            for part in range(parts):
                found = sums[part, group, panel, tap, channel]
                for j in range(pitch):
                    total[tap, j] += found[j]
        for j in range(min(pitch, outputs - panel * pitch)):
            for tap in range(count):
                out[group, panel * pitch + j, channel, tap] = total[tap, j]


def weigh(images, grads, taps, stride):
    """The gradient (group, output, channel, tap), of images and gradients with groups."""
    batch, groups, channels = images.shape[:3]
    outputs, area = grads.shape[2], grads.shape[3] * grads.shape[4]
    lanes, count = LANES[images.itemsize], len(taps[0]) * len(taps[1])
    pitch = whole(min(outputs, len(VECTORS) * lanes), lanes)
    panels = -(-outputs // pitch)
    size = groups * panels * count * channels * pitch
    # as many parts as the shapes say, so that sums do not depend on the number of threads
    parts = max(1, min(batch, PARTS, batch * area // LONG, PARTIAL // size))
    parts = 1 << parts.bit_length() - 1
    chunk = whole(-(-area // -(-area // PLACES)), lanes)
    chunk = min(chunk, area)
    together = max(1, min(-(-batch // parts), PLACES // area))
    workers = get_num_threads()
    split = -(-workers // (parts * groups * panels))
    each = min(channels, -(-channels // split // 4) * 4)
    items = parts * groups * panels * -(-channels // each)
    sums = np.zeros((parts, groups, panels, count, channels, pitch), images.dtype)
    out = np.empty((groups, outputs, channels, count), images.dtype)
    taps = tuple(np.array(some) for some in taps)
    given = images, grads, taps, stride, sums, (lanes, chunk, together, each), VECTORS
    lines = groups * panels * channels
    if batch * groups * area * count * channels * outputs >= 64 * threads.minimum and workers > 1:
        share(_add_up, given, items, min(items, 4 * workers))
        share(_deliver, (sums, out), lines, 4 * workers)
    else:
        _add_up(*given, 0, items)
        _deliver(sums, out, 0, lines)
    return out
