"""Calls of NumPy and of hand-written kernels during which NumPy does not warn about numbers.

Infinities and NaN are results like others. `numpy.errstate` costs as much as a small product;
running in a context in which the state was set once costs a fraction of that.
"""

from __future__ import annotations

import contextvars

import numpy as np

ERRORS = (ValueError, TypeError, IndexError, np.linalg.LinAlgError)

# A context can only be entered once at a time: threads, and what the garbage collector may run in
# the middle of a call, each take one of their own.
_idle = []


def _silent():
    context = contextvars.Context()
    context.run(np.seterr, all="ignore")
    return context.run


def quietly(function, *args):
    """What `function(*args)` returns."""
    try:
        run = _idle.pop()
    except IndexError:
        run = _silent()
    try:
        return run(function, *args)
    finally:
        _idle.append(run)


def attempt(function, *args):
    """What `function(*args)` returns; None if it complains about what it was given."""
    try:
        run = _idle.pop()
    except IndexError:
        run = _silent()
    try:
        return run(function, *args)
    except ERRORS:
        return None
    finally:
        _idle.append(run)
