"""docs/language.md: its entries are generated and checked, and it leaves nothing out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rederive.codegen.model import FAMILIES
from rederive.codegen.scalars import SCALARS
from rederive.codegen.tensor_text import QUERIES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder in which the page's entries have become a package `language`."""
    folder = tmp_path_factory.mktemp("language")
    (folder / "language.yaml").write_text("\n".join(ENTRIES))
    run(folder, "generate", "language.yaml")
    return folder


def run(folder, *arguments):
    command = [sys.executable, "-m", "rederive", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_family_has_an_example(package):
    families = {
        operator["family"] for operator in json.loads(run(package, "ops", "language", "--json"))
    }
    assert families == set(FAMILIES)


def test_the_entries_pass_every_check(package):
    document = json.loads(run(package, "gradcheck", "language", "--json"))
    assert document["passed"]
    assert document["operators"] == len(ENTRIES)


def test_the_page_names_every_key_of_an_entry():
    schema = json.loads((ROOT / "codegen" / "schema.json").read_text())
    for key in schema["definitions"]["entry"]["properties"]:
        assert re.search(rf"`{key}\b|^  {key}:", PAGE, re.MULTILINE), key


def test_the_page_names_every_function_of_formulas():
    for name in [*SCALARS, *QUERIES]:
        assert f"`{name}`" in PAGE, name
