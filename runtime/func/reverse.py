"""Transformations by reverse mode: grad, vjp, jacrev."""

from __future__ import annotations

import functools

from ..autograd.grad_mode import enable_grad
from ..autograd.gradients import grad as gradients_of
from ..factories import zeros_like
from ..tensor import Tensor
from ..utils.pytree import tree_flatten, tree_unflatten
from .arguments import Chosen, output_leaves, split_aux
from .basis import one_hot
from .levels import ReverseLevel, separate, transformation


def _pull(level, outputs, inputs, cotangents, retain_graph, create_graph):
    """Gradients of outputs with respect to a level's inputs; zeros where nothing depends."""
    roots = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o._requires_grad]
    if not roots:
        return [zeros_like(t) for t in inputs]
    outputs, cotangents = zip(*roots, strict=True)
    retain = retain_graph or create_graph
    found = gradients_of(outputs, inputs, cotangents, retain, create_graph, allow_unused=True)
    gradients = [zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)]
    return level.release(gradients)


# --- grad ----------------------------------------------------------------------------------------


def grad(func, argnums=0, has_aux=False):
    """A function that returns the gradient of `func`, which returns a scalar tensor.

    Parameters
    ----------
    func : callable
        Returns a tensor with one element and no dimension, or (that, aux) with `has_aux`.
    argnums : int or tuple of ints
        The arguments to differentiate by: tensors, or containers of them. The gradient has the
        structure of the argument; for a tuple it is a tuple.
    has_aux : bool
        The new function returns (gradient, aux).
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


def grad_and_value(func, argnums=0, has_aux=False):
    """As `grad`; the new function returns (gradient, value), or (gradient, (value, aux))."""

    @functools.wraps(func)
    @transformation
    def wrapper(*args, **kwargs):
        level = ReverseLevel()
        chosen = Chosen(argnums, args)
        inputs = [level.take(leaf) for leaf in chosen.leaves]
        with enable_grad():
            output = func(*chosen.replaced(inputs), **kwargs)
        output, aux = split_aux(output, has_aux, "grad_and_value(f)(*args)")
        _check_scalar(output)
        create = level.wants_graph([output])
        found = _pull(level, [output], inputs, [None], False, create) if inputs else []
        gradient, value = chosen.tree(found), level.release(output)
        return gradient, ((value, level.release(aux)) if has_aux else value)

    return wrapper


def _check_scalar(output):
    if not isinstance(output, Tensor):
        raise RuntimeError(
            f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}"
        )
    if output.dim():
        raise RuntimeError(
            "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor "
            f"with {output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
        )


# --- vjp -----------------------------------------------------------------------------------------


@transformation
def vjp(func, *primals, has_aux=False):
    """`func(*primals)`, and a function that multiplies its transposed Jacobian by a vector.

    That function takes a cotangent for the output, of its structure, and returns a tuple with a
    gradient for each of `primals`. It can be called repeatedly. With `has_aux`, `func` returns
    (output, aux) and aux is a third result.
    """
    level = ReverseLevel()
    leaves, spec = tree_flatten(primals)
    inputs = [level.take(leaf) for leaf in leaves]
    with enable_grad():
        output = func(*tree_unflatten(inputs, spec))
    output, aux = split_aux(output, has_aux, "vjp(f, *primals)")
    outputs, output_spec = output_leaves(output, "vjp(f, *primals)")
    if level.wants_graph(outputs):
        outputs = separate(outputs, level)

    @transformation
    def vjp_fn(cotangents, retain_graph=True, create_graph=None):
        given, given_spec = tree_flatten(cotangents)
        if given_spec != output_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {given_spec}, primal output: {output_spec}"
            )
        create = create_graph
        if create is None:
            create = level.wants_graph([*outputs, *given])
        return tree_unflatten(_pull(level, outputs, inputs, given, retain_graph, create), spec)

    value = level.release(output)
    return (value, vjp_fn, level.release(aux)) if has_aux else (value, vjp_fn)


# --- jacrev --------------------------------------------------------------------------------------


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """A function that returns the Jacobian of `func`, row by row by reverse mode.

    For each tensor that `func` returns, the Jacobian has what `grad` would have: for a tensor of
    shape (n, ...) by an argument of shape (m, ...) a tensor of shape (n, ..., m, ...). With
    `has_aux`, `func` returns (output, aux), and the new function (Jacobian, aux).

    chunk_size: how many rows may be computed at once; they are computed one by one.
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    @transformation
    def wrapper(*args, **kwargs):
        level = ReverseLevel()
        chosen = Chosen(argnums, args)
        inputs = [level.take(leaf) for leaf in chosen.leaves]
        with enable_grad():
            output = func(*chosen.replaced(inputs), **kwargs)
        output, aux = split_aux(output, has_aux, "vjp(f, *primals)")
        outputs, spec = output_leaves(output, "vjp(f, *primals)")
        _check_floating(outputs)
        create = level.wants_graph(outputs)
        rows = [chosen.tree(_rows(level, value, inputs, create)) for value in outputs]
        jacobian = tree_unflatten(rows, spec)
        return (jacobian, level.release(aux)) if has_aux else jacobian

    return wrapper


def _check_floating(outputs):
    for value in outputs:
        if not value.dtype.is_floating_point:
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                f"Tensor with dtype {value.dtype}"
            )


def _rows(level, output, inputs, create_graph):
    """The Jacobian of one output by each input."""
    from .. import operators as ops

    count = output.numel()
    if not count or not output._requires_grad:
        return [t.detach().new_zeros((*output.shape, *t.shape)) for t in inputs]
    rows = [
        _pull(level, [output], inputs, [one_hot(output, i)], True, create_graph)
        for i in range(count)
    ]
    columns = zip(*rows, strict=True)
    return [
        ops.reshape(ops.stack(list(column)), (*output.shape, *t.shape))
        for column, t in zip(columns, inputs, strict=True)
    ]
