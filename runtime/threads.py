"""How many threads kernels use, and from which size on they use them."""

from __future__ import annotations

import importlib
import os
import sys

import numba
from numba.core.compiler_lock import global_compiler_lock

from .idling import unless_set

MINIMUM = 32768

# omp starts a kernel in 1.5 us and may be called from several threads; workqueue may not.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def _layer_is_safe():
    """Whether there is a threading layer that several Python threads may call at once."""
    with unless_set("GOMP_SPINCOUNT", "1000"):
        for name in ("omppool", "tbbpool"):
            try:
                importlib.import_module(f"numba.np.ufunc.{name}")
            except ImportError:
                continue
            return True
    return False


class Threads:
    """`minimum`: from so many elements on a kernel runs on several threads.

    `possible`: whether that may happen in this process at all.
    """

    __slots__ = ("minimum", "possible")

    def __init__(self):
        self.possible = numba.config.NUMBA_NUM_THREADS > 1 and _layer_is_safe()
        self.minimum = MINIMUM if self.possible else sys.maxsize


threads = Threads()


def get_num_threads():
    """The number of threads that kernels use."""
    return 1 if threads.minimum == sys.maxsize else numba.get_num_threads()


def set_num_threads(number):
    """Let kernels use `number` threads; 1 keeps them in the calling thread."""
    if not isinstance(number, int) or number < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {number!r}")
    if number == 1 or not threads.possible:
        threads.minimum = sys.maxsize
        return
    numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))
    threads.minimum = MINIMUM


def _after_fork():
    """The OpenMP threads did not survive the fork: a parallel kernel would kill the child."""
    threads.possible = False
    threads.minimum = sys.maxsize


os.register_at_fork(after_in_child=_after_fork)
# A child forked while another thread compiles would wait for ever for that thread's lock.
os.register_at_fork(
    before=global_compiler_lock.acquire,
    after_in_parent=global_compiler_lock.release,
    after_in_child=global_compiler_lock.release,
)
