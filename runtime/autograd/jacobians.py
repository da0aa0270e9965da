"""Jacobians of a function over tensors: by differences, by reverse mode, by forward mode.

Used by `gradcheck`, for tensors small enough to write a whole Jacobian down. A Jacobian is an
array of shape (elements of the input, elements of the output), float64. Works on raw memory, so
that it needs no operator to be right but those of the function.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ..tensor import Tensor, from_array
from . import forward_ad


def tensors_of(outputs):
    """The outputs of a function as a tuple, whether it gave one or several."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def differentiable(outputs):
    """The positions of the outputs that have a gradient."""
    return [i for i, o in enumerate(outputs) if isinstance(o, Tensor) and o.requires_grad]


def values(function, inputs, positions):
    """Copies of the outputs at `positions` as float64 arrays without dimensions."""
    outputs = tensors_of(function(*inputs))
    return [outputs[i]._nd().astype(np.float64).ravel() for i in positions]


@contextlib.contextmanager
def restored(t):
    """The elements of a tensor as a writable array; what was written is undone at the end."""
    array = t._nd()
    original = array.copy()
    try:
        yield array
    finally:
        array[...] = original


def numerical(function, inputs, index, positions, eps):
    """The Jacobian of each output at `positions` for input `index`, by central differences."""
    with restored(inputs[index]) as array:
        sizes = [len(v) for v in values(function, inputs, positions)]
        jacobians = [np.zeros((array.size, size)) for size in sizes]
        for row, at in enumerate(np.ndindex(array.shape)):
            centre = array[at]
            array[at] = centre + eps
            above, x_above = values(function, inputs, positions), float(array[at])
            array[at] = centre - eps
            below, x_below = values(function, inputs, positions), float(array[at])
            array[at] = centre
            for jacobian, high, low in zip(jacobians, above, below, strict=True):
                jacobian[row] = _quotient(high, low, x_above - x_below)
    return jacobians


def _quotient(high, low, width):
    with np.errstate(invalid="ignore", divide="ignore"):
        return (high - low) / width


def numerical_along(function, inputs, index, direction, positions, eps):
    """The derivative of each output when input `index` moves along an array `direction`."""
    with restored(inputs[index]) as array:
        centre = array.copy()
        array[...] = centre + eps * direction
        above = values(function, inputs, positions)
        array[...] = centre - eps * direction
        below = values(function, inputs, positions)
    return [_quotient(high, low, 2 * eps) for high, low in zip(above, below, strict=True)]


def reverse(outputs, sources, cotangents):
    """The gradient arrays, float64 without dimensions, of `sources` for given `cotangents`.

    cotangents: a flat array or None for each output. The graph is kept. Also gives the gradient
    tensors, None where there is no dependence. WrongShape if one does not fit its source.
    """
    from . import grad

    used = [(o, u) for o, u in zip(outputs, cotangents, strict=True) if u is not None]
    tensors = [from_array(u.astype(o.dtype.numpy).reshape(tuple(o.shape))) for o, u in used]
    gradients = grad([o for o, _ in used], sources, tensors, retain_graph=True, allow_unused=True)
    _check_shapes(sources, gradients)
    flat = [
        np.zeros(source.numel()) if g is None else g._nd().astype(np.float64).ravel()
        for g, source in zip(gradients, sources, strict=True)
    ]
    return flat, gradients


def analytical(outputs, sources, index, with_zeros):
    """The Jacobians of output `index` for each source, by one reverse pass an element.

    with_zeros: give the other outputs a cotangent of zeros instead of none.
    """
    size = outputs[index].numel()
    jacobians = [np.zeros((source.numel(), size)) for source in sources]
    others = [np.zeros(o.numel()) if with_zeros else None for o in outputs]
    for column in range(size):
        unit = np.zeros(size)
        unit[column] = 1.0
        others[index] = unit
        flat, _ = reverse(outputs, sources, others)
        for jacobian, values_ in zip(jacobians, flat, strict=True):
            jacobian[:, column] = values_
    return jacobians


class WrongShape(Exception):
    """A gradient does not have the shape of its input."""


def _check_shapes(sources, gradients):
    """Raise WrongShape naming the first source whose gradient has another shape."""
    for position, (source, g) in enumerate(zip(sources, gradients, strict=True)):
        if g is not None and tuple(g.shape) != tuple(source.shape):
            raise WrongShape(position, tuple(g.shape), tuple(source.shape))


def forward_along(function, inputs, index, direction, positions):
    """The tangents of the outputs at `positions` for a tangent array of input `index`."""
    t = inputs[index]
    tangent = from_array(np.ascontiguousarray(direction, t.dtype.numpy).reshape(tuple(t.shape)))
    with forward_ad.dual_level():
        moved = list(inputs)
        moved[index] = forward_ad.make_dual(t, tangent)
        outputs = tensors_of(function(*moved))
        tangents = [forward_ad.unpack_dual(outputs[i]).tangent for i in positions]
        return [
            np.zeros(outputs[i].numel()) if t is None else t._nd().astype(np.float64).ravel()
            for i, t in zip(positions, tangents, strict=True)
        ]


def forward(function, inputs, index, positions):
    """The Jacobian of each output at `positions` for input `index`, by forward mode."""
    size = inputs[index].numel()
    rows = []
    for row in range(size):
        unit = np.zeros(size)
        unit[row] = 1.0
        rows.append(forward_along(function, inputs, index, unit, positions))
    if not rows:
        sizes = [len(v) for v in values(function, inputs, positions)]
        return [np.zeros((0, n)) for n in sizes]
    return [np.stack(columns) for columns in zip(*rows, strict=True)]
