"""The kernels of attention: scores are made for some queries and keys, used and forgotten.

Scores lie transposed, a row for each key and a lane for each query of a block, so that what
belongs to a query is a vector: its largest score, its sum. Both products of scores and values, and
those of the gradients, then read them as they lie.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from .. import kernel_cache
from ..namespace import pointwise
from . import panels, tiles
from .panels import multiples, multiply, pack, put, whole

KEYS = 256  # of a tile; with as many vectors of queries its scores stay in the second cache
TERMS = 16  # that are added up before float64 takes over

exponentials = logarithms = None  # generated kernels, which Numba reads when it compiles

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


def ready():
    """Find the generated kernels that those below call; before their first call."""
    global exponentials, logarithms
    if exponentials is None:
        descriptors = pointwise["exp"], pointwise["log"]
        (exponentials, _), (logarithms, _) = (d.found(d.forward) for d in descriptors)
        generated = (sys.modules[k.py_func.__module__] for k in (exponentials, logarithms))
        kernel_cache.separate(sys.modules[__name__], panels, tiles, *generated)


@njit(**_options)
def _hide(scores, width, first, key, keys, hidden):
    """Set what the queries from `first` on do not see: later keys than their own number."""
    for t in range(max(0, first + 1 - key), keys):
        last = min(width, key + t - first)
        scores[t * width : t * width + last] = hidden


# Indices are unsigned, so that none is tried as one from the end, and loops become vectors. To
# Numba a written number has a type of its own, for which it compiles what it is given to anew; one
# made with np.int64 has not. Elements are assigned one by one, since NumPy's way would bring along
# what makes up its error messages.


@njit(**_options)
def _raise_tops(scores, width, keys, scale, tops, factors):
    """Scale the scores, subtract each query's largest so far, and say what older ones count."""
    width, keys = np.uint64(width), np.uint64(keys)
    for i in range(width):
        factors[i] = tops[i]
    for t in range(keys):
        at = t * width
        for i in range(width):
            value = scores[at + i] * scale
            tops[i] = tops[i] if value <= tops[i] else value
    falls = np.empty(width, factors.dtype)
    for i in range(width):
        falls[i] = factors[i] - tops[i]
    exponentials(falls, factors)
    for t in range(keys):
        at = t * width
        for i in range(width):
            scores[at + i] = scores[at + i] * scale - tops[i]


@njit(**_options)
def _add_up(weights, width, keys, factors, sums):
    """Add each query's weights to its sum."""
    part = np.empty(width, weights.dtype)
    width, keys = np.uint64(width), np.uint64(keys)
    for i in range(width):
        sums[i] *= factors[i]
    for low in range(np.uint64(0), keys, np.uint64(TERMS)):
        for i in range(width):
            part[i] = 0
        for t in range(low, min(low + np.uint64(TERMS), keys)):
            at = t * width
            for i in range(width):
                part[i] += weights[at + i]
        for i in range(width):
            sums[i] += part[i]


@njit(**_options)
def _turned(x, start, steps, features, count, lanes, out):
    """Some rows of a matrix as a panel with a column for each; what fills it up is 0."""
    pack(x, start, steps[1], steps[0], features, count, lanes, out, whole(count, lanes))


@njit(**_options)
def attend(q, k, v, out, levels, starts, steps, sizes, scale, causal, wide, low, high):
    """Items from `low` to `high - 1`: each is one block of queries of a head.

    starts: where each head's matrix of q, k, v and out begins; steps: from row to row and from
    column to column of each; sizes: (queries, keys, features, values, lanes, blocks of a head).
    """
    queries, sources, features, values, lanes, blocks = sizes
    block, pitch, most = len(wide) * lanes, whole(values, lanes), min(KEYS, sources)
    own = np.empty(features * block, q.dtype)
    tile = np.empty(most * pitch, q.dtype)
    scores, weights = np.empty(most * block, q.dtype), np.empty(most * block, q.dtype)
    part, total = np.empty(block * pitch, q.dtype), np.empty(block * pitch, q.dtype)
    features_of_k, rows_of_tile = multiples(steps[1, 1], features), multiples(pitch, most)
    hidden = q.dtype.type(-np.inf if scale >= 0 else np.inf)
    zero, one = np.int64(0), np.int64(1)
    for item in range(low, high):
        head, first = item // blocks, item % blocks * block
        count = min(block, queries - first)
        width = whole(count, lanes)
        _turned(q, starts[0, head] + first * steps[0, 0], steps[0], features, count, lanes, own)
        lines, rows_of_own = multiples(width, most), multiples(width, features)
        tops, factors = np.empty(width, q.dtype), np.empty(width, q.dtype)
        sums = np.zeros(width)
        tops[:] = -np.inf
        seen = min(sources, first + count) if causal else sources
        for key in range(0, seen, KEYS):
            keys = min(KEYS, seen - key)
            at = starts[1, head] + key * steps[1, 0]
            multiply(
                k, at, steps[1, 0], features_of_k, own, rows_of_own, scores, zero, width, keys,
                width, lanes, wide, zero,
            )  # fmt: skip
            if causal:
                _hide(scores, width, first, key, keys, hidden)
            _raise_tops(scores, width, keys, scale, tops, factors)
            exponentials(scores[: keys * width], weights[: keys * width])
            _add_up(weights, width, keys, factors, sums)
            at = starts[2, head] + key * steps[2, 0]
            pack(v, at, steps[2, 0], steps[2, 1], keys, values, lanes, tile, pitch)
            multiply(
                weights, zero, one, lines[:keys], tile, rows_of_tile[:keys], part if key else total,
                zero, pitch, count, values, lanes, wide, zero,
            )  # fmt: skip
            if key:
                _add_rows(total, part, factors, count, pitch)
        _invert(sums, factors, tops)
        for i in range(count):
            levels[head * queries + first + i] = tops[i]
        _copy_rows(total, factors, count, pitch, values, out, starts[3, head], first, steps[3])


@njit(**_options)
def _invert(sums, factors, tops):
    """Divide 1 by each sum, and add its logarithm to the largest score."""
    size = sums.shape[0]
    rounded, found = np.empty(size, factors.dtype), np.empty(size, factors.dtype)
    for i in range(size):
        rounded[i] = sums[i]
    logarithms(rounded, found)
    for i in range(size):
        factors[i] = 1 / sums[i]
        tops[i] += found[i]


@njit(**_options)
def _add_rows(total, part, factors, count, pitch):
    """`total = total * factor + part`, with a factor for each row."""
    pitch = np.uint64(pitch)
    for i in range(np.uint64(count)):
        factor = factors[i]
        for j in range(i * pitch, i * pitch + pitch):
            total[j] = total[j] * factor + part[j]


@njit(**_options)
def _copy_rows(rows, factors, count, pitch, size, out, at, first, steps):
    """Write rows times their factors, as many elements of each as `size`."""
    pitch, size, step = np.uint64(pitch), np.uint64(size), np.uint64(steps[0])
    at = np.uint64(at) + np.uint64(first) * step
    for i in range(np.uint64(count)):
        factor, source, target = factors[i], i * pitch, at + i * step
        for j in range(size):
            out[target + j] = rows[source + j] * factor


# --- gradients -----------------------------------------------------------------------------------


@njit(**_options)
def _slopes(scores, weights, rises, width, keys, scale, levels, means):
    """The weights that follow from scores; the gradients of weights become those of scores."""
    width, keys = np.uint64(width), np.uint64(keys)
    for t in range(keys):
        at = t * width
        for i in range(width):
            scores[at + i] = scores[at + i] * scale - levels[i]
    exponentials(scores[: keys * width], weights[: keys * width])
    for t in range(keys):
        at = t * width
        for i in range(width):
            rises[at + i] = weights[at + i] * (rises[at + i] - means[i]) * scale


@njit(**_options, fastmath={"contract", "reassoc"})
def _means(rows, pitch, attended, at, steps, count, values, out):
    """The products of each query's gradient and result."""
    row, column = np.uint64(steps[0]), np.uint64(steps[1])
    pitch, size = np.uint64(pitch), np.uint64(values)
    for i in range(np.uint64(count)):
        first, other = i * pitch, np.uint64(at) + i * row
        total = rows.dtype.type(0)
        for j in range(size):
            total += rows[first + j] * attended[other + j * column]
        out[i] = total


@njit(**_options)
def spread(
    q, k, v, g, attended, levels, flow_q, flow_k, flow_v, starts, steps, sizes, scale, causal, wide,
    low, high,
):  # fmt: skip
    """Items from `low` to `high - 1`: each is every `parts`-th block of queries of a head.

    starts and steps: as in `attend`, of the first eight arrays but the levels; sizes: the last
    says how many parts there are, each of which has gradients of keys and values of its own.
    Gradients begin with zeros.
    """
    queries, sources, features, values, lanes, parts = sizes
    heads = starts.shape[1] // parts
    block, most = len(wide) * lanes, min(KEYS, sources)
    q_pitch, v_pitch = whole(features, lanes), whole(values, lanes)
    q_turned, g_turned = np.empty(features * block, q.dtype), np.empty(values * block, q.dtype)
    q_rows, g_rows = np.empty(block * q_pitch, q.dtype), np.empty(block * v_pitch, q.dtype)
    tile = np.empty(most * q_pitch, q.dtype)
    scores, weights = np.empty(most * block, q.dtype), np.empty(most * block, q.dtype)
    slopes = np.empty(most * block, q.dtype)
    hidden = q.dtype.type(-np.inf if scale >= 0 else np.inf)
    found = np.empty(max(most, block) * max(q_pitch, v_pitch), q.dtype)
    zero, one = np.int64(0), np.int64(1)
    numbers, longest = multiples(one, block), max(most, features, values)
    features_of_k, values_of_v = multiples(steps[1, 1], features), multiples(steps[2, 1], values)
    rows_of_q, rows_of_v = multiples(q_pitch, max(block, most)), multiples(v_pitch, block)
    for item in range(low, high):
        head, part = item // parts, item % parts
        for key in range(0, sources, KEYS):
            keys = min(KEYS, sources - key)
            k_at, v_at = starts[1, head] + key * steps[1, 0], starts[2, head] + key * steps[2, 0]
            pack(k, k_at, steps[1, 0], steps[1, 1], keys, features, lanes, tile, q_pitch)
            own = part * heads + head
            for first in range(part * block, queries, parts * block):
                count = min(block, queries - first)
                if causal and first + count <= key:
                    continue
                width = whole(count, lanes)
                q_at = starts[0, head] + first * steps[0, 0]
                g_at = starts[3, head] + first * steps[3, 0]
                _turned(q, q_at, steps[0], features, count, lanes, q_turned)
                _turned(g, g_at, steps[3], values, count, lanes, g_turned)
                pack(q, q_at, steps[0, 0], steps[0, 1], count, features, lanes, q_rows, q_pitch)
                pack(g, g_at, steps[3, 0], steps[3, 1], count, values, lanes, g_rows, v_pitch)
                level, mean = np.zeros(width, q.dtype), np.zeros(width, q.dtype)
                for i in range(count):
                    level[i] = levels[head * queries + first + i]
                at = starts[4, head] + first * steps[4, 0]
                _means(g_rows, v_pitch, attended, at, steps[4], count, values, mean)
                lines = multiples(width, longest)
                multiply(
                    k, k_at, steps[1, 0], features_of_k, q_turned, lines[:features], scores, zero,
                    width, keys, width, lanes, wide, zero,
                )  # fmt: skip
                multiply(
                    v, v_at, steps[2, 0], values_of_v, g_turned, lines[:values], slopes, zero,
                    width, keys, width, lanes, wide, zero,
                )  # fmt: skip
                if causal:
                    _hide(scores, width, first, key, keys, hidden)
                _slopes(scores, weights, slopes, width, keys, scale, level, mean)
                multiply(
                    weights, zero, width, numbers[:count], g_rows, rows_of_v[:count], found, zero,
                    v_pitch, keys, values, lanes, wide, zero,
                )  # fmt: skip
                at = starts[7, own] + key * steps[7, 0]
                put(found, v_pitch, keys, values, flow_v, at, steps[7, 0], one)
                multiply(
                    slopes, zero, width, numbers[:count], q_rows, rows_of_q[:count], found, zero,
                    q_pitch, keys, features, lanes, wide, zero,
                )  # fmt: skip
                at = starts[6, own] + key * steps[6, 0]
                put(found, q_pitch, keys, features, flow_k, at, steps[6, 0], one)
                multiply(
                    slopes, zero, one, lines[:keys], tile, rows_of_q[:keys], found, zero, q_pitch,
                    count, features, lanes, wide, zero,
                )  # fmt: skip
                at = starts[5, head] + first * steps[5, 0]
                put(found, q_pitch, count, features, flow_q, at, steps[5, 0], one)
