"""Elements that lie somewhere in memory, brought into rows and put back.

A layout walks through a flat range of elements (numbered in row-major order of some shape) and
says where each lies: an array of sizes and as many strides, 0 where a dimension is repeated. Any
part of the range can be asked for, so that callers go by blocks that fit the cache.

A part is cut into boxes, each of some steps along one dimension and all of those after it. In a
box two groups of dimensions are gone through innermost: those whose neighbours are neighbours in
the row (along it), and those whose neighbours are neighbours in memory (across it).
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.extending import overload

from . import tiles

BAND = 16  # so many neighbours in memory are worth being turned together
WIDE = 64  # as many at once, so that whole lines of the cache are read
LONG = 1024  # elements along the row at once, at most
SHORT = 64  # elements of several dimensions that are enough to go along
SQUARE = 4  # the side of a square where there are no vectors for it

# What is known of a dimension of a box: its size, the distance of neighbours in memory and in the
# row, how much of it is gone through at once (0: not decided), and where one is.
MANY, STEP, PITCH, JUMP, PLACE = range(5)

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


def _bytes(kind):
    """The size of a number in memory; 0 for what is no number."""
    return getattr(kind, "bitwidth", 0) // 8


def side_of(array):
    """The side of the squares that `turn` turns."""
    raise NotImplementedError


@overload(side_of)
def _side_overload(array):
    side = tiles.LANES.get(_bytes(array.dtype), SQUARE)
    return lambda array: side


def turn(source, start, lines, i, target, at, places, j):
    """`target[at + places[j + c] + r] = source[start + lines[i + r] + c]` for a square."""
    raise NotImplementedError


@overload(turn, jit_options={"forceinline": True})
def _turn_overload(source, start, lines, i, target, at, places, j):
    if source.dtype == target.dtype and _bytes(source.dtype) in tiles.LANES:
        return lambda source, start, lines, i, target, at, places, j: tiles.turn_square(
            source, start, lines, i, target, at, places, j
        )
    return _turn_plainly


def _turn_plainly(source, start, lines, i, target, at, places, j):
    for c in range(SQUARE):
        for r in range(SQUARE):
            target[np.uint64(at + places[j + c] + r)] = source[np.uint64(start + lines[i + r] + c)]


def zipped(laid, start, lines, dense, at, back, count, n):
    """Move vectors of `n` lines whose elements alternate in the row.

    Returns how many of the `count` elements of each line are done.
    """
    raise NotImplementedError


@overload(zipped)
def _zipped_overload(laid, start, lines, dense, at, back, count, n):
    side = tiles.LANES.get(_bytes(laid.dtype))
    if laid.dtype != dense.dtype or side is None:
        return lambda laid, start, lines, dense, at, back, count, n: 0

    def by_vectors(laid, start, lines, dense, at, back, count, n):
        whole = count - count % side
        if n == 2:
            for j in range(0, whole, side):
                _zip(laid, start + j, lines, dense, at + 2 * j, back, (0, 0))
        elif n == 4:
            for j in range(0, whole, side):
                _zip(laid, start + j, lines, dense, at + 4 * j, back, (0,) * 4)
        elif n == 8:
            for j in range(0, whole, side):
                _zip(laid, start + j, lines, dense, at + 8 * j, back, (0,) * 8)
        else:
            whole = 0
        return whole

    return by_vectors


@njit(**_options)
def _zip(laid, start, lines, dense, at, back, vectors):
    if back is None:
        tiles.zip_lines(laid, start, lines, dense, at, vectors)
    else:
        tiles.unzip_lines(dense, at, laid, start, lines, vectors)


def gather(source, offset, layout, low, out):
    """`out` filled with the elements of a layout of `source`, from number `low` on."""
    _move(source, offset, layout, low, out, None)


def gather_blocks(source, offset, layout, block, out):
    """`gather` from the first element on, by several threads that take blocks."""
    _gather_parallel(source, offset, layout, block, out)


def scatter(values, target, offset, layout, low):
    """`values` written to where a layout of `target` has them, from number `low` on."""
    _move(target, offset, layout, low, values, 0)


# `back` is None where elements are brought: the compiler leaves out the other direction. One loop
# over all kinds of boxes, and few levels of functions, since Numba optimizes all at each level.


@njit(**_options)
def _move(laid, offset, layout, low, dense, back):
    lines, places = np.empty(LONG, np.int64), np.empty(WIDE, np.int64)
    lines[0] = places[0] = 0
    # numbers written down would be types of their own, and what they are given to compiled twice
    at, end = np.int64(0), dense.shape[0]
    while at < end:
        box, start = _box(layout, low + at, end - at)
        start += offset
        a, along, b, across = _ways(box, lines, places, np.int64(side_of(laid)))
        more = True
        while more:
            n = min(box[a, JUMP], box[a, MANY] - box[a, PLACE]) * along
            if b < 0:
                _move_row(laid, start, box[a, STEP], dense, at, n, back)
            else:
                count = min(box[b, JUMP], box[b, MANY] - box[b, PLACE])
                if across < 0:
                    _move_rows(laid, start, box[b, STEP], dense, at, box[b, PITCH], n, count, back)
                elif across:
                    _turn_tile(laid, start, lines, n, dense, at, places, count * across, back)
                else:
                    step, pitch = box[b, STEP], box[b, PITCH]
                    _weave(laid, start, lines, n, dense, at, step, pitch, count, back)
            more, start, at = _next(box, start, at)
        at += box[0, MANY] * box[0, PITCH]


@njit(parallel=True, **_options)
def _gather_parallel(source, offset, layout, block, out):
    for piece in prange((out.shape[0] + block - 1) // block):
        low = piece * block
        _move(source, offset, layout, low, out[low : min(low + block, out.shape[0])], None)


@njit(**_options)
def _box(layout, number, most):
    """(its dimensions but those of size 1, where it starts): what to move at once from a place.

    Some steps along a dimension and all of those after it, `most` elements at most.
    """
    rank = layout.shape[0] // 2
    dim, inner = rank - 1, 1
    while dim > 0 and number % (inner * layout[dim]) == 0 and inner * layout[dim] <= most:
        inner *= layout[dim]
        dim -= 1
    number //= inner
    count = min(layout[dim] - number % layout[dim], most // inner)
    start = 0
    for d in range(dim, -1, -1):
        start += number % layout[d] * layout[rank + d]
        number //= layout[d]
    box = np.zeros((rank - dim, 5), np.int64)
    pitch, at = 1, rank - dim
    for d in range(rank - 1, dim - 1, -1):
        many = count if d == dim else layout[d]
        if many > 1 or (d == dim and at == rank - dim):
            at -= 1
            box[at, MANY], box[at, STEP], box[at, PITCH] = many, layout[rank + d], pitch
            pitch *= many
    return box[at:], start


@njit(**_options)
def _ways(box, lines, places, side):
    """How to go through a box: (dimension, elements a step) along rows, and the same across them.

    The second dimension is -1 for row after row. It has 0 elements a step if only neighbours of
    one dimension are gone to, which need not be dense, and -1 where rows are dense and short.
    """
    last, near = box.shape[0] - 1, _nearest(box)
    many, step = box[last, MANY], abs(box[last, STEP])
    # a few neighbours are moved as a row if many such rows lie at even distances
    short = many < BAND // 2 and (box[last, STEP] != 1 or box[_other(box), MANY] < BAND)
    if last > 0 and (short or (near >= 0 and step > abs(box[near, STEP]))):
        across, b = _across(box, places)
        if across >= BAND:
            along, a = _along(box, lines)
            if along * box[a, JUMP] >= side:
                return a, along, b, across // box[b, JUMP]
        box[:, JUMP] = 0
        b = _other(box)
        if many < BAND or box[b, MANY] >= BAND:
            box[b, JUMP] = 1
            along, a = _along(box, lines)
            box[b, JUMP] = max(WIDE, 4 * LONG // (along * box[a, JUMP]))
            return a, along, b, 0
    box[last, JUMP] = many
    if last == 0 or many >= SHORT or box[last, STEP] != 1:
        return last, 1, -1, 0
    b = _other(box)
    box[b, JUMP] = box[b, MANY]
    return last, 1, b, -1


@njit(**_options)
def _next(box, start, at):
    """(whether there are more, where they lie in memory and in the row): the next step."""
    for d in range(box.shape[0] - 1, -1, -1):
        jump = max(box[d, JUMP], 1)
        if box[d, PLACE] + jump < box[d, MANY]:
            box[d, PLACE] += jump
            return True, start + jump * box[d, STEP], at + jump * box[d, PITCH]
        start -= box[d, PLACE] * box[d, STEP]
        at -= box[d, PLACE] * box[d, PITCH]
        box[d, PLACE] = 0
    return False, start, at


@njit(**_options)
def _nearest(box):
    """The dimension whose neighbours lie nearest to each other in memory, -1 if there is none."""
    near = -1
    for d in range(box.shape[0] - 1, -1, -1):
        if box[d, STEP] and (near < 0 or abs(box[d, STEP]) < abs(box[near, STEP])):
            near = d
    return near


@njit(**_options)
def _other(box):
    """The dimension to go across if not along dense runs: near neighbours, or many."""
    best = 0
    for d in range(box.shape[0] - 1):
        if box[best, MANY] < BAND or not box[best, STEP]:
            better = box[d, MANY] > box[best, MANY]
        else:
            better = 0 < abs(box[d, STEP]) < abs(box[best, STEP])
            better &= box[d, MANY] >= BAND
        if better:
            best = d
    return best


@njit(**_options)
def _extend(table, known, count, step):
    """A table of so many distances, repeated with one more dimension."""
    for c in range(1, count):
        for i in range(known):
            table[c * known + i] = table[i] + c * step
    return known * count


@njit(**_options)
def _across(box, places):
    """Choose dimensions that together are a dense run of memory.

    (elements at once, the dimension with the largest steps); `places` are where they go in the row.
    """
    known, wanted, b = 1, 1, 0
    while known < BAND:
        found = -1
        for d in range(box.shape[0]):
            if box[d, STEP] == wanted and not box[d, JUMP]:
                found = d
        if found < 0:
            break
        b = found
        box[b, JUMP] = min(box[b, MANY], WIDE // known)
        known = _extend(places, known, box[b, JUMP], box[b, PITCH])
        wanted *= box[b, MANY]
    return known, b


@njit(**_options)
def _along(box, lines):
    """Choose the last dimensions: (elements of those but the first, the first one).

    There are none, (0, ...), where the last is chosen already. `lines` are where the elements
    lie in memory.
    """
    known, before, a = 1, 0, box.shape[0] - 1
    for d in range(box.shape[0] - 1, -1, -1):
        if box[d, JUMP] or known >= SHORT:
            break
        a, before = d, known
        box[a, JUMP] = min(box[a, MANY], LONG // known)
        known = _extend(lines, known, box[a, JUMP], box[a, STEP])
    return before, a


@njit(**_options)
def _move_row(laid, start, step, dense, at, count, back):
    part = dense[at : at + count]
    if back is None:
        if step == 1:
            span = laid[start : start + count]
            for k in range(part.shape[0]):
                part[k] = span[k]
        elif step == 0:
            value = laid[start]
            for k in range(part.shape[0]):
                part[k] = value
        else:
            for k in range(part.shape[0]):
                part[k] = laid[np.uint64(start + k * step)]
    elif step == 1:
        span = laid[start : start + count]
        for k in range(part.shape[0]):
            span[k] = part[k]
    else:
        for k in range(part.shape[0]):
            laid[np.uint64(start + k * step)] = part[k]


@njit(**_options)
def _move_rows(laid, start, step, dense, at, pitch, n, count, back):
    """Short dense rows: `dense[at + j * pitch + i]` is `laid[start + j * step + i]`."""
    for j in range(count):
        begin, place = start + j * step, at + j * pitch
        if back is None:
            for i in range(n):
                dense[np.uint64(place + i)] = laid[np.uint64(begin + i)]
        else:
            for i in range(n):
                laid[np.uint64(begin + i)] = dense[np.uint64(place + i)]


@njit(**_options)
def _turn_tile(laid, start, lines, n, dense, at, places, count, back):
    """`dense[at + places[j] + i]` is `laid[start + lines[i] + j]` for i below n, j below count."""
    side = side_of(laid)
    low, far = n - n % side, count - count % side
    for i in range(0, low, side):
        for j in range(0, far, side):
            if back is None:
                turn(laid, start + j, lines, i, dense, at + i, places, j)
            else:
                turn(dense, at + i, places, j, laid, start + j, lines, i)
    for i in range(n):
        for j in range(far if i < low else 0, count):
            if back is None:
                dense[np.uint64(at + places[j] + i)] = laid[np.uint64(start + lines[i] + j)]
            else:
                laid[np.uint64(start + lines[i] + j)] = dense[np.uint64(at + places[j] + i)]


@njit(**_options)
def _weave(laid, start, lines, n, dense, at, step, pitch, count, back):
    """`dense[at + j * pitch + i]` is `laid[start + j * step + lines[i]]`.

    i goes up to n, j up to count.
    """
    done = 0
    if step == 1 and pitch == n:
        done = zipped(laid, start, lines, dense, at, back, count, n)
    for i in range(n):
        begin = start + lines[i]
        for j in range(done, count):
            if back is None:
                dense[np.uint64(at + j * pitch + i)] = laid[np.uint64(begin + j * step)]
            else:
                laid[np.uint64(begin + j * step)] = dense[np.uint64(at + j * pitch + i)]
