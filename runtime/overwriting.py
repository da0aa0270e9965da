"""Methods that overwrite a tensor: copy_, fill_, zero_."""

from __future__ import annotations

import numbers

import numpy as np

from . import dtypes, inplace
from .dispatch import profiled, profiling
from .geometry import broadcast_shapes
from .modes import modes
from .namespace import ops
from .tensor import Tensor


def copy_(self, src, non_blocking=False):
    """Write the elements of `src`, broadcast and converted, into this tensor; the graph follows."""
    if profiling.on and profiled("copy_", copy_, (self, src)):
        return self
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' must be Tensor, not {type(src).__name__}")
    if broadcast_shapes(self.shape, src.shape) != self.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(self.shape, src.shape))}"
        )
    inplace.check("copy", self, (src,))
    result = None
    if modes.grad and src._requires_grad and self.dtype.is_floating_point:
        result = ops.to(src, self.dtype)
        result = ops.clone(ops.expand(result, self.shape))
    _overwrite(self, src._nd(), result)
    return self


def fill_(self, value):
    """Write one number, or the element of a 0-d tensor, everywhere; the graph follows."""
    if profiling.on and profiled("fill_", fill_, (self, value)):
        return self
    if isinstance(value, Tensor):
        if value.shape:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value.ndim} dimensions."
            )
        return copy_(self, value)
    if not isinstance(value, numbers.Real | np.number | np.bool_):
        raise TypeError(f"fill_(): argument 'value' must be Number, not {type(value).__name__}")
    inplace.check("fill", self)
    _overwrite(self, value, None)
    return self


def zero_(self):
    """Write zeros everywhere."""
    if profiling.on and profiled("zero_", zero_, (self,)):
        return self
    return fill_(self, 0)


def _overwrite(target, value, result):
    """Write and give `target` the history of `result`: none where it is None."""
    memory = target._nd()
    if isinstance(value, float) and not target.dtype.is_floating_point:
        value = value != 0 if target.dtype is dtypes.bool else int(value)
    np.copyto(memory, value, casting="unsafe")
    target._counter[0] += 1
    if result is not None:
        inplace.rebase(target, result)
    elif modes.grad:
        target._requires_grad = False
        target._grad_fn = None


def attach():
    """Make these functions methods of Tensor."""
    Tensor.copy_ = copy_
    Tensor.fill_ = fill_
    Tensor.zero_ = zero_
