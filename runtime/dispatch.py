"""The one door to everything unusual: a call that the straight-line functions did not take."""

from __future__ import annotations

from .modes import modes


class Profiling:
    """`on` is how many profilers there are in the process, whatever thread they watch.

    Functions that never dispatch ask it before they ask for their thread's profiler: an attribute
    of a common object is read in 10 ns, one that each thread has of its own in 40.
    """

    __slots__ = ("on",)

    def __init__(self):
        self.on = 0


profiling = Profiling()


def dispatch(op, *args):
    """Compute an operator on any arguments, under whatever modes are active."""
    if modes.active:
        if modes.profiler is not None:
            return modes.profiler.operator(op, args)
        return under_modes(op, args)
    return op.call(*args)


def under_modes(op, args):
    """A call under the modes besides the profiler: each wraps the next."""
    if modes.dual_level >= 0 and not modes.inference:
        from .forward import call

        return call(op, args)
    return op.call(*args)


def profiled(name, function, args, keywords=None, shown=None):
    """For a function that never dispatches: its result in a tuple, with a row of the profile.

    None if no profiler watches, and when the function asks again from within its row; it then
    goes on as usual. `shown` are the inputs that the row names, by default all arguments.
    """
    if modes.profiler is None:
        return None
    return modes.profiler.enter(name, function, args, keywords, shown)
