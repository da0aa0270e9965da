# the profiler: rows with their operators' plain names, tables, schedules, labels, traces
import json
import os
import re
import tempfile
import warnings

from_profiler = torch.profiler
profile, record_function = from_profiler.profile, from_profiler.record_function
action = from_profiler.ProfilerAction
warnings.simplefilter("ignore")


def plain(name):
    return name.removeprefix("aten::").replace("torch::autograd::", "")


WATCHED = re.compile(r"(matmul|mm|tanh|mse_loss|forward|.*Tanh.*0|.*MmBackward0|.*AccumulateGrad)$")
x, target = torch.ones(6, 4), torch.ones(6, 3)
w = torch.ones(4, 3, requires_grad=True)


def step():
    with record_function("forward"):
        loss = torch.nn.functional.mse_loss(torch.tanh(x @ w), target)
    loss.backward()
    w.grad = None


# rows, what they were called with, and how they nest
with profile(record_shapes=True, profile_memory=True) as prof:
    step()
    step()
for row in prof.key_averages():
    if WATCHED.match(plain(row.key)):
        print(plain(row.key), row.count)
for event in prof.events():
    name = plain(event.name)
    if WATCHED.match(name) and "Accumulate" not in name and name != "mse_loss":
        parent = event.cpu_parent and plain(event.cpu_parent.name)
        print(name, event.input_shapes, parent, event.is_user_annotation, event.scope)
for row in prof.key_averages():
    if plain(row.key) in ("matmul", "mm", "tanh"):
        print(plain(row.key), row.cpu_memory_usage, row.self_cpu_memory_usage)
shapes = [
    (plain(row.key), row.count, row.input_shapes)
    for row in prof.key_averages(group_by_input_shape=True)
    if plain(row.key) == "mm"
]
print(shapes)
averages = prof.key_averages()
total = averages.total_average()
print(total.key, abs(total.self_cpu_time_total - averages.self_cpu_time_total) < 1)
tops = sum(event.cpu_time_total for event in prof.events() if event.cpu_parent is None)
print(abs(tops - averages.self_cpu_time_total) < 1)


# tables
def headings(text):
    (line,) = (line for line in text.splitlines() if "Self CPU %" in line)
    return re.split(r"\s{2,}", line.strip())


print(headings(averages.table(sort_by="self_cpu_time_total", row_limit=3)))
print(headings(prof.key_averages(group_by_input_shape=True).table(max_shapes_column_width=20)))
text = averages.table(row_limit=2, header="The header", max_name_column_width=20)
print(len(text.splitlines()), text.splitlines()[1])
print(re.search(r"\nSelf CPU time total: [\d.]+(s|ms|us)\n$", text) is not None)
text = averages.table(top_level_events_only=True)
print(text.splitlines()[1], "forward" in text, "mse_loss" in text)
keys = ("cpu_time", "cpu_time_total", "self_cpu_time_total", "count", "cpu_memory_usage")
for key in (*keys, "self_cpu_memory_usage", "cuda_time_total", "flops"):
    attempt(lambda key=key: averages.table(sort_by=key))
attempt(lambda: averages.table(sort_by="bogus"), message=True)
print(profile is from_profiler.profile, from_profiler.supported_activities())

# labels: as decorators, nested, without a profiler
with record_function("nobody"):
    pass


@record_function("decorated")
def decorated():
    with record_function("inner", "a remark"):
        return torch.tanh(x)


with profile() as prof:
    decorated()
    decorated()
print([plain(event.name) for event in prof.events()])
attempt(lambda: record_function(3).__enter__())
attempt(lambda: record_function())

# errors leave the profiler usable
attempt(lambda: profile().events(), message=True)
attempt(lambda: profile().key_averages(), message=True)
attempt(lambda: profile().export_chrome_trace("never"), message=True)
attempt(lambda: profile().stop(), message=True)
attempt(lambda: profile(activities=[]), message=True)
attempt(lambda: profile(activities=[from_profiler.ProfilerActivity.CPU] * 2))
try:
    with profile() as prof:
        torch.tanh(x)
        raise KeyError
except KeyError:
    print([plain(event.name) for event in prof.events()])
with profile() as prof:
    print(list(prof.events()))

# schedules
plan = from_profiler.schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
print([plan(number).name for number in range(12)])
for wrong in ({"wait": -1}, {"active": 0}, {"skip_first": -1}, {"repeat": -1}):
    given = {"wait": 1, "warmup": 1, "active": 1} | wrong
    attempt(lambda given=given: from_profiler.schedule(**given), message=True)
attempt(lambda: plan(-1), message=True)


def follow(plan, steps, **options):
    log = []

    def ready(prof):
        log.append((prof.step_num, [e.name for e in prof.events() if "Step" in e.name]))

    with profile(schedule=plan, on_trace_ready=ready, **options) as prof:
        for _ in range(steps):
            torch.tanh(x)
            prof.step()
    print(log, len(prof.events()))


follow(plan, 10)
follow(plan, 10, acc_events=True)
follow(from_profiler.schedule(wait=0, warmup=1, active=4), 3)
ready = []
with profile(on_trace_ready=lambda prof: ready.append(prof.step_num)) as prof:
    for _ in range(3):
        prof.step()
print(ready)

# files
with tempfile.TemporaryDirectory() as folder:
    handler = from_profiler.tensorboard_trace_handler(folder, worker_name="me")
    with profile(on_trace_ready=handler, record_shapes=True) as prof:
        prof.add_metadata("who", "me")
        prof.add_metadata_json("sizes", "[1, 2]")
        step()
    (name,) = os.listdir(folder)
    print(re.sub(r"\d{5,}", "TIME", name))
    with open(os.path.join(folder, name)) as file:
        trace = json.load(file)
    print(trace["who"], trace["sizes"], trace["record_shapes"], trace["displayTimeUnit"])
    for event in trace["traceEvents"]:
        if event["ph"] == "X" and plain(event["name"]) in ("forward", "mm", "TanhBackward0"):
            print(plain(event["name"]), event["cat"], event["args"].get("Input Dims"))
    attempt(lambda: prof.export_stacks(os.path.join(folder, "s")), message=True)

# the name it had first
with torch.autograd.profiler.profile(record_shapes=True) as prof:
    with torch.autograd.profiler.record_function("part"):
        torch.tanh(x)
print([plain(event.name) for event in prof.function_events], headings(prof.table()))
print([plain(row.key) for row in prof.key_averages()], prof.self_cpu_time_total > 0)


def again():
    with prof:
        pass


attempt(again, message=True)
