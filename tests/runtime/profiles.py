"""What the tests of the profiler share: small programs, and events as trees of names."""

import json

import rederive as rd
from rederive.dispatch import profiling
from rederive.modes import modes
from rederive.profiler import profile, record_function

EVALUATE = "autograd::engine::evaluate_function: "


def assert_off():
    """No test may leave a profiler on."""
    assert modes.profiler is None
    assert profiling.on == 0
    assert not modes.active


def train():
    """Two steps of a small model, with everything recorded."""
    w = rd.ones(8, 6, requires_grad=True)
    x, y = rd.randn(16, 8), rd.randn(16, 6)
    with profile(record_shapes=True, profile_memory=True, with_stack=True, with_flops=True) as prof:
        for _ in range(2):
            with record_function("step"):
                rd.nn.functional.mse_loss((x @ w).tanh(), y).backward()
    return prof


def work():
    """Two operators."""
    rd.ones(3, 4).tanh()


def tree(events):
    """The names of events, nested as the events are: {name: [...]} for one with children."""
    return [e.name if not e.cpu_children else {e.name: tree(e.cpu_children)} for e in events]


def rows(prof):
    """The tree of everything but `[memory]`."""
    return tree(e for e in prof.events() if e.cpu_parent is None and e.name != "[memory]")


def named(prof, name):
    """The first event of a name."""
    found = [e for e in prof.events() if e.name == name]
    assert found, f"no row {name!r} among {sorted({e.name for e in prof.events()})}"
    return found[0]


def small(*shape, **options):
    """Ones, three by four if no shape is given."""
    return rd.ones(*(shape or (3, 4)), **options)


def loaded(prof, path):
    """The trace of a profile, written and read again."""
    prof.export_chrome_trace(str(path))
    return json.loads(path.read_text())
