"""How many threads kernels use, also in a child that was forked."""

import os
import sys

import numba
import numpy as np
import pytest
import rederive as rd
from rederive.threads import LIGHT, MINIMUM, threads


@pytest.fixture(autouse=True)
def _restored():
    before, possible = threads.wanted, threads.possible
    yield
    threads.possible = possible
    threads.use(before)


def test_one_thread_means_serial_kernels():
    rd.set_num_threads(1)
    assert (threads.minimum, threads.light, rd.get_num_threads()) == (sys.maxsize, sys.maxsize, 1)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one core")
def test_several_threads_are_used_again():
    rd.set_num_threads(1)
    rd.set_num_threads(2)
    assert (threads.minimum, threads.light, rd.get_num_threads()) == (MINIMUM, LIGHT, 2)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one core")
def test_kernels_called_by_several_threads_stay_in_theirs():
    rd.set_num_threads(2)
    with threads:
        assert (threads.minimum, rd.get_num_threads()) == (sys.maxsize, 1)
        with threads:
            rd.set_num_threads(1)
            rd.set_num_threads(2)
        assert threads.minimum == sys.maxsize
    assert (threads.minimum, rd.get_num_threads()) == (MINIMUM, 2)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one core")
def test_products_use_as_many_threads_as_kernels(monkeypatch):
    asked = []
    monkeypatch.setattr("rederive.threads.set_blas_threads", asked.append)
    rd.set_num_threads(1)
    rd.set_num_threads(2)
    with threads, threads:
        pass
    assert asked == [1, 2, 1, 2]


@pytest.mark.parametrize("number", [0, -1, 1.5, "two"])
def test_number_must_be_positive(number):
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        rd.set_num_threads(number)


def test_kernels_stay_serial_where_threads_are_not_possible():
    threads.possible = False
    rd.set_num_threads(2)
    assert (threads.minimum, rd.get_num_threads()) == (sys.maxsize, 1)


def _large_gradient():
    x = rd.ones(100_000).requires_grad_()
    (x.exp() * x).sum().backward()
    return float(x.grad.numpy().max())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_computes_with_serial_kernels():
    expected = _large_gradient()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            rd.set_num_threads(2)
            same = _large_gradient() == expected and threads.minimum == sys.maxsize
            os.write(writer, b"y" if same else b"n")
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 1) == b"y"
    os.close(reader)
    np.testing.assert_allclose(expected, 2 * np.e, rtol=1e-6)
