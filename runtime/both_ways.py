"""Functions that tensors have as methods, and methods that exist as functions, too.

What is declared in derivatives.yaml has both forms already; this is about what is written by hand.
"""

from __future__ import annotations

from . import conversion, dtypes, inplace, random
from .namespace import ops
from .overwriting import fill_, zero_
from .tensor import Tensor, need_tensor

# --- functions -----------------------------------------------------------------------------------


def _function(name):
    """The method of this name as a function of a tensor."""
    method = getattr(Tensor, name)

    def function(input):
        need_tensor(name, "input", input)
        return method(input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = method.__doc__
    return function


detach = _function("detach")
detach_ = _function("detach_")
get_device = _function("get_device")
is_complex = _function("is_complex")
is_floating_point = _function("is_floating_point")
is_signed = _function("is_signed")
numel = _function("numel")


def fill(input, value):
    """A new tensor of the shape and dtype of `input` with one value everywhere."""
    return fill_(ops.clone(input), value)


# --- methods -------------------------------------------------------------------------------------


def where(self, condition, other):
    """The elements of this tensor where `condition` holds, those of `other` elsewhere."""
    return ops.where(condition, self, other)


def index_put_(self, indices, values, accumulate=False):
    """Write `values` at the places that index tensors name, one for each dimension, in place.

    With `accumulate` they are added, so that places that are named twice get both.
    """
    indices = _index_tensors(indices)
    need_tensor("index_put_", "values", values)
    if values.dtype is not self.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{self.dtype} for the destination and {values.dtype} for the source."
        )
    if not accumulate:
        self[indices] = values
        return self
    return inplace.inplace("index_put", _index_added, (), self, indices, values)


def index_put(self, indices, values, accumulate=False):
    """A copy of the tensor with `values` written, or added, at places; see `index_put_`."""
    return index_put_(ops.clone(self), indices, values, accumulate)


def _index_tensors(indices):
    if not isinstance(indices, tuple | list):
        raise TypeError(
            "index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    for position, index in enumerate(indices):
        if not isinstance(index, Tensor):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, but got "
                f"{type(index).__name__}"
            )
    return tuple(indices)


def _index_added(self, indices, values):
    from .indexing import index_tensors, plan

    steps = plan(indices, self.shape)
    arrays = steps[-1][1] if steps else [None]
    return ops.index_put_add(self, index_tensors(arrays), values)


# --- types by name -------------------------------------------------------------------------------

TYPES = {
    "DoubleTensor": dtypes.float64,
    "FloatTensor": dtypes.float32,
    "LongTensor": dtypes.int64,
    "IntTensor": dtypes.int32,
    "ShortTensor": dtypes.int16,
    "CharTensor": dtypes.int8,
    "ByteTensor": dtypes.uint8,
    "BoolTensor": dtypes.bool_,
}


def type_(self, dtype=None, non_blocking=False):
    """The name of the tensor's type, or the tensor in a dtype that may be given as such a name."""
    if dtype is None:
        return next(f"rederive.{name}" for name, kind in TYPES.items() if kind is self.dtype)
    if isinstance(dtype, str):
        library, _, name = dtype.rpartition(".")
        if library not in ("torch", "rederive") or name not in TYPES:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = TYPES[name]
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"type(): dtype must be a dtype or a str, not {dtype!r}")
    return conversion.to(self, dtype)


def __pos__(self):
    if self.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return self


def attach():
    """Make the methods methods of Tensor."""
    Tensor.__pos__ = __pos__
    for method in (random.bernoulli, index_put, index_put_, random.multinomial, where):
        setattr(Tensor, method.__name__, method)
    Tensor.type = type_
    for name, kind in {"byte": "uint8", "char": "int8", "short": "int16"}.items():
        setattr(Tensor, name, conversion.converter(getattr(dtypes, kind), name))


FUNCTIONS = {
    function.__name__: function
    for function in (
        detach,
        detach_,
        fill,
        fill_,
        get_device,
        index_put,
        index_put_,
        is_complex,
        is_floating_point,
        is_signed,
        numel,
        zero_,
    )
}
