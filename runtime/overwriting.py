"""Methods that overwrite a tensor: copy_, fill_, zero_, and what writing by index shares."""

from __future__ import annotations

import math
import numbers

import numpy as np

from . import dtypes, inplace
from .dispatch import profiled, profiling
from .geometry import broadcast_shapes
from .kernels.accumulate import copy_into, fill
from .modes import modes
from .tensor import Tensor


def copy_(self, src, non_blocking=False):
    """Write the elements of `src`, broadcast and converted, into this tensor; the graph follows."""
    if profiling.on and profiled("copy_", copy_, (self, src)):
        return self
    if (
        type(src) is Tensor
        and self.shape == src.shape
        and self._flat is not None
        and inplace.apart(self, src)
        and not modes.active
        and not inplace.check(self, (src,))
    ):
        copy_into(self._flat, src._flat)
        return inplace.changed(self)
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' must be Tensor, not {type(src).__name__}")
    if broadcast_shapes(self.shape, src.shape) != self.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(self.shape, src.shape))}"
        )
    recorded = inplace.check(self, (src,))
    if self._flat is None:
        inplace.check_overlap(self)
    history = value_history("copy", self, src) if recorded else None
    overwrite(self, src._nd(), src)
    if recorded:
        inplace.rebase(self, history)
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
        recorded = inplace.check(self, (value,))
        inplace.check_overlap(self)
        number = value.item()
    elif not isinstance(value, numbers.Real | np.number | np.bool_):
        raise TypeError(f"fill_(): argument 'value' must be Number, not {type(value).__name__}")
    else:
        recorded = inplace.check(self)
        number = value
    history = value_history("fill", self, value) if recorded else None
    overwrite(self, number, value)
    if recorded:
        inplace.rebase(self, history)
    return self


def zero_(self):
    """Write zeros everywhere."""
    if profiling.on and profiled("zero_", zero_, (self,)):
        return self
    recorded = inplace.check(self)
    overwrite(self, 0)
    if recorded:
        inplace.rebase(self, value_history("zero", self))
    return self


def overwrite(target, value, source=None):
    """Write an array or a number, converted to the target's dtype; no graph is recorded.

    source: the tensor that the values come from, whose tangent the target then has.
    """
    try:
        if isinstance(value, float):
            value = _fitted(value, target.dtype)
        if target._flat is None or isinstance(value, np.ndarray):
            np.copyto(target._nd(), value, casting="unsafe")
        else:
            fill(target._flat, value)
    except OverflowError:
        raise RuntimeError(
            f"value cannot be converted to type {target.dtype.name} without overflow"
        ) from None
    inplace.bump(target)
    if modes.dual_level >= 0:
        from .forward_inplace import move

        move(target, source)


def _fitted(value, dtype):
    """A number as one of the dtype; OverflowError if it is too large."""
    if dtype is dtypes.bool:
        return value != 0
    if not dtype.is_floating_point:
        return int(value)
    if abs(value) > float(np.finfo(dtype.numpy).max) and not math.isinf(value):
        raise OverflowError
    return value


def value_history(name, target, value=None):
    """A tensor with the history that `target` has once `value` was written into all of it.

    value: a tensor, broadcast and converted, or anything else, which has no history.
    """
    tracked = value if isinstance(value, Tensor) and value._requires_grad else None
    result = target.detach()
    # what was in a view gets no gradient through its base
    past = result if target._is_view() else target
    if tracked is not None or past is target:
        inplace.set_history(result, inplace.severed(name, past, tracked), 0)
    return result


def attach():
    """Make these functions methods of Tensor."""
    Tensor.copy_ = copy_
    Tensor.fill_ = fill_
    Tensor.zero_ = zero_
