"""The checks of `autograd.functional`: what it is given, and what strict mode refuses."""

from __future__ import annotations

from ..factories import zeros_like
from ..tensor import Tensor

_NOT_STRICT = "This is not allowed in strict mode."
_NO_GRADIENT = {
    "outputs": "Output {} of the user-provided function does not require gradients. The outputs "
    "must be computed in a differentiable manner from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {} is independent of the inputs of the "
    f"user-provided function. {_NOT_STRICT}",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided "
    f"function with respect to input {{}} is independent of the input. {_NOT_STRICT} You should "
    "ensure that your function is twice differentiable and that the jacobian depends on the "
    "inputs (this would be violated by a linear function for example).",
    "hessian": "The hessian of the user-provided function with respect to input {} is independent "
    f"of the input. {_NOT_STRICT} You should ensure that your function is three times "
    "differentiable and that the hessian depends on the inputs.",
}
_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the "
    "grad_outputs when using the double backward trick to compute forward mode gradients.",
    "double_back": "The jacobian of the user-provided function is independent of input {}.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in "
    "the grad_jacobian.",
}


def as_tuple(value, what, name):
    """(whether it was one, the tensor or tuple of tensors as a tuple); TypeError otherwise."""
    several = isinstance(value, tuple)
    values = value if several else (value,)
    for index, item in enumerate(values):
        if not isinstance(item, Tensor):
            where = f"the value at index {index}" if several else f"the given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but "
                f"{where} has type {type(item)}."
            )
    return several, values


def check_v(v, others, several):
    """RuntimeError unless `v` has the shapes of the outputs (or inputs) it is multiplied with."""
    if len(v) != len(others):
        if not several:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(others)} but got {len(v)}."
        )
    for index, (vector, other) in enumerate(zip(v, others, strict=True)):
        if vector.shape != other.shape:
            entry = f"Entry {index} in " if several else ""
            raise RuntimeError(
                f"{entry}v has invalid size: should be {other.shape} but got {vector.shape}."
            )


def check_single(is_tuple, outputs, name):
    """RuntimeError unless the function returned one tensor with one element."""
    if is_tuple:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )


def check_requires_grad(values, kind, strict):
    """In strict mode, RuntimeError for a value that does not depend on the inputs."""
    if not strict:
        return
    for index, value in enumerate(values):
        if value is None:
            raise RuntimeError(f"{_INDEPENDENT['back'].format(index)} {_NOT_STRICT}")
        if not value._requires_grad:
            raise RuntimeError(_NO_GRADIENT[kind].format(index))


def filled(gradients, references, strict, create_graph, stage):
    """Zeros in place of None; in strict mode that is an error, as is a result without graph."""
    result = []
    for index, (gradient, reference) in enumerate(zip(gradients, references, strict=True)):
        if gradient is None:
            if strict:
                raise RuntimeError(f"{_INDEPENDENT[stage].format(index)} {_NOT_STRICT}")
            gradient = zeros_like(reference)
        elif strict and create_graph and not gradient._requires_grad:
            raise RuntimeError(_constant("hessian" if "double" in stage else "jacobian", index))
        result.append(gradient)
    return result


def _constant(what, index):
    return (
        f"The {what} of the user-provided function is independent of input {index}. This is not "
        "allowed in strict mode when create_graph=True."
    )


def refuse_independent(number, gradients, create_graph):
    """Strict mode's errors for a row of the Jacobian of output `number`."""
    for index, gradient in enumerate(gradients):
        if gradient is None:
            raise RuntimeError(
                f"Output {number} of the user-provided function is independent of input {index}. "
                f"{_NOT_STRICT}"
            )
        if create_graph and not gradient._requires_grad:
            raise RuntimeError(_constant("jacobian", index))


def refuse_forward(create_graph, strict, vectorize):
    """Errors for what a Jacobian by forward mode cannot do."""
    for name, given, error in (
        ("create_graph", create_graph, NotImplementedError),
        ("strict", strict, RuntimeError),
    ):
        if given:
            raise error(
                f'torch.autograd.functional.jacobian: `{name}=True` and `strategy="forward-mode"` '
                f"are not supported together (yet). Please either set `{name}=False` or "
                '`strategy="reverse-mode"`.'
            )
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is "
            "only implemented for `vectorize=True`."
        )
