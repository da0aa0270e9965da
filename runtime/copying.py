"""Copies of tensors that keep their identity: deepcopy and pickle."""

import copy

from .dispatch import profiled, profiling
from .inference import new_counter
from .tensor import alias, from_array

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


def take_apart(t):
    """What pickle stores of a leaf: class, elements, whether it requires gradients, attributes."""
    if not t.is_leaf:
        raise RuntimeError("pickle: the tensor has a grad_fn; pickle tensor.detach() instead")
    role = getattr(t, "_role", None)
    made_of = (type(t), t._nd().copy(order="C"), t._requires_grad, role)
    return (put_together, made_of, t.__dict__ or None)


def put_together(cls, array, requires_grad, role):
    """The inverse of `take_apart`."""
    out = alias(from_array(array), new_counter(), cls)
    out._requires_grad = requires_grad
    out._role = role
    return out
