"""Threads and forked processes compute what one thread computes."""

import os
import threading

import numpy as np
import pytest
import rederive as rd
from processes import python
from running_threads import in_threads


def train(seed, steps=60):
    """The weights of a small network after some steps of gradient descent."""
    rng = np.random.default_rng(seed)
    x = rd.tensor(rng.normal(size=(16, 8)))
    y = rd.tensor(rng.normal(size=(16, 1)))
    weights = [
        rd.tensor(rng.normal(size=size) * 0.3, requires_grad=True) for size in ((8, 12), (12, 1))
    ]
    for _ in range(steps):
        loss = (rd.tanh(x @ weights[0]) @ weights[1] - y).square().mean()
        loss.backward()
        with rd.no_grad():
            for w in weights:
                w -= 0.1 * w.grad
                w.grad.zero_()
    return [w.detach().numpy() for w in weights]


def test_two_models_trained_at_once_end_as_alone():
    alone = [train(1), train(2)]
    together = in_threads(lambda: train(1), lambda: train(2))
    for expected, got in zip(alone, together, strict=True):
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a, b)


def test_two_threads_accumulate_into_one_leaf():
    leaf = rd.ones(64, dtype=rd.float64, requires_grad=True)
    rounds = 300

    def work(factor):
        for _ in range(rounds):
            (leaf * factor).sum().backward()

    in_threads(lambda: work(1.0), lambda: work(2.0), lambda: work(4.0))
    assert leaf.grad.tolist() == [7.0 * rounds] * 64


def test_large_arrays_in_two_threads():
    def work(seed):
        x = rd.tensor(np.random.default_rng(seed).normal(size=100_000), requires_grad=True)
        for _ in range(20):
            x.grad = None
            (x.sin() * x).sum().backward()
        return x.detach().numpy(), x.grad.numpy()

    for x, grad in in_threads(lambda: work(1), lambda: work(2)):
        np.testing.assert_allclose(grad, np.cos(x) * x + np.sin(x), rtol=1e-12, atol=1e-12)


def test_grad_mode_belongs_to_a_thread():
    inside, done = threading.Event(), threading.Event()

    def without():
        with rd.no_grad():
            inside.set()
            assert done.wait(10)
            return rd.is_grad_enabled()

    def recording():
        assert inside.wait(10)
        y = rd.ones(2, requires_grad=True) * 2
        done.set()
        return rd.is_grad_enabled(), y.requires_grad

    assert in_threads(without, recording) == [False, (True, True)]
    with rd.no_grad():
        assert in_threads(rd.is_grad_enabled) == [True]


# --- fork ----------------------------------------------------------------------------------------

FORKED = """
    import os, sys, threading
    import numpy as np
    import rederive as rd

    def check(n):
        x = rd.tensor(np.linspace(-1, 1, n), requires_grad=True)
        (x.exp() * x).sum().backward()
        want = np.exp(x.detach().numpy()) * (1 + x.detach().numpy())
        np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-12, atol=1e-14)
        rows = rd.tensor(np.linspace(-1, 1, n).reshape(8, -1), requires_grad=True)
        rd.nn.functional.softmax(rows, 1)[:, 0].sum().backward()
        assert np.isfinite(rows.grad.numpy()).all()

    check(80_000)  # a parallel kernel, in the parent
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes():
    assert python(
        FORKED
        + """
    for _ in range(2):
        child = os.fork()
        if child == 0:
            check(80_000)
            rd.set_num_threads(4)  # the threads are gone: it must not start them
            check(80_000)
            assert rd.get_num_threads() == 1
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check(80_000)
    print("right")
    """
    ) == ["right"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_multiprocessing_by_fork_computes():
    assert python(
        FORKED
        + """
    import multiprocessing

    def gradient(n):
        check(n)
        x = rd.full((3,), float(n), requires_grad=True)
        x.square().sum().backward()
        return x.grad

    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*[g[0].item() for g in pool.map(gradient, [40_000, 48_000, 8])])
    """
    ) == ["80000.0", "96000.0", "16.0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_during_another_threads_backward_computes():
    assert python(
        FORKED
        + """
    leaf = rd.ones(50_000, requires_grad=True)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            (leaf * 2.0).sum().backward()

    thread = threading.Thread(target=work)
    thread.start()
    codes = []
    for _ in range(30):
        child = os.fork()
        if child == 0:
            import signal
            signal.alarm(20)
            check(80_000)
            (leaf * 3.0).sum().backward()
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    thread.join()
    print(set(codes))
    """
    ) == ["{0}"]
