"""Where the time and the memory of a program go: rows for operators, forward and backward.

    with profile(record_shapes=True, profile_memory=True) as prof:
        with record_function("loss"):
            loss = model(x).square().mean()
        loss.backward()
    print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))
    prof.export_chrome_trace("trace.json")

A row has the plain name of its operator (`mul`, where PyTorch has `aten::mul`), of its node in
the backward pass (`MulBackward0` within `autograd::engine::evaluate_function: MulBackward0`, and
`AccumulateGrad` for leaves), of a custom Function, or the one that `record_function` gives it.
There are rows for declared operators, composite ones with what they call, in-place forms, writing
by index (`setitem`), `copy_`, `fill_`, `zero_`, factories and copies of data. What only looks at
a tensor or passes its memory on (`detach`, `item`, `numpy`, printing) has none.

Off, it costs nothing where operators take their straight line, which asks `modes.active` anyway.
What has no such line asks a counter of the process first, `dispatch.profiling.on`: 10 ns.
"""

from .events import EventList, FunctionEvent, FunctionEventAvg
from .labels import record_function
from .schedules import (
    ProfilerAction,
    ProfilerActivity,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)
from .session import profile

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
