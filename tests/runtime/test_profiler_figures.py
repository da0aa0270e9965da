"""Figures of the profiler: times, shapes, memory; which threads are watched; what it costs off."""

import ast
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
import rederive as rd
from profiles import assert_off, named, rows, small
from rederive import engine
from rederive.modes import modes
from rederive.profiler import profile, record_function
from rederive.register import functions

ROOT = Path(__file__).parents[2]
F = rd.nn.functional


@pytest.fixture(autouse=True)
def _off_afterwards():
    yield
    assert_off()


def trained(prof_options=None):
    w = small(8, 8, requires_grad=True)
    x = rd.randn(16, 8)
    with profile(**(prof_options or {})) as prof:
        for _ in range(3):
            with record_function("step"):
                loss = F.mse_loss((x @ w).tanh(), x)
                loss.backward()
    return prof


def test_self_times_add_up_to_the_total():
    prof = trained()
    events = prof.events()
    tops = sum(e.cpu_time_total for e in events if e.cpu_parent is None)
    assert sum(e.self_cpu_time_total for e in events) == pytest.approx(tops)
    averages = prof.key_averages()
    assert averages.self_cpu_time_total == pytest.approx(tops)
    assert averages.total_average().self_cpu_time_total == pytest.approx(tops)
    assert averages.total_average().count == len(events)


def test_times_are_not_negative_and_children_lie_within_their_parents():
    for event in trained({"record_shapes": True, "profile_memory": True}).events():
        assert event.self_cpu_time_total >= -1e-6
        assert event.time_range.elapsed_us() >= event.cpu_time_total >= 0
        for child in event.cpu_children:
            assert child.cpu_parent is event
            assert event.time_range.start <= child.time_range.start
            assert child.time_range.end <= event.time_range.end


def test_averages_are_sums_over_the_calls():
    prof = trained()
    row = next(r for r in prof.key_averages() if r.key == "mm")
    calls = [e for e in prof.events() if e.name == "mm"]
    assert row.count == len(calls) > 3
    assert row.cpu_time_total == pytest.approx(sum(e.cpu_time_total for e in calls))
    assert row.cpu_time == pytest.approx(row.cpu_time_total / row.count)


def test_time_of_the_recorder_is_in_no_row():
    """A row around many short ones would otherwise show what recording them takes."""
    x, y = small(), small()
    x * y
    with profile(record_shapes=True, profile_memory=True) as prof, record_function("many"):
        for _ in range(200):
            x * y
    many = named(prof, "many")
    assert many.recording > 0
    assert many.cpu_time_total == pytest.approx(many.time_range.elapsed_us() - many.recording)


def test_a_pointwise_operator_takes_its_straight_line(monkeypatch):
    from rederive.generated.functions_pointwise_multiplication import MUL

    x, y = small(), small()
    monkeypatch.setattr(type(MUL), "call", lambda *args: pytest.fail("the general path was taken"))
    with profile() as prof:
        x * y
        x * 2
        rd.add(x, y, alpha=1)
        F.relu(x)
        F.leaky_relu(x, 0.2)
    assert rows(prof) == ["mul", "mul", "add", "relu", "leaky_relu"]


def test_nodes_are_the_same_with_a_profiler():
    w = small(requires_grad=True)
    with profile():
        watched = (w * 2).grad_fn
    plain = (w * 2).grad_fn
    assert type(watched) is type(plain)
    assert watched.general is plain.general is None


# --- shapes, memory, callers, operations ----------------------------------------------------------


def test_input_shapes_are_a_list_for_each_argument():
    x, y = small(), small(4)
    with profile(record_shapes=True) as prof:
        rd.add(x, y, alpha=2)
        rd.cat([x, x])
        x.reshape(4, 3)
    add = named(prof, "add")
    assert add.input_shapes == [[3, 4], [4], []]
    assert add.input_dtypes == ["float32", "float32", "Scalar"]
    assert add.concrete_inputs == ["", "", "2"]
    assert named(prof, "cat").input_shapes == [[[3, 4], [3, 4]], []]
    assert named(prof, "reshape").input_shapes == [[3, 4], []]


def test_shapes_are_not_kept_unless_asked_for():
    with profile(with_flops=True) as prof:
        small() + small()
    assert named(prof, "add").input_shapes == []
    grouped = prof.key_averages(group_by_input_shape=True)
    assert "Input Shapes" not in grouped.table()


def test_group_by_input_shape_tells_calls_apart():
    x, y = small(), small(5)
    with profile(record_shapes=True) as prof:
        x + x
        y + y
        y + y
    grouped = prof.key_averages(group_by_input_shape=True)
    assert [(r.key, r.count, r.input_shapes) for r in grouped] == [
        ("add", 1, [[3, 4], [3, 4], []]),
        ("add", 2, [[5], [5], []]),
    ]
    assert [r.count for r in prof.key_averages()] == [3]
    assert prof.key_averages()[0].input_shapes == ""


def test_memory_is_charged_to_the_call_that_allocates():
    x = small(100, 100)
    with profile(profile_memory=True) as prof:
        kept = F.mse_loss(x, x, reduction="none")
    outer = named(prof, "mse_loss")
    assert outer.cpu_memory_usage == 40_000
    assert outer.self_cpu_memory_usage == 0
    assert named(prof, "squared_error").cpu_memory_usage == 40_000
    assert kept.nbytes == 40_000


def test_views_and_writing_in_place_allocate_nothing():
    x = small(100, 100)
    with profile(profile_memory=True) as prof:
        y = x.t()[1:]
        y.add_(1)
    assert named(prof, "t").cpu_memory_usage == 0
    assert named(prof, "slice").cpu_memory_usage == 0
    assert named(prof, "add_").cpu_memory_usage == 0


def test_memory_freed_outside_of_any_row_is_a_row_of_its_own():
    x = small(100, 100)
    with profile(profile_memory=True) as prof:
        y = x + x
        del y
        z = x * x
    assert [(e.name, e.cpu_memory_usage) for e in prof.events()] == [
        ("add", 40_000),
        ("[memory]", -40_000),
        ("mul", 40_000),
    ]
    assert z.nbytes == 40_000


def test_memory_agrees_with_tracemalloc():
    x = small(300, 300)
    w = small(300, 300, requires_grad=True)

    def work():
        kept = [(x @ w).tanh().sum()]
        kept[0].backward()
        kept.append(F.softmax(x, 1))
        return kept

    work()
    w.grad = None
    with profile(profile_memory=True) as prof:
        tracemalloc.start()
        kept = work()
        measured = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    found = sum(e.self_cpu_memory_usage for e in prof.events())
    assert len(kept) == 2
    assert found == pytest.approx(measured, rel=0.05)
    assert found == pytest.approx(2 * 300 * 300 * 4, rel=0.01)  # the gradient and the softmax


def test_arrays_that_a_node_keeps_count():
    x = small(100, 100, requires_grad=True)
    half = small(100, 100, dtype=rd.float64)
    with profile(profile_memory=True) as prof:
        kept = x * half  # the product is taken in float64, and the converted input is kept
    assert named(prof, "mul").cpu_memory_usage >= 80_000
    assert kept.nbytes == 80_000


def test_without_memory_there_are_no_columns_and_no_rows_for_it():
    x = small()
    with profile() as prof:
        y = x + x
        del y
    assert [e.name for e in prof.events()] == ["add"]
    assert "Mem" not in prof.key_averages().table()


def caller(x):
    return x + x


def test_stack_names_the_callers_innermost_first():
    w = small(requires_grad=True)
    with profile(with_stack=True) as prof:
        caller(w).sum().backward()
    stack = named(prof, "add").stack
    assert stack[0].endswith(": caller") and "test_profiler_figures.py(" in stack[0]
    assert stack[1].endswith(": test_stack_names_the_callers_innermost_first")
    assert named(prof, "AddBackward0").stack == stack  # where the forward call was
    table = prof.key_averages(group_by_stack_n=2).table(max_src_column_width=30)
    assert "Source Location" in table
    assert "(" in table and ": caller" in table
    assert all(len(line) == len(table.splitlines()[0]) for line in table.splitlines()[3:-2])


def test_flops_of_products_and_sums():
    x, y, z = small(2, 3), small(3, 5), small(4, 2, 3)
    with profile(with_flops=True) as prof:
        x @ y
        x + x
        z @ y
        rd.tanh(x)
    assert named(prof, "mm").flops == 2 * 2 * 3 * 5
    assert named(prof, "add").flops == 6
    assert named(prof, "batched_matmul").flops == 4 * 2 * 2 * 3 * 5
    assert named(prof, "tanh").flops == 0
    table = prof.key_averages().table(sort_by="flops")
    assert "Total FLOPs" in table
    assert table.splitlines()[3].endswith("240.000  ")


# --- threads and several profilers ----------------------------------------------------------------


def test_only_the_thread_that_starts_it_is_watched():
    x = small()
    seen = []
    with profile() as prof:
        x + x
        thread = threading.Thread(target=lambda: seen.append((x * x, modes.active)))
        thread.start()
        thread.join()
    assert rows(prof) == ["add"]
    assert seen[0][1] is False
    assert {e.thread for e in prof.events()} == {threading.get_native_id()}


def test_threads_may_have_profilers_of_their_own():
    x = small()
    found = []

    def other():
        with profile() as own:
            x * x
        found.append(rows(own))

    with profile() as prof:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        x + x
    assert (rows(prof), found) == (["add"], [["mul"]])


def test_a_second_profiler_in_a_thread_is_an_error_and_the_first_goes_on():
    x = small()
    with profile() as prof:
        with pytest.raises(RuntimeError, match="already enabled on this thread"):
            profile().start()
        with pytest.raises(RuntimeError, match="already enabled"), rd.autograd.profiler.profile():
            pass
        x + x
    assert rows(prof) == ["add"]


def test_stopping_in_another_thread_is_an_error():
    errors = []

    def stop():
        try:
            prof.stop()
        except RuntimeError as error:
            errors.append(str(error))

    with profile() as prof:
        thread = threading.Thread(target=stop)
        thread.start()
        thread.join()
        small()
    assert "started in another thread" in errors[0]
    assert rows(prof) == ["ones"]


# --- off ------------------------------------------------------------------------------------------


def test_off_no_mode_is_active():
    assert not modes.active
    with profile():
        assert modes.active
    assert not modes.active


def test_straight_lines_know_nothing_of_the_profiler():
    from rederive.pointwise import Pointwise

    straight = 0
    for function in functions.values():
        used = function.__code__.co_names
        if any(isinstance(function.__globals__.get(n), Pointwise) for n in used):
            straight += 1
            assert not {"profiler", "profiled"} & set(used), function.__name__
    assert straight > 50
    assert "profiler" not in engine._straight.__code__.co_names


def reads(path):
    """(line, whether one of the two tests comes first) of each question about the profiler."""
    found = []

    def visit(node, guarded):
        asks = isinstance(node, ast.Attribute) and node.attr == "profiler"
        calls = isinstance(node, ast.Name) and node.id == "profiled"
        if (asks and ast.unparse(node) == "modes.profiler") or calls:
            found.append((node.lineno, guarded))
        test = getattr(node, "test", None) if isinstance(node, ast.If) else None
        asked = "" if test is None else ast.unparse(test)
        inside = guarded or "modes.active" in asked or asked.startswith("profiling.on")
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def test_the_profiler_is_asked_only_behind_a_test_that_stands_there_anyway_or_costs_nothing():
    elsewhere = [*(ROOT / "generated").glob("*.py"), *(ROOT / "runtime").rglob("*.py")]
    own = {ROOT / "runtime" / "dispatch.py", ROOT / "runtime" / "modes.py"}
    asked = 0
    for path in elsewhere:
        if path.parent == ROOT / "runtime" / "profiler" or path in own:
            continue
        for line, guarded in reads(path):
            asked += 1
            assert guarded, f"{path}:{line} asks for the profiler before anything cheaper"
    assert asked > 30


def test_importing_rederive_does_not_import_the_profiler(tmp_path):
    code = (
        "import sys, rederive\n"
        "print([m for m in sys.modules if m.startswith('rederive.profiler')])\n"
        "rederive.profiler.profile, rederive.autograd.profiler.profile"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
