"""Small specifications and the whole packages that they become, side by side in tests/specs/good.

After a change of templates look at the difference, then write the expected files anew:

    GOLDEN=rewrite .venv/bin/python -m pytest tests/codegen/test_golden.py
"""

import os
from pathlib import Path

import pytest
from rederive.codegen.command import differences, generate, render

GOOD = Path(__file__).resolve().parents[1] / "specs" / "good"
EXPECTED = sorted(path for path in GOOD.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", EXPECTED, ids=lambda path: path.name)
def test_specification_becomes_the_expected_files(folder, capsys):
    spec = folder.with_suffix(".yaml")
    if os.environ.get("GOLDEN") == "rewrite":
        assert generate(spec, folder) == 0
    if differences(folder, render(spec)):
        generate(spec, folder, check=True)
        pytest.fail(f"{folder.name} is not as expected:\n{capsys.readouterr().out}", pytrace=False)


def test_there_is_something_to_compare():
    assert EXPECTED
