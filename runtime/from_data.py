"""Making tensors from Python numbers, nested sequences and NumPy arrays."""

import math
import numbers
import warnings

import numpy as np

from . import dtypes
from .device import check_device
from .dispatch import profiled, profiling
from .geometry import Size, as_int
from .tensor import Tensor, alias, from_array, from_flat

_scalar_shape = Size(())

_COPY_CONSTRUCT = (
    "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
    "sourceTensor.detach().clone().requires_grad_(True), rather than {}(sourceTensor)."
)


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new leaf with a copy of `data`: a number, nested sequences, an array or a tensor.

    Without `dtype`, Python's floats give the default dtype, ints int64, bools bool; arrays and
    tensors keep theirs.
    """
    if device is not None:
        check_device(device)
    if isinstance(data, Tensor):
        warnings.warn(_COPY_CONSTRUCT.format("rederive.tensor"), UserWarning, stacklevel=2)
    return _leaf(to_flat(data, dtype, "tensor"), requires_grad)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A new leaf with a copy of `data`, of the dtype of `self` unless another is given."""
    if device is not None:
        check_device(device)
    if isinstance(data, Tensor):
        warnings.warn(_COPY_CONSTRUCT.format("tensor.new_tensor"), UserWarning, stacklevel=2)
    return _leaf(to_flat(data, dtype or self.dtype, "new_tensor"), requires_grad)


def _leaf(parts, requires_grad):
    t = from_flat(*parts)
    if requires_grad:
        t.requires_grad = True
    return t


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor: itself if it is one of that dtype; arrays share their memory."""
    if device is not None:
        check_device(device)
    wanted = None if dtype is None else dtypes.as_dtype(dtype, "as_tensor")
    if isinstance(data, Tensor):
        if wanted is None or wanted is data.dtype:
            return data
        if data._requires_grad:
            from . import operators as ops

            return ops.to(data, wanted)
    elif isinstance(data, np.ndarray):
        own = dtypes.from_numpy_dtype(data.dtype)
        if wanted is None or wanted is own:
            return from_array(data)
    return from_flat(*to_flat(data, wanted, "as_tensor"))


asarray = as_tensor


def from_numpy(ndarray):
    """A tensor that shares the memory of an array, whose strides must not be negative.

    A read-only array is copied, with a warning: nothing may write to its memory.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    size = dtypes.from_numpy_dtype(ndarray.dtype).itemsize
    if any(stride < 0 for stride in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array with array.copy().)"
        )
    if any(stride % size for stride in ndarray.strides) or not ndarray.flags.aligned:
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size, or its memory is "
            "not aligned. Copy the numpy array to reallocate the memory."
        )
    if not ndarray.flags.writeable:
        warnings.warn(
            "from_numpy: the array is read-only, so its memory is copied and not shared",
            UserWarning,
            stacklevel=2,
        )
    return from_array(ndarray)


# --- data as a flat array ------------------------------------------------------------------


def to_flat(data, dtype, where):
    """(flat array, Size, dtype) with a copy of `data`, converted to `dtype` if it is not None."""
    if profiling.on and (row := profiled(where, to_flat, (data, dtype, where), shown=())):
        return row[0]
    wanted = None if dtype is None else dtypes.as_dtype(dtype, where)
    if type(data) is float and (wanted is None or wanted.is_floating_point):
        wanted = wanted or dtypes.default.dtype
        with np.errstate(over="ignore"):
            return np.full(1, data, wanted.numpy), _scalar_shape, wanted
    if isinstance(data, (Tensor, np.ndarray, np.generic)):
        array = data._nd() if isinstance(data, Tensor) else np.asarray(data)
        own = dtypes.from_numpy_dtype(array.dtype)
    elif isinstance(data, (numbers.Real, list, tuple, range)):
        array, own = _from_python(data, wanted, where)
    elif hasattr(data, "__array__"):
        array = np.asarray(data)
        own = dtypes.from_numpy_dtype(array.dtype)
    elif hasattr(type(data), "__len__") and hasattr(type(data), "__getitem__"):
        if isinstance(data, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        if isinstance(data, dict):
            raise RuntimeError("Could not infer dtype of dict")
        array, own = _from_python([data[i] for i in range(len(data))], wanted, where)
    else:
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    wanted = own if wanted is None else wanted
    shape = Size(array.shape)
    if wanted is own:
        return array.flatten(), shape, wanted
    return array.astype(wanted.numpy).reshape(-1), shape, wanted


def _from_python(data, wanted, where):
    """Numbers or nested sequences of them as (array, dtype)."""
    shape = _measure(data)
    items = []
    _collect(data, shape, 0, items)
    dtype = wanted or _infer(items, where)
    if dtype.category == dtypes.INTEGRAL:
        items = [_integer(item, dtype) for item in items]
    try:
        with np.errstate(over="ignore"):
            array = np.array(items, dtype.numpy)
    except OverflowError:
        raise RuntimeError(
            f"value cannot be converted to type {dtype.name} without overflow"
        ) from None
    return array.reshape(shape), dtype


def _is_sequence(value):
    if isinstance(value, (Tensor, np.ndarray)):
        return bool(value.shape)
    return isinstance(value, (list, tuple, range))


def _measure(data):
    """The shape of nested sequences, following the first element of each."""
    shape = []
    while True:
        if isinstance(data, (Tensor, np.ndarray)):
            return (*shape, *data.shape)
        if not _is_sequence(data):
            return tuple(shape)
        shape.append(len(data))
        if not data:
            return tuple(shape)
        data = data[0]


def _collect(data, shape, dim, items):
    """Append the numbers in `data` to `items`; errors where its nesting is uneven."""
    if dim == len(shape):
        if _is_sequence(data):
            raise TypeError(f"'{type(data).__name__}' object cannot be interpreted as a number")
        items.append(data.item() if isinstance(data, np.ndarray) else data)
        return
    if not _is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[dim]:
        raise ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    if isinstance(data, (Tensor, np.ndarray)):
        array = data._nd() if isinstance(data, Tensor) else data
        if array.shape != tuple(shape[dim:]):
            raise ValueError(
                f"expected a part of shape {list(shape[dim:])} at dim {dim} "
                f"(got {list(array.shape)})"
            )
        # NumPy scalars keep the dtype, which decides that of the result
        items.extend(array.reshape(-1))
    elif dim == len(shape) - 1 and all(type(item) in _plain_numbers for item in data):
        items.extend(data)
    else:
        for item in data:
            _collect(item, shape, dim + 1, items)


_plain_numbers = frozenset((float, int, bool))
_python_dtypes = {bool: dtypes.bool_, int: dtypes.int64}


def _infer(items, where):
    """The dtype of a list of numbers: the promotion of what each is on its own."""
    result = None
    for kind in {_kind(item, where) for item in items}:
        result = kind if result is None else dtypes.promotions[result, kind]
    return result or dtypes.default.dtype


def _kind(item, where):
    kind = type(item)
    if kind is float:
        return dtypes.default.dtype
    found = _python_dtypes.get(kind)
    if found is not None:
        return found
    own = getattr(item, "dtype", None)
    if type(own) is dtypes.dtype:
        return own
    if isinstance(item, np.generic):
        return dtypes.from_numpy_dtype(item.dtype)
    if isinstance(item, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{kind.__name__}'")
    if isinstance(item, numbers.Real):
        return dtypes.scalar_dtype(item)
    raise RuntimeError(f"Could not infer dtype of {kind.__name__}")


def _integer(item, dtype):
    """`item` rounded towards zero, as an int that fits `dtype`."""
    if type(item) is int and -(2**31) <= item < 2**31 and dtype.itemsize >= 4:
        return item
    value = item.item() if isinstance(item, Tensor) else item
    if not math.isfinite(value):
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
    value = int(value)
    limits = np.iinfo(dtype.numpy)
    if dtype is dtypes.int64 and not limits.min <= value <= limits.max:
        raise ValueError("Overflow when unpacking long long")
    if not dtype.is_signed and limits.min - limits.max <= value < 0:
        return value + limits.max + 1  # unsigned numbers wrap around, as PyTorch lets them
    if not limits.min <= value <= limits.max:
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
    return value


# --- Tensor(...) ---------------------------------------------------------------------------


def legacy_tensor(cls, args, device):
    """What `Tensor(...)` makes: sizes give uninitialised memory, one sequence its values."""
    if device is not None:
        check_device(device)
    dtype = dtypes.default.dtype
    if len(args) == 1 and not isinstance(args[0], Size):
        (data,) = args
        if isinstance(data, Tensor):
            if data.dtype is not dtype:
                raise TypeError(
                    f"Tensor: got a tensor of {data.dtype}; {dtype} is required; "
                    "use tensor.to(dtype)"
                )
            return alias(data, data._counter, cls)
        if _is_sequence(data) or isinstance(data, np.ndarray):
            return alias(from_flat(*to_flat(data, dtype, "Tensor")), [0], cls)
    sizes = args[0] if len(args) == 1 and isinstance(args[0], Size) else args
    try:
        shape = Size([as_int(size) for size in sizes]) if args else Size((0,))
    except TypeError:
        wrong = next(size for size in sizes if not isinstance(size, numbers.Integral))
        raise TypeError(f"new(): data must be a sequence (got {type(wrong).__name__})") from None
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
        )
    flat = np.empty(shape.numel(), dtype.numpy)
    return alias(from_flat(flat, shape, dtype), [0], cls)
