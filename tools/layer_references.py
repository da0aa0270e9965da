"""References of what layers compute, as `references`, which offers these functions too."""

from __future__ import annotations

from typing import Any

import numpy as np
from rederive.tools import references

__all__ = ["adaptive_avg_pool1d", "avg_pool1d", "group_norm", "max_pool1d", "multi_head_attention"]


def group_norm(
    input: np.ndarray, num_groups: int, weight: Any, bias: Any, eps: float
) -> np.ndarray:
    """Each group of channels of each element of the batch on its own."""
    out = np.empty(input.shape)
    size = input.shape[1] // num_groups
    for number, image in enumerate(input):
        for first in range(0, input.shape[1], size):
            group = image[first : first + size]
            spread = np.sqrt(group.var() + eps)
            out[number, first : first + size] = (group - group.mean()) / spread
    return references.channel_affine(out, weight, bias)


def _plane(size: Any, across: int) -> Any:
    """A size along a line as that of a plane one high."""
    return None if size is None else (across, *np.ravel(size).tolist())


def max_pool1d(
    input: np.ndarray,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil: bool,
    with_indices: bool,
) -> Any:
    """As max_pool2d of planes one high."""
    values, indices = references.max_pool2d(
        input[..., None, :],
        _plane(kernel_size, 1),
        _plane(stride, 1),
        _plane(padding, 0),
        _plane(dilation, 1),
        ceil,
        True,
    )
    values, indices = values[..., 0, :], indices[..., 0, :]
    return (values, indices) if with_indices else values


def avg_pool1d(
    input: np.ndarray, kernel_size: Any, stride: Any, padding: Any, ceil: bool, include: bool
) -> np.ndarray:
    """As avg_pool2d of planes one high."""
    return references.avg_pool2d(
        input[..., None, :],
        _plane(kernel_size, 1),
        _plane(stride, 1),
        _plane(padding, 0),
        ceil,
        include,
        None,
    )[..., 0, :]


def adaptive_avg_pool1d(input: np.ndarray, output_size: Any) -> np.ndarray:
    """As adaptive_avg_pool2d of planes one high."""
    return references.adaptive_avg_pool2d(input[..., None, :], _plane(output_size, 1))[..., 0, :]


def multi_head_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    out_proj_weight: np.ndarray,
    out_proj_bias: Any,
    key_padding_mask: Any,
    attn_mask: Any,
    q_proj_weight: Any,
    k_proj_weight: Any,
    v_proj_weight: Any,
    average: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """One head of one element of the batch after the other; masks are numbers."""
    inputs = [t[:, None] if query.ndim == 2 else t for t in (query, key, value)]
    weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    if in_proj_weight is not None:
        weights = np.split(in_proj_weight, 3)
    biases = [0, 0, 0] if in_proj_bias is None else np.split(in_proj_bias, 3)
    result, shares = np.empty(inputs[0].shape), []
    size = query.shape[-1] // num_heads
    for n in range(inputs[0].shape[1]):
        q, k, v = (t[:, n] @ w.T + b for t, w, b in zip(inputs, weights, biases, strict=True))
        mask = np.zeros((len(q), len(k)))
        mask += 0 if attn_mask is None else attn_mask
        mask += 0 if key_padding_mask is None else key_padding_mask[n]
        nothing = np.zeros((1, 1, q.shape[1]))
        added = [(bias_k, bias_v)] if bias_k is not None else []
        for more_k, more_v in added + [(nothing, nothing)] * add_zero_attn:
            k, v = np.concatenate([k, more_k[0]]), np.concatenate([v, more_v[0]])
            mask = np.concatenate([mask, np.zeros((len(q), 1))], 1)
        attended, own = [], []
        for head in range(num_heads):
            part = slice(head * size, (head + 1) * size)
            scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size) + mask)
            own.append(scores / scores.sum(1, keepdims=True))
            attended.append(own[-1] @ v[:, part])
        result[:, n] = np.concatenate(attended, 1) @ out_proj_weight.T
        result[:, n] += 0 if out_proj_bias is None else out_proj_bias
        shares.append(np.mean(own, 0) if average else np.stack(own))
    if query.ndim == 2:
        return result[:, 0], shares[0]
    return result, np.stack(shares)
