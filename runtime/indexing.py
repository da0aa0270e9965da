"""Reading and writing with `t[key]`: a pure plan of steps, and its execution.

A key is first turned into steps that know only the shape:

    ("select", dim, index)    ("slice", dim, start, end, step)    ("unsqueeze", dim)
    ("index", indices)        one int64 array or None for each dimension, at most once, last

The steps are then carried out by declared operators when reading, so that the graph is recorded.
As in PyTorch, an integer is a select and not an index array: `t[0, :, [0, 1]]` is
`t[0][:, [0, 1]]`, where NumPy would move the dimension of the array to the front.
"""

import operator
import warnings

import numpy as np

from . import dtypes, views
from .dispatch import profiled, profiling
from .geometry import Size
from .inplace import rebase
from .modes import modes
from .namespace import ops
from .tensor import Tensor, from_array, view_of

_BAD_KEY = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
    "indices (got {})"
)
_SCALAR = (
    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ "
    "to convert a 0-dim tensor to a number"
)


# --- parts of a key ------------------------------------------------------------------------


def _array_of(part):
    """A part of a key as a bool or int64 array; IndexError if it is neither."""
    if isinstance(part, Tensor):
        array = part._nd()
    elif isinstance(part, np.ndarray):
        array = part
    elif isinstance(part, (list, tuple, range)):
        array = _array_of_sequence(part)
    else:
        raise IndexError(_BAD_KEY.format(type(part).__name__))
    if array.dtype == np.int64 or array.dtype == np.bool_:
        return array
    if array.dtype == np.uint8:
        warnings.warn(
            "indexing with dtype rederive.uint8 is now deprecated, please use a dtype "
            "rederive.bool instead.",
            UserWarning,
            stacklevel=4,
        )
        return array != 0
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    raise IndexError("tensors used as indices must be long, int, byte or bool tensors")


def _array_of_sequence(part):
    if not len(part):
        return np.empty(0, np.int64)
    items = [item._nd() if isinstance(item, Tensor) else item for item in part]
    try:
        array = np.array(items)
    except ValueError:
        raise IndexError(f"index: {part} is not rectangular") from None
    if array.dtype.kind not in "biu":
        raise IndexError(_BAD_KEY.format(f"a sequence of {array.dtype}"))
    return array


def _simplify(part):
    """A part of a key as int, bool, slice, None, Ellipsis or an array with dimensions."""
    if part is None or part is Ellipsis or isinstance(part, (slice, int)):
        return part
    if isinstance(part, np.bool_):
        return bool(part)
    if isinstance(part, np.integer):
        return int(part)
    if not isinstance(part, (Tensor, np.ndarray, list, tuple, range)) and hasattr(
        part, "__index__"
    ):
        return operator.index(part)
    array = _array_of(part)
    return array if array.ndim else array.item()


def _consumes(part):
    """How many dimensions of the tensor a simplified part uses up."""
    if isinstance(part, np.ndarray):
        return part.ndim if part.dtype == np.bool_ else 1
    return 0 if part is None or part is Ellipsis or isinstance(part, bool) else 1


# --- the plan ------------------------------------------------------------------------------


def plan(key, shape):
    """The steps that `t[key]` takes for a tensor of this shape. IndexError as PyTorch's."""
    parts = [_simplify(part) for part in (key if isinstance(key, tuple) else (key,))]
    shape = tuple(shape)
    used = sum(map(_consumes, parts))
    if used > len(shape):
        if not shape:
            raise IndexError(_SCALAR)
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    steps, indices = [], []
    source = dim = 0  # the dimension looked at, before and after the steps so far
    open_ = True
    for part in parts:
        if part is Ellipsis:
            if open_:  # a second one stands for no dimension
                source, dim, open_ = source + len(shape) - used, dim + len(shape) - used, False
        elif part is None:
            steps.append(("unsqueeze", dim))
            dim += 1
        elif isinstance(part, bool):
            steps.append(("unsqueeze", dim))
            _place(indices, dim, [np.zeros(int(part), np.int64)])
            dim += 1
        elif isinstance(part, int):
            steps.append(("select", dim, _checked_int(part, shape, source)))
            source += 1
        elif isinstance(part, slice):
            _plan_slice(part, shape[source], dim, steps)
            source, dim = source + 1, dim + 1
        else:
            arrays = _index_arrays(part, shape, source)
            _place(indices, dim, arrays)
            source, dim = source + len(arrays), dim + len(arrays)
    if indices:
        _check_together(indices)
        steps.append(("index", indices))
    return steps


def _plan_slice(part, size, dim, steps):
    if part.step is not None and operator.index(part.step) < 0:
        raise ValueError("step must be greater than zero")
    start, end, step = part.indices(size)
    if (start, end, step) != (0, size, 1):
        steps.append(("slice", dim, start, max(start, end), step))


def _place(indices, dim, arrays):
    indices.extend([None] * (dim - len(indices)))
    indices.extend(arrays)


def _checked_int(index, shape, dim):
    size = shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")
    return index + size if index < 0 else index


def _index_arrays(part, shape, dim):
    """The int64 arrays that an index array or a mask stands for, one for each dimension."""
    if part.dtype != np.bool_:
        return [checked_index(part, shape[dim], dim)]
    if part.shape != shape[dim : dim + part.ndim]:
        wrong = next(i for i, size in enumerate(part.shape) if size != shape[dim + i])
        raise IndexError(
            f"The shape of the mask {list(part.shape)} at index {wrong} does not match the shape "
            f"of the indexed tensor {list(shape)} at index {dim + wrong}"
        )
    return list(part.nonzero())


def checked_index(array, size, dim):
    """`array` with negative numbers counted from the end; IndexError if one is out of bounds."""
    if not array.size:
        return array
    least, most = int(array.min()), int(array.max())
    if least < -size or most >= size:
        if size == 0:
            raise IndexError("index is out of bounds for dimension with size 0")
        wrong = most if most >= size else least
        raise IndexError(f"index {wrong} is out of bounds for dimension {dim} with size {size}")
    return np.where(array < 0, array + size, array) if least < 0 else array


def _check_together(indices):
    arrays = [array for array in indices if array is not None]
    try:
        np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shown = ", ".join(str(list(array.shape)) for array in arrays)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shown}"
        ) from None


# --- reading -------------------------------------------------------------------------------


def getitem(self, key):
    """`self[key]`: a view for integers, slices, None and `...`; a copy for arrays and masks."""
    if type(key) is int:
        for size in self.shape:
            if -size <= key < size:
                return ops.select(self, 0, key)
            break
    return read(self, plan(key, self.shape))


def read(t, steps):
    """Carry out the steps of a plan with declared operators."""
    if not steps:
        # an alias: a view of everything, so that writing to it is recorded as for any view
        if t.shape:
            return ops.slice(t, 0, 0, t.shape[0], 1)
        return ops.select(ops.unsqueeze(t, 0), 0, 0)
    for name, *arguments in steps:
        if name == "index":
            t = ops.index(t, index_tensors(arguments[0]))
        else:
            t = getattr(ops, name)(t, *arguments)
    return t


def index_tensors(indices):
    """The arrays of an index step as tensors, None staying None."""
    return [None if array is None else from_array(np.asarray(array)) for array in indices]


# --- writing -------------------------------------------------------------------------------


def setitem(self, key, value):
    """`self[key] = value`; `value` is broadcast. It is recorded if either requires gradients."""
    if profiling.on and profiled("setitem", setitem, (self, key, value), shown=(self, value)):
        return
    steps = plan(key, self.shape)
    if modes.before_write is not None:
        modes.before_write(self)
    if modes.grad and (self._requires_grad or getattr(value, "_requires_grad", False)):
        _write_recorded(self, steps, value)
        return
    indices = steps.pop()[1] if steps and steps[-1][0] == "index" else None
    target = memory_view(self, steps)
    _write(target._nd(), indices, _value_array(value, self.dtype))
    self._counter[0] += 1


def _write_recorded(t, steps, value):
    """Write and record: the result is a choice, place by place, between `t` and `value`.

    `chosen` holds, for each place of `t`, which element of `value` goes there, or -1 for none.
    """
    _check_recordable(t)
    if not isinstance(value, Tensor):
        value = from_array(np.array(_value_array(value, t.dtype), t.dtype.numpy))
    elif value.dtype is not t.dtype:
        value = ops.to(value, t.dtype)
    chosen = np.full(t.shape, -1, np.int64)
    indices = steps.pop()[1] if steps and steps[-1][0] == "index" else None
    place = memory_view(from_array(chosen), steps)._nd()
    order = np.arange(value.numel()).reshape(value.shape)
    _write(place, indices, order)
    source = ops.index(ops.reshape(value, (-1,)), [from_array(np.maximum(chosen, 0))])
    result = ops.where(from_array(chosen < 0), t, source) if value.numel() else ops.clone(t)
    t._nd()[...] = result._nd()
    t._counter[0] += 1
    rebase(t, result)


def _check_recordable(t):
    """Errors where writing cannot be recorded."""
    if t._requires_grad and t._grad_fn is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )
    if t._is_view():
        from .view_history import check_view

        check_view("setitem", t)


def memory_view(t, steps):
    """The part of the memory of `t` that basic steps lead to, without graph."""
    geometry = (t.shape, t._strides, t._offset)
    for name, *arguments in steps:
        geometry = getattr(views, name)(*geometry, *arguments)
    return view_of(t, *geometry)


def _value_array(value, dtype):
    """What is to be written, as an array or a number that the dtype can take."""
    if isinstance(value, Tensor):
        return value._nd()
    if isinstance(value, (np.ndarray, np.generic)):
        dtypes.from_numpy_dtype(value.dtype)
        return value
    if isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"can't assign a {type(value).__name__} to a rederive.Tensor of {dtype}")


def _write(memory, indices, value):
    """Write into `memory`, at index arrays if there are any."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and memory.dtype.kind != "f":
        value = value.astype(memory.dtype)
    elif isinstance(value, float) and memory.dtype.kind in "iu":
        value = int(value)
    if indices is None:
        key, shape = ..., memory.shape
    else:
        key = tuple(slice(None) if array is None else array for array in indices)
        shape = None
    try:
        memory[key] = value
    except ValueError:
        if shape is None:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(np.shape(value))} cannot be "
                f"broadcast to indexing result of shape {list(memory[key].shape)}"
            ) from None
        views.expand(Size(np.shape(value)), (0,) * np.ndim(value), 0, shape)
        raise


def attach():
    """Make `tensor[key]` and `tensor[key] = value` work."""
    Tensor.__getitem__ = getitem
    Tensor.__setitem__ = setitem
