"""Forward mode: dual tensors, which carry a tangent along with their values.

Owns where tangents are kept and which levels are open. How an operator computes the tangent of
its result belongs to `forward`. A tangent counts only for the opening of the level it was set in;
later it is ignored, wherever the tensor went.

Programs have one level. The transformations of functions open levels inside each other: a tensor
then has a tangent for each, and the tangents of an inner level may have tangents of outer ones.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import NamedTuple

from ..graph import Node, begin, extra_of
from ..modes import modes
from ..tensor import Tensor, view_of

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "set_tangent",
    "tangent_of",
    "unpack_dual",
]

_next_opening = itertools.count(1).__next__


class UnpackedDualTensor(NamedTuple):
    """The values of a dual tensor, and its tangent or None."""

    primal: Tensor
    tangent: Tensor | None


# --- tangents ------------------------------------------------------------------------------------


def tangents_of(t):
    """(level, tangent) pairs, for every level that is open and in which `t` has a tangent."""
    extra = getattr(t, "_extra", None)
    if extra is None or extra.tangent is None:
        return ()
    opened = modes.dual_open
    return tuple(pair for pair in extra.tangent if pair[0] in opened)


def tangent_of(t, level=None):
    """The tangent of a tensor in a level, by default in the innermost; None if it has none."""
    extra = getattr(t, "_extra", None)
    if extra is None or extra.tangent is None or not modes.dual_active:
        return None
    wanted = modes.dual_active[-1] if level is None else level
    for opening, tangent in extra.tangent:
        if opening == wanted:
            return tangent
    return None


def set_tangent(t, tangent, level=None):
    """Give a tensor a tangent in a level, for as long as that stays open."""
    level = modes.dual_active[-1] if level is None else level
    others = (pair for pair in tangents_of(t) if pair[0] != level)
    extra_of(t).tangent = (*others, (level, tangent))


def copy_tangents(source, target):
    """Give `target`, which has the same shape, the tangents of `source`; returns it."""
    for level, tangent in tangents_of(source):
        set_tangent(target, tangent, level)
    return target


def take_tangents(level, tensors):
    """The tangents of tensors in a level that is about to be closed; they lose them."""
    found = [tangent_of(t, level) for t in tensors]
    for tensor, tangent in zip(tensors, found, strict=True):
        if tangent is not None:
            others = tuple(pair for pair in tangents_of(tensor) if pair[0] != level)
            tensor._extra.tangent = others or None
    return found


# --- levels --------------------------------------------------------------------------------------


def open_level():
    """Open a level inside those that are open; returns its handle."""
    level = _next_opening()
    modes.dual_open = (*modes.dual_open, level)
    _activate((*modes.dual_active, level))
    return level


def close_level(level):
    """Close the level that was opened last: its tangents are gone."""
    if not modes.dual_open or modes.dual_open[-1] != level:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This "
            "is not supported."
        )
    modes.dual_open = modes.dual_open[:-1]
    _activate(tuple(opening for opening in modes.dual_active if opening != level))


def _activate(levels):
    """Let operations compute tangents in these levels."""
    modes.dual_active = levels
    modes.dual_level = len(levels) - 1
    modes.dual_opening = modes.dual_open[-1] if modes.dual_open else 0
    modes.update()


class without_innermost:
    """The innermost level stays open, but operations inside compute no tangents in it."""

    def __enter__(self):
        self.levels = modes.dual_active
        _activate(self.levels[:-1])

    def __exit__(self, *error):
        _activate(self.levels)


def enter_dual_level():
    """Open the level of forward mode and return its number, 0."""
    if modes.dual_public is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    modes.dual_public = open_level()
    return 0


def exit_dual_level(*, level=None):
    """Close the level: the tangents set in it are gone."""
    if modes.dual_public is None or level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This "
            "is not supported."
        )
    close_level(modes.dual_public)
    modes.dual_public = None


class dual_level(contextlib.ContextDecorator):
    """Forward mode is on inside `with dual_level():`; tangents are gone at its end."""

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *error):
        exit_dual_level()


# --- dual tensors --------------------------------------------------------------------------------


def make_dual(tensor, tangent, *, level=None):
    """A view of `tensor` that carries `tangent`, a tensor of the same shape and dtype.

    Functions of it carry the derivative along the tangent. ValueError unless both are floating
    point; RuntimeError outside of a level.
    """
    if modes.dual_public is None or (level is not None and level < 0):
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    return dual_at(modes.dual_public, tensor, tangent)


def dual_at(level, tensor, tangent):
    """`make_dual` in the level with this handle."""
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not isinstance(t, Tensor):
            raise TypeError(f"make_dual: {what} is {type(t).__name__}; a Tensor is required")
        if not t.dtype.is_floating_point:
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    if tangent_of(tensor, level) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level 0 is not supported."
        )
    if tangent.shape != tensor.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    dual = _view(tensor)
    set_tangent(dual, tangent, level)
    return dual


def unpack_dual(tensor, *, level=None):
    """A view of `tensor` without its tangent, and the tangent (None if it has none)."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"unpack_dual: got {type(tensor).__name__}; a Tensor is required")
    if modes.dual_public is None or (level is not None and level < 0):
        return UnpackedDualTensor(tensor, None)
    return unpacked_at(modes.dual_public, tensor)


def unpacked_at(level, tensor):
    """`unpack_dual` in the level with this handle."""
    tangent = tangent_of(tensor, level)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(_view(tensor, without=level), tangent)


class ViewBackward0(Node):
    """The node of a view with the same geometry: gradients pass unchanged."""

    __slots__ = ()

    operator = "view"

    def apply(self, grad):
        return grad

    def apply_differentiable(self, grad):
        return grad


def _view(t, without=None):
    """A view of the whole tensor, with a graph where one is recorded, and its tangents.

    without: the level whose tangent it does not get.
    """
    out = copy_tangents(t, view_of(t, t.shape, t._strides, t._offset))
    if without is not None:
        take_tangents(without, [out])
    if modes.grad and t._requires_grad:
        node = ViewBackward0.__new__(ViewBackward0)
        begin(node)
        node.edges = (t, 0) if t._grad_fn is None else (t._grad_fn, t._output_nr)
        node.saved = ()
        node.shape = t.shape
        node.general = None
        out._requires_grad = True
        out._grad_fn = node
    return out
