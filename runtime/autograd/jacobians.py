"""Jacobians of a function over tensors: by differences, by reverse mode, by forward mode.

Used by `gradcheck`, for tensors small enough to write a whole Jacobian down. A Jacobian is an
array of shape (elements of the input, elements of the output), float64. Works on raw memory, so
that it needs no operator to be right but those of the function.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np

from ..tensor import Tensor, from_array
from . import forward_ad


def tensors_of(outputs):
    """The outputs of a function as a tuple, whether it gave one or several."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def differentiable(outputs):
    """The positions of the outputs that have a gradient."""
    return [i for i, o in enumerate(outputs) if isinstance(o, Tensor) and o.requires_grad]


def flat(t):
    """A copy of a tensor's elements as a float64 array of one dimension."""
    return t._nd().astype(np.float64).ravel()


def places_of(outputs, positions):
    """What the functions here take as `places`: position -> (shape, dtype) of an output."""
    return {i: (tuple(outputs[i].shape), outputs[i].dtype) for i in positions}


def _values(function, inputs, places, where):
    """The outputs at `places` as flat float64 arrays; AssertionError if they are of other kinds."""
    outputs = tensors_of(function(*inputs))
    for i, kinds in places.items():
        got = (tuple(outputs[i].shape), outputs[i].dtype)
        for what, one, other in zip(("shape", "dtype"), kinds, got, strict=True):
            if one != other:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are "
                    f"perturbed {where}, but got: {what}s {one} and {other}."
                )
    return [flat(outputs[i]) for i in places]


@contextlib.contextmanager
def _restored(t):
    """The elements of a tensor as a writable array; what was written is undone at the end."""
    array = t._nd()
    original = array.copy()
    try:
        yield array
    finally:
        array[...] = original


def numerical(function, inputs, index, places, eps):
    """The Jacobian of each output at `places` for input `index`, by central differences."""
    with _restored(inputs[index]) as array:
        jacobians = _empty(array.size, places)
        for row, at in enumerate(np.ndindex(array.shape)):
            where = f"on index {at} by {eps}"
            centre = array[at]
            array[at] = centre + eps
            above, x_above = _values(function, inputs, places, where), float(array[at])
            array[at] = centre - eps
            below, x_below = _values(function, inputs, places, where), float(array[at])
            array[at] = centre
            for jacobian, high, low in zip(jacobians, above, below, strict=True):
                jacobian[row] = _quotient(high, low, x_above - x_below)
    return jacobians


def _empty(rows, places):
    return [np.zeros((rows, math.prod(shape))) for shape, _ in places.values()]


def numerical_along(function, inputs, index, direction, places, eps):
    """The derivative of each output when input `index` moves along an array `direction`."""
    with _restored(inputs[index]) as array:
        centre = array.copy()
        array[...] = centre + eps * direction
        above = _values(function, inputs, places, f"by {eps}")
        array[...] = centre - eps * direction
        below = _values(function, inputs, places, f"by {eps}")
    return [_quotient(high, low, 2 * eps) for high, low in zip(above, below, strict=True)]


def _quotient(high, low, width):
    with np.errstate(invalid="ignore", divide="ignore"):
        return (high - low) / width


def reverse(outputs, sources, cotangents):
    """The gradient tensors of `sources` for given `cotangents`; None where there is none.

    cotangents: a flat array or None for each output. The graph is kept.
    """
    from . import grad

    used = [(o, u) for o, u in zip(outputs, cotangents, strict=True) if u is not None]
    tensors = [from_array(u.astype(o.dtype.numpy).reshape(tuple(o.shape))) for o, u in used]
    return grad([o for o, _ in used], sources, tensors, retain_graph=True, allow_unused=True)


def tangents(function, inputs, directions, places):
    """The tangent tensors of the outputs at `places`, None where there is none, and the outputs.

    directions: position of an input -> its tangent as an array; inputs that are left out have no
    tangent. To be called in a level of forward mode.
    """
    moved = list(inputs)
    for index, direction in directions.items():
        t = inputs[index]
        array = np.ascontiguousarray(direction, t.dtype.numpy).reshape(tuple(t.shape))
        moved[index] = forward_ad.make_dual(t, from_array(array))
    outputs = tensors_of(function(*moved))
    chosen = [outputs[i] for i in places]
    return [forward_ad.unpack_dual(o).tangent for o in chosen], chosen


def forward_along(function, inputs, directions, places):
    """The tangents of the outputs at `places` as flat arrays, zeros where there is none."""
    with forward_ad.dual_level():
        return tangent_arrays(function, inputs, directions, places)


def tangent_arrays(function, inputs, directions, places):
    """The same in a level that is open already."""
    pairs = zip(*tangents(function, inputs, directions, places), strict=True)
    return [np.zeros(o.numel()) if t is None else flat(t) for t, o in pairs]


def forward(function, inputs, index, indices, places):
    """The Jacobian of each output at `places` for input `index`, by forward mode.

    indices: the inputs that have tangents; those of the others are zeros.
    """
    directions = {i: np.zeros(inputs[i].numel()) for i in indices}
    rows = []
    for row in range(inputs[index].numel()):
        directions[index] = np.zeros(inputs[index].numel())
        directions[index][row] = 1.0
        rows.append(forward_along(function, inputs, directions, places))
    if not rows:
        return _empty(0, places)
    return [np.stack(columns) for columns in zip(*rows, strict=True)]
