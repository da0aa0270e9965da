"""Another size for a tensor, and results written where the caller says (`out=`)."""

from __future__ import annotations

import warnings

import numpy as np

from . import inplace
from .geometry import as_size, contiguous_strides
from .modes import modes
from .tensor import Tensor

_RESIZED = (
    "An output with one or more elements was resized since it had shape {}, which does not match "
    "the required output shape {}. This behavior is deprecated, and in a future release outputs "
    "will not be resized unless they have zero elements. You can explicitly reuse an out tensor t "
    "by resizing it, inplace, to zero elements with t.resize_(0)."
)


def resize_(self, *sizes, memory_format=None):
    """Change the shape, keeping the first elements; more elements are uninitialised.

    The memory stays the same where it is large enough. Otherwise the tensor gets memory of its
    own: its views, and what it is a view of, keep the old.
    """
    shape = as_size(sizes, "resize_")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: got negative size in {list(shape)}")
    if self._requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    inplace.check(self)
    if shape != self.shape:
        give_shape(self, shape)
    inplace.bump(self)
    return self


def resize_as_(self, the_template, *, memory_format=None):
    """Change the shape to that of another tensor, as `resize_`."""
    return resize_(self, the_template.shape)


def give_shape(t, shape):
    """Another shape over the same memory, or over a larger copy where that is too small."""
    count = shape.numel()
    if t._offset + count > len(t._data):
        grown = np.empty(count, t._data.dtype)
        kept = t._data[t._offset :]
        grown[: len(kept)] = kept
        t._data, t._offset = grown, 0
    t.shape, t._strides = shape, contiguous_strides(shape)
    t._flat = t._data[t._offset : t._offset + count]


def write_out(name, exact, function, out, *args, **kwargs):
    """`function(*args, **kwargs)` written into `out`, a tensor or a tuple of tensors.

    exact: the dtypes must be those of the result, otherwise the result may be converted.
    """
    given = out if isinstance(out, tuple | list) else (out,)
    if not given or not all(isinstance(tensor, Tensor) for tensor in given):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    values = (*given, *args, *kwargs.values())
    if modes.dual_level >= 0 and not modes.inference and any(map(_has_tangent, values)):
        raise NotImplementedError(
            f"Trying to use forward AD with {name}_out that does not support it because it is an "
            "out= function"
        )
    if modes.grad and any(map(_requires_grad, values)):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    result = function(*args, **kwargs)
    several = isinstance(result, tuple)
    if several != isinstance(out, tuple | list) or (several and len(result) != len(given)):
        wanted = f"{len(result)} Tensors" if several else "Tensor"
        raise TypeError(f"{name}(): argument 'out' must be {wanted}, not {type(out).__name__}")
    pairs = list(zip(result if several else (result,), given, strict=True))
    for value, target in pairs:
        _check_out(value, target, exact)
    for value, target in pairs:
        if value.shape != target.shape:
            if target.shape.numel():
                shapes = list(target.shape), list(value.shape)
                warnings.warn(_RESIZED.format(*shapes), UserWarning, stacklevel=3)
            give_shape(target, value.shape)
        inplace.write(target, value)
    return type(result)(given) if several else out


def _check_out(value, target, exact):
    if exact and value.dtype is not target.dtype:
        raise RuntimeError(
            f"Expected out tensor to have dtype {value.dtype}, but got {target.dtype} instead"
        )
    inplace.check_castable(value.dtype, target.dtype)
    if value.shape == target.shape and target._flat is None:
        inplace.check_overlap(target)
    inplace.check(target)


def _requires_grad(value):
    if isinstance(value, Tensor):
        return value._requires_grad
    return isinstance(value, tuple | list) and any(map(_requires_grad, value))


def _has_tangent(value):
    from .autograd.forward_ad import tangent_of

    if isinstance(value, Tensor):
        return tangent_of(value) is not None
    return isinstance(value, tuple | list) and any(map(_has_tangent, value))


def attach():
    """Make these functions methods of Tensor."""
    Tensor.resize_ = resize_
    Tensor.resize_as_ = resize_as_
