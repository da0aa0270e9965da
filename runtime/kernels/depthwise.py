"""Convolutions whose outputs read one channel each, plane by plane, without laying out anything.

A channel has one output or a few. Rows of results are computed four at a time where no tap reads
above or below the plane, else one at a time with the taps that do not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from ..threads import threads
from .sharing import run_items
from .sliding import slide, slide_sums
from .tiles import LANES

MOST = 3  # outputs of a channel: with more, blocks of outputs that share what they read are quicker
PARTS = 16  # of the images and channels: as many shares of a weight's gradient at least
CHANNELS = 16  # from which on all images of one are an item
TERMS = 512  # that are added up in a lane before sums go on in float64

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


def suits(outputs, channels, stride):
    """Whether this is the file for a convolution of so many outputs and channels a group."""
    return channels == 1 and outputs <= MOST and stride[1] <= 2


@njit(**_options)
def _range(shifts, low, high, first, size):
    """Those of the rows' taps, from `low` to `high - 1`, that read rows of the plane."""
    while low < high and first + shifts[low] < 0:
        low += 1
    while low < high and first + shifts[high - 1] >= size:
        high -= 1
    return low, high


@njit(**_options)
def _slide(x, weights, bias, out, tables, kinds, sizes, steps, phases, begin, end):
    """Items from `begin` to `end - 1`: a plane of results, or those of a channel in all images.

    x, out: flat; tables: of `slide`; kinds: for each residue of the rows (place of the first in
    out, rows, those from and to which all taps are inside, first tap of a row, last); sizes:
    (elements of a plane, x, out; from row to row, x, out; columns of out, channels of out, planes
    of x for one of out, of out for one of x, lanes, first tap of each phase of columns, last,
    masks of a tap, elements of a weight).
    """
    plane, goal, x_pitch, pitch, wide, channels, given, shared, lanes = sizes[:9]
    first_end, second_end, last_end, m_step, area = sizes[9:]
    across = lanes * len(phases)
    for item in range(begin, end):
        channel = item % channels
        start, first = item // shared * given * plane, channel * given * area
        added = bias[channel]
        for kind in range(kinds.shape[0]):
            own, rows, inner, outer, low, high = kinds[kind]
            i = 0
            while i < rows:
                four = i >= inner and i + 4 <= outer
                some = low, high
                if i < inner or i >= outer:
                    some = _range(tables[0], low, high, i * x_pitch, plane)
                line, at = start + i * x_pitch, item * goal + own + i * pitch
                for j in range(0, wide, across):
                    more = (
                        some[0], some[1], first_end, second_end, last_end,
                        j // across * len(steps), m_step, x_pitch, pitch, given, plane, area,
                    )  # fmt: skip
                    left = line + j // len(phases) * len(steps)
                    if four:
                        slide(
                            x, left, weights, first, added, tables, out, at + j, wide - j, more,
                            (0, 0, 0, 0), steps, phases,
                        )  # fmt: skip
                    else:
                        slide(
                            x, left, weights, first, added, tables, out, at + j, wide - j, more,
                            (0,), steps, phases,
                        )  # fmt: skip
                i += 4 if four else 1


def _numbers(inside, lanes):
    """Masks of as many lanes, one behind the other, a number for each."""
    inside = np.asarray(inside).reshape(-1, lanes)
    return (inside * (1 << np.arange(lanes))).sum(axis=1).astype(np.uint16)


def _masks(reads, step, size, columns, lanes):
    """Which columns of the plane lanes read, for each tap: a number for each vector read."""
    vectors = -(-columns // lanes)
    place = np.arange(vectors * lanes * step) + np.array(reads, np.int64)[:, None]
    return _numbers((place >= 0) & (place < size), lanes)


def _masks_within(size, reads, lanes):
    """The same for a plane that is one long row; reads: (rows, columns) of each tap."""
    place = np.arange(-(-size[0] * size[1] // lanes) * lanes)
    row = place // size[1] + np.array([a for a, _ in reads], np.int64)[:, None]
    column = place % size[1] + np.array([b for _, b in reads], np.int64)[:, None]
    inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
    return _numbers(inside & (place < size[0] * size[1]), lanes)


def _side_by_side(batch, channels, size, output, step):
    """Whether a plane is taken as one row, several images at a time: less lies beside vectors."""
    return batch >= 4 and channels >= CHANNELS and size == output and tuple(step) == (1, 1)


@lru_cache(maxsize=1024)
def _plan(size, output, rows, columns, x_step, kernel, lanes):
    """(tables, kinds, (from row to row, x, out; columns; ends of phases; masks of a tap)).

    rows, columns: for each residue (first place, taps, what they read, number of places), as of
    `convolving`; x_step: of rows and columns.
    """
    rows = [_sorted(*residue) for residue in rows]
    columns = sorted(_sorted(*residue) for residue in columns)
    shifts, places, kinds = [], [], []
    for first, taps, reads, count in rows:
        low = len(shifts)
        shifts += [read * size[1] for read in reads]
        places += [tap * kernel[1] for tap in taps]
        inner = max([0, *(-(read // x_step[0]) for read in reads)])
        outer = min([count, *((size[0] - 1 - read) // x_step[0] + 1 for read in reads)])
        kinds.append((first * output[1], count, inner, outer, low, len(shifts)))
    ends, of_columns = [len(shifts)], []
    for _, taps, reads, _ in columns:
        of_columns += reads
        places += taps
        ends.append(ends[0] + len(of_columns))
    most = -(-output[1] // len(columns))
    masks = _masks(of_columns, x_step[1], size[1], most, lanes)
    tables = np.array(shifts + of_columns), np.array(places), masks
    ends = (*ends, ends[-1])[:3]
    pitches = x_step[0] * size[1], len(rows) * output[1], output[1]
    return tables, np.array(kinds), pitches, (*ends, -(-most // lanes) * x_step[1])


@lru_cache(maxsize=1024)
def _plan_side_by_side(size, batch, channels, rows, columns, kernel, lanes):
    """The same where images are the rows; channels: of x and of out."""
    (_, row_taps, row_reads, _), (_, column_taps, column_reads, _) = rows[0], columns[0]
    reads = [(a, b) for a in row_reads for b in column_reads]
    places = [a * kernel[1] + b for a in row_taps for b in column_taps]
    shifts = [a * size[1] + b for a, b in reads]
    tables = np.array([0, *shifts]), np.array([0, *places]), _masks_within(size, reads, lanes)
    area, count = size[0] * size[1], len(shifts)
    pitches = channels[0] * area, channels[1] * area, area
    ends = 1, 1 + count, 1 + count
    return tables, np.array([[0, batch, 0, batch, 0, 1]]), pitches, (*ends, -(-area // lanes))


def _sorted(first, taps, reads, count):
    order = np.argsort(reads)
    return first, [int(taps[k]) for k in order], [int(reads[k]) for k in order], count


def _run(x, weights, bias, out, rows, columns, x_step, kernel):
    """x, out: (batch, channels, rows, columns); rows, columns: see `_plan`."""
    (batch, some, *size), (_, channels, *output) = x.shape, out.shape
    lanes, size, output = LANES[x.itemsize], tuple(size), tuple(output)
    items, phases = channels, len(columns)
    if phases == 1 and _side_by_side(batch, channels, size, output, x_step):
        found = _plan_side_by_side(size, batch, (some, channels), rows, columns, kernel, lanes)
    else:
        items *= batch
        found = _plan(size, output, rows, columns, x_step, kernel, lanes)
    tables, kinds, pitches, ends = found
    area, planes, goal = kernel[0] * kernel[1], size[0] * size[1], output[0] * output[1]
    shares = max(1, some // channels), max(1, channels // some)
    sizes = planes, goal, *pitches, channels, *shares, lanes, *ends, area
    arguments = (
        x.reshape(-1), weights, bias, out.reshape(-1), tables, kinds, sizes, (0,) * x_step[1],
        (0,) * phases,
    )  # fmt: skip
    run_items(
        _slide, arguments, items, max(x.size, out.size) * area >= 16 * threads.minimum, each=8
    )


def forward(images, weights, bias, out, taps, stride, kernel):
    """images: (batch, group, 1, height, width); out: (batch, group, outputs, height, width)."""
    size = out.shape[3:]
    rows, columns = (
        ((0, tuple(range(len(reads))), reads, n),) for reads, n in zip(taps, size, strict=True)
    )
    _run(_planes(images), weights, bias, _planes(out), rows, columns, stride, kernel)


def backward(grads, weights, out, residues, kernel):
    """The gradient of the input; residues: of rows and of columns, as of `_plan`."""
    none = np.zeros(out.shape[1], out.dtype)
    _run(_planes(grads), weights, none, _planes(out), *residues, (1, 1), kernel)


def _planes(array):
    batch, groups, each, *size = array.shape
    return array.reshape(batch, groups * each, *size)


# --- the gradient of the weight ----------------------------------------------------------------


@njit(**_options)
def _flush(sums, total, lanes):
    """Add the lanes of each tap's vector to its total, and clear them."""
    for tap in range(total.shape[0]):
        for lane in range(tap * lanes, tap * lanes + lanes):
            total[tap] += sums[lane]
            sums[lane] = 0


@njit(**_options)
def _weigh(x, g, tables, rows, total, sizes, steps, begin, end):
    """Items from `begin` to `end - 1`: what a part of the images gives to one output's taps.

    x, g: flat; tables: of `slide_sums`, taps in threes of one row; rows: (first row of results,
    rows, shift of x) for each three; total: (part, output, tap); sizes: (images, outputs of a
    channel, lanes, images before lanes are added up, elements of a plane, x, g; from image to
    image, x, g; from row to row, x, g; columns).

    Where rows are images, they are as many as come before lanes are added up.
    """
    batch, shared, lanes, together, plane, goal, x_step, step, x_pitch, pitch, wide = sizes
    parts, outputs = total.shape[:2]
    sums = np.zeros(total.shape[2] * lanes, x.dtype)
    for item in range(begin, end):
        part, output = item // outputs, item % outputs
        image, stop = part * batch // parts, (part + 1) * batch // parts
        done = 0
        while image < stop:
            start = image * x_step + output // shared * plane
            place = image * step + output * goal
            many = 1
            for three in range(rows.shape[0]):
                first, count, shift = rows[three]
                if count < 0:
                    count = many = min(together, stop - image)
                more = 3 * three, count, wide, x_pitch, pitch
                slide_sums(
                    x, start + first * x_pitch + shift, g, place + first * pitch, tables, sums,
                    3 * three * lanes, more, steps, (0, 0, 0),
                )  # fmt: skip
            image += many
            done += many
            if done >= together or image == stop:
                _flush(sums, total[part, output], lanes)
                done = 0


@lru_cache(maxsize=1024)
def _threes(size, output, taps, step, lanes):
    """(tables, rows, the place of each tap) for `_weigh`."""
    shifts, rows, places = [], [], []
    for top in taps[0]:
        first = max(0, -(top // step[0]))
        last = min(output[0], (size[0] - 1 - top) // step[0] + 1)
        for b in range(0, len(taps[1]), 3):
            some = taps[1][b : b + 3]
            places += range(len(shifts), len(shifts) + len(some))
            shifts += some + some[-1:] * (3 - len(some))
            rows.append((first, max(0, last - first), top * size[1]))
    masks = _masks(shifts, step[1], size[1], output[1], lanes)
    return (np.array(shifts), masks), np.array(rows), np.array(places)


@lru_cache(maxsize=1024)
def _threes_side_by_side(size, taps, lanes):
    """The same where images are the rows."""
    reads = [(a, b) for a in taps[0] for b in taps[1]]
    places = np.arange(len(reads))
    reads += reads[-1:] * (-len(reads) % 3)
    shifts = np.array([a * size[1] + b for a, b in reads])
    rows = np.array([[0, -1, 0]] * (len(reads) // 3))
    return (shifts, _masks_within(size, reads, lanes)), rows, places


def weight(input, grad_output, taps, stride):
    """The gradient of a weight; both given are dense, (batch, channels, rows, columns)."""
    (batch, channels, *size), (_, outputs, *output) = input.shape, grad_output.shape
    lanes, size, output = LANES[input.itemsize], tuple(size), tuple(output)
    plane, goal = size[0] * size[1], output[0] * output[1]
    if _side_by_side(batch, outputs, size, output, stride):
        tables, rows, places = _threes_side_by_side(size, taps, lanes)
        pitches = channels * plane, outputs * goal, goal
        terms = -(-goal // lanes) // 2
    else:
        tables, rows, places = _threes(size, output, taps, stride, lanes)
        pitches = stride[0] * size[1], output[1], output[1]
        terms = output[0] * -(-output[1] // lanes) // 2
    # as many parts as the shapes say, so that sums do not depend on the number of threads
    parts = min(batch, -(-PARTS // outputs))
    total = np.zeros((parts, outputs, 3 * len(rows)), np.float64)
    together = max(1, TERMS // max(terms, 1))
    sizes = (
        batch, outputs // channels, lanes, together, plane, goal, channels * plane, outputs * goal,
        *pitches,
    )  # fmt: skip
    flat = input.reshape(-1), grad_output.reshape(-1)
    arguments = *flat, tables, rows, total, sizes, (0,) * stride[1]
    items = parts * outputs
    run_items(
        _weigh, arguments, items, grad_output.size * len(places) >= 16 * threads.minimum, each=8
    )
    return total.sum(axis=0)[:, places].astype(input.dtype)
