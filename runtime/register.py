"""Puts generated functions in their places: namespaces, methods, Python operators, overloads."""

from __future__ import annotations

import importlib
import numbers

import numpy as np

from . import dtypes, kernel_cache
from .namespace import ops
from .tensor import Tensor

functions = {}
"""Internal name -> generated function, of every registered package."""

owners = {}
"""Public name -> the package that declares the operator."""

attached = set()
"""The attributes of Tensor that are generated; the others are written by hand."""

DUNDERS = {
    "+": ("add", "radd", "iadd"),
    "-": ("sub", "rsub", "isub"),
    "*": ("mul", "rmul", "imul"),
    "/": ("truediv", "rtruediv", "itruediv"),
    "//": ("floordiv", "rfloordiv", "ifloordiv"),
    "%": ("mod", "rmod", "imod"),
    "**": ("pow", "rpow", "ipow"),
    "@": ("matmul", "rmatmul", ""),
    "==": ("eq", "", ""),
    "!=": ("ne", "", ""),
    "<": ("lt", "", ""),
    "<=": ("le", "", ""),
    ">": ("gt", "", ""),
    ">=": ("ge", "", ""),
    "&": ("and", "rand", "iand"),
    "|": ("or", "ror", "ior"),
    "^": ("xor", "rxor", "ixor"),
    "~": ("invert", "", ""),
    "neg": ("neg", "", ""),
    "abs": ("abs", "", ""),
}


def register(package, interface, modules):
    """Register a generated package.

    `package` is the globals() of its `__init__`: the public functions become its names, and
    with its `attach` functions also those of `rederive` and methods of Tensor.
    """
    _refuse_taken(package["__name__"], interface)
    own = {}
    for module in modules:
        if hasattr(module, "kernels"):
            kernel_cache.separate(module.kernels)
        for name, function in vars(module).items():
            operator = getattr(function, "__code__", None)
            if operator is not None and not name.startswith("_") and not name.endswith("_jvp"):
                own[name] = function
    for name, *_ in interface:
        functions[name] = own[name]
    known = set()
    for rows in _grouped(interface):
        public = rows[0][1]
        types = [_types(own[row[0]], row[0], modules) for row in rows]
        function = _chooser(public, [own[row[0]] for row in rows], types)
        writers = [own.get(f"{row[0]}_") for row in rows]
        inplace = _chooser(f"{public}_", writers, types)
        _place(package, function, inplace, rows, own, public not in known)
        known.add(public)
    for name in own:
        package.setdefault(name, own[name])
        if not hasattr(ops, name):
            setattr(ops, name, own[name])


def _grouped(interface):
    """Rows that become one function each: overloads, unless they share no namespace."""
    groups = {}
    for row in interface:
        ofname = groups.setdefault(row[1], [])
        shared = [g for g in ofname if any(set(row[2]) & set(other[2]) for other in g)]
        if shared:
            shared[0].append(row)
        else:
            ofname.append([row])
    return [group for ofname in groups.values() for group in ofname]


def _chooser(public, functions, types):
    """One function for the overloads of a name; None stands for one that does not exist."""
    candidates = [pair for pair in zip(functions, types, strict=True) if pair[0] is not None]
    if len(candidates) > 1:
        return overloaded(public, candidates)
    return candidates[0][0] if candidates else None


def _refuse_taken(package, interface):
    """Operators must not replace those of another package, nor methods written by hand."""
    for _, public, _, aliases, method, _ in interface:
        owner = owners.get(public, package)
        if owner != package:
            raise ImportError(f"{package}: the operator {public!r} is already that of {owner}")
        for spelling in _methods(public, aliases) if method else ():
            if hasattr(Tensor, spelling) and spelling not in attached:
                raise ImportError(
                    f"{package}: the operator {public!r} cannot be a method, because Tensor has "
                    f"the attribute {spelling!r}; write `method: false` in its entry"
                )
    owners.update((row[1], package) for row in interface)


def _methods(public, aliases):
    return [public, *(a for a in aliases if "." not in a)]


def _types(function, name, modules):
    """(argument names, their type texts) of a generated function, from its descriptor."""
    for module in modules:
        table = getattr(module, "SIGNATURES", {})
        if name in table:
            return table[name]
    raise KeyError(name)


def _place(package, function, inplace, rows, own, first):
    """Put a function in its places; formulas mean the `first` function of a name."""
    public = rows[0][1]
    if first:
        package[public] = function
        setattr(ops, public, function)
    for name, _, namespaces, aliases, method, operator in rows:
        spellings = [(space, public) for space in namespaces]
        for alias in aliases:
            space, _, last = alias.rpartition(".")
            spellings.append((space or namespaces[0], last))
        for space, spelling in spellings:
            _export(space, spelling, function, inplace, first)
        if method:
            for spelling in _methods(public, aliases):
                attached.add(spelling)
                if method == "property":
                    setattr(Tensor, spelling, property(function, doc=function.__doc__))
                    continue
                setattr(Tensor, spelling, function)
                if inplace is not None:
                    setattr(Tensor, f"{spelling}_", inplace)
        if operator:
            _operator(operator, function, own.get(f"{name}_"), own.get(f"{name}_reflected"))


def _export(space, name, function, inplace, first):
    """Make a function reachable as `rederive.<space>.<name>` and, in place, `<name>_`."""
    pairs = [(name, function)] + ([(f"{name}_", inplace)] if inplace else [])
    for spelling, value in pairs:
        if first:
            setattr(ops, spelling, value)
        if space == "torch":
            exported[spelling] = value
        elif space not in ("Tensor", "internal"):
            setattr(importlib.import_module(f"rederive.{space}"), spelling, value)


exported = {}
"""Names of the top-level namespace; `rederive/__init__` takes them from here."""


def _operator(symbol, function, inplace, reflected):
    plain, right, augmented = DUNDERS[symbol]
    setattr(Tensor, f"__{plain}__", _guarded(function) if symbol in ("==", "!=") else function)
    if right:
        setattr(Tensor, f"__{right}__", reflected or _reflect(function))
    if augmented and inplace is not None:
        setattr(Tensor, f"__{augmented}__", inplace)


OPERANDS = (Tensor, bool, int, float, np.ndarray, np.generic)


def _guarded(function):
    """`function` as a comparison: `tensor == None` is False, not an error."""

    def operator(self, other):
        if isinstance(other, OPERANDS):
            return function(self, other)
        return NotImplemented

    operator.__name__ = function.__name__
    return operator


def _reflect(function):
    def operator(self, other):
        if isinstance(other, OPERANDS):
            return function(other, self)
        return NotImplemented

    return operator


# --- overloads -----------------------------------------------------------------------------------


def overloaded(public, candidates):
    """One function for several entries of a name: the first that the arguments fit."""

    def choose(*args, **kwargs):
        for function, (names, types) in candidates:
            if _matches(names, types, args, kwargs):
                return function(*args, **kwargs)
        given = ", ".join(
            [type(a).__name__ for a in args]
            + [f"{k}={type(v).__name__}" for k, v in kwargs.items()]
        )
        options = "\n".join(f" * ({_spelled(*signature)})" for _, signature in candidates)
        raise TypeError(
            f"{public}() received an invalid combination of arguments - got ({given}), but "
            f"expected one of:\n{options}"
        )

    choose.__name__ = choose.__qualname__ = public
    choose.__doc__ = "\n\n".join(f.__doc__ or "" for f, _ in candidates)
    return choose


def _spelled(names, types):
    return ", ".join(f"{t.rstrip('=')} {n}" for n, t in zip(names, types, strict=True))


def _matches(names, types, args, kwargs):
    if len(args) > len(names):
        return False
    given = dict(zip(names, args, strict=False))
    for key, value in kwargs.items():
        key = "self" if key == "input" and "self" in names else key
        if key in given or key not in names:
            return False
        given[key] = value
    for name, text in zip(names, types, strict=True):
        if name not in given:
            if text.endswith("=") or "..." in text:
                continue
            return False
        if not _fits(given[name], text):
            return False
    return True


def _fits(value, text):
    text = text.rstrip("=")
    if text.endswith("?"):
        if value is None:
            return True
        text = text[:-1]
    if text.endswith("..."):
        return isinstance(value, int | list | tuple)
    if text.endswith("[]"):
        base = text[:-2]
        if isinstance(value, list | tuple):
            return all(_fits(item, base) for item in value)
        return base == "int" and _fits(value, "int")
    match text:
        case "Tensor":
            return isinstance(value, Tensor)
        case "Tensor|Scalar":
            return isinstance(value, Tensor | numbers.Number | np.generic)
        case "Scalar" | "float":
            return isinstance(value, numbers.Number | np.generic)
        case "int":
            return isinstance(value, int | np.integer) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case "Dtype":
            return isinstance(value, dtypes.dtype)
    return False
