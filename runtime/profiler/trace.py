"""Files for other programs: traces for chrome://tracing and Perfetto, stacks for flame graphs."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import tempfile

from .cycle import MEMORY


@contextlib.contextmanager
def written_at_once(path):
    """A text file that appears under `path` when it is complete, and not at all on an error.

    What is written is compressed where the name ends in `.gz`.
    """
    path = os.fspath(path)
    folder, name = os.path.split(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
        os.close(handle)
        opened = gzip.open if name.endswith(".gz") else open
        with opened(temporary, "wt", encoding="utf-8") as file:
            yield file
        # a temporary file is its owner's alone; this one is to be as any other
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            # name the file that was asked for
            raise type(error)(error.errno, error.strerror, path) from None
        raise


def export_chrome_trace(path, cycles, metadata=None):
    """Write cycles in the trace event format; times count from the first cycle's beginning."""
    first = cycles[0].wall if cycles else 0
    events = []
    for cycle in cycles:
        events += _Writer(cycle, (cycle.wall - first) / 1000).events()
    content = {
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        "baseTimeNanoseconds": first,
        "host_name": socket.gethostname(),
        **(metadata or {}),
        "traceName": os.fspath(path),
        "traceEvents": events,
    }
    with written_at_once(path) as file:
        json.dump(content, file)


class _Writer:
    """A cycle as trace events; `offset` is when it began, in the microseconds of the file."""

    def __init__(self, cycle, offset):
        self.cycle = cycle
        self.offset = offset
        self.process = os.getpid()

    def events(self):
        calls = [event for event in self.cycle.events if event.name != MEMORY]
        found = [*self._names(), *map(self._call, calls)]
        for event in calls:
            if event.forward is not None:
                found += self._arrow(event)
        found += [self._change(*change) for change in self.cycle.memory]
        return found

    def _event(self, phase, name, at, thread, **more):
        place = {"pid": self.process, "tid": thread, "ts": round(self.offset + at, 3)}
        return {"ph": phase, "name": name, **place, **more}

    def _names(self):
        """What a viewer calls the process and the thread."""
        thread = self.cycle.thread
        title = f"thread {thread} ({self.cycle.thread_name})"
        return [
            self._event("M", "process_name", 0, 0, args={"name": "python"}),
            self._event("M", "process_labels", 0, 0, args={"labels": "CPU"}),
            self._event("M", "thread_name", 0, thread, args={"name": title}),
        ]

    def _call(self, event):
        return self._event(
            "X",
            event.trace_name,
            event.time_range.start,
            event.thread,
            dur=round(event.time_range.elapsed_us(), 3),
            cat="user_annotation" if event.is_user_annotation else "cpu_op",
            args=_arguments(event),
        )

    def _arrow(self, event):
        """From a call to the node of the backward pass that it made."""
        common = {"cat": "fwdbwd", "id": event.sequence_nr}
        source = event.forward
        return [
            self._event("s", "fwdbwd", source.time_range.start, source.thread, **common),
            self._event("f", "fwdbwd", event.time_range.start, event.thread, **common, bp="e"),
        ]

    def _change(self, at, size, total):
        """An allocation or a release of memory."""
        known = {"Bytes": size, "Total Allocated": total, "Device Type": 0, "Device Id": -1}
        return self._event(
            "i", MEMORY, at, self.cycle.thread, s="t", cat="cpu_instant_event", args=known
        )


def _arguments(event):
    """What a viewer shows of a call."""
    found = {"External id": event.id}
    if event.sequence_nr >= 0:
        found["Sequence number"] = event.sequence_nr
    if event.input_shapes:
        found["Input Dims"] = event.input_shapes
        found["Input type"] = event.input_dtypes
        found["Concrete Inputs"] = event.concrete_inputs
    if event.forward_input_shapes:
        found["Forward Input Dims"] = event.forward_input_shapes
    if event.stack:
        found["Call stack"] = ";".join(event.stack)
    if event.cpu_memory_usage or event.self_cpu_memory_usage:
        found["Bytes"] = event.cpu_memory_usage
        found["Self Bytes"] = event.self_cpu_memory_usage
    if event.flops:
        found["flops"] = event.flops
    return found


METRICS = ("self_cpu_time_total",)
_PLAIN = str.maketrans(" ;\t\n", "____")


def export_stacks(path, events, metric):
    """Write `outermost;...;innermost microseconds` for each event that has callers and time."""
    if metric not in METRICS:
        raise ValueError(f"metric should be one of: {list(METRICS)}; got {metric!r}")
    with written_at_once(path) as file:
        for event in events:
            value = int(getattr(event, metric))
            if event.stack and value > 0:
                callers = ";".join(line.translate(_PLAIN) for line in reversed(event.stack))
                file.write(f"{callers} {value}\n")
