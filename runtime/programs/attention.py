"""Attention: by blocks where nothing but the order hides keys, else with all scores at once."""

from __future__ import annotations

import math

from .. import dtypes
from ..geometry import broadcast_shapes
from ..namespace import ops
from ..tensor import Tensor


def scaled_dot_product_attention(
    query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
):
    """The values that each query attends to; see the entry."""
    _check(query, key, value, attn_mask)
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")
    if attn_mask is not None and is_causal:
        raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key, value = (_for_heads(query, other) for other in (key, value))
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    if attn_mask is None and not dropout_p:
        leading = broadcast_shapes(*(t.shape[:-2] for t in (query, key, value)))
        spread = (_spread(t, leading) for t in (query, key, value))
        return ops.blocked_attention(*spread, is_causal, scale)[0]
    scores = ops.matmul(query * scale, ops.mT(key))
    weights = _weights(scores, attn_mask, is_causal)
    if dropout_p:
        weights = ops.dropout(weights, dropout_p)
    return ops.matmul(weights, value)


def _spread(tensor, leading):
    return (
        tensor
        if tensor.shape[:-2] == leading
        else ops.expand(tensor, (*leading, *tensor.shape[-2:]))
    )


def _weights(scores, mask, is_causal):
    """Softmax of masked scores; 0 for a query that sees no key."""
    if is_causal:
        return ops.causal_softmax(scores, True)
    if mask is None:
        return ops.softmax(scores, -1)
    if mask.dtype is dtypes.bool:
        hidden = ops.logical_not(mask)
    else:
        hidden = ops.eq(mask, -math.inf)
        scores = scores + ops.masked_fill(mask, hidden, 0.0)
    if hidden.ndim > scores.ndim:
        raise RuntimeError(
            f"output with shape {list(scores.shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(scores.shape, hidden.shape))}"
        )
    hidden = ops.expand(hidden, scores.shape)
    blind = ops.all(hidden, -1, True) if scores.shape[-1] else hidden
    shares = ops.softmax(ops.masked_fill(scores, ops.logical_and(hidden, ~blind), -math.inf), -1)
    return ops.masked_fill(shares, hidden, 0.0)


def _check(query, key, value, mask):
    """Types, ranks, dtypes and sizes."""
    for name, given in (("query", query), ("key", key), ("value", value)):
        if not isinstance(given, Tensor):
            raise TypeError(
                f"scaled_dot_product_attention(): argument '{name}' must be Tensor, not "
                f"{type(given).__name__}"
            )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
        )
    if not query.dtype.is_floating_point:
        raise RuntimeError(f"expected scalar type Float but found {query.dtype}")
    if query.shape[-1] != key.shape[-1]:
        raise RuntimeError(
            f"Expected query and key to have the same last dimension, but got {query.shape[-1]} "
            f"and {key.shape[-1]}."
        )
    if key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"Expected key and value to have the same length, but got {key.shape[-2]} and "
            f"{value.shape[-2]}."
        )
    if mask is not None and mask.dtype not in (dtypes.bool, dtypes.float32, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {mask.dtype} and  query.dtype: {query.dtype} instead."
        )


def _for_heads(query, other):
    """Keys or values, each head of them repeated for the heads of queries that it serves."""
    if min(query.ndim, other.ndim) < 3:
        raise IndexError(
            "enable_gqa needs heads: Dimension out of range (expected to be in range of "
            f"[-{query.ndim}, {query.ndim - 1}], but got -3)"
        )
    wanted, found = query.shape[-3], other.shape[-3]
    if not found or wanted % found:
        raise RuntimeError(
            f"Number of heads in key and value must divide the number of heads in query: {found} "
            f"and {wanted}"
        )
    if wanted == found:
        return other
    *leading, length, size = other.shape
    spread = ops.expand(ops.unsqueeze(other, -3), (*leading, wanted // found, length, size))
    return ops.flatten(spread, -4, -3)
