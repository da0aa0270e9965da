"""Forward mode through custom Functions: their `jvp`, level by level."""

from __future__ import annotations

import numpy as np

from ..forward import outer_levels
from ..modes import modes
from ..tensor import Tensor, from_flat
from .custom_node import type_name
from .forward_ad import check_tangent, set_tangent, tangent_of

_NOT_IN_PLACE = (
    "An inplace custom Function is not modifying the forward mode gradients inplace. If the "
    "forward is modifying an input inplace, then the jvp function must modify the corresponding "
    "gradient inplace."
)
_NOT_A_VIEW = (
    "A custom Function's forward is returning a view (or an input as-is) but the jvp is not "
    "returning a view."
)


def give(function, ctx, args, outputs):
    """Give the outputs the tangents that `jvp` computes, those of the outermost level first.

    Inside `jvp` its own level is closed, so that it sees values and tangents of outer levels.
    """
    tangents = [tangent_of(a) if isinstance(a, Tensor) else None for a in args]
    with outer_levels():
        if modes.dual_level >= 0:
            give(function, ctx, args, outputs)
        if all(t is None for t in tangents):
            return
        filled = tangents
        if ctx.materialize_grads:
            pairs = zip(tangents, args, strict=True)
            filled = [_zeros_like(a) if t is None else t for t, a in pairs]
        results = function.jvp(ctx, *filled)
    results = results if isinstance(results, tuple) else (results,)
    if len(results) != len(outputs.raw):
        raise RuntimeError(
            "Function's jvp returned an invalid number of forward gradients (expected "
            f"{len(outputs.raw)} but got {len(results)})"
        )
    inputs = [(a, t) for a, t in zip(args, tangents, strict=True) if isinstance(a, Tensor)]
    for number, tangent in enumerate(results):
        _give_one(number, outputs, tangent, inputs)


def _give_one(number, outputs, tangent, inputs):
    """Check and set the tangent of one output."""
    output = outputs.values[number]
    if tangent is not None and not isinstance(tangent, Tensor):
        raise RuntimeError(
            f"expected Variable or None (got {type_name(tangent)}) for grad output {number}."
        )
    if not isinstance(output, Tensor):
        return
    if not outputs.differentiable[number]:
        if tangent is not None:
            raise RuntimeError(
                f"Function's jvp returned a gradient at position {number}, but  the corresponding "
                "forward output is not a differentiable Tensor.You should return None at that "
                "position instead."
            )
        return
    if tangent is not None:
        check_tangent(output, tangent)
    if id(outputs.raw[number]) in outputs.dirty:
        held = next((t for a, t in inputs if a is output), None)
        if held is not None:
            if tangent is not held:
                raise RuntimeError(_NOT_IN_PLACE)
        elif tangent is not None:
            from ..forward_inplace import written

            written(output, tangent)
        return
    if output._is_view():
        _check_view(output, tangent, inputs)
    if tangent is not None:
        set_tangent(output, tangent)


def _check_view(output, tangent, inputs):
    """The tangent of a view of an input must be a view of that input's tangent."""
    for given, held in inputs:
        if _base(given) is output._base:
            if held is not None and (
                tangent is None or not tangent._is_view() or _base(tangent) is not _base(held)
            ):
                raise RuntimeError(_NOT_A_VIEW)
            return


def _base(t):
    return t._base if t._is_view() else t


def _zeros_like(t):
    """The tangent of an argument that has none; None for what can have none."""
    if not isinstance(t, Tensor) or not t.dtype.is_floating_point:
        return None
    return from_flat(np.zeros(t.shape.numel(), t.dtype.numpy), t.shape, t.dtype)
