"""When a profiler records: schedules, steps, start and stop."""

import json
import os
import re
import warnings

import pytest
import rederive as rd
from profiles import assert_off, loaded, work
from rederive.modes import modes
from rederive.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

NONE, WARMUP = ProfilerAction.NONE, ProfilerAction.WARMUP
RECORD, SAVE = ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE


@pytest.fixture(autouse=True)
def _off_afterwards():
    yield
    assert_off()


PLANS = [
    dict(wait=1, warmup=1, active=2, repeat=2, skip_first=1),
    dict(wait=0, warmup=1, active=1),
    dict(wait=2, warmup=3, active=1, repeat=1),
    dict(wait=1, warmup=1, active=1, repeat=2, skip_first=2, skip_first_wait=1),
]


def test_schedule_says_what_to_do_in_each_step():
    action = schedule(**PLANS[0])
    cycle = [NONE, WARMUP, RECORD, SAVE]
    assert [action(step) for step in range(12)] == [NONE, *cycle, *cycle, NONE, NONE, NONE]


@pytest.mark.parametrize("plan", PLANS)
def test_schedule_is_pytorchs(plan):
    torch = pytest.importorskip("torch")
    ours, theirs = schedule(**plan), torch.profiler.schedule(**plan)
    for step in range(30):
        assert ours(step).name == theirs(step).name


@pytest.mark.parametrize("wrong", [dict(active=0), dict(wait=-1), dict(repeat=-1)])
def test_schedule_refuses_what_makes_no_sense(wrong):
    with pytest.raises(AssertionError, match="Invalid profiler schedule arguments"):
        schedule(**(dict(wait=1, warmup=1, active=1) | wrong))
    with pytest.raises(AssertionError, match="Step must be non-negative"):
        schedule(wait=1, warmup=1, active=1)(-1)


def test_schedule_warns_of_no_warmup():
    with pytest.warns(UserWarning, match="won't be using warmup"):
        schedule(wait=0, warmup=0, active=1)


def followed(torch, actions, steps=None, **options):
    """What happens under a schedule: (step, steps recorded) when a trace is ready; warnings."""
    kinds = torch.profiler.ProfilerAction
    log = []

    def ready(prof):
        log.append((prof.step_num, len(steps_of(prof))))

    def steps_of(prof):
        return [e for e in prof.events() if e.name == "ProfilerStep*"]

    def plan(step):
        return kinds[actions[step].name] if step < len(actions) else kinds.NONE

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.profiler.profile(schedule=plan, on_trace_ready=ready, **options) as prof:
            for _ in range(len(actions) if steps is None else steps):
                torch.ones(3).tanh()
                prof.step()
    said = [str(w.message) for w in caught if "Incorrect schedule" in str(w.message)]
    return log, said, len(steps_of(prof))


SEQUENCES = [
    [NONE, WARMUP, RECORD, SAVE],
    [NONE, RECORD, SAVE, RECORD, SAVE],
    [NONE, RECORD, NONE],
    [WARMUP, NONE],
    [SAVE, SAVE],
    [SAVE, WARMUP, SAVE],
    [SAVE, NONE, SAVE],
    [RECORD, RECORD, RECORD, RECORD],
    [WARMUP, RECORD, NONE, RECORD, SAVE],
]


@pytest.mark.parametrize("actions", SEQUENCES, ids=lambda s: "-".join(a.name for a in s))
def test_steps_are_followed_as_in_pytorch(actions):
    torch = pytest.importorskip("torch")
    assert followed(rd, actions) == followed(torch, actions)
    short = len(actions) - 1
    if all(a in (RECORD, SAVE) for a in actions[short:]):
        assert followed(rd, actions, short) == followed(torch, actions, short)


def test_steps():
    assert followed(rd, [NONE, WARMUP, RECORD, SAVE]) == ([(4, 2)], [], 2)
    # two cycles: the events are those of the last one
    assert followed(rd, [RECORD, SAVE, WARMUP, SAVE]) == ([(2, 2), (4, 1)], [], 1)
    assert followed(rd, [RECORD, SAVE, WARMUP, SAVE], acc_events=True) == (
        *([(2, 2), (4, 3)], []),
        3,
    )
    # the program ends early
    assert followed(rd, [RECORD, RECORD, SAVE], 1) == ([(1, 2)], [], 2)
    assert followed(rd, [RECORD, NONE], 1)[1] == ["Incorrect schedule: RECORD followed by NONE"]


def test_rows_of_the_warmup_are_thrown_away():
    with profile(schedule=schedule(wait=1, warmup=1, active=1, repeat=1)) as prof:
        for name in ("waiting", "warming", "recorded", "after"):
            with record_function(name):
                pass
            prof.step()
    assert [e.name for e in prof.events()] == ["ProfilerStep*", "recorded"]
    assert prof.events()[0].trace_name == "ProfilerStep#2"


def test_no_mode_is_active_while_a_schedule_waits():
    seen = []
    with profile(schedule=schedule(wait=1, warmup=1, active=1, repeat=1)) as prof:
        for _ in range(5):
            seen.append(modes.active)
            prof.step()
    assert seen == [False, True, True, False, False]


def test_steps_of_several_cycles_are_in_one_trace_one_after_the_other(tmp_path):
    with profile(
        schedule=schedule(wait=1, warmup=1, active=1), acc_events=True, profile_memory=True
    ) as prof:
        for _ in range(6):
            work()
            prof.step()
    trace = loaded(prof, tmp_path / "trace.json")
    steps = [e for e in trace["traceEvents"] if e["name"].startswith("ProfilerStep#")]
    assert [e["name"] for e in steps] == ["ProfilerStep#2", "ProfilerStep#5"]
    assert steps[0]["ts"] + steps[0]["dur"] < steps[1]["ts"]


def test_without_a_schedule_steps_change_nothing():
    ready = []
    with profile(on_trace_ready=lambda p: ready.append(p.step_num)) as prof:
        for _ in range(3):
            work()
            prof.step()
    assert ready == [3]
    assert [e.name for e in prof.events()] == ["ones", "tanh"] * 3


def test_start_and_stop():
    prof = profile()
    prof.start()
    with pytest.raises(RuntimeError, match="already started"):
        prof.start()
    work()
    assert list(prof.events()) == []  # they come when it stops
    prof.stop()
    prof.stop()
    assert len(prof.events()) == 2
    with prof:
        work()
        work()
    assert len(prof.events()) == 4


def test_an_error_when_the_trace_is_ready_leaves_the_profiler_off():
    def fail(prof):
        raise KeyError

    plan = schedule(wait=0, warmup=1, active=1)
    with pytest.raises(KeyError), profile(schedule=plan, on_trace_ready=fail) as prof:
        for _ in range(4):
            work()
            prof.step()
    assert not modes.active


def test_what_was_not_recorded_cannot_be_asked_for(tmp_path):
    prof = profile()
    for ask in (prof.events, prof.key_averages, prof.stop):
        with pytest.raises(AssertionError, match="Profiler must be initialized"):
            ask()
    with pytest.raises(AssertionError, match="Profiler must be initialized"):
        prof.export_chrome_trace(tmp_path / "trace.json")


def test_schedules_must_return_actions():
    with pytest.raises(TypeError, match="it must be ProfilerAction"):
        profile(schedule=lambda step: 3).start()


def test_activities():
    assert supported_activities() == {ProfilerActivity.CPU}
    with profile(activities=[ProfilerActivity.CPU]):
        pass
    with pytest.warns(UserWarning, match="CUDA is not available"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    with pytest.raises(ValueError, match="specified more than once"):
        profile(activities=[ProfilerActivity.CPU] * 2)
    for none in ([], ["CPU"]):
        with pytest.raises(AssertionError, match="No valid profiler activities found"):
            profile(activities=none)


# --- TensorBoard ----------------------------------------------------------------------------------


def test_tensorboard_handler_writes_a_file_for_each_trace(tmp_path):
    folder = tmp_path / "deep" / "runs"
    with profile(
        schedule=schedule(wait=0, warmup=1, active=1, repeat=2),
        on_trace_ready=tensorboard_trace_handler(str(folder), worker_name="me"),
    ) as prof:
        for _ in range(4):
            work()
            prof.step()
    files = sorted(os.listdir(folder))
    assert len(files) == 2
    for file in files:
        assert re.fullmatch(r"me\.\d+\.pt\.trace\.json", file)
        assert json.loads((folder / file).read_text())["traceEvents"]


def test_tensorboard_handler_compresses_and_names_the_process(tmp_path):
    with profile(on_trace_ready=tensorboard_trace_handler(str(tmp_path), use_gzip=True)):
        work()
    (file,) = os.listdir(tmp_path)
    assert re.fullmatch(rf".+_{os.getpid()}\.\d+\.pt\.trace\.json\.gz", file)


def test_tensorboard_handler_needs_a_folder(tmp_path):
    (tmp_path / "file").touch()
    handler = tensorboard_trace_handler(str(tmp_path / "file"))
    with (
        pytest.raises(RuntimeError, match="Can't create directory"),
        profile(on_trace_ready=handler),
    ):
        work()
