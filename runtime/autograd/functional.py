"""Jacobians, Hessians and their products with vectors, of functions over tensors.

The functions here are called at once; `rederive.func` has the transformations of functions.
Without `create_graph` what they return is not part of any graph.
"""

from __future__ import annotations

from ..factories import zeros_like
from .functional_checks import (
    as_tuple,
    check_requires_grad,
    check_single,
    check_v,
    filled,
    refuse_forward,
    refuse_independent,
)
from .grad_mode import enable_grad
from .gradients import grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


# --- in and out ----------------------------------------------------------------------------------


def _sources(inputs, create_graph):
    """Inputs that require gradients and are not those of the caller."""
    from .. import operators as ops

    if create_graph:
        return tuple(ops.expand(t, t.shape).requires_grad_() for t in inputs)
    return tuple(t.detach().requires_grad_() for t in inputs)


def _vectors(v, create_graph):
    return v if create_graph else tuple(t.detach() for t in v)


def _outside(values, several, create_graph):
    """What the caller gets: without graph unless there is to be one, a tensor or a tuple."""
    if not create_graph:
        values = tuple(t.detach() for t in values)
    return tuple(values) if several else values[0]


def _gradients(outputs, inputs, cotangents=None, create_graph=False, retain_graph=None):
    """`grad` from those outputs that require gradients; None where nothing depends."""
    if cotangents is None:
        cotangents = (None,) * len(outputs)
    pairs = zip(outputs, cotangents, strict=True)
    used = [(o, c) for o, c in pairs if o is not None and o._requires_grad]
    if not used:
        return (None,) * len(inputs)
    roots, given = zip(*used, strict=True)
    return grad(roots, inputs, given, retain_graph, create_graph, allow_unused=True)


def _call(func, inputs, name):
    """The outputs of the user's function as a tuple, and whether it was one."""
    several, outputs = as_tuple(func(*inputs), "outputs of the user-provided function", name)
    return several, outputs


# --- products with vectors -----------------------------------------------------------------------


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(outputs, the transposed Jacobian of `func` at `inputs` times `v`).

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor or a tuple of tensors.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        Of the shapes of the outputs; may be left out for a single output with one element.
    create_graph : bool
        Make the results differentiable.
    strict : bool
        Raise RuntimeError if an output does not depend on an input, instead of giving zeros.
    """
    with enable_grad():
        several_in, inputs = as_tuple(inputs, "inputs", "vjp")
        inputs = _sources(inputs, create_graph)
        several_out, outputs = _call(func, inputs, "vjp")
        check_requires_grad(outputs, "outputs", strict)
        if v is not None:
            _, v = as_tuple(v, "v", "vjp")
            v = _vectors(v, create_graph)
            check_v(v, outputs, several_out)
        elif len(outputs) != 1 or outputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single "
                "Tensor with a single element."
            )
        found = _gradients(outputs, inputs, v, create_graph)
        product = filled(found, inputs, strict, create_graph, "back")
    return (
        _outside(outputs, several_out, create_graph),
        _outside(product, several_in, create_graph),
    )


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(outputs, the Jacobian of `func` at `inputs` times `v`), by reverse mode used twice.

    v: of the shapes of the inputs; may be left out for a single input with one element. The
    other arguments are those of `vjp`.
    """
    with enable_grad():
        several_in, inputs = as_tuple(inputs, "inputs", "jvp")
        inputs = _sources(inputs, create_graph)
        v = _checked_v(v, inputs, several_in, create_graph, "jvp")
        several_out, outputs = _call(func, inputs, "jvp")
        check_requires_grad(outputs, "outputs", strict)
        # the gradients are linear in these, and the coefficients are the Jacobian
        dummies = [zeros_like(o, requires_grad=o._requires_grad) for o in outputs]
        gradients = _gradients(outputs, inputs, dummies, create_graph=True)
        check_requires_grad(gradients, "grad_inputs", strict)
        found = _push(gradients, dummies, v, create_graph)
        product = filled(found, outputs, strict, create_graph, "back_trick")
    return (
        _outside(outputs, several_out, create_graph),
        _outside(product, several_out, create_graph),
    )


def _push(gradients, dummies, v, create_graph):
    """The derivative of <gradients, v> by the dummies; None for those without gradient."""
    used = [d for d in dummies if d._requires_grad]
    if not used:
        return (None,) * len(dummies)
    found = iter(_gradients(gradients, used, v, create_graph))
    return tuple(next(found) if d._requires_grad else None for d in dummies)


def _checked_v(v, inputs, several, create_graph, name):
    """The vector of `jvp`, `vhp` and `hvp` as a tuple; None stands for a one."""
    if v is not None:
        _, v = as_tuple(v, "v", name)
        v = _vectors(v, create_graph)
        check_v(v, inputs, several)
    elif len(inputs) != 1 or inputs[0].numel() != 1:
        raise RuntimeError(
            "The vector v can only be None if the input to the user-provided function is a single "
            "Tensor with a single element."
        )
    return v


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(output, `v` times the Hessian of `func` at `inputs`); `func` returns one element.

    v: of the shapes of the inputs; may be left out for a single input with one element. The
    other arguments are those of `vjp`.
    """
    with enable_grad():
        several, inputs, v, outputs, gradients = _gradient(
            func, inputs, v, create_graph, strict, "vhp"
        )
        found = _gradients(gradients, inputs, v, create_graph)
        product = filled(found, inputs, strict, create_graph, "double_back")
    return (
        _outside(outputs, False, create_graph),
        _outside(product, several, create_graph),
    )


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(output, the Hessian of `func` at `inputs` times `v`); arguments as for `vhp`.

    Equal to `vhp` where the Hessian is symmetric, which costs less.
    """
    with enable_grad():
        several, inputs, v, outputs, gradients = _gradient(
            func, inputs, v, create_graph, strict, "hvp"
        )
        dummies = [zeros_like(t, requires_grad=True) for t in inputs]
        twice = _gradients(gradients, inputs, dummies, create_graph=True)
        check_requires_grad(gradients, "hessian", strict)
        found = _push(twice, dummies, v, create_graph)
        product = filled(found, inputs, strict, create_graph, "double_back_trick")
    return (
        _outside(outputs, False, create_graph),
        _outside(product, several, create_graph),
    )


def _gradient(func, inputs, v, create_graph, strict, name):
    """What `vhp` and `hvp` begin with: the gradient of `func`, with its graph."""
    several, inputs = as_tuple(inputs, "inputs", name)
    inputs = _sources(inputs, create_graph)
    v = _checked_v(v, inputs, several, create_graph, name)
    is_tuple, outputs = _call(func, inputs, name)
    check_requires_grad(outputs, "outputs", strict)
    check_single(is_tuple, outputs, name)
    gradients = _gradients(outputs, inputs, create_graph=True)
    check_requires_grad(gradients, "jacobian", strict)
    return several, inputs, v, outputs, gradients


# --- whole matrices ------------------------------------------------------------------------------


def jacobian(
    func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"
):
    """The Jacobian of `func` at `inputs`.

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor or a tuple of tensors.
    inputs : Tensor or tuple of Tensor
    create_graph : bool
        Make the result differentiable; reverse mode only.
    strict : bool
        Raise RuntimeError if an output does not depend on an input, instead of giving zeros;
        reverse mode without `vectorize` only.
    vectorize : bool
        Accepted for programs that ask for it, and needed for forward mode. Rows are computed one
        by one all the same.
    strategy : str
        "reverse-mode" or "forward-mode".

    Returns
    -------
    Tensor or nested tuples
        For one output and one input a tensor of the shape of the output followed by that of the
        input; a tuple over the outputs, the inputs, or both (outputs outside) where those are
        tuples.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        refuse_forward(create_graph, strict, vectorize)
        return _by_forward_mode(func, inputs)
    with enable_grad():
        several_in, inputs = as_tuple(inputs, "inputs", "jacobian")
        inputs = _sources(inputs, create_graph)
        several_out, outputs = _call(func, inputs, "jacobian")
        check_requires_grad(outputs, "outputs", strict)
        if strict and vectorize:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
                "supported together. Please either set `strict=False` or `vectorize=False`."
            )
        blocks = tuple(
            _outside(_block(number, output, inputs, create_graph, strict), several_in, create_graph)
            for number, output in enumerate(outputs)
        )
    return blocks if several_out else blocks[0]


def _block(number, output, inputs, create_graph, strict):
    """The Jacobian of one output by each input, row by row."""
    from .. import operators as ops
    from ..func.basis import one_hot

    rows = []
    for i in range(output.numel()):
        found = _gradients([output], inputs, [one_hot(output, i)], create_graph, True)
        if strict:
            refuse_independent(number, found, create_graph)
        rows.append([zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)])
    shapes = [(*output.shape, *t.shape) for t in inputs]
    if not rows:
        return [t.detach().new_zeros(shape) for t, shape in zip(inputs, shapes, strict=True)]
    columns = zip(*rows, strict=True)
    return [ops.reshape(ops.stack(list(c)), s) for c, s in zip(columns, shapes, strict=True)]


def _by_forward_mode(func, inputs):
    from ..func.forward import columns

    several_in, inputs = as_tuple(inputs, "inputs", "jacobian")
    several_out = False

    def flat(*args):
        nonlocal several_out
        several_out, outputs = _call(func, args, "jacobian")
        return outputs

    blocks = columns(flat, inputs)
    blocks = tuple(tuple(row) if several_in else row[0] for row in blocks)
    return blocks if several_out else blocks[0]


def hessian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    outer_jacobian_strategy="reverse-mode",
):
    """The Hessian of `func` at `inputs`: the Jacobian of its gradient.

    func returns one element. outer_jacobian_strategy: how the Jacobian of the gradient, which is
    computed by reverse mode, is computed. The other arguments are those of `jacobian`, and so is
    what is returned, with the inputs in the place of the outputs.
    """
    several, inputs = as_tuple(inputs, "inputs", "hessian")
    forward = outer_jacobian_strategy == "forward-mode"

    def single(*args):
        is_tuple, outputs = _call(func, args, "hessian")
        check_requires_grad(outputs, "outputs", strict)
        check_single(is_tuple, outputs, "hessian")
        return outputs[0]

    def gradient(*args):
        if forward:
            args = tuple(t.requires_grad_() for t in args)
        found = jacobian(single, args, create_graph=True)
        found = tuple(t.reshape(s.shape) for t, s in zip(found, args, strict=True))
        check_requires_grad(found, "jacobian", strict)
        return found

    result = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    if forward:
        result = tuple(tuple(t.detach() for t in row) for row in result)
    return result if several else result[0][0]
