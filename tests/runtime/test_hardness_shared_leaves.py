"""Backward passes of several threads, into shared leaves and shared graphs, lose nothing."""

import math
import os
import sys
import threading

import pytest
import rederive as rd
from processes import python
from rederive.autograd import Function, forward_ad, grad, graph
from rederive.utils.checkpoint import checkpoint
from running_threads import in_threads

THREADS, ROUNDS = 6, 100
TOTAL = THREADS * ROUNDS


@pytest.fixture(autouse=True)
def restless():
    """Threads change places after a microsecond, which shows races that else come once a day."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def everywhere(work):
    """Run `work()` in all threads, many times in each."""

    def repeated():
        for _ in range(ROUNDS):
            work()

    in_threads(*[repeated] * THREADS)


def leaf(value, *shape):
    return rd.full(shape or (8,), value, dtype=rd.float64, requires_grad=True)


class Counter:
    """Counts calls without losing one."""

    def __init__(self):
        self.value, self.lock = 0, threading.Lock()

    def __call__(self, *ignored):
        with self.lock:
            self.value += 1


def expect(gradient, value):
    assert gradient.view(-1).tolist() == pytest.approx([value] * gradient.numel(), rel=1e-12)


# --- graphs of their own -----------------------------------------------------------------------


def test_each_thread_has_its_graph():
    x, y = leaf(2.0), leaf(3.0)
    everywhere(lambda: (x * y).sum().backward())
    expect(x.grad, 3.0 * TOTAL)
    expect(y.grad, 2.0 * TOTAL)


def test_a_leaf_meets_itself_in_each_graph():
    x = leaf(2.0)
    everywhere(lambda: (x * x + x.exp() * 0 + x).sum().backward())
    expect(x.grad, 5.0 * TOTAL)


def test_leaves_and_gradients_that_are_not_dense():
    x = rd.full((8, 4), 2.0, dtype=rd.float64).t().requires_grad_()
    everywhere(lambda: ((x * 3).sum() + x[1].sum()).backward())
    expect(x.grad[0], 3.0 * TOTAL)
    expect(x.grad[1], 4.0 * TOTAL)


def test_only_the_named_inputs():
    x, y = leaf(2.0), leaf(3.0)
    everywhere(lambda: (x * y).sum().backward(inputs=[x]))
    expect(x.grad, 3.0 * TOTAL)
    assert y.grad is None


def test_recorded_gradients():
    x = leaf(2.0)
    everywhere(lambda: (x * x).sum().backward(create_graph=True))
    expect(x.grad.detach(), 4.0 * TOTAL)
    assert x.grad.requires_grad
    x.grad = None  # ends the cycle of the leaf and its graph


def test_gradients_of_gradients():
    x = leaf(2.0)

    def work():
        (g,) = grad((x * x * x).sum(), x, create_graph=True)
        g.sum().backward()

    everywhere(work)
    expect(x.grad, 12.0 * TOTAL)


# --- one graph ---------------------------------------------------------------------------------


def test_one_graph_for_all_threads():
    x, y = leaf(2.0), leaf(3.0)
    middle = (x * y).sin()
    middle.retain_grad()
    total = (middle * middle).sum()
    everywhere(lambda: total.backward(retain_graph=True))
    inner = 2 * math.sin(6.0) * TOTAL
    expect(middle.grad, inner)
    expect(x.grad, inner * math.cos(6.0) * 3.0)
    expect(y.grad, inner * math.cos(6.0) * 2.0)


def test_one_graph_whose_saved_values_are_packed():
    x, unpacked = leaf(2.0), Counter()

    def unpack(t):
        unpacked()
        return t

    with graph.saved_tensors_hooks(lambda t: t.clone(), unpack):
        total = (x * x).sin().sum()
    calls = unpacked.value
    total.backward(retain_graph=True)
    calls = unpacked.value - calls
    everywhere(lambda: total.backward(retain_graph=True))
    expect(x.grad, 4 * math.cos(4.0) * (TOTAL + 1))
    assert unpacked.value == calls * (TOTAL + 1)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoints(use_reentrant):
    x, y = leaf(2.0), leaf(2.0)

    def part(t):
        return checkpoint(lambda t: (t * t).sin(), t, use_reentrant=use_reentrant).sum()

    total = part(x)
    everywhere(lambda: total.backward(retain_graph=True))
    everywhere(lambda: part(y).backward())
    expect(x.grad, 4 * math.cos(4.0) * TOTAL)
    expect(y.grad, 4 * math.cos(4.0) * TOTAL)


class Both(Function):
    """`a * 2` and `a * a`."""

    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        ctx.set_materialize_grads(False)
        return a * 2, a * a

    @staticmethod
    def backward(ctx, g, h):
        (a,) = ctx.saved_tensors
        return (0 if g is None else g * 2) + (0 if h is None else h * 2 * a)


def test_custom_function():
    x, y = leaf(3.0), leaf(3.0)
    double, square = Both.apply(x)
    total = (double * square).sum()
    everywhere(lambda: total.backward(retain_graph=True))
    expect(x.grad, 54.0 * TOTAL)
    everywhere(lambda: Both.apply(y)[1].sum().backward())
    expect(y.grad, 6.0 * TOTAL)


# --- hooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
def test_hooks_of_leaves_results_and_nodes(shared):
    x, calls = leaf(2.0), [Counter() for _ in range(3)]

    def doubled(gradient):
        calls[0]()
        return gradient * 2

    x.register_hook(doubled)

    def made():
        y = x * 3
        y.register_hook(calls[1])
        y.grad_fn.register_hook(calls[2])
        return y.sum()

    total = made()
    work = (lambda: total.backward(retain_graph=True)) if shared else (lambda: made().backward())
    everywhere(work)
    expect(x.grad, 6.0 * TOTAL)
    assert [counter.value for counter in calls] == [TOTAL] * 3


def test_post_accumulate_hook_that_uses_the_gradient_up():
    x = leaf(0.0)

    def step(t):
        gradient = t.grad
        with rd.no_grad():
            t.add_(gradient)
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    everywhere(lambda: x.sum().backward())
    expect(x.detach(), 1.0 * TOTAL)
    assert x.grad is None


def test_post_accumulate_hooks_of_different_leaves_may_wait_for_each_other():
    leaves, meeting = [leaf(1.0), leaf(2.0)], threading.Barrier(2)
    for x in leaves:
        x.register_post_accumulate_grad_hook(lambda t: meeting.wait(20))
    in_threads(*[(x * 2).sum().backward for x in leaves])
    assert [x.grad[0].item() for x in leaves] == [2.0, 2.0]


@pytest.mark.parametrize("mode", ["all", "any"])
def test_multi_grad_hooks(mode):
    x, y, calls = leaf(2.0), leaf(3.0), Counter()
    graph.register_multi_grad_hook((x, y), calls, mode=mode)
    total = (x * y).sum()
    everywhere(lambda: total.backward(retain_graph=True))
    assert calls.value == TOTAL
    expect(x.grad, 3.0 * TOTAL)


# --- modes of a thread -------------------------------------------------------------------------


def test_grad_mode_of_each_thread():
    x = leaf(2.0)

    def recording():
        for _ in range(ROUNDS):
            with rd.enable_grad():
                (x * 3).sum().backward()

    def silent():
        for _ in range(ROUNDS):
            with rd.no_grad():
                assert not (x * 3).requires_grad
            assert (x * 3).requires_grad

    def inference():
        for _ in range(ROUNDS):
            with rd.inference_mode():
                assert (x * 3).is_inference()

    in_threads(*[recording, silent, inference] * 2)
    expect(x.grad, 6.0 * ROUNDS)


def test_levels_of_forward_mode_of_each_thread():
    def work(number):
        for _ in range(ROUNDS // 4):
            with forward_ad.dual_level():
                x = forward_ad.make_dual(leaf(float(number)).detach(), leaf(1.0).detach())
                tangent = forward_ad.unpack_dual((x * x).sin()).tangent
                expect(tangent, 2 * number * math.cos(number * number))

    in_threads(*[lambda n=n: work(n) for n in range(THREADS)])


def test_anomaly_mode_of_each_thread():
    x = leaf(2.0)

    def watched():
        with rd.autograd.detect_anomaly(check_nan=False):
            for _ in range(ROUNDS // 4):
                (x * 2).sum().backward()

    def plain():
        for _ in range(ROUNDS // 4):
            (x * 2).sum().backward()

    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        in_threads(watched, plain, watched, plain)
    expect(x.grad, 8.0 * (ROUNDS // 4))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_a_hook_runs_accumulates():
    assert python(
        """
    import os, signal, threading
    import rederive as rd

    x = rd.ones(3, requires_grad=True)
    inside, done = threading.Event(), threading.Event()

    def hook(t):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            done.wait(30)

    x.register_post_accumulate_grad_hook(hook)
    thread = threading.Thread(target=lambda: x.sum().backward())
    thread.start()
    inside.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        x.sum().backward()
        os._exit(0 if x.grad.tolist() == [2.0] * 3 else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done.set()
    thread.join()
    print(code)
    """
    ) == ["0"]
