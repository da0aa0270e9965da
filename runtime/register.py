"""Puts generated functions in their places: namespaces, methods, Python operators, overloads."""

from __future__ import annotations

import importlib
import numbers
from types import FunctionType

import numpy as np

from . import dtypes
from .arrays import ArrayOperator, View
from .dispatch import dispatch
from .namespace import arrays, ops, pointwise
from .pointwise import Pointwise
from .tensor import Tensor, from_array

functions = {}
"""Internal name -> generated function, of every registered package."""

owners = {}
"""Public name -> the package that declares the operator."""

interfaces = {}
"""Package -> the rows it registered: name, public name, namespaces, aliases, method, symbol."""

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
    interfaces[package["__name__"]] = interface
    own = {}
    for module in modules:
        for name, function in vars(module).items():
            operator = getattr(function, "__code__", None)
            if operator is None or name.startswith("_") or name.endswith("_jvp"):
                continue
            if name.endswith("_on_arrays"):
                _offer_on_arrays(name.removesuffix("_on_arrays"), function)
            else:
                own[name] = function
                for constant in (name.upper(), f"{name}_operator"):
                    descriptor = getattr(module, constant, None)
                    if isinstance(descriptor, ArrayOperator | View):
                        _offer_on_arrays(name, descriptor.on_arrays)
                    elif isinstance(descriptor, Pointwise):
                        pointwise.setdefault(name, descriptor)
    writing = {name: own.pop(f"{name}_out", None) for name, *_ in interface}
    for name, *_ in interface:
        functions[name] = own[name]
    known = set()
    for rows in _grouped(interface):
        public = rows[0][1]
        types = [_types(own[row[0]], row[0], modules) for row in rows]
        function = _chooser(public, [own[row[0]] for row in rows], types)
        writers = [own.get(f"{row[0]}_") for row in rows]
        inplace = _chooser(f"{public}_", writers, types)
        offered = _with_out(public, [own[row[0]] for row in rows], types, rows, writing)
        _place(package, (function, inplace, offered), rows, own, public not in known)
        known.add(public)
    for name in own:
        package.setdefault(name, own[name])
        if not hasattr(ops, name):
            setattr(ops, name, own[name])


def _offer_on_arrays(name, function):
    if not hasattr(arrays, name):
        setattr(arrays, name, function)


def _with_out(public, functions, types, rows, writing):
    """The function that namespaces offer, which can write its result where the caller says."""
    found = [writing[row[0]] for row in rows]
    if not any(found):
        return None
    if len(rows) > 1:
        return _chooser(public, [f or c for f, c in zip(found, functions, strict=True)], types)
    found[0].__name__ = found[0].__qualname__ = public
    found[0].__doc__ = functions[0].__doc__
    return found[0]


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


def _place(package, made, rows, own, first):
    """Put a function in its places; formulas mean the `first` function of a name.

    made: the function, its in-place form, and the one that takes `out`, or None.
    """
    function, inplace, writing = made
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
            takes_out = writing is not None and space in ("torch", "special", "linalg")
            offered = writing if takes_out else function
            _export(space, spelling, (function, inplace, offered), first)
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
            _operator(operator, name, own)


def _export(space, name, made, first):
    """Make a function reachable as `rederive.<space>.<name>` and, in place, `<name>_`.

    made: the function for formulas, its in-place form, and the function for programs.
    """
    function, inplace, offered = made
    pairs = [(name, function, offered)] + ([(f"{name}_", inplace, inplace)] if inplace else [])
    for spelling, plain, public in pairs:
        if first:
            setattr(ops, spelling, plain)
        if space == "torch":
            exported[spelling] = public
        elif space not in ("Tensor", "internal"):
            setattr(importlib.import_module(f"rederive.{space}"), spelling, public)


exported = {}
"""Names of the top-level namespace; `rederive/__init__` takes them from here."""


def _operator(symbol, name, own):
    plain, right, augmented = DUNDERS[symbol]
    function = own[name]
    if symbol in ("neg", "abs", "~"):
        setattr(Tensor, f"__{plain}__", function)
        return
    setattr(Tensor, f"__{plain}__", _declining(function))
    if right:
        reflected = own.get(f"{name}_reflected")
        swapped = _reflect(function) if reflected is None else _declining(reflected)
        setattr(Tensor, f"__{right}__", swapped)
    inplace = own.get(f"{name}_")
    if augmented and inplace is not None:
        setattr(Tensor, f"__{augmented}__", _guarded(inplace))


OPERANDS = (Tensor, bool, int, float, np.ndarray, np.generic)

_operator_names = {}
"""Module name -> the names that its functions see when they are Python's operators."""


def _declining(function):
    """`function` as Python's operator: NotImplemented for an operand that it cannot take.

    It is the same code with another `dispatch`, so that nothing is asked on the way there.
    """
    code = function.__code__
    module = function.__globals__
    names = _operator_names.get(module["__name__"])
    if names is None:
        names = {**module, "dispatch": _dispatch_operands}
        _operator_names[module["__name__"]] = names
        if "kernels" in names:
            names["kernels"].homes.append(names)
    ends = {name for name in code.co_names if names.get(name) is not module.get(name)}
    if not ends or "queries" in code.co_names:
        return _guarded(function)
    copy = FunctionType(code.replace(), names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    names[function.__name__] = copy
    return copy


def _dispatch_operands(op, *args):
    arrays = False
    for position in op.tensor_positions:
        if not isinstance(args[position], OPERANDS):
            return NotImplemented
        arrays = arrays or isinstance(args[position], np.ndarray)
    return dispatch(op, *(map(_operand, args) if arrays else args))


def _guarded(function):
    """`function` as Python's operator, with a look at the other operand first."""

    def operator(self, other):
        if isinstance(other, OPERANDS):
            return function(self, _operand(other))
        return NotImplemented

    operator.__name__ = function.__name__
    return operator


def _reflect(function):
    def operator(self, other):
        if isinstance(other, OPERANDS):
            return function(_operand(other), self)
        return NotImplemented

    return operator


def _operand(other):
    """An array as a tensor: not every function takes one."""
    return from_array(other) if isinstance(other, np.ndarray) else other


# --- overloads -----------------------------------------------------------------------------------


TELLING = frozenset((Tensor, bool, int, float, str, type(None)))
"""Types of which every value fits the same parameters."""


def overloaded(public, candidates):
    """One function for several entries of a name: the first that the arguments fit."""

    known = {}  # types of positional arguments -> the function they fit, where types tell

    def choose(*args, **kwargs):
        kinds = tuple(map(type, args))
        if not kwargs and kinds in known:
            return known[kinds](*args)
        chosen_by = {key: value for key, value in kwargs.items() if key != "out"}
        for function, (names, types) in candidates:
            if _matches(names, types, args, chosen_by):
                if not kwargs and TELLING.issuperset(kinds):
                    known[kinds] = function
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
