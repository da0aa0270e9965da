"""The Tensor: a one-dimensional storage seen through shape, strides and offset.

Owns the object, its construction from memory, and what asks about it or leaves it (item, numpy,
int, ...). Arithmetic and views are declared operators, attached as methods elsewhere; so are
indexing, printing and `new_zeros` and its like, each by the module that owns it.
"""

import warnings
from math import prod

import numpy as np

from . import dtypes, inference, late, view_marks
from .device import cpu, strided
from .geometry import Size, contiguous_strides, is_contiguous, normalize_dim, storage_span

_new = object.__new__

_LARGE = 4096  # elements from which on a strided copy is worth a kernel

_NOT_A_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
    "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead."
)
_NOT_CHANGEABLE = (
    "you can only change requires_grad flags of leaf variables."
    " If you want to use a computed variable in a subgraph that doesn't require differentiation "
    "use var_no_grad = var.detach()."
)
_NO_NUMPY = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."


class Tensor:
    """An array of one dtype that can record what is computed from it.

    `Tensor(2, 3)` is uninitialised memory of that shape, `Tensor([[1, 2]])` those values; both
    have the default dtype. `rederive.tensor` infers the dtype and is what programs should use.
    """

    __slots__ = (
        "__dict__",  # attributes of the user's own
        "__weakref__",
        "_counter",
        "_data",
        "_extra",
        "_flat",
        "_grad",
        "_grad_fn",
        "_mark",
        "_offset",
        "_output_nr",
        "_requires_grad",
        "_role",
        "_strides",
        "_view",
        "dtype",
        "shape",
    )

    # classes that ask for it leave mixed arithmetic to us
    __array_priority__ = 1000

    def __new__(cls, *args, device=None, **kwargs):
        from .from_data import legacy_tensor

        return legacy_tensor(cls, args, device)

    # --- geometry --------------------------------------------------------------------------

    def size(self, dim=None):
        """The shape, or the size of one dimension."""
        if dim is None:
            return self.shape
        return self.shape[normalize_dim(dim, len(self.shape), scalar_ok=False)]

    def stride(self, dim=None):
        """The steps in elements between neighbours along each dimension, or along one."""
        if dim is None:
            return self._strides
        return self._strides[normalize_dim(dim, len(self._strides), scalar_ok=False)]

    def dim(self):
        """The number of dimensions."""
        return len(self.shape)

    @property
    def ndim(self):
        """The number of dimensions."""
        return len(self.shape)

    ndimension = dim

    def numel(self):
        """The number of elements."""
        return self.shape.numel()

    nelement = numel

    def storage_offset(self):
        """Where in the storage the first element lies, in elements."""
        return self._offset

    def is_contiguous(self):
        """Whether the elements lie in row-major order without gaps."""
        return self._flat is not None

    def data_ptr(self):
        """The address of the first element; 0 if there is no element."""
        if 0 in self.shape:
            return 0
        return self._data.ctypes.data + self._offset * self.dtype.itemsize

    def element_size(self):
        """The bytes one element takes."""
        return self.dtype.itemsize

    @property
    def itemsize(self):
        """The bytes one element takes."""
        return self.dtype.itemsize

    @property
    def nbytes(self):
        """The bytes all elements take."""
        return self.shape.numel() * self.dtype.itemsize

    def is_floating_point(self):
        """Whether the dtype is float32 or float64."""
        return self.dtype.is_floating_point

    def is_complex(self):
        """False: there are no complex tensors."""
        return False

    def is_signed(self):
        """Whether the dtype holds negative numbers."""
        return self.dtype.is_signed

    def get_device(self):
        """-1, as PyTorch says for the CPU."""
        return -1

    @property
    def device(self):
        """The CPU."""
        return cpu

    @property
    def layout(self):
        """`rederive.strided`."""
        return strided

    is_cuda = is_sparse = is_meta = is_mkldnn = is_mps = is_quantized = is_xpu = False
    is_nested = False
    is_cpu = True

    # --- memory ----------------------------------------------------------------------------

    def _nd(self):
        """The elements as a NumPy array of the tensor's shape, sharing memory."""
        flat = self._flat
        if flat is not None:
            return flat.reshape(self.shape)
        return strided_array(self._data, self.shape, self._strides, self._offset)

    def _dense(self):
        """The elements as a 1-D array in row-major order; a copy only if they lie otherwise."""
        flat = self._flat
        if flat is not None:
            return flat
        if prod(self.shape) >= _LARGE:
            from .blocks import dense_copy

            return dense_copy(self)
        return strided_array(self._data, self.shape, self._strides, self._offset).ravel()

    # --- the graph -------------------------------------------------------------------------

    @property
    def requires_grad(self):
        """Whether gradients with respect to this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        if not isinstance(value, bool):
            raise RuntimeError("requires_grad must be a bool")
        if not self.is_leaf:
            if not value:
                raise RuntimeError(_NOT_CHANGEABLE)
            return
        if value and not self.dtype.is_floating_point:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if value:
            inference.check_requires_grad(self)
        self._requires_grad, self._grad_fn = value, None
        if len(self._counter) > 1:
            view_marks.follow_leaf(self)

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        """Whether the tensor was not computed by a recorded operator."""
        return self._grad_fn is None or view_marks.shown(self._grad_fn) is None

    @property
    def grad_fn(self):
        """The node that computed this tensor; None for a leaf."""
        return view_marks.shown(self._grad_fn)

    @property
    def output_nr(self):
        """Which output of its node this tensor is."""
        return self._output_nr

    @property
    def grad(self):
        """The accumulated gradient, or None."""
        grad = getattr(self, "_grad", None)
        if grad is None and view_marks.has_node(self) and not self.retains_grad:
            warnings.warn(_NOT_A_LEAF, UserWarning, stacklevel=2)
        return grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            from .grad_checks import check_grad

            check_grad(self, value)
        self._grad = value

    @grad.deleter
    def grad(self):
        self._grad = None

    @property
    def _version(self):
        """How often the storage was written in place."""
        return inference.version(self)

    def is_inference(self):
        """Whether the tensor was made in inference mode."""
        return inference.is_inference(self)

    @property
    def _base(self):
        """The tensor this one is a view of, or None."""
        return getattr(self, "_view", None) if self._is_view() else None

    def _is_view(self):
        # inference tensors do not say what they are views of
        return getattr(self, "_view", None) is not None and not inference.is_inference(self)

    @property
    def retains_grad(self):
        """Whether this computed tensor keeps its gradient."""
        extra = getattr(self, "_extra", None)
        return extra is not None and bool(getattr(extra, "retains_grad", False))

    def retain_grad(self):
        """Keep the gradient of this computed tensor in `grad`. Nothing changes for a leaf."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if view_marks.has_node(self) and not self.retains_grad:
            from . import graph

            graph.retain_grad(self)

    def register_hook(self, hook):
        """Call `hook(grad)` when the gradient is known; what it returns replaces the gradient."""
        from . import graph

        return graph.register_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook):
        """Call `hook(tensor)` after a gradient was accumulated into the `grad` of this leaf."""
        from . import graph

        return graph.register_post_accumulate_grad_hook(self, hook)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Accumulate the gradients of this tensor into the leaves of its graph."""
        late.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self):
        """The same memory and version counter without the graph."""
        return alias(self, self._counter)

    def detach_(self):
        """Take the tensor out of its graph; it becomes a leaf that requires no gradient."""
        if getattr(self, "_view", None) is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._grad_fn = None
        self._output_nr = 0
        self._requires_grad = False
        return self

    @property
    def data(self):
        """The same memory without the graph and with a version counter of its own.

        Assigning a tensor to it lets this one show that tensor's memory, unseen by graphs. There is
        no `set_`: otherwise only `resize_` gives a tensor other memory.
        """
        return alias(self, type(self._counter)((0,)))

    @data.setter
    def data(self, other):
        if not isinstance(other, Tensor):
            raise TypeError(f"data: got {type(other).__name__}; a Tensor is required")
        if self._requires_grad and not other.dtype.is_floating_point:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point"
            )
        for slot in ("_data", "_flat", "shape", "_strides", "_offset", "dtype"):
            setattr(self, slot, getattr(other, slot))

    # --- leaving the tensor ----------------------------------------------------------------

    def item(self):
        """The only element as a Python number."""
        flat = self._flat
        if flat is not None and len(flat) == 1:
            return flat.item()
        if self.shape.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self.shape.numel()} elements cannot be converted to Scalar"
            )
        return self._data.item(self._offset)

    def tolist(self):
        """The elements as nested lists, or as a number for a 0-d tensor."""
        return self._nd().tolist()

    def numpy(self, *, force=False):
        """A NumPy array that shares the memory. With `force`, the graph is left behind first."""
        if self._requires_grad and not force:
            raise RuntimeError(_NO_NUMPY)
        return self._nd()

    def __array__(self, dtype=None, copy=None):
        if self._requires_grad:
            raise RuntimeError(_NO_NUMPY)
        return np.array(self._nd(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        from .numpy_calls import universal

        return universal(ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        from .numpy_calls import function

        return function(func, types, args, kwargs)

    def __dlpack__(self, *, stream=-1, max_version=None, dl_device=None, copy=None):
        from .dlpack import capsule

        return capsule(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self):
        return (1, 0)  # DLPack's number of the CPU

    __hash__ = object.__hash__

    def __deepcopy__(self, memo):
        from .copying import deep_copy

        return deep_copy(self, memo)

    def __copy__(self):
        from .copying import shallow_copy

        return shallow_copy(self)

    def __reduce_ex__(self, protocol):
        from .copying import take_apart

        return take_apart(self)


# --- making tensors ------------------------------------------------------------------------


def from_flat(flat, shape, dtype):
    """A tensor over `flat`, its dense row-major elements: 1-D, of `dtype`, not copied."""
    t = _new(Tensor)
    t._data = t._flat = flat
    t._counter = inference.new_counter() if inference.used else [0]
    t.shape = shape
    t._strides = contiguous_strides(shape)
    t._offset = t._output_nr = 0
    t.dtype = dtype
    t._requires_grad = False
    t._grad_fn = None
    return t


def from_array(array):
    """A tensor over the memory of `array`, without copying where the memory can be used.

    It is copied if a stride is negative or not a whole number of elements, and if the memory is
    read-only or unaligned: kernels are compiled for aligned, writable arrays.
    """
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    dtype = dtypes.from_numpy_dtype(array.dtype)
    flags = array.flags
    if not flags.writeable or not flags.aligned:
        array = array.copy(order="C")
        flags = array.flags
    if flags.c_contiguous:
        return from_flat(array.reshape(-1), Size(array.shape), dtype)
    size = dtype.itemsize
    if min(array.strides) < 0 or any(stride % size for stride in array.strides):
        return from_flat(array.ravel(), Size(array.shape), dtype)
    strides = tuple(stride // size for stride in array.strides)
    return _strided_tensor(array, Size(array.shape), strides, dtype)


def _strided_tensor(array, shape, strides, dtype):
    span = storage_span(shape, strides)
    # this alias reaches just the elements that `array` does, and keeps its owner alive
    data = np.lib.stride_tricks.as_strided(array, (span,), (dtype.itemsize,))
    t = from_flat(data, shape, dtype)
    if is_contiguous(shape, strides):
        return t
    t._strides = strides
    t._flat = None
    return t


def view_of(t, shape, strides, offset):
    """A view of the storage of `t` with another geometry; no graph is recorded.

    shape: a Size. The geometry must lie inside the storage; nothing is checked here.
    """
    v = _new(Tensor)
    data = v._data = t._data
    v._counter = t._counter
    v.shape = shape
    v._strides = strides
    v._offset = offset
    v.dtype = t.dtype
    v._requires_grad = False
    v._grad_fn = None
    v._output_nr = 0
    base = getattr(t, "_view", None)
    if base is None:
        v._view, v._mark = t, None
    else:
        v._view, v._mark = base, t._mark
    if is_contiguous(shape, strides):
        numel = prod(shape)
        v._flat = data if numel == len(data) else data[offset : offset + numel]
    else:
        v._flat = None
    return v


def alias(t, counter, cls=Tensor):
    """A tensor over the same memory with the same geometry, without graph, not a view."""
    out = _new(cls)
    out._data = t._data
    out._counter = counter
    out._flat = t._flat
    out.shape = t.shape
    out._strides = t._strides
    out._offset = t._offset
    out.dtype = t.dtype
    out._requires_grad = False
    out._grad_fn = None
    out._output_nr = 0
    return out


def strided_array(data, shape, strides, offset):
    """The n-d array that a geometry, in elements, shows of the 1-D array `data`."""
    size = data.itemsize
    return np.ndarray(shape, data.dtype, data, offset * size, [stride * size for stride in strides])


def need_tensor(where, name, value):
    """TypeError unless the argument `name` of the function `where` is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{where}(): argument '{name}' must be Tensor, not {type(value).__name__}")
