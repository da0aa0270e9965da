"""Modules of kernels that are imported when they are first needed."""

import os
import sys

import pytest
from processes import python
from rederive.kernel_modules import Kernels


def test_the_module_takes_the_place_of_what_stood_for_it():
    """Python finds names in plain modules faster than in anything else."""
    assert python(
        """
        from types import ModuleType
        import rederive
        from rederive.generated import functions_pointwise_multiplication as functions

        late = functions.kernels
        x = rederive.ones(3, requires_grad=True)
        (x * x).sum().backward()
        print(type(functions.kernels) is ModuleType, functions.MUL.kernels is late)
        print(len(late.homes), all(home["kernels"] is late.module for home in late.homes))
        """
    ) == ["True", "True", "2", "True"]


def test_asking_what_it_is_does_not_load_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "missing.kernels", None)
    late = Kernels("kernels", {"__package__": "missing"})
    assert not hasattr(late, "__code__")
    assert late.module is None


def test_an_error_in_the_module_is_raised_at_each_call(tmp_path, monkeypatch):
    package = tmp_path / "wrong_operators"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "kernels_wrong.py").write_text("raise ValueError('mistake')")
    monkeypatch.syspath_prepend(tmp_path)
    home = {"__package__": "wrong_operators"}
    late = home["kernels"] = Kernels("kernels_wrong", home)
    for _ in range(2):
        with pytest.raises(ValueError, match="mistake"):
            _ = late.forward
    assert home["kernels"] is late


THREADS = """
    import sys
    import threading
    import numpy as np
    import rederive
    from rederive.generated import functions_pointwise_hyperbolic as functions
    from rederive.kernel_cache import Cache

    sys.setswitchinterval(1e-6)
    right, ready = [], threading.Barrier(8)

    def call(general):
        x = rederive.full((2, 3), 0.5).requires_grad_()
        ready.wait()
        if general:
            kernel = functions.TANH.found(functions.TANH.forward)[0]
        else:
            kernel = functions.kernels.tanh_forward
        kept = type(kernel._cache) is Cache
        x.t().tanh().sum().backward() if general else x.tanh().sum().backward()
        right.append(kept and np.allclose(x.grad.numpy(), 1 - np.tanh(0.5) ** 2))

    threads = [threading.Thread(target=call, args=(n % 2,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(right), all(right))
"""


def test_threads_that_make_the_first_call_together():
    """One that comes second must not find kernels half declared, or without their cache."""
    assert python(THREADS) == ["8", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_another_thread_loads_computes():
    assert (
        python(
            """
        import os
        import threading
        import rederive

        def load():
            for name in ("tanh", "exp", "log", "abs", "floor", "sqrt", "relu", "erf"):
                getattr(rederive, name)(rederive.ones(3))
                begun.set()

        begun = threading.Event()
        other = threading.Thread(target=load)
        other.start()
        begun.wait()
        for _ in range(4):
            child = os.fork()
            if child == 0:
                x = rederive.ones(3, requires_grad=True)
                (x.sin() * x.log()).sum().backward()
                os._exit(len(x.grad.tolist()))
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        other.join()
        """
        )
        == ["3"] * 4
    )
