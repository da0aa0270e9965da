"""What a module owns: its parameters, buffers and submodules, as attributes and by name."""

from __future__ import annotations

from ..tensor import Tensor
from .parameter import Buffer, Parameter, persistent

_KINDS = ("_parameters", "_buffers", "_modules")


class ModuleAttributes:
    """Attributes that are kept in three dictionaries, by what they are."""

    training = True

    def __init__(self):
        own = self.__dict__
        own["training"] = True
        for kind in _KINDS:
            own[kind] = {}
        own["_non_persistent_buffers_set"] = set()

    # --- registration ------------------------------------------------------------------------

    def register_parameter(self, name, param):
        """Make a Parameter, or None as the place for one, the attribute `name`."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                "(rederive.nn.Parameter or None required)"
            )
        if param is not None and param._grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                "created explicitly; compute it in forward() instead."
            )
        self._parameters[name] = param

    def register_buffer(self, name, tensor, persistent=True):
        """Make a tensor (or None) that is no parameter part of the module's state.

        persistent: whether `state_dict` holds it.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' "
                "(rederive Tensor or None required)"
            )
        self._buffers[name] = tensor
        self._remember_persistence(name, persistent)

    def register_module(self, name, module):
        """Make a module (or None) the submodule `name`."""
        if module is not None and not isinstance(module, ModuleAttributes):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    add_module = register_module

    def _check_name(self, what, name, own):
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {_type_name(name)}")
        if "." in name:
            raise KeyError(
                f'{what} name can\'t contain "."' + f", got: {name}" * (what == "module")
            )
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in own:
            raise KeyError(f"attribute '{name}' already exists")

    def _remember_persistence(self, name, kept):
        if kept:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    # --- attributes --------------------------------------------------------------------------

    def __getattr__(self, name):
        own = self.__dict__
        try:
            return own["_parameters"][name]
        except KeyError:
            pass
        for kind in _KINDS:
            values = own.get(kind)
            if values is not None and name in values:
                return values[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        own = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, ModuleAttributes):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            own["_modules"][name] = value
        elif name in own.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as parameter '{name}' "
                    "(rederive.nn.Parameter or None expected)"
                )
            own["_parameters"][name] = None
        elif name in own.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as child module '{name}' "
                    "(rederive.nn.Module or None expected)"
                )
            own["_modules"][name] = None
        elif isinstance(value, Buffer) or name in own.get("_buffers", ()):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_buffer(self, name, value):
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(value)}' as buffer '{name}' "
                "(rederive.nn.Buffer, rederive.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            self._forget(name, "_buffers")
            self.register_buffer(name, value, persistent(value))
        else:
            self._buffers[name] = value

    def _forget(self, name, kept):
        """Drop an attribute of this name that is not of the kind `kept`."""
        self.__dict__.pop(name, None)
        for kind in _KINDS:
            if kind != kept:
                self.__dict__.get(kind, {}).pop(name, None)
        if kept != "_buffers":
            self.__dict__.get("_non_persistent_buffers_set", set()).discard(name)

    def __delattr__(self, name):
        for kind in _KINDS:
            values = self.__dict__.get(kind, {})
            if name in values:
                del values[name]
                if kind == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__}
        for kind in _KINDS:
            names.update(self.__dict__.get(kind, ()))
        return sorted(name for name in names if not name[0].isdigit())

    # --- by path -----------------------------------------------------------------------------

    def get_submodule(self, target):
        """The module at a path such as "encoder.0.linear"; "" is this module."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, ModuleAttributes):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False):
        """Put a module at a path; with `strict` one must be there already."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, ModuleAttributes):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), ModuleAttributes):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target):
        """The parameter at a path such as "encoder.weight"."""
        owner, name = self._owner(target)
        value = getattr(owner, name)
        if not isinstance(value, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return value

    def get_buffer(self, target):
        """The buffer at a path."""
        owner, name = self._owner(target)
        if name not in owner._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return owner._buffers[name]

    def _owner(self, target):
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"{owner._get_name()} has no attribute `{name}`")
        return owner, name

    def _get_name(self):
        return type(self).__name__


def _type_name(value):
    return type(value).__name__
