"""From the rows of a recorder to events."""

from __future__ import annotations

from .events import EventList, FunctionEvent
from .flops import flops_of
from .recorder import EVALUATE, FUNCTION, USER

STEP = "ProfilerStep"
MEMORY = "[memory]"


class Cycle:
    """One stretch of time that was recorded, and what happened in it.

    Attributes
    ----------
    wall : int
        Nanoseconds since 1970 when it began; times of events count from there.
    events : list of FunctionEvent
    memory : list
        (microseconds, bytes, bytes alive afterwards) of each allocation and release.
    """

    def __init__(self, recorder, with_shapes, with_flops):
        self.thread = recorder.thread
        self.thread_name = recorder.thread_name
        self.wall = recorder.wall
        self.began = recorder.began
        self.length = self.since(recorder.ended)
        changes = [] if recorder.memory is None else recorder.memory.events
        self.memory = [(self.since(at), size, total) for at, size, total, _ in changes]
        self.events = self._events(recorder.rows, with_shapes, with_flops)
        self.events += [self._release(at, size) for at, size, _, row in changes if row is None]
        self.events.sort(key=lambda event: event.time_range.start)
        for number, event in enumerate(self.events, 1):
            event.id = number

    def since(self, clock):
        """A reading of the clock as microseconds since the cycle began."""
        return (clock - self.began) / 1000

    def _events(self, rows, with_shapes, with_flops):
        rows = sorted(rows, key=lambda row: row.start)
        events = {}
        for row in rows:
            event = events[row] = self._event(row, with_shapes, with_flops)
            parent = events.get(row.parent)
            if parent is not None:
                event.cpu_parent = parent
                parent.cpu_children.append(event)
                parent.recording += (row.start - row.opened + row.closed - row.end) / 1000
        for event in reversed(events.values()):
            event.cpu_time_total = event.time_range.elapsed_us() - event.recording
            if event.cpu_parent is not None:
                event.cpu_parent.recording += event.recording
                event.cpu_parent.cpu_memory_usage += event.cpu_memory_usage
        _tie_backward(events)
        return list(events.values())

    def _event(self, row, with_shapes, with_flops):
        name = f"{STEP}*" if row.scope == USER and row.name.startswith(f"{STEP}#") else row.name
        start, end = self.since(row.start), self.since(row.end)
        event = FunctionEvent(0, name, self.thread, start, end, row.scope, row.name)
        event.sequence_nr = row.sequence
        event.stack = row.stack or []
        event.self_cpu_memory_usage = event.cpu_memory_usage = row.allocated
        if row.inputs is not None:
            shapes, kinds, plain = row.inputs
            if with_flops and row.scope == FUNCTION:
                event.flops = flops_of(row.name, shapes)
            if with_shapes:
                event.input_shapes, event.input_dtypes, event.concrete_inputs = shapes, kinds, plain
        return event

    def _release(self, at, size):
        """Memory that was given back while no row was open, as an event of no length."""
        event = FunctionEvent(0, MEMORY, self.thread, self.since(at), self.since(at))
        event.self_cpu_memory_usage = event.cpu_memory_usage = size
        return event


def _tie_backward(events):
    """Give events of the backward pass the callers and the shapes of their forward calls."""
    forward = {}
    for row, event in events.items():
        if row.scope == FUNCTION and row.sequence >= 0 and not row.name.startswith(EVALUATE):
            known = forward.get(row.sequence)
            # the call that made the node ends before those around it
            if known is None or event.time_range.end < known.time_range.end:
                forward[row.sequence] = event
    for row, event in events.items():
        if row.scope not in (FUNCTION, USER) or row.name.startswith(EVALUATE):
            source = forward.get(row.sequence)
            if source is not None:
                event.forward = source
                event.stack = source.stack
                event.forward_input_shapes = source.input_shapes


def joined(cycles, profile_memory, with_flops):
    """The events of several cycles as one list."""
    events = [event for cycle in cycles for event in cycle.events]
    return EventList(
        events, profile_memory=profile_memory, with_flops=with_flops, cycles=tuple(cycles)
    )
