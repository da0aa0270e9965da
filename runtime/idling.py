"""Threads that wait: those of OpenBLAS and of OpenMP must not keep each other from the cores.

By default OpenBLAS's wait in a loop for tens of milliseconds after a product, and OpenMP's as long
after a parallel kernel. On two cores a program that alternates both then runs ten times as slow.
Both libraries read how long from the environment when they are loaded; a user's own choice stays.
"""

from __future__ import annotations

import contextlib
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


with unless_set("OPENBLAS_THREAD_TIMEOUT", "4"):  # 2**4 cycles
    import numpy  # noqa: F401
