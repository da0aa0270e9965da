"""What `gradcheck` checks: a function at a point, and the tensors that have derivatives there."""

from __future__ import annotations

import warnings

import numpy as np

from ..geometry import is_permuted
from ..tensor import Tensor
from . import jacobians as jac

SEED = 20240229

_OVERLAP = (
    "gradcheck only supports inputs that are non-overlapping to be able to compute the numerical "
    "gradients correctly. You should call .contiguous on the input before passing it to gradcheck."
)


class GradcheckError(RuntimeError):
    """A gradient is wrong; raised by `gradcheck` and `gradgradcheck`."""


class Case:
    """A function at a point.

    sources: the inputs that require gradients; `indices` are their positions among all inputs.
    outputs: the outputs that do; `positions` are theirs,
    `places` what `jacobians` wants to know of them. `names` are the nodes that made them.
    """

    def __init__(self, func, inputs, eps, atol, rtol):
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.indices = [i for i, value in enumerate(inputs) if is_source(value)]
        self.sources = [inputs[i] for i in self.indices]
        _check_sources(self.indices, self.sources)
        self.results = jac.tensors_of(func(*inputs))
        self.positions = jac.differentiable(self.results)
        self.places = jac.places_of(self.results, self.positions)
        self.outputs = [self.results[i] for i in self.positions]
        self.names = [o.grad_fn.name() if o.grad_fn else "leaf" for o in self.outputs]
        # a generator of its own, so that a failure repeats and the program's is left alone
        self.generator = np.random.default_rng(SEED)

    def cotangents(self):
        """Random gradients of all outputs, as flat arrays."""
        return [self.generator.standard_normal(o.numel()) for o in self.outputs]

    def reverse(self, cotangents):
        """The gradient tensors of the sources, None where there is none.

        GradcheckError if one has another shape than its source.
        """
        gradients = jac.reverse(self.outputs, self.sources, cotangents)
        for index, source, g in zip(self.indices, self.sources, gradients, strict=True):
            if g is not None and g.shape != source.shape:
                raise GradcheckError(
                    f"Analytical gradient has incorrect size: {', '.join(self.names)}: the "
                    f"gradient of input {index} has shape {tuple(g.shape)}; it must have the "
                    f"shape of the input, {tuple(source.shape)}"
                )
        return gradients

    def pulled(self, cotangents):
        """The same as flat arrays in float64, zeros where there is none."""
        pairs = zip(self.reverse(cotangents), self.sources, strict=True)
        return [np.zeros(s.numel()) if g is None else jac.flat(g) for g, s in pairs]

    def reverse_jacobians(self, k, undefined):
        """The Jacobian of output `k` for each source, by one reverse pass for each element.

        undefined: the other outputs get no gradient; zeros otherwise.
        """
        size = self.outputs[k].numel()
        jacobians = [np.zeros((source.numel(), size)) for source in self.sources]
        given = [None if undefined else np.zeros(o.numel()) for o in self.outputs]
        for column in range(size):
            given[k] = np.zeros(size)
            given[k][column] = 1.0
            for jacobian, values in zip(jacobians, self.pulled(given), strict=True):
                jacobian[:, column] = values
        return jacobians


def is_source(value):
    """Whether a value is a tensor that requires gradients."""
    return isinstance(value, Tensor) and value.requires_grad


def _check_sources(indices, sources):
    """Raise or warn about inputs that cannot be checked, or not exactly."""
    if not sources:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )
    for index, source in zip(indices, sources, strict=True):
        if source.dtype.itemsize < 8:
            warnings.warn(
                f"Input #{index} requires gradient and is not a double precision floating point "
                "or complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=4,
            )
        layout = list(zip(source.shape, source.stride(), strict=True))
        if any(size > 1 and stride == 0 for size, stride in layout):
            raise RuntimeError(f"The {index}th input has a dimension with stride 0. {_OVERLAP}")
        if _overlaps(source):
            raise RuntimeError(f"The {index}th input has elements at the same place. {_OVERLAP}")


def _overlaps(t):
    """Whether two elements of a tensor lie at one place in memory."""
    if is_permuted(t.shape, t.stride()) or not t.numel():
        return False
    places = np.zeros(tuple(t.shape), np.int64)
    for size, stride, at in zip(t.shape, t.stride(), np.indices(tuple(t.shape)), strict=True):
        if size > 1:
            places += at * stride
    return len(np.unique(places)) != t.numel()
