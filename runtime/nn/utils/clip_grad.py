"""Limits on gradients, in place: on their common norm, or on each element."""

from __future__ import annotations

import math
import warnings
from types import GeneratorType

from ...autograd.grad_mode import no_grad
from ...factories import tensor as tensor_of
from ...namespace import ops
from ...tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _listed(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters):
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all elements of some tensors together, a 0-d tensor.

    Parameters
    ----------
    norm_type : float
        The order of the norm; `inf` is the largest absolute value.
    error_if_nonfinite : bool
        RuntimeError if the norm is infinite or nan.
    foreach : ignored
        It chooses between implementations in PyTorch.
    """
    tensors, norm_type = _listed(tensors), float(norm_type)
    if not tensors:
        return tensor_of(0.0)
    with no_grad():
        norms = [ops.vector_norm(t.detach(), norm_type) for t in tensors]
        total = ops.vector_norm(ops.stack(norms), norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Multiply all gradients by `max_norm / (total_norm + 1e-6)` if that is less than 1."""
    with no_grad():
        share = ops.clamp_max(float(max_norm) / (total_norm + 1e-6), 1.0)
        for gradient in _gradients(_listed(parameters)):
            gradient.mul_(share)


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale the gradients of `parameters` so that their common norm is at most `max_norm`.

    Returns the norm before; see `get_total_norm` for the arguments.
    """
    generated = isinstance(parameters, GeneratorType)
    parameters = _listed(parameters)
    if generated and not parameters:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Limit each element of the gradients to [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    with no_grad():
        for gradient in _gradients(_listed(parameters)):
            gradient.clamp_(-clip_value, clip_value)
