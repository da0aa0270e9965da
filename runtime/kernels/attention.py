"""Attention by blocks of queries: the scores of a block are made, used and forgotten.

A block has the scores of some heads, or of some queries of one head, with all keys that they see.
Products are BLAS's; what lies between them is in declared operators, which make one pass each.
"""

from __future__ import annotations

import math

import numpy as np

from ..namespace import ops
from ..tensor import from_array

BLOCK = 1 << 17  # scores of a block; with its gradient they stay in the cache


def blocked_attention(query, key, value, causal, scale):
    """The result, and for each query the logarithm of the sum that its weights are divided by."""
    heads = [_heads(array) for array in (query, key, value)]
    q, k, v = heads
    result = np.zeros((*q.shape[:2], v.shape[2]), q.dtype)
    levels = np.full((*q.shape[:2], 1), -math.inf, q.dtype)
    for some, rows, seen in _blocks(q, k, causal):
        scores = _scores(q, k, some, rows, seen, causal, scale)
        shares, level = ops.scaled_softmax(from_array(scores), scale, [2])
        levels[some, rows, 0] = level.numpy()
        np.matmul(shares.numpy(), v[some, seen], out=result[some, rows])
    leading = query.shape[:-1]
    return result.reshape(*leading, value.shape[-1]), levels.reshape(*leading, 1)


def attention_backward(flow, query, key, value, attended, levels, causal, scale):
    """The gradients of query, key and value; `attended` and `levels` are the results above."""
    if attended is None or levels is None:
        attended, levels = blocked_attention(query, key, value, causal, scale)
    g, q, k, v = (_heads(array) for array in (flow, query, key, value))
    means = _heads((flow * attended).sum(-1, keepdims=True))
    levels = _heads(levels)
    flows = [np.zeros_like(array) for array in (q, k, v)]
    for some, rows, seen in _blocks(q, k, causal):
        scores = from_array(_scores(q, k, some, rows, seen, causal, scale))
        weights = ops.attention_weights(scores, from_array(levels[some, rows]), scale)
        rise = from_array(np.matmul(g[some, rows], v[some, seen].swapaxes(1, 2)))
        slope = ops.attention_flow(weights, rise, from_array(means[some, rows]), scale).numpy()
        np.matmul(slope, k[some, seen], out=flows[0][some, rows])
        flows[1][some, seen] += np.matmul(slope.swapaxes(1, 2), q[some, rows])
        flows[2][some, seen] += np.matmul(weights.numpy().swapaxes(1, 2), g[some, rows])
    given = (query, key, value)
    return tuple(flow.reshape(array.shape) for flow, array in zip(flows, given, strict=True))


def _heads(array):
    """Dense, with all leading dimensions as one."""
    return np.ascontiguousarray(array).reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


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


def _scores(q, k, some, rows, seen, causal, scale):
    """Products of queries and keys; those that a query does not see yield no weight."""
    scores = np.matmul(q[some, rows], k[some, seen].swapaxes(1, 2))
    if causal:
        columns = np.arange(scores.shape[2])
        hidden = columns > np.arange(rows.start, rows.start + scores.shape[1])[:, None]
        scores[:, hidden] = -math.inf if scale >= 0 else math.inf
    return scores
