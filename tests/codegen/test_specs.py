"""Whole specifications: the good ones load, each bad one gives exactly its message."""

import json
from pathlib import Path

import pytest
from rederive.codegen.check import load_checked
from rederive.codegen.errors import SpecError
from rederive.codegen.load import load
from rederive.codegen.model import FAMILIES
from stand_ins import SCALARS

SPECS = Path(__file__).parents[1] / "specs"
GOOD = sorted((SPECS / "good").glob("*.yaml"))
BAD = sorted((SPECS / "bad").glob("*.yaml"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_specification_passes_every_check(path):
    assert load_checked(path, SCALARS).entries


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_specification_gives_exactly_its_message(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(SpecError) as caught:
        load_checked(Path(path.name), SCALARS)
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_message_has_its_specification():
    assert {p.stem for p in (SPECS / "bad").glob("*.txt")} == {p.stem for p in BAD}


def test_good_specifications_cover_every_key_and_family():
    text = "\n".join(path.read_text(encoding="utf-8") for path in GOOD)
    schema = Path(__file__).parents[2] / "codegen" / "schema.json"
    keys = json.loads(schema.read_text())["definitions"]["entry"]["properties"]
    assert [key for key in keys if f" {key}:" not in text] == []
    entries = [entry for path in GOOD for entry in load(path).entries]
    assert {entry.family for entry in entries} == set(FAMILIES)


def test_every_key_of_the_schema_is_described():
    schema = Path(__file__).parents[2] / "codegen" / "schema.json"
    definitions = json.loads(schema.read_text())["definitions"]
    found = dict(definitions["entry"]["properties"])
    found |= definitions["entry"]["properties"]["rowwise"]["properties"]
    found |= definitions["entry"]["properties"]["composite"]["items"]["properties"]
    for key, part in found.items():
        target = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        assert target.get("description"), key


def test_own_operators_pass_every_check():
    from rederive.codegen import scalars

    path = Path(__file__).parents[2] / "derivatives.yaml"
    load_checked(path, {name: scalar.arity for name, scalar in scalars.SCALARS.items()})
