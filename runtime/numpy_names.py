"""Which declared operator does what a function of NumPy does, and how its arguments are called.

Nothing is listed here: an entry's `reference` says it where it is one call of NumPy on the entry's
own arguments, such as `numpy.sum(self, axis=dim, keepdims=keepdim)`. Failing that, an operator
that is called as NumPy's function is, and differentiable, is taken to be the same.
"""

from __future__ import annotations

import ast
import importlib
import inspect

import numpy as np

from . import dtypes, register
from .tensor import Tensor, from_array

_SPACES = {"torch": (np, np.linalg), "linalg": (np.linalg,)}
_SYNONYMS = {"axis": "dim", "axes": "dims", "keepdims": "keepdim", "ddof": "correction"}
# What tells NumPy how to work, and not what to compute.
_MEANINGLESS = ("optimize", "casting", "subok")

_known = {}  # NumPy's function -> counterparts, the most fitting first
_packages = set()  # those that `_known` was made of


class Unfit(TypeError):
    """The counterpart has no argument for something that the call gives."""


class Counterpart:
    """A declared operator that stands for a function of NumPy.

    names: from the arguments of NumPy's function to those of the entry.
    """

    def __init__(self, function, declared, names):
        self.declared = declared
        self.names = names
        self.arguments = {a.name: a for a in declared.arguments}
        self.signature = _signature(function)

    def arguments_of(self, args, kwargs):
        """The positional and keyword arguments of the declared function for a call of NumPy's."""
        given = self._bind(args, kwargs)
        numbers = dtypes.float64 if _wide(given.values()) else dtypes.default.dtype
        positional, keywords = [], {}
        for argument in self.declared.arguments:
            if argument.name not in given:
                if not (argument.has_default or argument.optional):
                    raise Unfit(argument.name)
                value = argument.default
            else:
                value = _converted(argument, given[argument.name], numbers)
            if argument.keyword_only:
                keywords[argument.name] = value
            elif argument.variadic:
                positional += value
            else:
                positional.append(value)
        return positional, keywords

    def _bind(self, args, kwargs):
        """{argument of the entry: value}, with NumPy's defaults where the entry's differ."""
        if self.signature is None:  # f(*operands): the entry takes them by place
            return self._by_place(args, kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise Unfit(str(error)) from None
        given = {}
        for name, parameter in self.signature.parameters.items():
            default = parameter.default
            value = bound.get(name, default)
            missing = value is inspect.Parameter.empty or value is np._NoValue
            if missing:
                continue
            target = self.names.get(name)
            if target is None:
                if name in bound and not _same(value, default) and name not in _MEANINGLESS:
                    raise Unfit(name)
                continue
            argument = self.arguments[target]
            if value is None and not argument.optional:
                if argument.default in ((), []):  # no dims named: all of them, in both
                    continue
                raise Unfit(name)
            if name in bound or not (argument.has_default and _same(value, argument.default)):
                given[target] = value
        return given

    def _by_place(self, args, kwargs):
        if any(key not in _MEANINGLESS for key in kwargs):
            raise Unfit(str(kwargs))
        given = {}
        for number, argument in enumerate(self.declared.arguments):
            if argument.variadic:
                given[argument.name] = args[number:]
            elif number < len(args):
                given[argument.name] = args[number]
        return given


def _same(value, default):
    if value is default:
        return True
    return (
        type(value) in (bool, int, float, str)
        and type(value) is type(default)
        and (value == default)
    )


def counterparts(function):
    """The declared operators that may stand for a function of NumPy, the most fitting first."""
    present = set(register.owners.values())
    if present != _packages:
        _known.clear()
        for package in sorted(present):
            _collect(package)
        for found in _known.values():
            found.sort(key=lambda pair: pair[0])
        _packages.clear()
        _packages.update(present)
    return [counterpart for _, counterpart in _known.get(function, ())]


def _collect(package):
    rows = {row[0]: row for row in register.interfaces[package]}
    for declared in importlib.import_module(f"{package}.registry").OPERATORS:
        spaces = [place for space in declared.namespace for place in _SPACES.get(space, ())]
        if not spaces and "Tensor" not in declared.namespace:
            continue
        spellings = {declared.public}
        spellings.update(alias.rpartition(".")[2] for alias in rows[declared.name][3])
        called = {
            id(function): function
            for space in spaces
            for spelling in spellings
            if callable(function := getattr(space, spelling, None))
        }
        referred = _reference(declared)
        if referred is not None:
            function, names = referred
            # first what has the same name, then other functions, then mere methods
            rank = 0 if id(function) in called else 1 if spaces else 2
            _known.setdefault(function, []).append((rank, Counterpart(function, declared, names)))
            called.pop(id(function), None)
        (output, *others) = declared.outputs
        if others or output.many or not declared.differentiable:
            continue
        rank = 0 if referred is None else 3
        for function in called.values():
            names = _by_name(function, declared)
            _known.setdefault(function, []).append((rank, Counterpart(function, declared, names)))


def _reference(declared):
    """(NumPy's function, names) if the reference is one call of it on arguments.

    These are bare, or given to a function that says them in NumPy's way.
    """
    if declared.reference is None:
        return None
    call = ast.parse(declared.reference.strip(), mode="eval").body
    if not isinstance(call, ast.Call):
        return None
    path = ast.unparse(call.func).split(".")
    placed = [_argument(value) for value in call.args]
    named = {keyword.arg: _argument(keyword.value) for keyword in call.keywords}
    known = {argument.name for argument in declared.arguments}
    if path[0] != "numpy" or not known.issuperset([*placed, *named.values()]):
        return None
    function = np
    for part in path[1:]:
        function = getattr(function, part)
    parameters = _parameters(function)
    names = dict(zip(parameters, placed, strict=False)) | named
    return function, _completed(names, parameters, known)


def _argument(value):
    """The name of an argument, also as the only one of a function that adapts it."""
    if isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        value = value.args[0]
    return getattr(value, "id", None)


def _by_name(function, declared):
    """Names for an operator that is called as NumPy's function: tensors come first in both."""
    parameters = _parameters(function)
    tensors = [a.name for a in declared.arguments if a.type == "Tensor" and not a.keyword_only]
    known = {argument.name for argument in declared.arguments}
    return _completed(dict(zip(parameters, tensors, strict=False)), parameters, known)


def _completed(names, parameters, known):
    for parameter in parameters:
        synonym = _SYNONYMS.get(parameter)
        if parameter in known:
            names.setdefault(parameter, parameter)
        elif synonym in known and synonym not in names.values():
            names.setdefault(parameter, synonym)
    return names


def _parameters(function):
    signature = _signature(function)
    return [] if signature is None else list(signature.parameters)


def _signature(function):
    """The signature of NumPy's function; None if it takes its operands as `*operands`.

    Ufuncs only bind their inputs; what else they take is handled before. Some versions of NumPy do
    not tell the signatures of functions written in C: these take arrays and an axis.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    if isinstance(function, np.ufunc):
        names = [f"x{i + 1}" for i in range(function.nin)]
        return inspect.Signature([inspect.Parameter(name, kind) for name in names])
    try:
        signature = inspect.signature(function)
    except ValueError:
        return _UNTOLD.get(function.__name__)
    first = next(iter(signature.parameters.values()), None)
    if first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL:
        return None
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    return signature.replace(parameters=parameters)


_UNTOLD = {
    "concatenate": inspect.signature(lambda arrays, axis=0, *, dtype=None, casting=None: None),
    "where": inspect.signature(lambda condition, x, y: None),
    "dot": inspect.signature(lambda a, b: None),
}


# --- values --------------------------------------------------------------------------------------


def _wide(values):
    return any(
        value.dtype in (dtypes.float64, np.dtype(float))
        for value in _flat(values)
        if isinstance(value, Tensor | np.ndarray)
    )


def _flat(values):
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _converted(argument, value, numbers):
    """A value of NumPy's call as the entry's argument; a float becomes one of dtype `numbers`."""
    if argument.type == "Tensor":
        if argument.many or argument.variadic:
            return [_operand(item, argument.or_scalar, numbers) for item in value]
        return None if value is None else _operand(value, argument.or_scalar, numbers)
    if argument.type == "Dtype":
        return None if value is None else dtypes.from_numpy_dtype(np.dtype(value))
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if argument.variadic:
        return list(value) if isinstance(value, list | tuple) else [value]
    return value


def _operand(value, scalars, numbers):
    """A value that NumPy takes for an array, as a tensor, or as a number where `scalars` may be.

    A number never decides the dtype against an array of its kind, as in PyTorch.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if scalars else from_array(np.asarray(value, numbers.numpy))
    if isinstance(value, bool | int) and scalars:
        return value
    return from_array(np.asarray(value))
