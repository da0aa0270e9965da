"""Copies of tensors that keep their identity: copy, deepcopy and pickle."""

import copy
import warnings
import weakref

from .dispatch import profiled, profiling
from .geometry import Size, is_contiguous
from .inference import new_counter
from .tensor import Tensor, alias, from_flat

_NO_DEEPCOPY = (
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at "
    "the moment."
)


def deep_copy(t, memo):
    """A leaf with copied memory; tensors of one storage still share one afterwards."""
    if profiling.on and (row := profiled("deepcopy", deep_copy, (t, memo), shown=(t,))):
        return row[0]
    if not t.is_leaf:
        raise RuntimeError(_NO_DEEPCOPY)
    out = object.__new__(type(t))
    memo[id(t)] = out
    out._data = data = copy.deepcopy(t._data, memo)
    out._counter = memo.setdefault(id(t._counter), new_counter())
    for slot in ("shape", "_strides", "_offset", "dtype", "_requires_grad"):
        setattr(out, slot, getattr(t, slot))
    out._grad_fn = None
    out._output_nr = 0
    if t._flat is None:
        out._flat = None
    elif t._flat is t._data:
        out._flat = data
    else:
        out._flat = data[t._offset : t._offset + t.shape.numel()]
    out._role = getattr(t, "_role", None)
    if out._role == "parameter":
        # as PyTorch: a copied parameter starts without gradient and without attributes
        return out
    grad = getattr(t, "_grad", None)
    if grad is not None:
        out._grad = copy.deepcopy(grad, memo)
    out.__dict__.update(copy.deepcopy(t.__dict__, memo))
    return out


def shallow_copy(t):
    """A leaf over the same memory: its own `grad` and hooks, the same attributes."""
    _warn_of_hooks(t)
    out = alias(t, t._counter, type(t))
    out._requires_grad = t._requires_grad
    out._role = getattr(t, "_role", None)
    out.__dict__.update(t.__dict__)
    return out


def take_apart(t):
    """What pickle stores of a tensor: its storage, how it shows it, and its attributes.

    Pickle stores an object once, so that tensors of one storage share it afterwards, and its
    version. A computed tensor becomes a leaf, and `grad` is left behind, as in PyTorch.
    """
    _warn_of_hooks(t)
    version = _versions.get(id(t._counter))
    if version is None:
        version = _versions[id(t._counter)] = _Version(t._counter)
    geometry = tuple(t.shape), tuple(t._strides), t._offset
    role = getattr(t, "_role", None)
    parts = (type(t), t._data, version, t.dtype, geometry, t._requires_grad, role)
    return (put_together, parts, t.__dict__ or None)


class _Version:
    """Stands for a version counter in pickles: one of them for each, so that it stays shared."""

    __slots__ = ("__weakref__", "counter")

    def __init__(self, counter):
        self.counter = counter

    def __reduce__(self):
        return (new_counter, ())


_versions = weakref.WeakValueDictionary()
"""By the id of the counter, which each keeps alive; a pickler keeps what it has seen."""


def put_together(cls, data, counter, dtype, geometry, requires_grad, role):
    """The inverse of `take_apart`."""
    if not data.flags.writeable:  # a buffer that pickle was given beside the stream
        data = data.copy()
    out = alias(from_flat(data, Size((len(data),)), dtype), counter, cls)
    shape, out._strides, out._offset = geometry
    out.shape = Size(shape)
    if is_contiguous(out.shape, out._strides):
        count = out.shape.numel()
        whole = count == len(data)
        out._flat = data if whole else data[out._offset : out._offset + count]
    else:
        out._flat = None
    out._requires_grad = requires_grad
    out._role = role
    return out


def _warn_of_hooks(t):
    if type(t) is not Tensor or getattr(t, "_role", None) is not None:
        return  # parameters leave their hooks behind in silence, as PyTorch's do
    if t._grad_fn is not None:
        on_node = getattr(t._grad_fn, "hooks", None)
        hooks = on_node and on_node.outputs.get(t._output_nr)
    else:
        hooks = getattr(getattr(t, "_extra", None), "hooks", None)
    for hook in (hooks or {}).values():
        warnings.warn(
            f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, "
            "remove the hook before the tensor is copied or pickled.",
            UserWarning,
            stacklevel=4,
        )
