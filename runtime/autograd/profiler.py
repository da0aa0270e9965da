"""The profiler under the name it had first; `rederive.profiler` is the one to use."""

from __future__ import annotations

import warnings

from ..profiler.cycle import Cycle, joined
from ..profiler.events import EventList, FunctionEvent, FunctionEventAvg
from ..profiler.labels import record_function
from ..profiler.recorder import Recorder

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]


class profile:
    """Record what operators run inside: `with profile() as prof:`; once only.

    Parameters are those of `rederive.profiler.profile`. With `enabled=False` nothing is recorded.
    """

    def __init__(
        self,
        enabled=True,
        *,
        use_cuda=False,
        use_device=None,
        record_shapes=False,
        with_flops=False,
        profile_memory=False,
        with_stack=False,
        with_modules=False,
        use_kineto=False,
        use_cpu=True,
        acc_events=False,
    ):
        if use_cuda or use_device:
            name = (use_device or "cuda").upper()
            warnings.warn(
                f"{name} is not available, disabling {name} profiling", UserWarning, stacklevel=2
            )
        self.enabled = enabled
        self.entered = False
        self.record_shapes = record_shapes
        self.with_flops = with_flops
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.function_events = None
        self._recorder = None

    def __enter__(self):
        if not self.enabled:
            return self
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        recorder = Recorder(
            shapes=self.record_shapes or self.with_flops,
            memory=self.profile_memory,
            stacks=self.with_stack,
        )
        recorder.start()
        self._recorder = recorder
        self.entered = True
        return self

    def __exit__(self, *error):
        if self.enabled:
            self._recorder.stop()
            cycle = Cycle(self._recorder, self.record_shapes, self.with_flops)
            self.function_events = joined([cycle], self.profile_memory, self.with_flops)

    def _known(self):
        """The events; none while the profiler runs."""
        return EventList() if self.function_events is None else self.function_events

    def _finished(self):
        if self.function_events is None:
            raise RuntimeError("Profiler didn't finish running")
        return self.function_events

    def __repr__(self):
        if self.function_events is None:
            return "<unfinished rederive.autograd.profile>"
        return repr(self.function_events)

    def __str__(self):
        return repr(self) if self.function_events is None else str(self.function_events)

    @property
    def self_cpu_time_total(self):
        """The time of all rows without that of their children."""
        return self._known().self_cpu_time_total

    def table(
        self,
        sort_by=None,
        row_limit=100,
        max_src_column_width=75,
        max_name_column_width=55,
        max_shapes_column_width=80,
        header=None,
        top_level_events_only=False,
    ):
        """The single events as a table; see `EventList.table`."""
        return self._known().table(
            sort_by,
            row_limit,
            max_src_column_width,
            max_name_column_width,
            max_shapes_column_width,
            header,
            top_level_events_only,
        )

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        """The events put together by name; see `EventList.key_averages`."""
        return self._known().key_averages(group_by_input_shape, group_by_stack_n)

    def total_average(self):
        """All events as one row."""
        return self._known().total_average()

    def export_chrome_trace(self, path):
        """Write a trace for chrome://tracing or Perfetto."""
        self._finished().export_chrome_trace(path)

    def export_stacks(self, path, metric="self_cpu_time_total"):
        """Write callers and times for a flame graph."""
        self._finished().export_stacks(path, metric)
