"""Modules that hold other modules or parameters."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from itertools import chain, islice

from ..tensor import Tensor
from .module import Module, bracketed, indented
from .parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


def _position(index, length):
    """A position that may count from the end, as one that does not; IndexError if outside."""
    index = operator.index(index)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range")
    return index % length


class _Numbered(Module):
    """What Sequential and ModuleList share: submodules with the names "0", "1", ..."""

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]

    def _name_at(self, index):
        return next(islice(self._modules, _position(index, len(self)), None))

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._made_of(list(self)[index])
        return self._modules[self._name_at(index)]

    def __setitem__(self, index, module):
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index):
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name_at(index)]
        for name in names:
            delattr(self, name)
        self._renumber(list(self))

    def _renumber(self, modules):
        self.__dict__["_modules"] = {str(i): module for i, module in enumerate(modules)}

    def append(self, module):
        """Put a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index, module):
        """Put a module before position `index`."""
        length = len(self)
        if not -length <= index <= length:
            raise IndexError(f"Index out of range: {index}")
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        modules = list(self)
        modules.insert(index + length if index < 0 else index, module)
        self._renumber(modules)
        return self

    def pop(self, key):
        """Remove and return the module at a position."""
        module = self[key]
        del self[key]
        return module


class Sequential(_Numbered):
    """Modules called one after another, each with what the one before returned.

    Takes the modules, or a mapping of names to modules.
    """

    def __init__(self, *args):
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def _made_of(self, modules):
        chosen = {id(module) for module in modules}
        return type(self)({n: m for n, m in self._modules.items() if id(m) in chosen})

    def forward(self, input):
        for module in self:
            input = module(input)
        return input

    def extend(self, sequential):
        """Put the modules of another Sequential at the end."""
        for module in list(sequential):
            self.append(module)
        return self

    def __add__(self, other):
        if not isinstance(other, Sequential):
            raise ValueError(
                "add operator supports only objects of Sequential class, but "
                f"{type(other)} is given."
            )
        return Sequential(*self, *other)

    def __iadd__(self, other):
        if not isinstance(other, Sequential):
            raise ValueError(
                "add operator supports only objects of Sequential class, but "
                f"{type(other)} is given."
            )
        return self.extend(other)

    def __mul__(self, times):
        return Sequential(*self._repeated(times))

    __rmul__ = __mul__

    def __imul__(self, times):
        modules = self._repeated(times)
        for module in modules[len(self) :]:
            self.append(module)
        return self

    def _repeated(self, times):
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return list(self) * times


class ModuleList(_Numbered):
    """A list of modules; it is not callable itself."""

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self += modules

    def _made_of(self, modules):
        return type(self)(modules)

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        return ModuleList(chain(self, other))

    def extend(self, modules):
        """Put modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                "ModuleList.extend should be called with an iterable, but got "
                f"{type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def __repr__(self):
        groups = []
        for i, text in enumerate(map(repr, self)):
            if groups and groups[-1][2] == text:
                groups[-1][1] = i
            else:
                groups.append([i, i, text])
        children = []
        for first, last, text in groups:
            label = f"({first})" if first == last else f"({first}-{last})"
            times = "" if first == last else f"{last - first + 1} x "
            children.append(f"{label}: {times}{indented(text)}")
        return bracketed(self._get_name(), [], children)


def _pairs(values, what):
    """The (key, value) pairs of a mapping, or of an iterable of pairs."""
    if isinstance(values, Mapping | ModuleDict | ParameterDict):
        return list(values.items())
    if not isinstance(values, Iterable):
        raise TypeError(
            f"{what} should be called with an iterable of key/value pairs, but got "
            f"{type(values).__name__}"
        )
    pairs = []
    for position, pair in enumerate(values):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{what} sequence element #{position} should be Iterable; is {type(pair).__name__}"
            )
        if len(pair) != 2:
            raise ValueError(
                f"{what} sequence element #{position} has length {len(pair)}; 2 is required"
            )
        pairs.append(tuple(pair))
    return pairs


class ModuleDict(Module):
    """A dictionary of modules; it is not callable itself."""

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        del self._modules[key]

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key):
        return key in self._modules

    def keys(self):
        """The names."""
        return self._modules.keys()

    def items(self):
        """(name, module) pairs."""
        return self._modules.items()

    def values(self):
        """The modules."""
        return self._modules.values()

    def clear(self):
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key):
        """Remove and return a module."""
        return self._modules.pop(key)

    def update(self, modules):
        """Add the modules of a mapping, or of an iterable of pairs."""
        for key, module in _pairs(modules, "ModuleDict.update"):
            self[key] = module


class ParameterList(Module):
    """A list of parameters; tensors that are put into it become parameters."""

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    def __len__(self):
        return self._size

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, str(_position(index, self._size)))

    def __setitem__(self, index, value):
        setattr(self, str(_position(index, self._size)), _as_parameter(value))

    def append(self, value):
        """Put a value at the end."""
        index = self._size
        self._size += 1
        self[index] = value
        return self

    def extend(self, values):
        """Put values at the end."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(
                "ParameterList.extend should be called with an iterable, but got "
                f"{type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values):
        return self.extend(values)

    def extra_repr(self):
        return _listed(enumerate(self), str)

    def __call__(self, *args, **kwargs):
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dictionary of parameters; tensors that are put into it become parameters."""

    def __init__(self, parameters=None):
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    def _attribute(self, key):
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is not a string (type "
                f"is '{type(key).__name__}'). Open an issue on github if you need non-string keys."
            )
        return key

    def __getitem__(self, key):
        return getattr(self, self._attribute(key))

    def __setitem__(self, key, value):
        self._keys[key] = None
        setattr(self, self._attribute(key), _as_parameter(value))

    def __delitem__(self, key):
        del self._keys[key]
        delattr(self, self._attribute(key))

    def __len__(self):
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __reversed__(self):
        return reversed(list(self._keys))

    def __contains__(self, key):
        return key in self._keys

    def copy(self):
        """A ParameterDict of the same parameters."""
        return ParameterDict(dict(self.items()))

    def setdefault(self, key, default=None):
        """The value at a key, which is `default` if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self):
        """Remove everything."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key):
        """Remove and return a value."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Remove and return the pair that was put in last."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key, default=None):
        """The value at a key, or `default`."""
        if key not in self:
            return default
        return self[key]

    def fromkeys(self, keys, default=None):
        """A ParameterDict with these keys."""
        return ParameterDict((key, default) for key in keys)

    def keys(self):
        """The keys."""
        return self._keys.keys()

    def items(self):
        """(key, value) pairs."""
        return ((key, self[key]) for key in self._keys)

    def values(self):
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters):
        """Add what a mapping holds, or an iterable of pairs."""
        for key, value in _pairs(parameters, "ParameterDict.update"):
            self[key] = value

    def extra_repr(self):
        return _listed(self.items(), _type_name)

    def __or__(self, other):
        result = self.copy()
        result.update(other)
        return result

    def __ror__(self, other):
        result = ParameterDict(other)
        result.update(self)
        return result

    def __ior__(self, other):
        self.update(other)
        return self

    def __call__(self, *args, **kwargs):
        raise RuntimeError("ParameterDict should not be called.")


def _as_parameter(value):
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _type_name(dtype):
    """What PyTorch calls the type of a tensor of this dtype, as FloatTensor."""
    name = str(dtype).rpartition(".")[2]
    kinds = {"float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int"}
    return f"rederive.{kinds.get(name, name.capitalize())}Tensor"


def _listed(items, describe):
    """A line of text for each parameter, tensor or other value."""
    lines = []
    for key, value in items:
        if isinstance(value, Tensor):
            kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
            size = "x".join(map(str, value.shape))
            lines.append(f"  ({key}): {kind} containing: [{describe(value.dtype)} of size {size}]")
        else:
            lines.append(f"  ({key}): Object of type: {type(value).__name__}")
    return "\n".join(lines)
