"""Containers of tensors as tensors by name and notes in JSON, and back.

A dict from names to plain tensors needs no notes. Otherwise they hold, each where there is any:
`tree` (how the container is built), `marks` (what requires gradients, parameters and buffers) and
`same` (names whose tensor is that of another name).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from .. import dtypes
from ..geometry import Size
from ..tensor import Tensor, alias
from .errors import SavedFileError

_DEEPEST = 64
_ROLES = ("parameter", "buffer", "passing buffer")
_PLAIN = (bool, int, float, str, type(None))


def take_apart(obj):
    """({name: tensor}, notes): what a file holds of `obj`. notes: JSON text, or None."""
    if _is_flat(obj):
        tensors, tree = dict(obj), None
    else:
        tensors = {}
        tree = _describe(obj, "", tensors, 0)
    for name in tensors:
        problem = wrong_name(name)
        if problem:
            raise ValueError(f"save: the name {name!r} {problem}; no file may carry it")
    notes = {}
    if tree is not None:
        notes["tree"] = tree
    if marks := {name: m for name, t in tensors.items() if (m := _marks(t))}:
        notes["marks"] = marks
    if same := _same(tensors):
        notes["same"] = same
    return tensors, json.dumps(notes) if notes else None


def _is_flat(obj):
    return isinstance(obj, Mapping) and all(
        type(key) is str and isinstance(value, Tensor) for key, value in obj.items()
    )


def wrong_name(name):
    """What is wrong with the name of a tensor, or None: names must be no paths out of a folder."""
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
        return "has characters that are no text"
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or name[1:3] == ":/":
        return "looks like a path"
    return None


def _describe(value, path, tensors, depth):
    """The JSON that rebuilds `value`; its tensors are put into `tensors`."""
    where = f" at '{path}'" if path else ""
    if depth > _DEEPEST:
        raise ValueError(f"save: the containers are nested more than {_DEEPEST} deep{where}")
    if isinstance(value, Tensor):
        name = path or "tensor"
        while name in tensors:  # {"a.b": t, "a": {"b": t}}
            name += "_"
        tensors[name] = value
        return {"tensor": name}
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dtypes.dtype):
        return {"dtype": value.name}

    def inside(key, item):
        return _describe(item, f"{path}.{key}" if path else str(key), tensors, depth + 1)

    if isinstance(value, Mapping):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(
                    f"save: the key {key!r}{where} is a {type(key).__name__}; keys are strings or "
                    'ints, except with format="pickle"'
                )
        return {"dict": [[key, inside(key, item)] for key, item in value.items()]}
    for kind, name in _SEQUENCES.items():
        if type(value) is kind:
            return {name: [inside(i, item) for i, item in enumerate(value)]}
    raise TypeError(
        f"save: got {type(value).__name__}{where}; a file holds tensors in dicts, lists and "
        'tuples, and numbers and strings. format="pickle" keeps any object'
    )


_SEQUENCES = {list: "list", tuple: "tuple", Size: "size"}


def _marks(t):
    marks = {}
    if t._requires_grad:
        marks["grad"] = True
    if (role := getattr(t, "_role", None)) is not None:
        marks["role"] = role
    return marks


def _same(tensors):
    """{name: an earlier name} of tensors that show the same memory in the same way."""
    first, same = {}, {}
    for name, t in tensors.items():
        memory = t.data_ptr(), t.dtype, tuple(t.shape), tuple(t._strides)
        if t.shape.numel() and first.setdefault(memory, name) != name:
            same[name] = first[memory]
    return same


# --- back ----------------------------------------------------------------------------------------


def put_together(tensors, text):
    """The container that `take_apart` took apart; any mistake in the notes is an error."""
    for name in tensors:
        problem = wrong_name(name)
        if problem:
            raise SavedFileError(f"load: the name {name!r} {problem}")
    if text is None:
        return tensors
    try:
        notes = json.loads(text)
        _check(type(notes) is dict and notes.keys() <= {"tree", "marks", "same"})
        for name, other in notes.get("same", {}).items():
            tensors[name] = _joined(tensors[name], tensors[other])
        for name, marks in notes.get("marks", {}).items():
            _mark(tensors[name], marks)
        if "tree" not in notes:
            return tensors
        return _rebuild(notes["tree"], tensors, 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, SavedFileError):
            raise
        raise SavedFileError("load: what the file says about its contents is damaged") from error


def _check(good):
    if not good:
        raise ValueError


def _joined(t, other):
    """`t` in the memory of `other`, which must hold the same."""
    _check(t.dtype is other.dtype and t.shape == other.shape)
    _check(t._flat.tobytes() == other._flat.tobytes())
    return alias(other, other._counter)


def _mark(t, marks):
    _check(type(marks) is dict and marks.keys() <= {"grad", "role"})
    role = marks.get("role")
    _check(role is None or role in _ROLES)
    t._role = role
    if marks.get("grad", False):
        _check(t.dtype.is_floating_point)
        t.requires_grad = True


def _rebuild(node, tensors, depth):
    _check(depth <= _DEEPEST)
    if type(node) in _PLAIN:
        return node
    _check(type(node) is dict and len(node) == 1)
    ((kind, value),) = node.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dtype":
        return dtypes.by_name(value)
    _check(type(value) is list)
    if kind == "dict":
        result = {}
        for key, item in value:
            _check(type(key) in (str, int) and key not in result)
            result[key] = _rebuild(item, tensors, depth + 1)
        return result
    (maker,) = (maker for maker, name in _SEQUENCES.items() if name == kind)
    items = [_rebuild(item, tensors, depth + 1) for item in value]
    _check(maker is not Size or all(type(item) is int for item in items))
    return maker(items)
