"""Attention by blocks of queries: the scores of a block are made, used and forgotten.

A block has the scores of some heads, or of some queries of one head, with all keys that they see.
Blocks are shared out among threads. Products are BLAS's, which takes dense factors faster than
transposed ones; numbers that belong to a query are subtracted within them, as one more column.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..namespace import ops
from ..strips import share_out
from ..tensor import from_array
from .gathering import gather

BLOCK = 1 << 17  # scores of a block; with its gradient they stay in the cache
PARTS = 2  # of the queries of a single head, each with gradients of its own for keys and values


def blocked_attention(query, key, value, causal, scale):
    """The result, and for each query the logarithm of the sum that its weights are divided by."""
    q, k, v = (_heads(array) for array in (query, key, value))
    result = np.zeros((*q.shape[:2], v.shape[2]), q.dtype)
    levels = np.full((*q.shape[:2], 1), -math.inf, q.dtype)
    blocks = list(_blocks(q, k, causal))
    columns = _turned(k)

    def attend(number):
        some, rows, seen = blocks[number]
        scores = np.matmul(q[some, rows], columns[some, :, seen])
        if causal:
            _hide(scores, rows.start, -math.inf if scale >= 0 else math.inf)
        weights, sums, level = ops.scaled_exponentials(from_array(scores), scale, [2])
        levels[some, rows, 0] = level.numpy()
        part = np.matmul(weights.numpy(), v[some, seen], out=result[some, rows])
        part /= sums.numpy()[:, :, None]

    share_out(attend, len(blocks))
    leading = query.shape[:-1]
    return result.reshape(*leading, value.shape[-1]), levels.reshape(*leading, 1)


def attention_backward(flow, query, key, value, attended, levels, causal, scale):
    """The gradients of query, key and value; `attended` and `levels` are the results above."""
    if attended is None or levels is None:
        attended, levels = blocked_attention(query, key, value, causal, scale)
    g, q, k, v = (_heads(array) for array in (flow, query, key, value))
    means = np.einsum("hij,hij->hi", g, _heads(attended))[:, :, None]
    queries = _with_column(q, q.dtype.type(scale), -_heads(levels))
    gradients = _with_column(g, g.dtype.type(1), -means)
    keys, values = (_turned(_with_column(a, a.dtype.type(1), 1)) for a in (k, v))
    heads = len(q)
    blocks = list(_blocks(q, k, causal))
    parts = min(PARTS, len(blocks)) if heads == 1 else 1
    flow_q = np.zeros_like(q)
    flow_k, flow_v = (np.zeros((parts, *array.shape), q.dtype) for array in (k, v))
    shares = _shares(blocks, parts)

    def spread(number):
        room = None
        for some, rows, seen in shares[number]:
            factors = queries[some, rows], keys[some, :, seen]
            size = (2, *factors[0].shape[:2], factors[1].shape[2])
            if room is None or room.size < math.prod(size):
                room = np.empty(math.prod(size), q.dtype)
            weights, slope = room[: math.prod(size)].reshape(size)
            np.matmul(*factors, out=weights)
            with np.errstate(over="ignore"):  # of what will be hidden
                np.exp(weights, out=weights)
            if causal:
                _hide(weights, rows.start, 0.0)
            np.matmul(gradients[some, rows], values[some, :, seen], out=slope)
            slope *= weights
            np.matmul(slope, k[some, seen], out=flow_q[some, rows])
            part = number % parts
            flow_k[part, some, seen] += np.matmul(slope.swapaxes(1, 2), q[some, rows])
            flow_v[part, some, seen] += np.matmul(weights.swapaxes(1, 2), g[some, rows])

    share_out(spread, len(shares))
    flow_q *= scale
    flow_k, flow_v = (f[0] if parts == 1 else f.sum(0) for f in (flow_k, flow_v))
    flow_k *= scale
    flows = zip((flow_q, flow_k, flow_v), (query, key, value), strict=True)
    return tuple(found.reshape(array.shape) for found, array in flows)


def _heads(array):
    """Dense, with all leading dimensions as one."""
    return np.ascontiguousarray(array).reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


def _with_column(heads, factor, column):
    """The matrices times a factor, with one more column."""
    size = heads.shape[2]
    out = np.empty((*heads.shape[:2], size + 1), heads.dtype)
    np.multiply(heads, factor, out=out[:, :, :size])
    out[:, :, size:] = column
    return out


def _turned(heads):
    """The matrices of a dense array transposed, dense."""
    count, rows, columns = heads.shape
    out = np.empty(heads.size, heads.dtype)
    found = np.array([1, count, columns, rows, 0, rows * columns, 1, columns])
    gather(heads.reshape(-1), 0, found, 0, out)
    return out.reshape(count, columns, rows)


def _blocks(q, k, causal):
    """(heads, queries, keys that they see) of each block, as slices."""
    heads, length, sources = q.shape[0], q.shape[1], k.shape[1]
    if not (heads and length and sources):
        return
    several = max(1, BLOCK // (length * sources))
    rows = length if several > 1 else max(1, min(length, BLOCK // sources))
    for head in range(0, heads, several):
        for row in range(0, length, rows):
            seen = min(sources, row + rows) if causal else sources
            yield slice(head, head + several), slice(row, row + rows), slice(0, seen)


def _shares(blocks, parts):
    """Blocks that add to the same gradients together; those of a single head in `parts`."""
    if parts > 1:
        return [blocks[part::parts] for part in range(parts)]
    shares = {}
    for block in blocks:
        shares.setdefault(block[0].start, []).append(block)
    return list(shares.values())


@njit(cache=True, nogil=True, error_model="numpy")
def _hide(scores, first, value):
    """Set what the queries from `first` on do not see: later keys than their own."""
    for head in range(scores.shape[0]):
        for row in range(scores.shape[1]):
            scores[head, row, first + row + 1 :] = value
