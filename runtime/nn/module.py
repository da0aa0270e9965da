"""The base class of all modules."""

from __future__ import annotations

from .module_attributes import ModuleAttributes
from .module_calls import ModuleCalls
from .module_state import ModuleState
from .module_traversal import ModuleTraversal

__all__ = ["Module"]


class Module(ModuleAttributes, ModuleTraversal, ModuleState, ModuleCalls):
    """A function with parameters, made of other such functions.

    A class derived from it calls `super().__init__()`, assigns parameters and submodules to
    attributes, and defines `forward`::

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(2, 8)
                self.out = nn.Linear(8, 1)

            def forward(self, x):
                return self.out(torch.tanh(self.hidden(x)))
    """

    call_super_init = False
    """Whether `__init__` passes its arguments on to the class that comes after Module."""

    def __init__(self, *args, **kwargs):
        if (args or kwargs) and not self.call_super_init:
            given = (
                f"{len(args)} positional arguments" if args else f"argument {next(iter(kwargs))!r}"
            )
            raise TypeError(f"{type(self).__name__}.__init__() got {given}; Module takes none")
        for part in (ModuleAttributes, ModuleState, ModuleCalls):
            part.__init__(self)
        if self.call_super_init:
            super(ModuleCalls, self).__init__(*args, **kwargs)

    def __setstate__(self, state):
        self.__dict__.update(state)

    def extra_repr(self):
        """What stands between the brackets when the module is printed."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        return bracketed(self._get_name(), lines, children)


def indented(text):
    """A text of several lines with all but the first moved to the right."""
    return text.replace("\n", "\n  ")


def bracketed(name, lines, children):
    """The printed form of a module: on one line if it has one line of text and no children."""
    if len(lines) <= 1 and not children:
        return f"{name}({''.join(lines)})"
    return f"{name}(\n  " + "\n  ".join([*lines, *children]) + "\n)"
