"""`profile`: what a program starts, steps and asks."""

from __future__ import annotations

import json
import warnings

from .cycle import STEP, Cycle, joined
from .recorder import USER, Recorder
from .schedules import ProfilerAction, ProfilerActivity
from .trace import export_chrome_trace, export_stacks

NONE, WARMUP = ProfilerAction.NONE, ProfilerAction.WARMUP
RECORD, SAVE = ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE


class profile:
    """Record what operators run, forward and backward, how long they take and on what.

    Only the thread that starts the profiler is watched, as in PyTorch; backward passes run in
    the thread that asks for them, so they are in. A second profiler in the same thread is an
    error; other threads may have their own.

    A small pointwise operator takes the same straight-line code as without a profiler, so that
    its row shows what it really takes. To record a row takes 2.1 us, 3.0 us with shapes, 5.7 us
    with shapes and memory, 3.8 us with callers (one core of an AMD EPYC, Python 3.11): by that
    the program is slower, but the rows around leave it out of their times. Traces and
    `time_range` show the clock as it was.

    Parameters
    ----------
    activities : iterable of ProfilerActivity, optional
        Only `ProfilerActivity.CPU` exists here; others are left out with a warning.
    schedule : callable, optional
        From the number of a step to a `ProfilerAction`; see `rederive.profiler.schedule`. Call
        `step()` after each step. Without it everything from start to stop is recorded.
    on_trace_ready : callable, optional
        Called with the profiler when a cycle of the schedule, or all, has been recorded.
    record_shapes : bool
        Remember the sizes, dtypes and plain values of arguments.
    profile_memory : bool
        Remember the bytes of storages that each call allocates and frees.
    with_stack : bool
        Remember from where each operator was called.
    with_flops : bool
        Estimate the floating point operations of matrix products, additions, multiplications.
    with_modules : bool
        Taken for PyTorch's sake, where it speaks of scripted modules only; without effect.
    acc_events : bool
        Keep the events of every cycle; otherwise those of the last one.
    """

    def __init__(
        self,
        *,
        activities=None,
        schedule=None,
        on_trace_ready=None,
        record_shapes=False,
        profile_memory=False,
        with_stack=False,
        with_flops=False,
        with_modules=False,
        acc_events=False,
    ):
        _check_activities(activities)
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.with_modules = with_modules
        self.acc_events = acc_events
        self.step_num = 0
        self.current_action = NONE
        self._running = False
        self._recorder = None
        self._step_row = None
        self._finished = None  # recorders that have stopped; None before the first one began
        self._events = None
        self._metadata = {}

    # --- running -----------------------------------------------------------------------------

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self):
        """Begin; RuntimeError if this profiler, or another one in this thread, already runs."""
        if self._running:
            raise RuntimeError("profiler: it has already started; stop it before it starts again")
        self.current_action = self._action(self.step_num)
        self._go_on(self.current_action)
        self._running = True

    def step(self):
        """Say that a step of the program is done: the schedule goes on to the next."""
        self._check_thread()
        self.step_num += 1
        before, self.current_action = self.current_action, self._action(self.step_num)
        if self._running:
            self._change(before, self.current_action)

    def stop(self):
        """End; what was recorded can be asked for. AssertionError if it has never started."""
        if not self._running and self._finished is None:
            raise AssertionError("Profiler must be initialized before stopping trace")
        if self._running:
            self._check_thread()
            self._running = False
            self._change(self.current_action, None)

    def _action(self, step):
        if self.schedule is None:
            return RECORD
        action = self.schedule(step)
        if not isinstance(action, ProfilerAction):
            raise TypeError(
                f"profiler: schedule({step}) is {type(action).__name__}; it must be ProfilerAction"
            )
        return action

    def _check_thread(self):
        if self._recorder is not None:
            self._recorder.check_thread()

    def _change(self, before, now):
        """From one step to the next, `now` being None where the profiler stops."""
        if self._recorder is not None:
            if self._step_row is not None:
                self._recorder.end(self._step_row)
            if before is SAVE or (before is RECORD and now is None):
                self._finish()
                if self.on_trace_ready is not None:
                    self.on_trace_ready(self)
            elif before is RECORD and now in (NONE, WARMUP):
                _warn_of_schedule(before, now)
                self._finish()
            elif before is WARMUP and now in (NONE, None):
                if now is NONE:
                    _warn_of_schedule(before, now)
                self._discard()
        if now is not None:
            if before is WARMUP and now in (RECORD, SAVE):
                self._discard()
            self._go_on(now)

    def _go_on(self, action):
        """Record, if the action says so."""
        if action is NONE:
            return
        if self._recorder is None:
            recorder = Recorder(
                shapes=self.record_shapes or self.with_flops,
                memory=self.profile_memory,
                stacks=self.with_stack,
            )
            recorder.start()
            self._recorder = recorder
            if self._finished is None:
                self._finished = []
        if self.schedule is not None:
            self._step_row = self._recorder.begin(f"{STEP}#{self.step_num}", scope=USER)

    def _finish(self):
        """Stop recording and keep what was recorded."""
        recorder = self._stopped()
        self._finished = [*self._finished, recorder] if self.acc_events else [recorder]
        self._events = None

    def _discard(self):
        """Stop recording and forget what was recorded."""
        if self._recorder is not None:
            self._stopped()

    def _stopped(self):
        recorder = self._recorder
        recorder.stop()
        self._recorder = self._step_row = None
        return recorder

    # --- asking ------------------------------------------------------------------------------

    def events(self):
        """Every call that was recorded, as an EventList; empty while the first one runs."""
        if self._finished is None:
            raise AssertionError("Profiler must be initialized before accessing events")
        if self._events is None:
            cycles = [Cycle(r, self.record_shapes, self.with_flops) for r in self._finished]
            self._events = joined(cycles, self.profile_memory, self.with_flops)
        return self._events

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        """The calls put together by name, and by input shapes or callers if asked for."""
        if self._finished is None:
            raise AssertionError("Profiler must be initialized before getting key averages")
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path):
        """Write a trace for chrome://tracing or https://ui.perfetto.dev, compressed for `.gz`.

        The file appears when it is complete; on an error, an OSError for instance, none does.
        """
        if self._finished is None:
            raise AssertionError("Profiler must be initialized before exporting chrome trace")
        export_chrome_trace(path, self.events().cycles, {**self._settings(), **self._metadata})

    def export_stacks(self, path, metric="self_cpu_time_total"):
        """Write the callers of each event with its time, as programs for flame graphs read it."""
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        export_stacks(path, self.events(), metric)

    def add_metadata(self, key, value):
        """Note a string in the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key, value):
        """Note a value, given as JSON, in the trace. ValueError if it is not JSON."""
        self._metadata[key] = json.loads(value)

    def _settings(self):
        names = ("record_shapes", "profile_memory", "with_stack", "with_flops")
        return {name: 1 for name in names if getattr(self, name)}


def _check_activities(activities):
    """ValueError for one that is given twice, AssertionError if none of them can be profiled."""
    if activities is None:
        return
    found = set()
    for activity in activities:
        if not isinstance(activity, ProfilerActivity):
            continue
        if activity in found:
            raise ValueError(f"Activity {activity} specified more than once")
        found.add(activity)
    for activity in sorted(found - {ProfilerActivity.CPU}, key=lambda activity: activity.value):
        warnings.warn(
            f"{activity.name} is not available, disabling {activity.name} profiling",
            UserWarning,
            stacklevel=3,
        )
    if ProfilerActivity.CPU not in found:
        raise AssertionError("No valid profiler activities found")


def _warn_of_schedule(before, now):
    warnings.warn(
        f"Incorrect schedule: {before.name} followed by {now.name}", UserWarning, stacklevel=4
    )
