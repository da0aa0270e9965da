"""Forward mode: dual tensors, which carry a tangent along with their values.

Owns where tangents are kept and which levels are open. How an operator computes the tangent of its
result belongs to `forward`. A tangent counts only for the opening of the level it was set in;
later it is ignored, wherever the tensor went.

Programs have one level, `dual_level`. The transformations of `func` nest levels, by `open_level`
and `close_level`: an operator then computes its tangent of the innermost level by formulas that run
in the levels outside, so that a tangent has tangents itself.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from typing import NamedTuple

from ..forward import laid_like, lies_like
from ..graph import extra_of
from ..modes import modes
from ..tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "close_level",
    "copy_tangents",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "open_level",
    "set_tangent",
    "tangent_of",
    "tangents_of",
    "unpack_dual",
]

_next_opening = itertools.count(1).__next__


class UnpackedDualTensor(NamedTuple):
    """The values of a dual tensor, and its tangent or None."""

    primal: Tensor
    tangent: Tensor | None


def tangents_of(t):
    """The tangents of a tensor by the opening they belong to; some may be over by now."""
    extra = getattr(t, "_extra", None)
    return {} if extra is None or extra.tangent is None else extra.tangent


def tangent_of(t):
    """The tangent of a tensor in the innermost level, or None."""
    extra = getattr(t, "_extra", None)
    if extra is None or extra.tangent is None or modes.dual_level < 0:
        return None
    return extra.tangent.get(modes.openings[modes.dual_level])


def set_tangent(t, tangent, opening=None):
    """Give a tensor a tangent, for as long as its level stays open: by default the innermost."""
    extra = extra_of(t)
    kept = {} if extra.tangent is None else extra.tangent
    extra.tangent = {key: value for key, value in kept.items() if key in modes.openings}
    extra.tangent[modes.openings[modes.dual_level] if opening is None else opening] = tangent


def copy_tangents(source, target, but=None):
    """Give `target` the tangents of `source`, except that of the opening `but`; returns it."""
    tangents = tangents_of(source)
    if tangents:
        extra_of(target).tangent = {k: v for k, v in tangents.items() if k != but}
    return target


_kept_by_nodes = {}
"""Opening -> the saved results that have a tangent in it, weakly."""


def set_saved_tangent(t, tangent):
    """`set_tangent` for what the node that computed it has saved.

    The graph of the tangent may lead to that node: a cycle, which lasts until the level is closed.
    """
    set_tangent(t, tangent)
    until_closed(t)


def until_closed(t):
    """Take the tangents of `t`, which a node has saved, from it when their levels are closed."""
    for opening in tangents_of(t):
        _kept_by_nodes.setdefault(opening, []).append(weakref.ref(t))


def open_level():
    """Open a level inside those that are open already; returns what identifies it."""
    modes.openings = (*modes.openings, _next_opening())
    modes.dual_level = len(modes.openings) - 1
    modes.update()
    return modes.openings[-1]


def close_level():
    """Close the innermost level: the tangents set in it are gone."""
    for reference in _kept_by_nodes.pop(modes.openings[-1], ()):
        tensor = reference()
        if tensor is not None:
            tangents_of(tensor).pop(modes.openings[-1], None)
    modes.openings = modes.openings[:-1]
    modes.dual_level = len(modes.openings) - 1
    modes.update()


def enter_dual_level():
    """Open the level of forward mode and return its number, 0."""
    if modes.dual_level >= 0:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    open_level()
    return 0


def exit_dual_level(*, level=None):
    """Close the level: the tangents set in it are gone."""
    if modes.dual_level < 0 or level not in (None, modes.dual_level):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This "
            "is not supported."
        )
    close_level()


class dual_level(contextlib.ContextDecorator):
    """Forward mode is on inside `with dual_level():`; tangents are gone at its end."""

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *error):
        exit_dual_level()


class _set_fwd_grad_enabled(contextlib.ContextDecorator):
    """Whether operators see the level that is open; it stays open in any case."""

    def __init__(self, mode):
        self.before = modes.dual_level
        modes.dual_level = len(modes.openings) - 1 if mode else -1
        modes.update()

    def __enter__(self):
        pass

    def __exit__(self, *error):
        modes.dual_level = self.before
        modes.update()


def check_tangent(tensor, tangent):
    """RuntimeError unless the two fit together as value and tangent."""
    if not (tensor.dtype.is_floating_point and tangent.dtype.is_floating_point):
        raise RuntimeError(
            "Expected both tensor and its forward grad to be floating point or complex"
        )
    if tangent.shape != tensor.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )


def make_dual(tensor, tangent, *, level=None):
    """A view of `tensor` that carries `tangent`, a tensor of the same shape and dtype.

    Functions of it carry the derivative along the tangent. ValueError unless both are floating
    point; RuntimeError outside of a level.
    """
    if level is None:
        level = modes.dual_level
    if level < 0 or modes.dual_level < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not isinstance(t, Tensor):
            raise TypeError(f"make_dual: {what} is {type(t).__name__}; a Tensor is required")
        if not t.dtype.is_floating_point:
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    _check_level(level, "_make_dual")
    if tangent_of(tangent) is not None:
        raise RuntimeError(
            "Setting a forward grad that itself has a forward gradient at the same level "
            f"{level} is not supported."
        )
    if tangent_of(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            f"same level {level} is not supported."
        )
    check_tangent(tensor, tangent)
    if not lies_like(tangent, tensor):
        # it is written in place with the values, element by element, and viewed as they are
        tangent = laid_like(tangent, tensor)
    dual = copy_tangents(tensor, view_of_all(tensor))
    set_tangent(dual, tangent)
    return dual


def unpack_dual(tensor, *, level=None):
    """A view of `tensor` without its tangent, and the tangent (None if it has none)."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"unpack_dual: got {type(tensor).__name__}; a Tensor is required")
    if level is None:
        level = modes.dual_level
    if level < 0 or modes.dual_level < 0:
        return UnpackedDualTensor(tensor, None)
    _check_level(level, "_fw_primal")
    tangent = tangent_of(tensor)
    primal = copy_tangents(tensor, view_of_all(tensor), but=modes.openings[modes.dual_level])
    return UnpackedDualTensor(primal, tangent)


def _check_level(level, what):
    if level != modes.dual_level:
        raise RuntimeError(f"Invalid level given to {what}")


def view_of_all(t):
    """A view of the whole tensor, with a graph where one is recorded, without the tangents."""
    from .. import operators as ops

    with _set_fwd_grad_enabled(False):
        out = ops.view(t, t.shape)
    extra_of(out).own_tangent = True
    return out
