"""Comparisons of whole tensors, which give one Python bool."""

from __future__ import annotations

from .dispatch import profiled, profiling
from .namespace import ops
from .tensor import Tensor, need_tensor


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close, as `isclose` says; RuntimeError if the dtypes differ."""
    need_tensor("allclose", "input", input)
    need_tensor("allclose", "other", other)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    return bool(ops.all(ops.isclose(input, other, rtol, atol, equal_nan)))


def equal(input, other):
    """Whether two tensors have the same shape and elements."""
    if profiling.on and (row := profiled("equal", equal, (input, other))):
        return row[0]
    need_tensor("equal", "input", input)
    need_tensor("equal", "other", other)
    return input.shape == other.shape and bool((input._nd() == other._nd()).all())


def attach():
    """Make these functions methods of Tensor."""
    Tensor.allclose = allclose
    Tensor.equal = equal
