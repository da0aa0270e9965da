"""The shape of a specification: which keys there are and what kind of value each takes.

Validates the plain data against schema.json (the same file that editors use) and rewords what
jsonschema says, at the place where it is wrong. Knows nothing of formulas and signatures.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
from rederive.codegen import document
from rederive.codegen.document import Mapping, Node, Scalar
from rederive.codegen.errors import Problems, hints, nearest
from rederive.codegen.model import FAMILIES, Mark

# What a value of a mixed type must be, by the pattern of its text.
_SPECIAL = {
    "^auto$": "'auto' or a formula for each tensor argument",
    "^all$": "'all' or a list of arguments and outputs",
}
_KINDS = {
    "array": "a list",
    "object": "a mapping",
    "string": "text",
    "number": "a number",
    "boolean": "true or false",
}


@functools.cache
def _validator() -> Any:
    text = Path(__file__).with_name("schema.json").read_text("utf-8")
    return jsonschema.Draft7Validator(json.loads(text))


@functools.cache
def _entry_validator() -> Any:
    whole = _validator().schema
    entry = {"definitions": whole["definitions"], **whole["definitions"]["entry"]}
    base: Any = jsonschema.Draft7Validator
    extend: Any = jsonschema.validators.extend
    own = extend(base, {"uniqueItems": _unique})
    return own(entry)


def _unique(validator: Any, wanted: bool, items: Any, schema: Any) -> Any:
    """As jsonschema's own, which takes quadratic time; for lists of text, which is all we have."""
    texts = [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
    if wanted and len(set(texts)) < len(texts):
        yield jsonschema.ValidationError("an item stands there twice")


def entry_keys() -> tuple[str, ...]:
    """The keys that an entry may have."""
    return tuple(_entry_validator().schema["properties"])


def check_entry(node: Mapping, context: str, problems: Problems) -> bool:
    """Report what is wrong with the shape of one entry; whether nothing is."""
    before = len(problems.found)
    for error in _entry_validator().iter_errors(document.data(node)):
        _report(error, node, context, problems)
    return len(problems.found) == before


def _report(error: Any, root: Mapping, context: str, problems: Problems) -> None:
    path = list(error.absolute_path)
    node = document.descend(root, path)
    what = f"{context}, {_shown(path)}" if path else context
    match error.validator:
        case "additionalProperties":
            _unknown_keys(error, node, what, problems)
        case "required":
            key = error.message.split("'")[1]
            if not _strangers(error, node):  # else the key is there, but misspelt
                problems.add(f"{what}: '{key}' is missing", _head(node))
        case "oneOf":
            _family(error, node, what, problems)
        case "type":
            problems.add(f"{what}: must be {_wanted(error)}", node.mark, _infinity(error))
        case "enum":
            allowed = [
                json.dumps(v) if v is True or v is False else v for v in error.validator_value
            ]
            hint = hints(nearest(str(error.instance), allowed), f"one of: {', '.join(allowed)}")
            problems.add(f"{what}: '{error.instance}' is not known", node.mark, hint)
        case "minItems" | "maxItems" | "minProperties":
            problems.add(f"{what}: {_count(error)}", node.mark)
        case "uniqueItems":
            problems.add(f"{what}: an item stands there twice", node.mark)
        case "pattern":
            problems.add(f"{what}: {_pattern(error)}", node.mark)
        case _:
            problems.add(f"{what}: {error.message}", node.mark)


def _shown(path: list[str | int]) -> str:
    """("samples", "self", 0) as a person says it: samples of 'self', item 1."""
    shown = f"'{path[0]}'" if isinstance(path[0], str) else f"item {path[0] + 1}"
    for step in path[1:]:
        shown += f", item {step + 1}" if isinstance(step, int) else f", '{step}'"
    return shown


def _strangers(error: Any, node: Node) -> list[str]:
    known = error.schema.get("properties", ())
    return [key for key in node.keys if key not in known] if isinstance(node, Mapping) else []


def _wanted(error: Any) -> str:
    kinds = error.validator_value
    kinds = [kinds] if isinstance(kinds, str) else kinds
    pattern = error.schema.get("pattern")
    if pattern in _SPECIAL:
        return _SPECIAL[pattern]
    shown = [_KINDS.get(kind, kind) for kind in kinds]
    if {"string", "number", "boolean"} <= set(kinds):
        shown = ["a formula", *shown[3:]]
    return " or ".join(shown)


def _infinity(error: Any) -> str:
    infinite = error.instance in ("inf", "-inf", "nan")
    return (
        f"in YAML write {error.instance.replace('inf', '.inf').replace('nan', '.nan')}"
        if infinite
        else ""
    )


def _unknown_keys(error: Any, node: Node, what: str, problems: Problems) -> None:
    known = tuple(error.schema.get("properties", ()))
    assert isinstance(node, Mapping)
    for key in _strangers(error, node):
        hint = hints(nearest(key, known), f"the keys are {', '.join(known)}")
        problems.add(f"{what}: unknown key '{key}'", node.keys[key].mark, hint)


def _family(error: Any, node: Node, what: str, problems: Problems) -> None:
    assert isinstance(node, Mapping)
    found = [key for key in node.keys if key in FAMILIES]
    if not found and not _strangers(error, node):
        hint = f"give one of {', '.join(FAMILIES)}"
        problems.add(f"{what}: no family", _head(node), hint)
    for key in found[1:]:
        message = f"{what}: a second family '{key}', beside '{found[0]}'"
        problems.add(message, node.keys[key].mark, "an operator has one family")


def _count(error: Any) -> str:
    limit = error.validator_value
    if error.validator != "minProperties" and error.schema.get("maxItems") == limit:
        return f"must have {limit} items"
    return "must not be empty" if limit == 1 else f"must have at least {limit} items"


def _pattern(error: Any) -> str:
    pattern = error.validator_value
    if pattern in _SPECIAL:
        return f"must be {_SPECIAL[pattern]}"
    if pattern.startswith("^[a-z][a-z_]"):
        return f"'{error.instance}' must be lower-case letters and underscores"
    if "items" in error.schema:
        allowed = ", ".join(error.schema["items"]["enum"])
        return f"'{error.instance}' is not one of {allowed}"
    if "..." in pattern.replace("\\", ""):
        return f"'{error.instance}' is not a letter or '...'"
    return f"'{error.instance}' is not a name"


def _head(node: Node) -> Mark:
    """The first key of an entry, where a missing key is reported."""
    if isinstance(node, Mapping) and node.keys:
        first: Scalar = next(iter(node.keys.values()))
        return first.mark
    return node.mark
