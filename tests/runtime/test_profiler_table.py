"""Tables of the profiler, its first name, and both against PyTorch."""

import json
import re
from pathlib import Path

import pytest
import rederive as rd
from profiles import EVALUATE, assert_off, train, work
from rederive.modes import modes
from rederive.profiler import EventList, profile

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _off_afterwards():
    yield
    assert_off()


@pytest.fixture(scope="module")
def trained():
    return train()


TIMES = ["Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]


def headings(table):
    line = next(line for line in table.splitlines() if "Self CPU %" in line)
    return re.split(r"\s{2,}", line.strip())


def names(table):
    rules = [i for i, line in enumerate(table.splitlines()) if line.startswith("----")]
    body = table.splitlines()[rules[1] + 1 : rules[2]]
    # where callers are shown, their further lines have no name
    return [line.strip().split("  ")[0] for line in body if "%" in line]


def test_table_has_pytorchs_columns(trained):
    with profile() as plain:
        work()
    assert headings(plain.key_averages().table()) == ["Name", *TIMES, "# of Calls"]
    assert headings(trained.key_averages().table()) == [
        *("Name", *TIMES, "CPU Mem", "Self CPU Mem", "# of Calls", "Total KFLOPs"),
    ]
    grouped = trained.key_averages(group_by_input_shape=True, group_by_stack_n=1)
    assert headings(grouped.table())[-4:] == [
        *("# of Calls", "Input Shapes", "Source Location", "Total KFLOPs"),
    ]


def test_table_ends_in_the_total(trained):
    averages = trained.key_averages()
    last = averages.table().splitlines()[-1]
    assert re.fullmatch(r"Self CPU time total: \d+\.\d{3}(us|ms|s)", last)
    assert averages.table(time_unit="us").splitlines()[-1] == (
        f"Self CPU time total: {averages.self_cpu_time_total:.3f}us"
    )


def test_percentages_are_of_the_total(trained):
    text = trained.key_averages().table(time_unit="us")
    shares = [float(share) for share in re.findall(r"^.*?([\d.]+)%", text, re.M)]
    assert sum(shares) == pytest.approx(100, abs=0.5)


SORTABLE = [
    *("cpu_time", "cpu_time_total", "self_cpu_time_total", "count", "flops"),
    *("cpu_memory_usage", "self_cpu_memory_usage", "key"),
]


@pytest.mark.parametrize("key", SORTABLE)
def test_sort_by(trained, key):
    averages = trained.key_averages()
    ordered = sorted(averages, key=lambda row: getattr(row, key), reverse=True)
    assert names(averages.table(sort_by=key, max_name_column_width=None)) == [
        row.key for row in ordered
    ]


def test_sort_by_times_of_devices_that_are_not_there_keeps_the_order(trained):
    averages = trained.key_averages()
    for key in ("cuda_time_total", "self_cuda_time_total", "device_time", "self_xpu_time_total"):
        assert averages.table(sort_by=key) == averages.table()


def test_sort_by_what_is_unknown_is_an_error(trained):
    with pytest.raises(AttributeError, match="has no attribute 'bogus'"):
        trained.key_averages().table(sort_by="bogus")
    with pytest.raises(TypeError, match="sort_by is int"):
        trained.key_averages().table(sort_by=3)


def test_row_limit(trained):
    averages = trained.key_averages()
    assert len(names(averages.table(row_limit=2))) == 2
    assert len(names(averages.table(row_limit=-1))) == len(averages)
    assert names(averages.table(row_limit=0)) == []


def test_columns_can_be_narrow(trained):
    averages = trained.key_averages(group_by_input_shape=True)
    lines = averages.table(max_name_column_width=8, max_shapes_column_width=6).splitlines()
    assert "matmu..." in "\n".join(lines)
    assert len({len(line) for line in lines[:-1]}) == 1


def test_header_and_top_level_rows(trained):
    text = trained.key_averages().table(header="A header", top_level_events_only=True)
    lines = text.splitlines()
    assert lines[1] == "A header"
    assert lines[3] == "This report only display top-level ops statistics"
    assert set(names(text)) <= {"step", "[memory]"}


def test_events_have_a_table_too(trained):
    text = trained.events().table(row_limit=3)
    assert "Input Shapes" in headings(text)
    assert names(text) == ["step", "matmul", "mm"]
    assert str(trained.events()) == trained.events().table()


def test_nothing_recorded_is_an_empty_table():
    with profile() as prof:
        pass
    assert (prof.key_averages().table(), list(prof.events())) == ("", [])
    assert prof.key_averages().total_average().key == "Total"
    assert prof.key_averages().self_cpu_time_total == 0
    assert EventList().table() == ""


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        *((0, "0.000us"), (0.5, "0.500us"), (999.0, "999.000us"), (1000.0, "1.000ms")),
        (1_234_567.0, "1.235s"),
    ],
)
def test_times_are_shown_with_their_unit(microseconds, text):
    from rederive.profiler.table import shown_time

    assert shown_time(microseconds) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        *((0, "0 B"), (-8, "-8 B"), (1024, "1.00 KB"), (-1536, "-1.50 KB")),
        *((3 << 20, "3.00 MB"), (5 << 30, "5.00 GB")),
    ],
)
def test_bytes_are_shown_with_their_unit(nbytes, text):
    from rederive.profiler.table import shown_memory

    assert shown_memory(nbytes) == text


def test_representations(trained):
    assert re.match(r"<FunctionEvent id=1 name=step cpu_time=", repr(trained.events()[0]))
    assert re.match(r"<FunctionEventAvg key=step count=2 ", repr(trained.key_averages()[0]))


# --- the page about it ----------------------------------------------------------------------------


def cells(table):
    """The rows of a table, but for their times: name -> (memory, calls)."""
    found = {}
    for line in table.splitlines():
        if "%" in line and "Name" not in line:
            name, *_, memory, _, calls = re.split(r"\s{2,}", line.strip())
            found[name] = memory, calls
    return found


def test_the_page_shows_what_its_program_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "profiling.md").read_text()
    program, table = re.findall(r"^```(?:python|text)\n(.*?)^```", page, re.M | re.S)
    shown = cells(table)
    assert len(shown) == 12
    exec(program.replace("row_limit=12", "row_limit=-1"), {})
    printed = cells(capsys.readouterr().out)
    assert shown.items() <= printed.items()
    assert {"forward", "update", "AccumulateGrad", "MmBackward0"} <= printed.keys()
    assert (tmp_path / "trace.json").exists()


# --- the profiler of autograd ---------------------------------------------------------------------


def test_the_profiler_of_autograd(tmp_path):
    first = rd.autograd.profiler
    with first.profile(record_shapes=True, profile_memory=True) as prof:
        assert repr(prof) == "<unfinished rederive.autograd.profile>"
        assert list(prof.key_averages()) == []
        with first.record_function("part"):
            work()
    assert [e.name for e in prof.function_events] == ["part", "ones", "tanh"]
    assert "Input Shapes" in headings(prof.table(sort_by="cpu_time_total"))
    assert str(prof) == prof.table()
    assert prof.key_averages().table()
    assert prof.total_average().count == 3
    assert prof.self_cpu_time_total > 0
    prof.export_chrome_trace(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    with pytest.raises(RuntimeError, match="not reentrant"), prof:
        pass


def test_the_profiler_of_autograd_can_be_disabled():
    with rd.autograd.profiler.profile(enabled=False) as prof:
        assert not modes.active
        work()
    assert prof.function_events is None
    with pytest.raises(RuntimeError, match="didn't finish running"):
        prof.export_chrome_trace("nowhere")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        rd.autograd.profiler.profile(use_cuda=True)


# --- against PyTorch ------------------------------------------------------------------------------


def profiled(torch):
    x, w = torch.ones(6, 4), torch.ones(4, 3, requires_grad=True)
    with torch.profiler.profile(record_shapes=True, profile_memory=True) as prof:
        with torch.profiler.record_function("forward"):
            loss = torch.nn.functional.mse_loss(torch.tanh(x @ w), torch.ones(6, 3))
        loss.backward()
    return prof


def test_rows_are_pytorchs_with_plain_names():
    """What a program would look for: each operator it calls, each node, labels, leaves."""
    torch = pytest.importorskip("torch")
    ours = {row.key: row for row in profiled(rd).key_averages()}
    theirs = {row.key: row for row in profiled(torch).key_averages()}
    operators = ("matmul", "mm", "tanh", "mse_loss", "mean")
    nodes = ("TanhBackward0", "MmBackward0", EVALUATE + "TanhBackward0", EVALUATE + "MmBackward0")
    pairs = {name: f"aten::{name}" for name in operators} | {name: name for name in nodes}
    pairs |= {"forward": "forward", "AccumulateGrad": "torch::autograd::AccumulateGrad"}
    for here, there in pairs.items():
        assert ours[here].count == theirs[there].count, here
    for name in ("matmul", "mm", "tanh"):
        assert ours[name].cpu_memory_usage == theirs[f"aten::{name}"].cpu_memory_usage, name


def test_tables_are_pytorchs():
    torch = pytest.importorskip("torch")
    for options in ({}, {"group_by_input_shape": True}):
        ours = profiled(rd).key_averages(**options).table()
        theirs = profiled(torch).key_averages(**options).table()
        assert headings(ours) == headings(theirs)
        for text in (ours, theirs):
            assert re.match(r"-{8,}  (-{12}  )+", text)
            assert re.search(r"\nSelf CPU time total: [\d.]+(us|ms)\n$", text)


def test_shapes_of_rows_are_pytorchs():
    torch = pytest.importorskip("torch")
    ours = {e.name: e.input_shapes for e in profiled(rd).events()}
    theirs = {e.name.removeprefix("aten::"): e.input_shapes for e in profiled(torch).events()}
    for name in ("matmul", "mm", "tanh", "TanhBackward0", "MmBackward0", EVALUATE + "MmBackward0"):
        assert ours[name] == theirs[name], name
    assert ours["AccumulateGrad"] == theirs["torch::autograd::AccumulateGrad"]
