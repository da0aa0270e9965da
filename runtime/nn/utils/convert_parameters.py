"""All parameters as one vector, and back."""

from __future__ import annotations

from ...namespace import ops
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """The elements of all parameters one after another, with their graph."""
    return ops.cat([parameter.view(-1) for parameter in parameters])


def vector_to_parameters(vec, parameters):
    """Let each parameter show its part of a vector, whose memory it shares from then on."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected rederive.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = vec[start:end].view(parameter.shape).data
        start = end
