"""Conversions of dtype as methods of Tensor: `to`, `float`, `double`, `long`, ..."""

from __future__ import annotations

from numpy import empty

from . import dtypes
from .device import device as device_type
from .kernels.accumulate import copy_into
from .memory_format import row_major
from .modes import modes
from .namespace import ops
from .tensor import Tensor, from_flat


def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None):
    """The tensor in another dtype; itself where nothing changes, unless `copy` is asked for.

    Call it as `to(dtype)`, `to(other)` (its dtype), `to("cpu")` or with keywords.
    """
    for value in args:
        if isinstance(value, dtypes.dtype):
            dtype = value
        elif isinstance(value, Tensor):
            dtype = value.dtype
        elif isinstance(value, str | device_type):
            device = value
        elif value is None or isinstance(value, bool):
            pass  # non_blocking, copy: by position as PyTorch allows
        else:
            raise TypeError(
                f"to() received an invalid argument of type {type(value).__name__}; give a dtype, "
                "a tensor or a device"
            )
    if device is not None and str(device) != "cpu":
        raise RuntimeError(f"to: device is {device}; rederive computes on the cpu")
    row_major(memory_format)
    if dtype is None or dtype is self.dtype:
        return ops.clone(self) if copy else self
    flat = self._flat
    if flat is not None and not (modes.active or (self._requires_grad and modes.grad)):
        out = empty(len(flat), dtype.numpy)
        copy_into(out, flat)
        return from_flat(out, self.shape, dtype)
    # integers have no gradients
    return ops.to(self if dtype.is_floating_point else self.detach(), dtype)


def converter(kind, name):
    def convert(self):
        return to(self, kind)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The tensor as {kind}."
    return convert


def _absent(name, kind):
    def refuse(self, memory_format=None):
        raise NotImplementedError(
            f"{name}(): rederive has no {kind}; its floating dtypes are float32 and float64"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"NotImplementedError: there is no {kind}."
    return refuse


ABSENT = {
    "half": "float16",
    "bfloat16": "bfloat16",
    "chalf": "complex32",
    "cfloat": "complex64",
    "cdouble": "complex128",
}
"""Conversions of PyTorch to dtypes that do not exist here."""


def type_as(self, other):
    """The tensor in the dtype of `other`."""
    return to(self, other.dtype)


def is_tensor(obj):
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def attach():
    """Make the conversions methods of Tensor."""
    Tensor.to = to
    Tensor.type_as = type_as
    names = {
        "float": dtypes.float32,
        "double": dtypes.float64,
        "int": dtypes.int32,
        "long": dtypes.int64,
        "bool": dtypes.bool,
    }
    for name, kind in names.items():
        setattr(Tensor, name, converter(kind, name))
    for name, kind in ABSENT.items():
        setattr(Tensor, name, _absent(name, kind))
