"""How many threads NumPy's products use, where its BLAS lets itself be told."""

from __future__ import annotations

import ctypes

import numpy as np

NAMES = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
)


def _find():
    """The function that sets the number of threads, or None."""
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)  # finds what that is linked to
    for name in NAMES:
        found = getattr(library, name, None)
        if found is not None:
            found.argtypes, found.restype = (ctypes.c_int,), None
            return found
    return None


_set = _find()


def set_blas_threads(number):
    """Let products use `number` threads."""
    if _set is not None:
        _set(number)
