"""Gradients: backward, grad, and what checks and extends them."""

from __future__ import annotations

from .. import engine
from ..factories import ones_like, zeros_like
from ..tensor import Tensor
from . import forward_ad
from .function import Function
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "enable_grad",
    "forward_ad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Accumulate the gradients of `tensors` into the `.grad` of the leaves they depend on.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        Roots; a root with more than one element needs its entry of `grad_tensors`.
    grad_tensors : Tensor, None, or sequence of them
        Gradients of the roots, of their shapes.
    retain_graph : bool, optional
        Keep what the graph saved; by default as `create_graph`.
    create_graph : bool
        Record the backward pass, so that it can be differentiated.
    inputs : Tensor or sequence of Tensor, optional
        Accumulate only into these.
    """
    roots = _sequence(tensors)
    gradients = _initial(roots, _sequence(grad_tensors), create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        engine.run(roots, gradients, retain, create_graph)
        return
    inputs = _sequence(inputs)
    if len(inputs) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for tensor in inputs:
        if not tensor._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        # a computed tensor gets its gradient where retained ones do
        tensor.retain_grad()
    found = engine.run(roots, gradients, retain, create_graph, _targets(inputs))
    for tensor in dict.fromkeys(inputs):
        gradient = found.get(_target(tensor))
        if gradient is not None and tensor._grad_fn is None:
            engine.deliver(tensor, gradient, create_graph)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    is_grads_batched=False,
    allow_unused=None,
    materialize_grads=False,
):
    """Gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` is left alone.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensor
    grad_outputs : Tensor, None, or sequence of them
        Gradients of the outputs, of their shapes.
    allow_unused : bool, optional
        Give None for an input that the outputs do not depend on, instead of an error.
    materialize_grads : bool
        Give zeros in its place.
    """
    if is_grads_batched:
        raise NotImplementedError(
            "is_grads_batched needs batching, which does not exist yet; call grad in a loop"
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, sources = _sequence(outputs), _sequence(inputs)
    if not sources:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    gradients = _initial(roots, _sequence(grad_outputs), create_graph)
    for source in sources:
        if not isinstance(source, Tensor):
            raise TypeError(f"inputs must be Tensors, got {type(source).__name__}")
        if not source._requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    retain = create_graph if retain_graph is None else retain_graph
    found = engine.run(roots, gradients, retain, create_graph, _targets(sources))
    result = tuple(found.get(_target(source)) for source in sources)
    if materialize_grads:
        pairs = zip(result, sources, strict=True)
        return tuple(zeros_like(s) if g is None else g for g, s in pairs)
    if not allow_unused:
        for index, gradient in enumerate(result):
            if gradient is None:
                raise RuntimeError(
                    f"The differentiated Tensor at index {index} appears to not have been used in "
                    "the graph. Set allow_unused=True if this is the desired behavior."
                )
    return result


def _sequence(values):
    if isinstance(values, Tensor) or values is None:
        return (values,)
    return tuple(values)


def _target(tensor):
    return (tensor._grad_fn, tensor._output_nr) if tensor._grad_fn is not None else (tensor, 0)


def _targets(tensors):
    return {_target(tensor) for tensor in tensors}


def _initial(roots, given, create_graph):
    """The gradient that each root starts with, checked against the root."""
    if len(given) == 1 and given[0] is None:
        given = given * len(roots)
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    gradients = []
    for index, (root, gradient) in enumerate(zip(roots, given, strict=True)):
        if not isinstance(root, Tensor):
            raise TypeError(f"element {index} of tensors is {type(root).__name__}, not Tensor")
        if not root._requires_grad:
            raise RuntimeError(
                f"element {index} of tensors does not require grad and does not have a grad_fn"
            )
        if gradient is None:
            if root.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            gradient = ones_like(root)
        gradients.append(_checked(root, gradient, index, create_graph))
    return gradients


def _checked(root, gradient, index, create_graph):
    if not isinstance(gradient, Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{index}] has a shape of {gradient.shape} and "
            f"output[{index}] has a shape of {root.shape}."
        )
    if gradient.dtype is not root.dtype:
        gradient = gradient.to(root.dtype)
    return gradient if create_graph else gradient.detach()
