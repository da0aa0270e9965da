"""Calls of hooks: what they may return in the place of gradients."""

from __future__ import annotations

from .tensor import Tensor


def callbacks(hooks):
    """The hooks that are registered now: calling one may remove another."""
    return list(hooks.values()) if hooks else ()


def call_hooks(callbacks, gradient):
    """The gradient after all hooks; a hook that returns nothing leaves it as it is."""
    for callback in list(callbacks.values()):
        got = callback(gradient)
        if got is not None:
            _check_replacement(callback, got, gradient)
            gradient = got
    return gradient


def replaced(callback, got, gradients):
    """The gradients that a node's hook returned; those it was given if it returned None."""
    if got is None:
        return gradients
    got = (got,) if isinstance(got, Tensor) else tuple(got)
    if len(got) != len(gradients):
        raise RuntimeError(
            f"hook '{_name(callback)}' has returned an incorrect number of values "
            f"(got {len(got)}, but expected {len(gradients)})"
        )
    for new, old in zip(got, gradients, strict=True):
        if new is not None:
            _check_replacement(callback, new, old)
    return got


def _check_replacement(callback, new, old):
    if not isinstance(new, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(new).__name__}'")
    if old is None:
        return
    if new.dtype is not old.dtype:
        raise RuntimeError(
            f"hook '{_name(callback)}' has changed the type of value (was {old.dtype} "
            f"got {new.dtype})"
        )
    if new.shape != old.shape:
        raise RuntimeError(
            f"hook '{_name(callback)}' has changed the size of value: it was {list(old.shape)} "
            f"and is {list(new.shape)}"
        )


def _name(callback):
    return getattr(callback, "__name__", type(callback).__name__)
