"""The one door to everything unusual: a call that the straight-line functions did not take."""

from __future__ import annotations

from .modes import modes


def dispatch(op, *args):
    """Compute an operator on any arguments, under whatever modes are active."""
    if modes.active:
        return _watched(op, args)
    return op.call(*args)


def _watched(op, args):
    """A call under modes: each wraps the next."""
    if modes.dual_level >= 0:
        from .forward import call

        return call(op, args)
    return op.call(*args)
