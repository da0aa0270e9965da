"""Rows of a table, and what flows back to them."""

from __future__ import annotations

import numpy as np

from .indexing import add_along, take_along

_UNSIGNED = {np.dtype(np.int64): np.dtype(np.uint64), np.dtype(np.int32): np.dtype(np.uint32)}


def _checked(indices):
    if indices.dtype not in _UNSIGNED:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {indices.dtype} instead (while checking arguments for embedding)"
        )
    return indices


def embedding_rows(weight, indices, padding_idx, scale_grad_by_freq):
    """The rows that `indices` names; the other arguments are for the gradient."""
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    # what is below 0 is large without a sign
    if _checked(indices).size and indices.view(_UNSIGNED[indices.dtype]).max() >= len(weight):
        raise IndexError("index out of range in self")
    return take_along(weight, 0, _flat(indices), indices.shape)


def _flat(indices):
    return np.ascontiguousarray(indices, np.int64).reshape(-1)


def _shares(indices, padding_idx, scale_grad_by_freq, dtype):
    """What part of a gradient each index passes on; None if all pass all of it."""
    if not scale_grad_by_freq:
        if padding_idx < 0:
            return None
        return (indices != padding_idx).astype(dtype) if (indices == padding_idx).any() else None
    often = np.bincount(indices.reshape(-1)) if indices.size else np.zeros(0)
    return ((indices != padding_idx) / np.maximum(often[indices], 1)).astype(dtype)


def embedding_dense_backward(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    """The gradients of all rows: those of one row added in the order of `indices`."""
    shares = _shares(_checked(indices), padding_idx, scale_grad_by_freq, grad_output.dtype)
    given = grad_output if shares is None else grad_output * shares[..., None]
    out = np.zeros((num_weights, grad_output.shape[-1]), grad_output.dtype)
    add_along(out, 0, _flat(indices), given)
    return out


def embedding_shared_rows(weight, indices, padding_idx, scale_grad_by_freq):
    """The adjoint of `embedding_dense_backward`: rows times what part of a gradient they get."""
    rows = np.take(weight, indices, axis=0)
    shares = _shares(indices, padding_idx, scale_grad_by_freq, weight.dtype)
    return rows if shares is None else rows * shares[..., None]


def renormalize(weight, indices, max_norm, norm_type):
    """Scale, in place, the rows named whose norm exceeds `max_norm` down to that norm."""
    named = np.unique(indices)
    if named.size and (named[0] < 0 or named[-1] >= len(weight)):
        raise IndexError("index out of range in self")
    rows = weight[named]
    norms = np.linalg.norm(rows, norm_type, axis=1)
    long = norms > max_norm
    weight[named[long]] = rows[long] * (max_norm / (norms[long] + 1e-7))[:, None]
