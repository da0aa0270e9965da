"""Specifications as text: rendered in memory, or generated and imported as a package."""

import importlib
import itertools
import sys
import textwrap
from pathlib import Path

import pytest
from rederive.codegen.check import load_checked
from rederive.codegen.command import generate, render
from rederive.codegen.load import load
from rederive.codegen.lower import lower
from rederive.codegen.scalars import SCALARS

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "derivatives.yaml"
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def own():
    """The files that derivatives.yaml produces, as text."""
    return render(OWN)


@pytest.fixture(scope="session")
def own_entries():
    """The entries of derivatives.yaml, for specifications that call its operators."""
    return load(OWN).entries


@pytest.fixture(scope="session")
def lowered(own_entries):
    """A function from the text of a specification to its operators, as the templates see them."""
    arities = {name: scalar.arity for name, scalar in SCALARS.items()}

    def run(text, imported=own_entries):
        specification = load_checked(textwrap.dedent(text), arities, imported=imported)
        return {o.entry.name: o for module in lower(specification) for o in module.operators}

    return run


@pytest.fixture
def package(tmp_path, monkeypatch, capsys):
    """A function from the text of a specification to the imported package of its operators.

    The names of the operators must be new: a package registers its operators for the process.
    """
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(text):
        path = tmp_path / "ops.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        name = f"generated_in_a_test_{next(NUMBERS)}"
        assert generate(path, tmp_path / name, builtin=OWN) == 0, capsys.readouterr().err
        importlib.invalidate_caches()
        imported.append(name)
        return importlib.import_module(name)

    imported = []
    yield run
    for module in list(sys.modules):
        if module.partition(".")[0] in imported:
            del sys.modules[module]
