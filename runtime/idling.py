"""Threads that wait: those of OpenBLAS and of OpenMP must not keep each other from the cores.

By default OpenBLAS's wait in a loop for tens of milliseconds after a product, and OpenMP's as long
after a parallel kernel. On two cores a program that alternates both then runs ten times as slow.
Both libraries read how long from the environment when they are loaded; a user's own choice stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import os


@contextlib.contextmanager
def unless_set(name, value):
    """Inside, the environment has this value of a variable that it lacked."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


class Nesting:
    """Whether OpenMP's parallel loops may nest: as it was before Numba had started its threads.

    Numba then allows it to all libraries that share its OpenMP. Each product that PyTorch computes
    within a parallel loop starts threads of its own: attention that takes 3 ms took 50.
    """

    def __init__(self):
        self._say, self._levels = None, 1

    def note(self, pool):
        """Look up how it is, in the library that a module of Numba's threads is linked to."""
        library = ctypes.CDLL(pool.__file__)
        self._say = getattr(library, "omp_set_max_active_levels", None)
        if self._say is not None:
            self._levels = library.omp_get_max_active_levels()

    def restore(self):
        """Say it again, after what may have started Numba's threads."""
        if self._say is not None:
            self._say(self._levels)


nesting = Nesting()

with unless_set("OPENBLAS_THREAD_TIMEOUT", "4"):  # 2**4 cycles
    import numpy  # noqa: F401
