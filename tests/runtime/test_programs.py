"""Programs written for PyTorch print the same here; what it printed is recorded beside them."""

import difflib
import importlib
import sys
from pathlib import Path

import pytest
import rederive

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
running = importlib.import_module("running")


@pytest.mark.parametrize("path", running.PROGRAMS, ids=lambda path: path.stem)
def test_program_prints_what_it_prints_under_pytorch(path):
    wanted = path.with_suffix(".out").read_text()
    got = running.output_of(path, rederive)
    changes = difflib.unified_diff(wanted.splitlines(), got.splitlines(), "PyTorch", "rederive")
    assert got == wanted, "\n".join(changes)
