"""What is written down while a profiler watches: one row for each call, as it happens.

Only the thread that starts a recorder is watched. What is asked about the rows afterwards is
computed elsewhere, so that recording stays short.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from .. import dispatch, dtypes
from ..modes import modes
from ..pointwise import Pointwise
from ..register import functions
from ..tensor import Tensor
from .memory import Memory

clock = time.perf_counter_ns

NOTHING = object()

_counting = threading.Lock()

FUNCTION, BACKWARD, USER = 0, 1, 7
"""Where a row comes from; PyTorch's numbers."""

EVALUATE = "autograd::engine::evaluate_function: "
"""What the engine's own row of a node is called: this and the node's name."""

_HERE = os.path.dirname(os.path.abspath(__file__))
_RUNTIME = os.path.dirname(_HERE) + os.sep
_GENERATED = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "generated") + os.sep


class Row:
    """One call: when it began and ended (nanoseconds), and what it was called with.

    `opened` to `start` and `end` to `closed` the recorder itself was busy with the row.
    """

    __slots__ = (
        "allocated",
        "closed",
        "end",
        "inputs",
        "name",
        "opened",
        "parent",
        "scope",
        "sequence",
        "stack",
        "start",
    )

    def __init__(self, name, parent, scope):
        self.name = name
        self.parent = parent
        self.scope = scope
        self.inputs = None
        self.stack = None
        self.sequence = -1
        self.allocated = 0  # bytes, less what was freed while this row was the innermost
        self.opened = self.start = self.end = self.closed = 0


class Recorder:
    """Records the calls of one thread from `start` to `stop`."""

    def __init__(self, *, shapes=False, memory=False, stacks=False):
        self.shapes = shapes
        self.stacks = stacks
        self.memory = Memory(self) if memory else None
        self.rows = []
        self.open = []
        self.entering = None
        self.factory = None
        self.thread = threading.get_native_id()
        self.thread_name = threading.current_thread().name
        self.began = self.ended = 0
        self.wall = 0  # nanoseconds since 1970 when it began

    def start(self):
        """Watch this thread; RuntimeError if it is watched already."""
        if modes.profiler is not None:
            raise RuntimeError(
                "profiler: a profiler is already enabled on this thread; stop it before another "
                "one starts"
            )
        find_straight_functions()
        modes.profiler = self
        modes.update()
        with _counting:
            dispatch.profiling.on += 1
        self.wall = time.time_ns()
        self.began = clock()

    def stop(self):
        """Watch no longer. RuntimeError in another thread than the one that is watched."""
        self.ended = clock()
        self.check_thread()
        modes.profiler = None
        modes.update()
        with _counting:
            dispatch.profiling.on -= 1
        for row in self.open:
            row.end = row.closed = self.ended
        self.open.clear()
        if self.memory is not None:
            self.memory.close()

    def check_thread(self):
        """RuntimeError in another thread than the one that is watched."""
        if modes.profiler is not self:
            raise RuntimeError(
                "profiler: it was started in another thread; step and stop it in the thread that "
                "started it"
            )

    # --- rows --------------------------------------------------------------------------------

    def begin(self, name, inputs=(), scope=FUNCTION):
        """Open a row below the one that is open; its time starts when this returns."""
        opened = clock()
        row = Row(name, self.open[-1] if self.open else None, scope)
        row.opened = opened
        if self.shapes:
            row.inputs = described(inputs)
        if self.stacks:
            row.stack = _stack()
        self.rows.append(row)
        self.open.append(row)
        row.start = clock()
        return row

    def end(self, row):
        """Close a row, and those that were left open below it."""
        now = row.end or clock()
        if self.open and self.open[-1] is row:
            self.open.pop()
        elif any(one is row for one in self.open):
            while self.open[-1] is not row:
                left = self.open.pop()
                left.end = left.closed = now
            self.open.pop()
        else:
            return  # closed with a row above it, or by `stop`
        row.end = now
        row.closed = clock()

    def note(self, row, inputs, result):
        """Remember what a call returned: its memory, and the node that it made."""
        first = result[0] if isinstance(result, tuple) and result else result
        node = first._grad_fn if isinstance(first, Tensor) else None
        if node is not None:
            row.sequence = node.sequence
        if self.memory is not None:
            self.memory.claim(row, result, inputs)
            if node is not None and node.saved:
                self.memory.claim(row, node.saved, inputs)
        row.closed = clock()

    # --- what is watched ---------------------------------------------------------------------

    def operator(self, op, args):
        """A declared operator, by the code that runs when nobody watches."""
        straight = _straight.get(op)
        row = self.begin(op.name, args)
        try:
            result = self._straight(straight, args, row) if straight is not None else NOTHING
            if result is NOTHING:
                result = dispatch.under_modes(op, args)
        finally:
            self.end(row)
        self.note(row, args, result)
        return result

    def _straight(self, function, args, row):
        """The result as if nobody watched; NOTHING where another mode is on."""
        try:
            modes.profiler = None
            modes.update()
            if modes.active:
                return NOTHING
            row.start = clock()
            result = function(args)
            row.end = clock()
            return result
        finally:
            modes.profiler, modes.active = self, True

    def enter(self, name, function, args, keywords, shown):
        """A row for `function`, which asks for it when called: its result in a tuple.

        None the second time, when the function asks from within the row. `shown` are the
        arguments that count as its inputs.
        """
        if self.entering == function:
            self.entering = None
            return None
        row = self.begin(name, args if shown is None else shown)
        self.entering = function
        try:
            result = function(*args, **keywords or {})
        finally:
            self.entering = None
            self.end(row)
        self.note(row, args, result)
        return (result,)

    def backward_pass(self):
        """The class of a backward pass that is watched."""
        from .backward import WatchedPass

        return WatchedPass

    def begin_factory(self, name):
        """A factory begins; its row is written when it has made its tensor."""
        self.factory = name, clock()

    def end_factory(self, tensor):
        """The factory that began last has made `tensor`."""
        name, start = self.factory
        row = self.begin(name)
        row.opened = row.start = start
        self.end(row)
        self.note(row, (), tensor)


# --- the straight-line functions -----------------------------------------------------------------

_straight = {}
_seen = set()


def find_straight_functions():
    """For each pointwise operator, a call of its generated function with a descriptor's arguments.

    Only this family has a straight line. Taking it also while profiling keeps the figures true:
    the general path takes several times as long for a small tensor.
    """
    for name in functions.keys() - _seen:
        _seen.add(name)
        function = functions[name]
        for used in function.__code__.co_names:
            op = function.__globals__.get(used)
            if isinstance(op, Pointwise):
                _straight[op] = _caller(function)


def _caller(function):
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    positional = code.co_argcount
    if "inplace" in names:
        positional = min(positional, names.index("inplace"))
        names = tuple(name for name in names if name != "inplace")
    keywords = names[positional:]
    if not keywords:
        return lambda args: function(*args)
    return lambda args: function(
        *args[:positional], **dict(zip(keywords, args[positional:], strict=True))
    )


# --- what a row says of its call -----------------------------------------------------------------


def described(values):
    """(shapes, dtypes, other values) of arguments, a list each."""
    shapes, kinds, plain = [], [], []
    for value in values:
        if isinstance(value, Tensor):
            shapes.append(list(value.shape))
            kinds.append(value.dtype.name)
            plain.append("")
        elif isinstance(value, list | tuple) and any(isinstance(v, Tensor) for v in value):
            shapes.append([list(getattr(v, "shape", ())) for v in value])
            kinds.append("TensorList")
            plain.append("")
        else:
            shapes.append([])
            kinds.append("" if value is None else _kind(value))
            plain.append("" if value is None else _text(value))
    return shapes, kinds, plain


def _kind(value):
    return "Scalar" if isinstance(value, bool | int | float) else type(value).__name__


def _text(value):
    """A plain value as text; nothing for what may be long."""
    if isinstance(value, bool | int | float | dtypes.dtype):
        return str(value)
    if isinstance(value, str):
        return value[:100]
    if isinstance(value, list | tuple) and len(value) <= 8:
        return str(list(value)) if all(isinstance(v, int | float) for v in value) else ""
    return ""


def _stack():
    """The calls that lead into the library, `file(line): function`, innermost first."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith((_RUNTIME, _GENERATED)):
        frame = frame.f_back
    lines = []
    while frame is not None:
        code = frame.f_code
        lines.append(f"{code.co_filename}({frame.f_lineno}): {code.co_name}")
        frame = frame.f_back
    return lines
