"""The cache of compiled kernels: interrupted, shared, read-only, out of reach; and the import."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from processes import printed, python, start

ROOT = Path(__file__).resolve().parents[2]

COMPUTE = """
    import numpy as np
    import rederive as rd

    def check(dtype):
        x = rd.tensor(np.linspace(-1, 1, 64), dtype=dtype, requires_grad=True)
        (x.tanh() * x).sum().backward()
        a = x.detach().numpy()
        want = np.tanh(a) + a * (1 - np.tanh(a) ** 2)
        np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-5, atol=1e-6)
        n = rd.arange(64, dtype=rd.int32)
        assert (n * n + n).tolist() == [i * i + i for i in range(64)]
"""


def check(*kinds):
    return COMPUTE + "".join(f"\n    check(rd.{kind})" for kind in kinds) + "\n    print('right')\n"


def test_killed_while_compiling_leaves_nothing_broken(tmp_path):
    cache = str(tmp_path)
    for pause in (0.3, 0.6):
        process = start(check("float32", "float64"), NUMBA_CACHE_DIR=cache)
        deadline = time.monotonic() + 120
        written = len(list(tmp_path.rglob("*.nb?")))
        while process.poll() is None and len(list(tmp_path.rglob("*.nb?"))) <= written:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert python(check("float32", "float64"), NUMBA_CACHE_DIR=cache) == ["right"]


def test_a_damaged_cache_is_recomputed_or_reported_never_wrong(tmp_path):
    """A file whose name is in the index but which never was written, as after a crash."""
    cache = str(tmp_path)
    assert python(check("float32"), NUMBA_CACHE_DIR=cache) == ["right"]
    for file in list(tmp_path.rglob("*.nbc"))[::2]:
        file.unlink()
    assert python(check("float32"), NUMBA_CACHE_DIR=cache) == ["right"]


def test_processes_that_start_together_on_a_fresh_cache_compute_right(tmp_path):
    cache = str(tmp_path)
    orders = [("float32", "float64"), ("float64", "float32"), ("float32",), ("float64",)]
    running = [start(check(*kinds), NUMBA_CACHE_DIR=cache) for kinds in orders]
    assert [printed(process) for process in running] == [["right"]] * len(orders)
    assert python(check("float32", "float64"), NUMBA_CACHE_DIR=cache) == ["right"]


def test_two_processes_never_share_a_data_file():
    """Else the index could name the float32 code of one as the int32 code of the other."""
    program = """
        import os
        import rederive
        from rederive.generated import functions_pointwise_multiplication as functions
        from rederive.kernels import scan

        name = functions.kernels.mul_forward._cache._cache_file._data_name
        print(name(1), name(2), scan._recurrence._cache._cache_file._data_name(1), flush=True)
        if os.fork() == 0:
            print(name(1), flush=True)
            os._exit(0)
        os.wait()
    """
    names = python(program) + python(program)
    assert len(set(names)) == 8
    assert all(name.endswith(".nbc") for name in names)


# --- installed where nothing can be written ------------------------------------------------------


@pytest.fixture
def installed(tmp_path):
    """The package laid out as `rederive/...` in a folder without permission to write."""
    site = tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "runtime", site / "rederive", ignore=ignored)
    for folder in ("generated", "codegen", "tools"):
        shutil.copytree(ROOT / folder, site / "rederive" / folder, ignore=ignored)
    _set_writable(site, False)
    yield site
    _set_writable(site, True)


def _set_writable(folder, writable):
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if writable else mode & ~0o222)


def bound_by_permissions(folder):
    """The words before a command that make permissions count, also for root; skips if none do."""
    choices = [[]]
    if shutil.which("setpriv"):
        drop = "-dac_override,-dac_read_search"
        choices.append(["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"])
    for words in choices:
        probe = [*words, "touch", str(folder / "probe")]
        able = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        if able and subprocess.run(probe, capture_output=True, check=False).returncode != 0:
            return words
        (folder / "probe").unlink(missing_ok=True)
    return pytest.skip("this user writes into any folder, and setpriv cannot take that away")


WHERE = (
    check("float64")
    + """
    print(rd.__file__)
    from rederive.generated import functions_pointwise_multiplication as functions
    print(functions.kernels.mul_forward._cache.cache_path)
"""
)


def test_read_only_installation_caches_in_the_users_folder(installed, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for _ in range(2):
        right, file, cache = python(
            WHERE,
            command=bound_by_permissions(installed),
            unset=("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"),
            path=installed,
            HOME=str(home),
        )
        assert right == "right"
        assert Path(file).is_relative_to(installed)
        assert Path(cache).is_relative_to(home)
        assert list(Path(cache).glob("*.nbc"))
    assert not list(installed.rglob("__pycache__"))


def test_without_any_folder_to_cache_in_it_computes_all_the_same(installed, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    right, _, cache = python(
        WHERE,
        command=bound_by_permissions(installed),
        unset=("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"),
        path=installed,
        HOME=str(home),
    )
    assert right == "right"
    assert not Path(cache).exists()  # a temporary folder, removed at the end
    assert not list(home.iterdir())


# --- the import ----------------------------------------------------------------------------------


def test_import_compiles_nothing_and_starts_no_kernel():
    assert python(
        """
        from numba.core import event

        compiled = []

        class Listener(event.Listener):
            def on_start(self, what):
                compiled.append(what)

            def on_end(self, what):
                pass

        event.register("numba:compile", Listener())
        import rederive as rd
        from numba.np.ufunc import parallel

        print(len(compiled), parallel._is_initialized)
        (rd.ones(2, requires_grad=True) * 2.0).sum().backward()
        print(parallel._is_initialized)
        """
    ) == ["0", "False", "False"]


def test_import_leaves_out_what_it_does_not_need():
    """Numba imports some of these by itself; that is not counted."""
    loaded = python(
        """
        import sys
        import numba
        before = set(sys.modules)
        import rederive
        names = set(sys.modules) - before
        print(*names, *{name.partition(".")[0] for name in names})
        """
    )
    unwanted = {"scipy", "jinja2", "yaml", "torch", "matplotlib", "rich", "jsonschema", "mpmath"}
    assert "rederive" in loaded
    assert not unwanted & set(loaded)
    assert not {"rederive.codegen", "rederive.tools"} & set(loaded)


def test_import_declares_no_generated_kernels():
    assert python(
        """
        import sys
        import rederive

        def loaded():
            return sorted(name for name in sys.modules if ".kernels_" in name)

        print(loaded())
        rederive.ones(2) * 2.0
        print(loaded())
        """
    ) == ["[]", "['rederive.generated.kernels_pointwise_multiplication']"]


def test_a_cached_gradient_needs_nothing_of_the_compiler():
    program = """
        import sys
        import rederive

        x = rederive.ones(8, requires_grad=True)
        (x * x).sum().backward()
        print(*sys.modules)
        """
    python(program)
    loaded = python(program)
    assert "numba.core.dispatcher" in loaded
    assert not {"scipy.linalg", "numba.np.linalg"} & set(loaded)


def test_listener_counts_compilations(tmp_path):
    """The check of the test above: a first use on a fresh cache is seen."""
    (count,) = python(
        """
        from numba.core import event
        import rederive as rd

        with event.install_recorder("numba:compile") as recorder:
            rd.ones(2) * 2.0
        print(len(recorder.buffer))
        """,
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    assert int(count) > 0


def test_environment_is_left_as_it_was():
    assert python(
        """
        import os
        before = dict(os.environ)
        import rederive
        print(dict(os.environ) == before)
        """
    ) == ["True"]
