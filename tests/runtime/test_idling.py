"""How long waiting threads spin is said to libraries while they load, and to nobody else."""

import os
import sys

import pytest
from processes import python
from rederive.idling import unless_set


def test_a_variable_is_set_and_taken_back(monkeypatch):
    monkeypatch.delenv("REDERIVE_TEST", raising=False)
    with unless_set("REDERIVE_TEST", "4"):
        assert os.environ["REDERIVE_TEST"] == "4"
    assert "REDERIVE_TEST" not in os.environ


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("REDERIVE_TEST", "7")
    with unless_set("REDERIVE_TEST", "4"):
        assert os.environ["REDERIVE_TEST"] == "7"
    assert os.environ["REDERIVE_TEST"] == "7"


def test_libraries_see_the_variables_when_they_load():
    assert python(
        """
        import builtins, importlib, os
        seen = {}
        plain, module = builtins.__import__, importlib.import_module

        def spy(name, *rest, **options):
            if name == "numpy":
                seen.setdefault("numpy", os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
            return plain(name, *rest, **options)

        def other(name, *rest):
            seen.setdefault(name, os.environ.get("GOMP_SPINCOUNT"))
            return module(name, *rest)

        builtins.__import__, importlib.import_module = spy, other
        import rederive
        print(seen["numpy"], seen["numba.np.ufunc.omppool"])
        print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"), os.environ.get("GOMP_SPINCOUNT"))
        """
    ) == ["4", "1000", "None", "None"]


@pytest.mark.skipif("linux" not in sys.platform, reason="another OpenMP")
def test_parallel_kernels_leave_nesting_to_others_as_it_was(tmp_path):
    """Numba allows parallel loops to nest in every library that shares its OpenMP."""
    before, *after = python(
        """
        import ctypes
        import numba.np.ufunc.omppool as pool
        library = ctypes.CDLL(pool.__file__)
        print(library.omp_get_max_active_levels())
        import rederive as rd
        for _ in range(2):
            rd.ones(300_000).square()
            print(library.omp_get_max_active_levels())
            rd.set_num_threads(2)
        """,
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    assert after == [before] * 2
