"""The emission of scalar functions: deterministic, formatted, complete, and without Numba."""

import ast
import builtins
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from rederive.codegen import scalars
from rederive.codegen.scalars import PREAMBLE, SCALARS, emit, preamble

FOLDER = Path(scalars.__file__).parent
ROOT = Path(__file__).parents[2]

PRINT_ALL = """
import importlib.util, sys
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location(
    "scalars", folder + "/__init__.py", submodule_search_locations=[folder])
module = importlib.util.module_from_spec(spec)
sys.modules["scalars"] = module
spec.loader.exec_module(module)
assert not any(name in sys.modules for name in ("numba", "llvmlite", "numpy", "rederive"))
sys.stdout.write(module.PREAMBLE + module.emit(set(module.SCALARS)))
"""

USE_CACHE = """
import numpy as np, numba, sys
sys.path.insert(0, sys.argv[1])
from kernels import tanh_forward
x = np.array([1.0, 1e20])
tanh_forward(x, x)
assert abs(x[0] - np.sin(np.tanh(1.0))) < 1e-15 and x[1] == np.sin(1.0), x
print(sum(tanh_forward.stats.cache_hits.values()))
"""

KERNEL = """

@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def tanh_forward(self, out):
    for i in range(out.shape[0]):
        out[i] = sin(tanh(self[i]))
"""


def run(*arguments, seed="0"):
    command = [sys.executable, *arguments]
    environment = {"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_text_does_not_depend_on_the_hash_seed_and_needs_no_numba():
    texts = {run("-c", PRINT_ALL, str(FOLDER), seed=seed) for seed in ("0", "1", "12345")}
    assert texts == {PREAMBLE + emit(SCALARS)}


def test_order_and_repetition_of_names_do_not_matter():
    assert emit(["tanh", "exp", "tanh"]) == emit(["exp", "tanh"])


def test_nothing_is_emitted_for_no_names():
    assert emit([]) == "" and preamble([]) == ""


def test_unknown_name_raises():
    with pytest.raises(KeyError, match="expp"):
        emit(["expp"])


@pytest.mark.parametrize("name", sorted(SCALARS))
def test_text_of_one_function_defines_all_it_uses_before_use(name):
    tree = ast.parse(preamble([name]) + emit([name]))
    known = set(dir(builtins))
    for node in tree.body:
        inner = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        stored = {
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        stored |= {a.arg for n in ast.walk(node) if isinstance(n, ast.arguments) for a in n.args}
        stored |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
        if isinstance(node, ast.FunctionDef):
            stored |= {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {a.asname or a.name for a in node.names}
        assert inner <= known | stored, inner - known - stored
        known |= {node.name} if isinstance(node, ast.FunctionDef) else set()
        known |= {t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)}


def test_emitted_names_cannot_clash_with_kernels():
    for node in ast.parse(emit(SCALARS)).body:
        name = getattr(node, "name", "")
        assert not name.endswith("_forward") and "_backward" not in name


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("names", [sorted(SCALARS), ["where"], ["exp"], ["sin", "pow"]])
def test_ruff_has_nothing_to_change_or_report(names, tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(preamble(names) + "\n" + emit(names), encoding="utf-8")
    options = ["--config", str(ROOT / "pyproject.toml"), str(path)]
    for command in (["format", "--diff"], ["check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *options], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_emitted_kernels_load_from_the_cache_of_another_process(tmp_path):
    text = preamble(["tanh", "sin"]).replace(
        "from numba.core", "from numba import njit\nfrom numba.core"
    )
    (tmp_path / "kernels.py").write_text(text + "\n" + emit(["tanh", "sin"]) + KERNEL)
    assert [run("-c", USE_CACHE, str(tmp_path)).strip() for _ in range(2)] == ["0", "1"]


def test_bounds_and_kinds_are_stated():
    for scalar in SCALARS.values():
        assert scalar.arity in (1, 2, 3) and scalar.requires
        assert 0 <= scalar.bound32 <= 2 and 0 <= scalar.bound64 <= 2
        assert scalar.kind in ("float", "any", "bool", "select")
