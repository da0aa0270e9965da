"""How a gradient becomes the `.grad` of a tensor, or is added to it."""

from __future__ import annotations

import os
import threading
from sys import getrefcount

import numpy as np

from . import dtypes, graph, inference
from .geometry import is_permuted
from .kernels.accumulate import add_into, copy_of
from .tensor import from_flat

ndarray = np.ndarray

# Two threads may share leaves. Reentrant: collecting garbage in between may start another pass.
_lock = threading.RLock()


def _renew_lock():
    global _lock
    _lock = threading.RLock()
    for reference in list(graph.watched_leaves.values()):
        leaf = reference()
        if leaf is not None and leaf._extra.accumulating is not None:
            leaf._extra.accumulating = threading.RLock()


# the thread that held it does not exist in the child
os.register_at_fork(after_in_child=_renew_lock)


def tensor_of(gradient, shape):
    """A gradient as a tensor; an array becomes one of `shape` over the same memory."""
    if type(gradient) is ndarray:
        return from_flat(gradient, shape, dtypes.from_numpy_dtype(gradient.dtype))
    return gradient


def accumulate_array(leaf, gradient, owned, others):
    """Add a dense flat array to `leaf.grad`, without a graph: what most backward passes end in.

    owned: nobody else holds the array. others: the gradients of leaves that come next, by leaf.
    """
    flat = leaf._flat
    if gradient.dtype is not leaf.dtype.numpy or flat is None or len(flat) != len(gradient):
        accumulate(leaf, gradient, False, False)
        return
    with _lock:
        try:
            present = leaf._grad
        except AttributeError:
            present = None
        if present is None:
            if not owned or not (_sole_array(gradient.base) or _apart(gradient, others)):
                gradient = copy_of(gradient)
            leaf._grad = from_flat(gradient, leaf.shape, leaf.dtype)
        else:
            _add_into(present, gradient)


def accumulate(tensor, gradient, record, owned):
    """Add a gradient to `tensor.grad`.

    record: the gradient has a graph that shall go on; the sum is then a new tensor, otherwise it
    is made in place. owned: nobody else sees the gradient's memory, so it need not be copied.
    """
    gradient, owned = _fitted(tensor, gradient, owned)
    with _lock:
        present = getattr(tensor, "_grad", None)
        if record:
            from . import operators as ops

            gradient = tensor_of(gradient, tensor.shape)
            if present is not None:
                gradient = ops.add(present, gradient)
            elif not owned:
                gradient = ops.clone(gradient)
            tensor._grad = gradient
        elif present is None:
            if tensor._flat is None and is_permuted(tensor.shape, tensor._strides):
                tensor._grad = _laid_out(gradient, tensor)
                return
            if not owned:
                gradient = _own_copy(gradient)
            tensor._grad = tensor_of(gradient, tensor.shape)
        else:
            _add_into(present, gradient)


def _fitted(tensor, gradient, owned):
    """The gradient in the dtype of the tensor; RuntimeError if it has another shape."""
    if type(gradient) is ndarray:
        if gradient.dtype != tensor.dtype.numpy:
            gradient, owned = gradient.astype(tensor.dtype.numpy), True
        fits, shape = gradient.size == tensor.numel(), (gradient.size,)
    else:
        if gradient.dtype is not tensor.dtype:
            gradient = gradient.to(tensor.dtype)
        fits, shape = gradient.shape == tensor.shape, tuple(gradient.shape)
    if not fits:
        raise RuntimeError(
            f"AccumulateGrad: got a gradient of shape {shape} for a tensor of shape "
            f"{tuple(tensor.shape)}"
        )
    return gradient, owned


def sole(gradient):
    """Whether no other object sees the memory of a gradient that only the caller holds.

    The caller has it in one local variable, as the only reference in the process.
    """
    if getrefcount(gradient) != _references_of_a_caller:
        return False
    if type(gradient) is ndarray:
        return _sole_array(gradient.base)
    flat = gradient._flat
    if flat is None or flat is not gradient._data or gradient._is_view():
        return False
    # held by two slots besides the variable here
    return getrefcount(flat) == ALONE + 2 and _sole_array(flat.base)


def _sole_array(base):
    """Whether the array that owns the memory, if it is another, is seen by one view only."""
    if base is None:
        return True
    if type(base) is not ndarray or base.base is not None or not base.flags.writeable:
        return False
    # the view, the variable of this function, and that of nobody else
    return getrefcount(base) == _references_of_an_argument


def _apart(gradient, others):
    """Whether the leaves share out the array that owns the memory, which nobody else sees.

    As the gradients of what was stacked: each leaf may keep its part and change it. Were some
    elements nobody's, the part would keep them alive. What was found is noted in `others`.
    """
    base = gradient.base
    if type(base) is not ndarray or base.base is not None or not base.flags.writeable:
        return False
    key = ~id(base)  # negative, which no leaf's hash is
    if key in others:
        return True
    parts = [g for g in others.values() if type(g) is ndarray and g.base is base]
    parts.append(gradient)
    # each holds the base; this function's variable and the call of `getrefcount` do, too
    if getrefcount(base) != len(parts) + ALONE:
        return False
    end, places = base.ctypes.data, sorted((g.ctypes.data, g.nbytes) for g in parts)
    for start, size in places:
        if start != end:
            return False
        end += size
    if end != base.ctypes.data + base.nbytes:
        return False
    others[key] = None
    return True


def _count(value):
    return getrefcount(value)


def _measure():
    """What `getrefcount` says in a function, of a variable and of an argument's caller.

    The interpreter decides how many references a call takes, so it is asked.
    """
    value = object()
    return getrefcount(value), _count(value)


# ALONE: what `getrefcount(x)` says of an object that only the local variable x refers to
ALONE, _references_of_a_caller = _measure()


def _argument():
    """What `_sole_array(view.base)` counts when only the view holds the base."""
    view = np.empty(2)[:1]
    return _count(view.base)


_references_of_an_argument = _argument()


def _own_copy(gradient):
    """A dense copy in memory of its own."""
    if type(gradient) is ndarray:
        return copy_of(gradient)
    return gradient._dense() if gradient._flat is None else copy_of(gradient._flat)


def _laid_out(gradient, tensor):
    """A copy that lies in memory as the tensor does, whose elements are dense but permuted."""
    from .factories import empty_strided

    copy = empty_strided(tensor.shape, tensor._strides, dtype=tensor.dtype)
    copy._nd()[...] = tensor_of(gradient, tensor.shape)._nd()
    return copy


def _add_into(present, gradient):
    if inference.used:
        inference.check_inplace(present)
    if present._flat is not None:
        flat = gradient if type(gradient) is ndarray else gradient._dense()
        add_into(present._flat, flat)
    else:
        array = present._nd()
        array += tensor_of(gradient, present.shape)._nd()
    present._counter[0] += 1
