"""What a catalogue of PyTorch's interface lists as needed first, by name, namespace and argument.

The list is recorded by tools/record_catalogue.py. Arguments of several overloads are merged in it:
each must be there in some overload, at its place and with its default.
"""

import inspect
import json
from pathlib import Path

import pytest
import rederive as rd
from rederive.generated.registry import OPERATORS

CATALOGUE = json.loads((Path(__file__).parents[1] / "data" / "catalogue.json").read_text())

DIFFERENT = {
    "Tensor.inv": "is Tensor.inverse, in PyTorch too",
    "softmax.dim": "is required: PyTorch chooses one, and warns that this is deprecated",
    "log_softmax.dim": "as softmax",
    "var.keepdim": "may be given by position, after `unbiased`, as PyTorch's other overload has it",
    "std.keepdim": "as var",
    "sort.stable": "takes its name, in PyTorch too",
    "__getitem__.indices": "goes without a name",
    "__setitem__.indices": "goes without a name",
    "to.dtype": "may be given by position, among the arguments that have no names",
}
"""What is not as listed, and why."""


def place(space):
    """The module or class that a namespace names."""
    found = rd.Tensor if space == "Tensor" else rd
    for part in space.split(".") if space not in ("torch", "Tensor") else ():
        found = getattr(found, part)
    return found


def spellings(entry):
    """All (namespace, name) under which the operator is found."""
    yield entry["namespace"], entry["name"]
    for space in entry.get("also", ()):
        yield space, entry["name"]
    for alias in entry.get("aliases", ()):
        space, _, name = alias.rpartition(".")
        yield space or entry["namespace"], name
    for name in (entry["name"], *entry.get("aliases", ())) if entry["method"] else ():
        if "." not in name:
            yield "Tensor", name


def listed(entry):
    """(name, default as text, keyword only) of each argument of the listed signature."""
    keyword_only = False
    for part in entry["args"].split(", ") if "args" in entry else ():
        if part == "*":
            keyword_only = True
            continue
        name, _, default = part.lstrip("*").partition("=")
        yield name, default.strip("'"), keyword_only


def overloads_of(entry):
    """The declared operators of this name and namespace."""
    name, space = entry["name"], entry["namespace"]
    return [o for o in OPERATORS if name == o.public and space in o.namespace]


def called(name, entry):
    """The name of an argument as the entry has it: `self` is the `input` of functions."""
    by_entry = {part.partition("=")[0] for part in entry.get("args", "").split(", ")}
    return "input" if name == "self" and "input" in by_entry else name


def signatures(entry):
    """The arguments of each overload: name -> (position, default as text, keyword only)."""
    for operator in overloads_of(entry):
        yield {
            called(a.name, entry): (i, str(a.default) if a.has_default else "", a.keyword_only)
            for i, a in enumerate(operator.arguments)
        }
    if not overloads_of(entry):
        function = getattr(place(entry["namespace"]), entry["name"])
        yield {
            name: (i, "" if p.default is p.empty else str(p.default), p.kind is p.KEYWORD_ONLY)
            for i, (name, p) in enumerate(inspect.signature(function).parameters.items())
        }


def agrees(wanted, position, overloads):
    """Whether some overload has the argument as it is wanted."""
    name, default, keyword_only = wanted
    # without a default, None may stand for the overload that does not have the argument
    defaults = {default}
    if default == "None" and any(name not in o for o in overloads):
        defaults.add("")
    for at, found, by_name in (o[name] for o in overloads if name in o):
        if found in defaults and by_name == keyword_only and (by_name or at == position):
            return True
    return False


def test_operators_are_there_under_all_names():
    missing = []
    for entry in CATALOGUE:
        found = [*spellings(entry)]
        if entry["inplace"] and not entry["name"].startswith("__"):
            space = "Tensor" if entry["method"] else entry["namespace"]
            found.append((space, entry["name"].rstrip("_") + "_"))
        missing += [f"{s}.{n}" for s, n in found if not hasattr(place(s), n)]
    assert [name for name in missing if name not in DIFFERENT] == []


def test_there_are_no_methods_in_place_that_are_not_listed():
    surplus = [
        e["name"] for e in CATALOGUE if not e["inplace"] and hasattr(rd.Tensor, e["name"] + "_")
    ]
    assert surplus == []


def test_arguments_are_as_listed():
    wrong = []
    for entry in CATALOGUE:
        overloads = list(signatures(entry)) if "args" in entry else []
        for position, wanted in enumerate(listed(entry)):
            if not agrees(wanted, position, overloads):
                wrong.append(f"{entry['name']}.{wanted[0]}")
    assert [name for name in wrong if name not in DIFFERENT] == []
    assert [name for name in DIFFERENT if name not in wrong] == ["Tensor.inv"]


def test_gradients_are_as_listed():
    wrong = []
    for entry in CATALOGUE:
        for name in entry.get("differentiable", ()):
            declared = [[called(n, entry) for n in o.differentiable] for o in overloads_of(entry)]
            if declared and not any(name in names for names in declared):
                wrong.append(f"{entry['name']}.{name}")
    assert wrong == []


@pytest.mark.parametrize("name", ["half", "bfloat16", "chalf", "cfloat", "cdouble"])
def test_dtypes_that_do_not_exist_are_named(name):
    with pytest.raises(
        NotImplementedError, match=rf"{name}\(\): rederive has no \w+; its floating"
    ):
        getattr(rd.ones(2), name)()
    with pytest.raises(AttributeError, match=f"rederive has no .*{name}"):
        getattr(rd, name)
