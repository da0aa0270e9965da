"""How many threads kernels use, and from which size on they use them."""

from __future__ import annotations

import importlib
import os
import sys
import threading

import numba
from numba.core.compiler_lock import global_compiler_lock

from .blas import set_blas_threads
from .idling import nesting, unless_set

MINIMUM = 32768
ROWS = 262144
LIGHT = 786432

# omp starts a kernel in 1.5 us and may be called from several threads; workqueue may not.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def _layer_is_safe():
    """Whether there is a threading layer that several Python threads may call at once."""
    with unless_set("GOMP_SPINCOUNT", "1000"):
        for name in ("omppool", "tbbpool"):
            try:
                pool = importlib.import_module(f"numba.np.ufunc.{name}")
            except ImportError:
                continue
            nesting.note(pool)
            return True
    return False


class Threads:
    """`minimum`: from so many elements on a kernel runs on several threads.

    `rows`: the same for kernels that work along rows. `light`: for those that do little but read
    and write. To wake another thread takes 5 to 100 us; the latter take 5 on as many elements as
    `minimum`, and 40 on as many as `rows`.
    `possible`: whether that may happen in this process at all.
    `wanted`: how many threads there may be.
    """

    __slots__ = ("_busy", "_lock", "light", "minimum", "possible", "rows", "wanted")

    def __init__(self):
        self.possible = numba.config.NUMBA_NUM_THREADS > 1 and _layer_is_safe()
        self.wanted = numba.config.NUMBA_NUM_THREADS if self.possible else 1
        self._start_anew()

    def _start_anew(self):
        self._busy = 0
        self._lock = threading.Lock()
        self._decide()

    def _decide(self):
        alone = self._busy or self.wanted == 1
        self.minimum = sys.maxsize if alone else MINIMUM
        self.rows = sys.maxsize if alone else ROWS
        self.light = sys.maxsize if alone else LIGHT

    def __enter__(self):
        """Inside, other threads are at work: kernels and products stay in the one that calls."""
        with self._lock:
            self._busy += 1
            self._decide()
            if self._busy == 1:
                set_blas_threads(1)

    def __exit__(self, *_):
        with self._lock:
            self._busy -= 1
            self._decide()
            if not self._busy:
                set_blas_threads(self.wanted)

    def use(self, number):
        """Use so many threads from now on."""
        with self._lock:
            self.wanted = number
            if number > 1:
                numba.set_num_threads(number)
                nesting.restore()
            self._decide()
            if not self._busy:
                set_blas_threads(number)


threads = Threads()


def get_num_threads():
    """The number of threads that kernels and products use."""
    return 1 if threads.minimum == sys.maxsize else threads.wanted


def set_num_threads(number):
    """Let kernels and products use `number` threads; 1 keeps them in the calling thread."""
    if not isinstance(number, int) or number < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {number!r}")
    threads.use(min(number, numba.config.NUMBA_NUM_THREADS) if threads.possible else 1)


def _after_fork():
    """The OpenMP threads did not survive the fork: a parallel kernel would kill the child."""
    threads.possible = False
    threads.wanted = 1
    threads._start_anew()


os.register_at_fork(after_in_child=_after_fork)
# A child forked while another thread compiles would wait for ever for that thread's lock.
os.register_at_fork(
    before=global_compiler_lock.acquire,
    after_in_parent=global_compiler_lock.release,
    after_in_child=global_compiler_lock.release,
)
