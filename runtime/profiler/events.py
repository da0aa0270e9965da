"""What a profile holds: one event for each call, and averages of calls of the same name."""

from __future__ import annotations

from .recorder import USER
from .table import shown_time, table


class Interval:
    """From `start` to `end`, in microseconds since the profile began."""

    __slots__ = ("end", "start")

    def __init__(self, start, end):
        self.start = start
        self.end = end

    def elapsed_us(self):
        """The length in microseconds."""
        return self.end - self.start


class _Figures:
    """What single events and averages have in common."""

    is_async = is_remote = is_legacy = False
    node_id = -1
    device_time = device_time_total = self_device_time_total = 0
    device_memory_usage = self_device_memory_usage = 0
    """There is no device besides the CPU."""

    @property
    def cpu_time(self):
        """The time of one call on average, what it called included; microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self):
        return shown_time(self.cpu_time)

    @property
    def cpu_time_total_str(self):
        return shown_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self):
        return shown_time(self.self_cpu_time_total)


class FunctionEvent(_Figures):
    """One call.

    Attributes
    ----------
    name, id, thread
        The row's name, its number, and the operating system's number of its thread.
    time_range : Interval
        When it ran; `time_range.elapsed_us()` is how long.
    cpu_time_total, self_cpu_time_total : float
        Microseconds, less what recording the rows within took; with and without the children.
    cpu_parent, cpu_children
        The event within which it ran, or None, and those that ran within it.
    input_shapes : list
        A list of sizes for each argument, empty for what is no tensor; with `record_shapes`.
    concrete_inputs : list
        The other arguments as text.
    cpu_memory_usage, self_cpu_memory_usage : int
        Bytes allocated less bytes freed, with and without those of the children.
    stack : list of str
        The calls that led here, innermost first; with `with_stack`.
    sequence_nr : int
        The number of the node that a forward call made and a backward call ran; -1 for none.
    forward, forward_input_shapes
        For a node of the backward pass: the event of the call that made it, and its shapes.
    scope : int
        0 for functions, 1 for backward nodes, 7 for `record_function`.
    """

    count = 1

    def __init__(self, id, name, thread, start, end, scope=0, trace_name=None):
        self.id = id
        self.name = name
        self.trace_name = trace_name or name
        self.thread = self.fwd_thread = thread
        self.time_range = Interval(start, end)
        self.scope = scope
        self.sequence_nr = -1
        self.recording = 0.0  # how long rows within this one took to be recorded
        self.cpu_time_total = self.time_range.elapsed_us()
        self.cpu_parent = None
        self.cpu_children = []
        self.input_shapes = []
        self.input_dtypes = []
        self.concrete_inputs = []
        self.forward = None
        self.forward_input_shapes = []
        self.stack = []
        self.flops = 0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0

    @property
    def key(self):
        """By what events are put together: the name."""
        return self.name

    @property
    def is_user_annotation(self):
        """Whether the program named this row, by `record_function` or `step`."""
        return self.scope == USER

    @property
    def self_cpu_time_total(self):
        """The time of the call without that of the children."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    def __repr__(self):
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
            f"start_us={self.time_range.start} end_us={self.time_range.end} "
            f"cpu_children={[child.id for child in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            f"seq_nr={self.sequence_nr}>"
        )


class FunctionEventAvg(_Figures):
    """Calls put together: their number and the sums of their figures."""

    def __init__(self):
        self.key = None
        self.count = 0
        self.cpu_time_total = 0
        self.self_cpu_time_total = 0
        self.cpu_memory_usage = 0
        self.self_cpu_memory_usage = 0
        self.flops = 0
        self.input_shapes = ""
        self.stack = []
        self.scope = 0
        self.cpu_parent = None
        self.cpu_children = []
        self.is_user_annotation = False

    def add(self, other):
        """Count another event, or what another average counts, in; returns self."""
        if self.key is None:
            self.key = other.key
            self.input_shapes = other.input_shapes
            self.stack = other.stack
            self.scope = other.scope
            self.cpu_parent = other.cpu_parent
            self.is_user_annotation = other.is_user_annotation
        self.count += other.count
        self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        self.cpu_memory_usage += other.cpu_memory_usage
        self.self_cpu_memory_usage += other.self_cpu_memory_usage
        self.flops += other.flops
        return self

    __iadd__ = add

    def __repr__(self):
        return (
            f"<FunctionEventAvg key={self.key} count={self.count} "
            f"self_cpu_time={self.self_cpu_time_total_str} cpu_time={self.cpu_time_str} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


class EventList(list):
    """Events, or averages of events, in the order in which they began."""

    def __init__(self, events=(), *, profile_memory=False, with_flops=False, cycles=()):
        super().__init__(events)
        self.profile_memory = profile_memory
        self.with_flops = with_flops
        self.cycles = cycles

    @property
    def self_cpu_time_total(self):
        """The time of all rows without that of their children: all that was measured."""
        return sum(event.self_cpu_time_total for event in self)

    supported_export_stacks_metrics = ("self_cpu_time_total",)

    def table(
        self,
        sort_by=None,
        row_limit=100,
        max_src_column_width=75,
        max_name_column_width=55,
        max_shapes_column_width=80,
        header=None,
        top_level_events_only=False,
        time_unit=None,
    ):
        """The rows as a table.

        Parameters
        ----------
        sort_by : str, optional
            An attribute of the rows, largest first: `cpu_time`, `cpu_time_total`,
            `self_cpu_time_total`, `count`, `cpu_memory_usage`, `self_cpu_memory_usage`, `flops`.
            AttributeError for anything else. Without it the order is that of the first call.
        row_limit : int
            How many rows at most; -1 for all.
        max_src_column_width, max_name_column_width, max_shapes_column_width : int or None
            Longer texts are cut off.
        header : str, optional
            A line above the table.
        top_level_events_only : bool
            Leave out what was called by another row.
        time_unit : str, optional
            `s`, `ms` or `us` for every time; by default each has its own.
        """
        return table(
            self,
            sort_by,
            row_limit,
            (max_name_column_width, max_shapes_column_width, max_src_column_width),
            header,
            top_level_events_only,
            time_unit,
        )

    def __str__(self):
        return self.table()

    def key_averages(self, group_by_input_shapes=False, group_by_stack_n=0):
        """One row for each name, or for each name with its input shapes or its callers.

        group_by_stack_n: how many of the calls that led to an event tell it from others; they
        are known where the profile was made with `with_stack`.
        """
        groups = {}
        for event in self:
            key = (
                event.key,
                str(event.input_shapes) if group_by_input_shapes else "",
                tuple(event.stack[:group_by_stack_n]),
            )
            groups.setdefault(key, FunctionEventAvg()).add(event)
        for average in groups.values():
            average.stack = average.stack[:group_by_stack_n]
            if not group_by_input_shapes:
                average.input_shapes = ""
        return EventList(
            groups.values(),
            profile_memory=self.profile_memory,
            with_flops=self.with_flops,
            cycles=self.cycles,
        )

    def total_average(self):
        """All events as one row, called Total."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
        total.key = "Total"
        total.input_shapes, total.stack = "", []
        return total

    def export_chrome_trace(self, path):
        """Write the events for chrome://tracing or Perfetto; see `profile.export_chrome_trace`."""
        from .trace import export_chrome_trace

        export_chrome_trace(path, self.cycles)

    def export_stacks(self, path, metric="self_cpu_time_total"):
        """Write callers and times for a flame graph; see `profile.export_stacks`."""
        from .trace import export_stacks

        export_stacks(path, self, metric)
