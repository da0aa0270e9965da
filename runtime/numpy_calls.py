"""NumPy's functions called with tensors: `np.sin(t)`, `array + t`, `np.concatenate([t, u])`.

A function with a declared counterpart becomes that operator, so that the graph goes on. Others
compute on the arrays of tensors that no gradient is wanted of, as in PyTorch: universal functions
then give tensors and other functions arrays. A gradient is never lost in silence.
"""

from __future__ import annotations

import numpy as np

from .numpy_names import Unfit, counterparts
from .tensor import Tensor, from_array

# What NumPy's reductions are called as methods of universal functions.
_METHODS = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.logical_and, "reduce"): np.all,
    (np.logical_or, "reduce"): np.any,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "accumulate"): np.cumprod,
}
_WRITING = (np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask)
_PLAIN = {"casting": "same_kind", "order": "K", "subok": True, "where": True, "dtype": None}
_REFUSALS = (TypeError, RuntimeError, ValueError, IndexError, NotImplementedError)


def universal(ufunc, method, inputs, kwargs):
    """`Tensor.__array_ufunc__`."""
    outs = kwargs.pop("out", ())
    for value in (*inputs, *outs):
        if not _takes_part(type(value)):
            return NotImplemented
    name = f"numpy.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
    if method == "at":
        raise TypeError(f"{name} would change an array unseen by autograd; use index_add")
    tracked = _tracked((inputs, kwargs))
    array_out = any(isinstance(out, np.ndarray) for out in outs)
    if array_out and tracked:
        raise TypeError(
            f"{name}: the result requires grad and cannot be written into a numpy.ndarray; write "
            "`a = a + t` for `a += t`, or use t.detach()"
        )
    if not array_out:
        found = _universal_operator(ufunc, method, inputs, kwargs)
        if found is not NotImplemented:
            return _delivered(found, outs[0] if outs else None, name)
    if tracked:
        raise _lost(name)
    if outs:
        kwargs["out"] = tuple(_arrays(out) for out in outs)
    got = getattr(ufunc, method)(*_arrays(inputs), **_arrays(kwargs))
    if outs:
        for out in outs:
            if isinstance(out, Tensor):
                out._counter[0] += 1
        return outs[0] if len(outs) == 1 else outs
    return tuple(map(_wrapped, got)) if isinstance(got, tuple) else _wrapped(got)


def _universal_operator(ufunc, method, inputs, kwargs):
    if method == "__call__":
        if any(kwargs[key] is not _PLAIN.get(key, kwargs) for key in kwargs):
            return NotImplemented
        return _operator(ufunc, inputs, {})
    function = _METHODS.get((ufunc, method))
    if function is None or len(inputs) != 1:
        return NotImplemented
    return _operator(function, inputs, {"axis": 0, **kwargs})


def function(func, types, args, kwargs):
    """`Tensor.__array_function__`."""
    if not all(_takes_part(kind) for kind in types):
        return NotImplemented
    name = f"{func.__module__}.{func.__name__}"
    if func in _WRITING and isinstance(args[0] if args else None, Tensor):
        raise TypeError(
            f"{name} would change the tensor unseen by autograd; use copy_, masked_fill_, an "
            "indexed assignment, or t.detach().numpy()"
        )
    kwargs = dict(kwargs)
    out = kwargs.pop("out", None)
    found = _operator(func, args, kwargs)
    if found is not NotImplemented:
        return _delivered(found, out, name)
    if not _tracked((args, kwargs)):
        got = func(*_arrays(args), **_arrays(kwargs))
        return got if out is None else _delivered(_wrapped(got), out, name)
    # nothing is lost with a result that has no gradient: a shape, a place, a truth value
    try:
        got = func(*_shown(args), **_shown(kwargs))
    except ValueError as error:
        if "read-only" in str(error):
            raise _lost(name) from None
        raise
    if out is not None or _floating(got):
        raise _lost(name)
    return got


def _operator(function, args, kwargs):
    """What the declared counterpart gives; NotImplemented where none takes the call.

    The first that takes it wins: of several some take only vectors or only matrices.
    """
    refusal = None
    for counterpart in counterparts(function):
        try:
            positional, keywords = counterpart.arguments_of(args, kwargs)
            return counterpart.declared.function(*positional, **keywords)
        except Unfit:
            continue
        except _REFUSALS as error:
            refusal = refusal or error
    if refusal is not None and _tracked((args, kwargs)):
        raise refusal
    return NotImplemented


def _delivered(result, out, name):
    """The result, written to `out` if that is given."""
    if out is None:
        return result
    if isinstance(out, Tensor):
        if not np.can_cast(result.dtype.numpy, out.dtype.numpy, "same_kind"):
            raise TypeError(f"{name}: the result is {result.dtype} and out is {out.dtype}")
        try:
            return out.copy_(result)
        except RuntimeError:
            if result.shape == out.shape:
                raise
            raise ValueError(f"{name}: the result is {result.shape}, out {out.shape}") from None
    if result.requires_grad:
        raise TypeError(
            f"{name}: the result requires grad and cannot be written into a numpy.ndarray; leave "
            "`out` away, or use t.detach()"
        )
    np.copyto(out, result._nd(), casting="same_kind")
    return out


def _lost(name):
    return TypeError(
        f"{name} has no counterpart among the declared operators that takes these arguments, and "
        "the gradient would be lost; write it with those there are (`rederive ops` lists them), "
        "or use t.detach() where no gradient is wanted"
    )


def _takes_part(kind):
    """Whether we know what to do with values of a type: it does not want to decide itself."""
    if issubclass(kind, Tensor):
        return True
    plain = np.ndarray.__array_ufunc__
    return getattr(kind, "__array_ufunc__", plain) is plain


# --- tensors inside of arguments -----------------------------------------------------------------


def _mapped(change, value):
    """`value` with `change` made of every tensor and array in its lists, tuples and dicts."""
    if isinstance(value, Tensor | np.ndarray):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(change, item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(change, item) for item in value)
    return value


def _arrays(value):
    return _mapped(lambda item: item._nd() if isinstance(item, Tensor) else item, value)


def _shown(value):
    """Arrays through which nobody can write."""

    def show(item):
        array = (item._nd() if isinstance(item, Tensor) else item).view()
        array.flags.writeable = False
        return array

    return _mapped(show, value)


def _tracked(value):
    """Whether a gradient or a tangent would be lost if only the elements were looked at."""
    found = []

    def look(item):
        if isinstance(item, Tensor):
            extra = getattr(item, "_extra", None)
            if item._requires_grad or (extra is not None and extra.tangent is not None):
                found.append(item)
        return item

    _mapped(look, value)
    return bool(found)


def _floating(value):
    """Whether something with a gradient is in a result: numbers that are not whole."""
    if isinstance(value, dict):
        return any(map(_floating, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_floating, value))
    dtype = getattr(value, "dtype", None)
    return isinstance(value, float | complex) or getattr(dtype, "kind", "b") in "fcO"


def _wrapped(value):
    from .dtypes import of_numpy

    array = np.asarray(value)
    return from_array(array) if array.dtype in of_numpy else value
