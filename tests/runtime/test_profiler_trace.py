"""Files that a profiler writes: traces for viewers, stacks for flame graphs."""

import gzip
import json
import os
import re

import pytest
from profiles import assert_off, loaded, train, work
from rederive.profiler import profile


@pytest.fixture(autouse=True)
def _off_afterwards():
    yield
    assert_off()


@pytest.fixture(scope="module")
def trained():
    return train()


def test_trace_has_what_viewers_need(trained, tmp_path):
    trace = loaded(trained, tmp_path / "trace.json")
    assert trace["displayTimeUnit"] == "ms"
    assert trace["record_shapes"] == trace["profile_memory"] == 1
    calls = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(calls) == len([e for e in trained.events() if e.name != "[memory]"])
    for call in calls:
        assert {"name", "cat", "ts", "dur", "pid", "tid", "args"} <= set(call)
        assert call["pid"] == os.getpid()
        assert call["dur"] >= 0
    named = {e["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert named >= {"process_name", "thread_name"}
    assert {e["ph"] for e in trace["traceEvents"]} == {"M", "X", "s", "f", "i"}


def test_trace_tells_labels_from_operators_and_shows_their_arguments(trained, tmp_path):
    trace = loaded(trained, tmp_path / "trace.json")
    by_name = {e["name"]: e for e in trace["traceEvents"] if e["ph"] == "X"}
    assert by_name["step"]["cat"] == "user_annotation"
    product = by_name["mm"]
    assert product["cat"] == "cpu_op"
    first = next(e for e in trace["traceEvents"] if e["name"] == "mm")
    assert first["args"]["Input Dims"] == [[16, 8], [8, 6]]
    assert first["args"]["Bytes"] == first["args"]["Self Bytes"] == 16 * 6 * 4
    assert "profiles.py(" in first["args"]["Call stack"]
    assert by_name["MmBackward0"]["args"]["Forward Input Dims"] == [[16, 8], [8, 6]]


def test_trace_nests_within_each_thread(trained, tmp_path):
    trace = loaded(trained, tmp_path / "trace.json")
    calls = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert [e["ts"] for e in calls] == sorted(e["ts"] for e in calls)
    open_ = []
    for call in calls:
        start, end = call["ts"], call["ts"] + call["dur"]
        while open_ and open_[-1] <= start:
            open_.pop()
        assert not open_ or end <= open_[-1] + 1e-6, f"{call['name']} outlasts the row around it"
        open_.append(end)


def test_trace_ties_forward_to_backward(trained, tmp_path):
    trace = loaded(trained, tmp_path / "trace.json")
    calls = {(e["ts"], e["tid"]): e["name"] for e in trace["traceEvents"] if e["ph"] == "X"}
    starts = {e["id"]: e for e in trace["traceEvents"] if e["ph"] == "s"}
    ends = {e["id"]: e for e in trace["traceEvents"] if e["ph"] == "f"}
    assert starts.keys() == ends.keys()
    pairs = {
        (calls[starts[i]["ts"], starts[i]["tid"]], calls[ends[i]["ts"], ends[i]["tid"]])
        for i in starts
    }
    assert {("mm", "MmBackward0"), ("tanh", "TanhBackward0")} <= pairs


def test_trace_counts_the_memory(trained, tmp_path):
    trace = loaded(trained, tmp_path / "trace.json")
    changes = [e["args"] for e in trace["traceEvents"] if e["ph"] == "i"]
    total = 0
    for change in changes:
        total += change["Bytes"]
        assert change["Total Allocated"] == total
    assert total == sum(e.self_cpu_memory_usage for e in trained.events())


def test_trace_with_notes(tmp_path):
    with profile() as prof:
        prof.add_metadata("who", "me")
        prof.add_metadata_json("sizes", "[1, 2]")
        work()
    trace = loaded(prof, tmp_path / "trace.json")
    assert (trace["who"], trace["sizes"]) == ("me", [1, 2])
    with pytest.raises(ValueError, match="Expecting property name"):
        prof.add_metadata_json("bad", "{")


def test_trace_can_be_compressed_and_written_again(trained, tmp_path):
    path = tmp_path / "trace.json.gz"
    for _ in range(2):
        trained.export_chrome_trace(path)
    with gzip.open(path, "rt") as file:
        assert json.load(file)["traceEvents"]
    assert os.listdir(tmp_path) == ["trace.json.gz"]


def test_events_export_traces_too(trained, tmp_path):
    trained.events().export_chrome_trace(tmp_path / "trace.json")
    assert len(json.loads((tmp_path / "trace.json").read_text())["traceEvents"]) > 20


def test_a_trace_that_cannot_be_written_leaves_nothing(trained, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=re.escape(repr(str(tmp_path / "no" / "t.json")))):
        trained.export_chrome_trace(tmp_path / "no" / "t.json")
    with pytest.raises(IsADirectoryError):
        trained.export_chrome_trace(tmp_path)
    old = tmp_path / "old.json"
    old.write_text("old")
    trained.add_metadata("bad", object())
    with pytest.raises(TypeError, match="not JSON serializable"):
        trained.export_chrome_trace(old)
    del trained._metadata["bad"]
    assert (os.listdir(tmp_path), old.read_text()) == (["old.json"], "old")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(trained, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        trained.export_chrome_trace(tmp_path / "trace.json")


def test_a_trace_may_be_read_by_others_as_any_file(trained, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    trained.export_chrome_trace(tmp_path / "trace.json")
    assert (tmp_path / "trace.json").stat().st_mode == plain.stat().st_mode


def test_stacks_are_written_for_flame_graphs(trained, tmp_path):
    trained.export_stacks(tmp_path / "stacks")
    lines = (tmp_path / "stacks").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"\S+ \d+", line)
        assert line.split(" ")[0].endswith(":_train")


def test_stacks_need_with_stack_and_a_known_metric(trained, tmp_path):
    with profile() as plain:
        work()
    with pytest.raises(AssertionError, match="requires with_stack=True"):
        plain.export_stacks(tmp_path / "stacks")
    with pytest.raises(ValueError, match="metric should be one of"):
        trained.export_stacks(tmp_path / "stacks", "bogus")
    assert os.listdir(tmp_path) == []
