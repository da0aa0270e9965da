"""Functions that make tensors from sizes: zeros, ones, full, arange, eye and their relatives.

Making them from data (`tensor`, `as_tensor`, `from_numpy`) is in `from_data`, making them at
random in `random`. Both are offered here too, so that this is the one module to look in.
"""

import math
import numbers

import numpy as np

from . import dtypes
from .device import check_device, strided
from .dispatch import profiling
from .from_data import as_tensor, from_numpy, new_tensor, tensor
from .geometry import Size, as_size, contiguous_strides
from .modes import modes
from .tensor import Tensor, alias, from_flat, is_contiguous, view_of

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "new_empty",
    "new_full",
    "new_ones",
    "new_tensor",
    "new_zeros",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]

_CANNOT_REQUIRE_GRAD = "only Tensors of floating point dtype can require gradients"


def finish(flat, shape, dtype, requires_grad):
    """The tensor over `flat`, a leaf; RuntimeError if an integer one shall require gradients."""
    t = from_flat(flat, shape, dtype)
    if profiling.on and modes.profiler is not None:
        modes.profiler.end_factory(t)
    if requires_grad:
        if not dtype.is_floating_point:
            raise RuntimeError(_CANNOT_REQUIRE_GRAD)
        t._requires_grad = True
    return t


def options(where, dtype, device, layout=None, fallback=None):
    """Check what every factory takes, and return the dtype object to use."""
    if profiling.on and modes.profiler is not None:
        modes.profiler.begin_factory(where)
    if device is not None:
        check_device(device)
    if layout is not None and layout is not strided:
        raise RuntimeError(f"{where}: got layout {layout}; rederive.strided is the only one")
    if dtype is None:
        return fallback or dtypes.default.dtype
    return dtypes.as_dtype(dtype, where)


def checked_size(size, where):
    """The varargs of a factory as a Size without negative numbers."""
    if not size:
        raise TypeError(f'{where}() missing 1 required positional arguments: "size"')
    shape = as_size(size, where)
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


def one_size(size, keyword, where):
    """`size=(2, 3)` means what `(2, 3)` does."""
    if keyword is None:
        return checked_size(size, where)
    if size:
        raise TypeError(f"{where}() got multiple values for argument 'size'")
    return checked_size((keyword,), where)


# --- one value everywhere ------------------------------------------------------------------


def empty(
    *sizes, size=None, dtype=None, device=None, layout=None, requires_grad=False, pin_memory=False
):
    """Uninitialised memory of the given size."""
    dtype = options("empty", dtype, device, layout)
    shape = one_size(sizes, size, "empty")
    return finish(np.empty(shape.numel(), dtype.numpy), shape, dtype, requires_grad)


def zeros(
    *sizes, size=None, dtype=None, device=None, layout=None, requires_grad=False, pin_memory=False
):
    """Zeros of the given size, written as varargs or as one sequence."""
    dtype = options("zeros", dtype, device, layout)
    shape = one_size(sizes, size, "zeros")
    return finish(np.zeros(shape.numel(), dtype.numpy), shape, dtype, requires_grad)


def ones(
    *sizes, size=None, dtype=None, device=None, layout=None, requires_grad=False, pin_memory=False
):
    """Ones of the given size, written as varargs or as one sequence."""
    dtype = options("ones", dtype, device, layout)
    shape = one_size(sizes, size, "ones")
    return finish(np.ones(shape.numel(), dtype.numpy), shape, dtype, requires_grad)


def fill_number(value, where):
    """A fill value as a Python number: numbers and 0-d tensors are taken."""
    if isinstance(value, Tensor) and not value.shape:
        return value.item()
    if isinstance(value, (numbers.Real, np.bool_)):
        return value
    raise TypeError(
        f"{where}(): argument 'fill_value' (position 2) must be Number, not {type(value).__name__}"
    )


def number_dtype(value):
    """The dtype of a new tensor holding a number: bool, int64 or the default dtype."""
    if isinstance(value, Tensor):
        return value.dtype
    return dtypes.scalar_dtype(value)


def filled(numel, value, dtype):
    """A flat array of `numel` times `value`; RuntimeError if an integer dtype cannot hold it."""
    if dtype.category == dtypes.INTEGRAL:
        limits = np.iinfo(dtype.numpy)
        if not math.isfinite(value) or not limits.min <= int(value) <= limits.max:
            raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
        value = int(value)
    return np.full(numel, value, dtype.numpy)


def full(
    size, fill_value, *, dtype=None, device=None, layout=None, requires_grad=False, pin_memory=False
):
    """`fill_value` everywhere; its kind decides the dtype if none is given."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    shape = checked_size((size,), "full")
    value = fill_number(fill_value, "full")
    dtype = options("full", dtype, device, layout, number_dtype(fill_value))
    return finish(filled(shape.numel(), value, dtype), shape, dtype, requires_grad)


# --- like another tensor -------------------------------------------------------------------


def like_strides(input):
    """The strides PyTorch gives a new tensor like `input`: dense, in the same memory order.

    None means contiguous, which it also is if `input` has overlapping elements in no clear order.
    """
    if input._flat is not None:
        return None
    order = sorted(
        range(len(input.shape)), key=lambda dim: (input._strides[dim], -dim), reverse=True
    )
    if any(input._strides[dim] == 0 and input.shape[dim] > 1 for dim in order):
        repeated = [dim for dim in range(len(order)) if input._strides[dim] == 0]
        order = repeated + [dim for dim in order if dim not in repeated]
    sizes = tuple(input.shape[dim] for dim in order)
    strides = [0] * len(order)
    for dim, stride in zip(order, contiguous_strides(sizes), strict=True):
        strides[dim] = stride
    return tuple(strides)


def like(where, input, make, dtype, device, layout, requires_grad):
    """A tensor with the shape, memory order and, by default, dtype of `input`.

    make: called with the number of elements and the dtype; returns the flat array.
    """
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{where}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    dtype = options(where, dtype, device, layout, input.dtype)
    out = finish(make(input.shape.numel(), dtype), input.shape, dtype, requires_grad)
    strides = like_strides(input)
    return out if strides is None else restride(out, strides)


def restride(t, strides):
    """`t`, whose elements are all alike or not yet of interest, with other dense strides."""
    out = alias(t, t._counter)
    out._requires_grad = t._requires_grad
    out._strides = strides
    if not is_contiguous(out.shape, strides):
        out._flat = None
    return out


def empty_like(
    input, *, dtype=None, device=None, layout=None, requires_grad=False, memory_format=None
):
    """Uninitialised memory with the shape and dtype of `input`."""
    make = _empty_flat
    return like("empty_like", input, make, dtype, device, layout, requires_grad)


def zeros_like(
    input, *, dtype=None, device=None, layout=None, requires_grad=False, memory_format=None
):
    """Zeros with the shape and dtype of `input`."""
    return like("zeros_like", input, _zeros_flat, dtype, device, layout, requires_grad)


def ones_like(
    input, *, dtype=None, device=None, layout=None, requires_grad=False, memory_format=None
):
    """Ones with the shape and dtype of `input`."""
    return like("ones_like", input, _ones_flat, dtype, device, layout, requires_grad)


def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    memory_format=None,
):
    """`fill_value` everywhere, with the shape and dtype of `input`."""
    value = fill_number(fill_value, "full_like")

    def make(numel, dtype):
        return filled(numel, value, dtype)

    return like("full_like", input, make, dtype, device, layout, requires_grad)


def _empty_flat(numel, dtype):
    return np.empty(numel, dtype.numpy)


def _zeros_flat(numel, dtype):
    return np.zeros(numel, dtype.numpy)


def _ones_flat(numel, dtype):
    return np.ones(numel, dtype.numpy)


def empty_strided(size, stride, *, dtype=None, device=None, layout=None, requires_grad=False):
    """Uninitialised memory with the given strides."""
    from .views import as_strided

    shape, strides, _ = as_strided(Size(()), (), 0, size, stride)
    dtype = options("empty_strided", dtype, device, layout)
    span = 1 + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    flat = np.empty(0 if 0 in shape else span, dtype.numpy)
    whole = finish(flat, Size(flat.shape), dtype, False)
    out = alias(view_of(whole, shape, strides, 0), whole._counter)
    return out.requires_grad_() if requires_grad else out


# --- methods of a tensor -------------------------------------------------------------------


def new_empty(self, *sizes, size=None, dtype=None, device=None, requires_grad=False, layout=None):
    """Uninitialised memory of the given size and the dtype of `self`."""
    dtype = options("new_empty", dtype, device, layout, self.dtype)
    shape = one_size(sizes, size, "new_empty")
    return finish(_empty_flat(shape.numel(), dtype), shape, dtype, requires_grad)


def new_zeros(self, *sizes, size=None, dtype=None, device=None, requires_grad=False, layout=None):
    """Zeros of the given size and the dtype of `self`."""
    dtype = options("new_zeros", dtype, device, layout, self.dtype)
    shape = one_size(sizes, size, "new_zeros")
    return finish(_zeros_flat(shape.numel(), dtype), shape, dtype, requires_grad)


def new_ones(self, *sizes, size=None, dtype=None, device=None, requires_grad=False, layout=None):
    """Ones of the given size and the dtype of `self`."""
    dtype = options("new_ones", dtype, device, layout, self.dtype)
    shape = one_size(sizes, size, "new_ones")
    return finish(_ones_flat(shape.numel(), dtype), shape, dtype, requires_grad)


def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None):
    """`fill_value` everywhere, of the given size and the dtype of `self`."""
    dtype = options("new_full", dtype, device, layout, self.dtype)
    return full(size, fill_value, dtype=dtype, requires_grad=requires_grad)


# --- sequences -----------------------------------------------------------------------------


def _plain(value):
    """A bound of a range as a Python number; 0-d tensors and NumPy scalars are taken."""
    return value.item() if isinstance(value, (Tensor, np.generic)) else value


def arange(
    start=None,
    end=None,
    step=1,
    *,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    pin_memory=False,
):
    """Numbers from `start` (0 if only one bound is given) to `end`, exclusive, `step` apart.

    int64 if all three are integers, else the default dtype.
    """
    if end is None:
        start, end = 0, start
    elif start is None:
        start = 0
    start, end, step = _plain(start), _plain(end), _plain(step)
    if not all(isinstance(value, numbers.Real) for value in (start, end, step)):
        raise TypeError("arange: start, end and step must be numbers, and at least end be given")
    integral = all(isinstance(value, numbers.Integral) for value in (start, end, step))
    dtype = options("arange", dtype, device, layout, dtypes.int64 if integral else None)
    if dtype.category == dtypes.BOOLEAN:
        raise NotImplementedError("arange: not implemented for dtype rederive.bool")
    if dtype.category == dtypes.INTEGRAL:
        _check_range(start, end, step)
        start, end, step = math.trunc(start), math.trunc(end), math.trunc(step)
    count = _range_count(start, end, step)
    steps = np.arange(count, dtype=np.float64 if dtype.is_floating_point else np.int64)
    flat = (start + steps * step).astype(dtype.numpy, copy=False)
    return finish(flat, Size((count,)), dtype, requires_grad)


def _check_range(start, end, step):
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not math.isfinite(start) or not math.isfinite(end):
        raise RuntimeError(f"unsupported range: {start} -> {end}")


def _range_count(start, end, step):
    _check_range(start, end, step)
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        return -((start - end) // step)
    return math.ceil((end - start) / step)


def _bound(value, where):
    """A bound of linspace or logspace as a Python number."""
    if isinstance(value, Tensor) and value.shape:
        raise RuntimeError(
            f"{where} only supports 0-dimensional start and end tensors, "
            f"but got start with {len(value.shape)} dimension(s)."
        )
    return _plain(value)


def _spaced(start, end, steps, dtype):
    """`steps` float64 numbers from `start` to `end`, computed from both ends as PyTorch does."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if steps == 1:
        return np.array([start], np.float64)
    if dtype.category == dtypes.INTEGRAL:
        start, end = math.trunc(start), math.trunc(end)
    step = (end - start) / max(steps - 1, 1)
    i = np.arange(steps, dtype=np.float64)
    return np.where(i < steps // 2, start + step * i, end - step * (steps - 1 - i))


def linspace(
    start,
    end,
    steps,
    *,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    pin_memory=False,
):
    """`steps` numbers, evenly spaced from `start` to `end`, both included."""
    dtype = options("linspace", dtype, device, layout)
    steps = int(as_size((steps,), "linspace", "steps")[0])
    values = _spaced(_bound(start, "linspace"), _bound(end, "linspace"), steps, dtype)
    return finish(values.astype(dtype.numpy), Size((steps,)), dtype, requires_grad)


def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    pin_memory=False,
):
    """`base` to the power of `steps` numbers evenly spaced from `start` to `end`."""
    dtype = options("logspace", dtype, device, layout)
    steps = int(as_size((steps,), "logspace", "steps")[0])
    powers = _spaced(_bound(start, "logspace"), _bound(end, "logspace"), steps, dtypes.float64)
    values = np.power(float(base), powers)
    return finish(values.astype(dtype.numpy), Size((steps,)), dtype, requires_grad)


def eye(n, m=None, *, dtype=None, device=None, layout=None, requires_grad=False, pin_memory=False):
    """The n by m matrix (n by n if m is not given) with ones on its diagonal."""
    m = n if m is None else m
    for name, size in (("n", n), ("m", m)):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    dtype = options("eye", dtype, device, layout)
    flat = np.eye(n, m, dtype=dtype.numpy).reshape(-1)
    return finish(flat, Size((n, m)), dtype, requires_grad)


Tensor.new_empty = new_empty
Tensor.new_zeros = new_zeros
Tensor.new_ones = new_ones
Tensor.new_full = new_full
Tensor.new_tensor = new_tensor
