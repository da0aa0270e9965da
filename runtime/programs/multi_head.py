"""Attention with several heads: projections, masks, and what the masks and keys are extended by.

Inside, queries, keys and values are (batch, heads, length, elements of a head), and masks are added
to scores of (batch, heads, targets, sources).
"""

from __future__ import annotations

import math
import warnings

from ..factories import zeros
from ..namespace import ops

# --- checks --------------------------------------------------------------------------------------


def _need(holds, message, error=AssertionError):
    if not holds:
        raise error(message)


def _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads):
    """Whether there is a batch; errors for ranks that do not fit it."""
    rank = query.ndim
    _need(
        rank in (2, 3),
        f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor",
    )
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    _need(
        key.ndim == rank and value.ndim == rank,
        f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found {key.ndim}-D and "
        f"{value.ndim}-D tensors respectively",
    )
    if key_padding_mask is not None:
        _need(
            key_padding_mask.ndim == rank - 1,
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but "
            f"found {key_padding_mask.ndim}-D tensor instead",
        )
    if attn_mask is not None:
        _need(
            attn_mask.ndim in (2, 3),
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{attn_mask.ndim}-D tensor instead",
        )
        shape = (num_heads, query.shape[0], key.shape[0])
        _need(
            rank == 3 or attn_mask.ndim == 2 or tuple(attn_mask.shape) == shape,
            f"Expected `attn_mask` shape to be {shape} but got {attn_mask.shape}",
        )
    return rank == 3


def _check_sizes(query, key, value, embed_dim, num_heads, separate):
    _need(
        query.shape[2] == embed_dim,
        f"was expecting embedding dimension of {embed_dim}, but got {query.shape[2]}",
    )
    _need(
        embed_dim % num_heads == 0,
        f"embed_dim {embed_dim} not divisible by num_heads {num_heads}",
    )
    if separate:
        _need(
            key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}",
        )
    else:
        _need(
            key.shape == value.shape,
            f"key shape {key.shape} does not match value shape {value.shape}",
        )


# --- masks ---------------------------------------------------------------------------------------


def added_mask(mask, name, dtype):
    """A mask as numbers that are added to scores: where a bool mask holds, minus infinity."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    _need(
        str(mask.dtype).endswith(".bool"), f"only bool and floating types of {name} are supported"
    )
    return ops.masked_fill(zeros(mask.shape, dtype=dtype), mask, -math.inf)


def warn_of_mixed_masks(key_padding_mask, attn_mask):
    """Say so if one mask is bool and the other floating."""
    if (
        key_padding_mask is not None
        and attn_mask is not None
        and key_padding_mask.dtype is not attn_mask.dtype
    ):
        warnings.warn(
            "Support for mismatched key_padding_mask and attn_mask is deprecated. Use same type "
            "for both instead.",
            stacklevel=3,
        )


def _masks(attn_mask, key_padding_mask, is_causal, need_weights, dtype):
    """Both masks as numbers, and whether the order of the sources replaces the first."""
    _need(
        not is_causal or attn_mask is not None,
        "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
        "method `generate_square_subsequent_mask` to create this mask.",
        RuntimeError,
    )
    warn_of_mixed_masks(key_padding_mask, attn_mask)
    is_causal = is_causal and key_padding_mask is None and not need_weights
    mask = None if is_causal else added_mask(attn_mask, "attn_mask", dtype)
    return mask, added_mask(key_padding_mask, "key_padding_mask", dtype), is_causal


def _extended(mask, added):
    """A mask for as many more sources, which it lets through."""
    return ops.pad(mask, (0, added)) if added and mask is not None else mask


def _over_heads(mask, batch, heads, targets, sources):
    """A mask of scores that broadcasts over (batch, heads, targets, sources)."""
    if mask is None:
        return None
    shape = (targets, sources) if mask.ndim == 2 else (batch * heads, targets, sources)
    _need(
        tuple(mask.shape) == shape,
        f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be {shape}.",
        RuntimeError,
    )
    return mask if mask.ndim == 2 else ops.reshape(mask, (batch, heads, targets, sources))


def _merged(mask, padding, batch, sources):
    """The sum of both masks."""
    if padding is None:
        return mask
    for dim, size in enumerate((batch, sources)):
        _need(
            padding.shape[dim] == size,
            f"Expected key_padded_mask.shape[{dim}] to be {size}, but got {padding.shape[dim]}",
        )
    padding = ops.reshape(padding, (batch, 1, 1, sources))
    return padding if mask is None else mask + padding


# --- projections ---------------------------------------------------------------------------------


def _projected(query, key, value, weights, bias):
    """Queries, keys and values; weights: one for all three, or a list of three."""
    if isinstance(weights, list):
        biases = [None] * 3 if bias is None else ops.chunk(bias, 3)
        parts = zip((query, key, value), weights, biases, strict=True)
        return [_linear(*part) for part in parts]
    size = query.shape[-1]
    if query is key and key is value:
        return ops.split(_linear(query, weights, bias), size, -1)
    if key is value:
        first, rest = ops.split(weights, [size, 2 * size])
        biases = [None] * 2 if bias is None else ops.split(bias, [size, 2 * size])
        both = _linear(key, rest, biases[1])
        return [_linear(query, first, biases[0]), *ops.split(both, size, -1)]
    return _projected(query, key, value, list(ops.chunk(weights, 3)), bias)


def _batch_first(tensor):
    """Whether (length, batch, elements) lies in memory as (batch, length, elements)."""
    return not tensor.is_contiguous() and ops.transpose(tensor, 0, 1).is_contiguous()


def _linear(tensor, weight, bias):
    """A linear layer that leaves elements in the order that they have in memory."""
    if not _batch_first(tensor):
        return ops.linear(tensor, weight, bias)
    return ops.transpose(ops.linear(ops.transpose(tensor, 0, 1), weight, bias), 0, 1)


def _separated(tensor, heads):
    """(length, batch, elements) as (batch, heads, length, elements of a head)."""
    length, batch, size = tensor.shape
    parts = ops.reshape(tensor, (length, batch, heads, size // heads))
    return ops.permute(parts, (1, 2, 0, 3))


def _joined(attended, query):
    """(batch, heads, length, elements of a head) as the queries were, also in memory."""
    length, batch, size = query.shape
    if _batch_first(query):
        parts = ops.reshape(ops.transpose(attended, 1, 2), (batch, length, size))
        return ops.transpose(parts, 0, 1)
    return ops.reshape(ops.permute(attended, (2, 0, 1, 3)), (length, batch, size))


def _static(tensor, name, batch, heads, size):
    """Keys or values that the caller projected: (batch * heads, length, elements of a head)."""
    for dim, wanted in ((0, batch * heads), (2, size)):
        _need(
            tensor.shape[dim] == wanted,
            f"expecting {name}.size({dim}) of {wanted}, but got {tensor.shape[dim]}",
        )
    return ops.reshape(tensor, (batch, heads, *tensor.shape[1:]))


# --- attention -----------------------------------------------------------------------------------


def _weighted(q, k, v, mask, dropout_p):
    """The attended values and the weights that they were summed with."""
    scores = ops.matmul(q * math.sqrt(1 / q.shape[-1]), ops.mT(k))
    weights = ops.softmax(scores if mask is None else scores + mask, -1)
    if dropout_p > 0:
        weights = ops.dropout(weights, dropout_p)
    return ops.matmul(weights, v), weights


def multi_head_attention(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training,
    key_padding_mask,
    need_weights,
    attn_mask,
    use_separate_proj_weight,
    q_proj_weight,
    k_proj_weight,
    v_proj_weight,
    static_k,
    static_v,
    average_attn_weights,
    is_causal,
):
    """The result and the attention weights, or None for these; see the entry."""
    inputs = (query, key, value)
    batched = _check_ranks(*inputs, key_padding_mask, attn_mask, num_heads)
    if not batched:
        inputs = _with_batch(*inputs)
        if key_padding_mask is not None:
            key_padding_mask = ops.unsqueeze(key_padding_mask, 0)
    targets, batch, _ = inputs[0].shape
    masks = _masks(attn_mask, key_padding_mask, is_causal, need_weights, query.dtype)
    _check_sizes(*inputs, embed_dim_to_check, num_heads, use_separate_proj_weight)
    mask = _over_heads(masks[0], batch, num_heads, targets, inputs[1].shape[0])
    weights, named = in_proj_weight, {"in_proj_weight": in_proj_weight}
    if use_separate_proj_weight:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
        named = dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), weights, strict=True))
    for name, weight in named.items():
        message = f"use_separate_proj_weight is {use_separate_proj_weight} but {name} is None"
        _need(weight is not None, message)
    parts = _projected(*inputs, weights, in_proj_bias)
    q, k, v, added = _heads(parts, num_heads, (bias_k, bias_v), (static_k, static_v), add_zero_attn)
    mask = _merged(_extended(mask, added), _extended(masks[1], added), batch, k.shape[2])
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        attended, shares = _weighted(q, k, v, mask, dropout_p)
        shares = ops.mean(shares, 1) if average_attn_weights else shares
    else:
        attended = ops.scaled_dot_product_attention(q, k, v, mask, dropout_p, masks[2])
        shares = None
    result = _linear(_joined(attended, inputs[0]), out_proj_weight, out_proj_bias)
    if batched:
        return result, shares
    return ops.squeeze(result, 1), None if shares is None else ops.squeeze(shares, 0)


def _heads(parts, num_heads, biases, statics, add_zero_attn):
    """Queries, keys and values by heads, and how many sources were added to the keys."""
    q, k, v = parts
    _, batch, size = q.shape
    given = sum(bias is not None for bias in biases)
    _need(given != 1, "bias_k and bias_v: give both or neither")
    if given:
        _need(statics[0] is None, "bias cannot be added to static key.")
        _need(statics[1] is None, "bias cannot be added to static value.")
        k, v = (
            ops.cat([own, ops.expand(bias, (1, batch, size))])
            for own, bias in zip((k, v), biases, strict=True)
        )
    q = _separated(q, num_heads)
    shape = (batch, num_heads, size // num_heads)
    k, v = (
        _separated(own, num_heads) if static is None else _static(static, name, *shape)
        for own, static, name in zip((k, v), statics, ("static_k", "static_v"), strict=True)
    )
    if add_zero_attn:
        k, v = (ops.pad(tensor, (0, 0, 0, 1)) for tensor in (k, v))
    return q, k, v, bool(given) + add_zero_attn


def _with_batch(query, key, value):
    """The inputs as batches of one; those that are the same tensor still are."""
    first = ops.unsqueeze(query, 1)
    second = first if key is query else ops.unsqueeze(key, 1)
    third = first if value is query else second if value is key else ops.unsqueeze(value, 1)
    return first, second, third
