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
from math import prod

import numpy as np

from . import dtypes, inplace, overwriting, views
from .dispatch import profiled, profiling
from .factories import zeros
from .geometry import Size
from .graph import begin
from .modes import modes
from .namespace import ops
from .operator import General
from .operator_nodes import TensorNode, fit
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


def plan(key, shape, reading=False):
    """The steps that `t[key]` takes for a tensor of this shape. IndexError as PyTorch's.

    reading: the dimensions of a mask may be made one, which can take a copy. It spares an index
    for each of them.
    """
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
            arrays = _index_arrays(part, shape, source, reading)
            if len(arrays) < _consumes(part):
                steps.append(("flatten", dim, dim + part.ndim - 1))
            _place(indices, dim, arrays)
            source, dim = source + _consumes(part), dim + len(arrays)
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


def _index_arrays(part, shape, dim, merged):
    """The int64 arrays that an index array or a mask stands for, one for each dimension.

    merged: a single one for a mask.
    """
    if part.dtype != np.bool_:
        return [checked_index(part, shape[dim], dim)]
    if part.shape != shape[dim : dim + part.ndim]:
        wrong = next(i for i, size in enumerate(part.shape) if size != shape[dim + i])
        raise IndexError(
            f"The shape of the mask {list(part.shape)} at index {wrong} does not match the shape "
            f"of the indexed tensor {list(shape)} at index {dim + wrong}"
        )
    return [np.flatnonzero(part)] if merged else list(part.nonzero())


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
    elif type(key) is Tensor and key.dtype is dtypes.int64 and key.shape and self.shape:
        return ops.index_along(self, 0, key)
    return read(self, plan(key, self.shape, reading=True))


def read(t, steps):
    """Carry out the steps of a plan with declared operators."""
    if not steps:
        # an alias: a view of everything, so that writing to it is recorded as for any view
        if t.shape:
            return ops.slice(t, 0, 0, t.shape[0], 1)
        return ops.select(ops.unsqueeze(t, 0), 0, 0)
    for name, *arguments in steps:
        if name == "index":
            t = _at(t, index_tensors(arguments[0]))
        else:
            t = getattr(ops, name)(t, *arguments)
    return t


def _at(t, indices):
    """The elements that an index step names; one array goes a shorter way than several."""
    if sum(index is not None for index in indices) == 1:
        return ops.index_along(t, len(indices) - 1, indices[-1])
    return ops.index_each(t, indices)


def index_tensors(indices):
    """The arrays of an index step as tensors, None staying None."""
    return [None if array is None else from_array(np.asarray(array)) for array in indices]


# --- writing -------------------------------------------------------------------------------


def setitem(self, key, value):
    """`self[key] = value`; `value` is broadcast. It is recorded if either requires gradients."""
    if profiling.on and profiled("setitem", setitem, (self, key, value), shown=(self, value)):
        return
    if modes.dual_level >= 0 and not modes.inference:
        _set_dual(self, key, value)
        return
    steps = plan(key, self.shape)
    indices = steps.pop()[1] if steps and steps[-1][0] == "index" else None
    if modes.grad and (self._requires_grad or getattr(value, "_requires_grad", False)):
        target = read(self, steps) if steps else self
        if indices is None:
            _assign(target, value)
        else:
            _put(target, indices, value)
        return
    target = memory_view(self, steps)
    inplace.check(target)
    if indices is None and target._flat is None:
        inplace.check_overlap(target)
    _write(target._nd(), indices, _value_array(value, self.dtype))
    inplace.bump(self)


def _set_dual(self, key, value):
    """`self[key] = value` under forward mode: the values, then the tangent."""
    from .forward import outer_levels
    from .forward_inplace import written_at

    with outer_levels():
        setitem(self, key, value)
    written_at(self, key, value)


def _is_number(value):
    return isinstance(value, (bool, int, float, np.generic))


def _assign(target, value):
    """Overwrite all of a tensor, which is recorded."""
    if _is_number(value):
        inplace.check_overlap(target)
        overwriting.fill_(target, value)
        return
    value = _value_tensor(value, target)
    extra = value.ndim - target.ndim
    if extra > 0 and prod(value.shape[:extra]) == 1:
        value = ops.reshape(value, value.shape[extra:])
    views.expand(value.shape, value._strides, 0, target.shape)
    overwriting.copy_(target, value)


def _value_tensor(value, target):
    if isinstance(value, Tensor):
        return value
    return from_array(np.array(_value_array(value, target.dtype), target.dtype.numpy))


def _put(target, indices, value):
    """Write at index arrays, which is recorded.

    `chosen` holds, for each place of `target`, which element of `value` goes there, or -1.
    """
    if not inplace.check(target, (value,)):
        _write(target._nd(), indices, _value_array(value, target.dtype))
        inplace.bump(target)
        return
    value = _value_tensor(value, target)
    chosen = np.full(target.shape, -1, np.int64)
    _write(chosen, indices, np.arange(value.numel()).reshape(value.shape))
    history = target.detach()
    node = object.__new__(IndexPutBackward0)
    begin(node)
    node.edges = (*_edge(inplace.history_source(target)), *_edge(value))
    node.saved = ()
    node.shape = target.shape
    node.general = General([target.shape, value.shape], [target.dtype, value.dtype], chosen)
    inplace.set_history(history, node, 0)
    _write(target._nd(), indices, value._nd())
    inplace.bump(target)
    inplace.rebase(target, history)


def _edge(t):
    return (t._grad_fn or t, t._output_nr) if t._requires_grad else (None, 0)


class IndexPutBackward0(TensorNode):
    """A tensor in some places of which other values were written: edges to its past and to them.

    Where two values went to one place, the one that stayed gets the gradient.
    """

    __slots__ = ()

    def apply_differentiable(self, grad):
        chosen, general = self.general.details, self.general
        past = written = None
        if self.edges[0] is not None:
            past = ops.masked_fill(grad, from_array(chosen >= 0), 0)
        if self.edges[2] is not None:
            flat = chosen.reshape(-1)
            places = np.flatnonzero(flat >= 0)
            shape = general.input_shapes[1]
            sent = ops.index_along(ops.reshape(grad, (-1,)), 0, from_array(places))
            start = zeros(shape.numel(), dtype=grad.dtype)
            total = ops.index_add(start, 0, from_array(flat[places]), sent)
            written = fit(ops.reshape(total, shape), shape, general.input_dtypes[1])
        return past, written


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
