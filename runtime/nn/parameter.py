"""Parameters and buffers: tensors that a module keeps as its own.

A Parameter is an ordinary Tensor with a mark, so that operators take the same straight way with
it as with any other; `isinstance(p, Parameter)` looks at the mark. Only an instance of a class
derived from Parameter is of another type than Tensor.
"""

from __future__ import annotations

from ..tensor import Tensor, alias

__all__ = ["Buffer", "Parameter"]


class _Marked(type(Tensor)):
    """The type of a class whose instances are tensors with its `role`."""

    def __instancecheck__(cls, instance):
        if type.__instancecheck__(cls, instance):
            return True
        marked = cls in (Parameter, Buffer) and isinstance(instance, Tensor)
        return marked and getattr(instance, "_role", None) in cls.roles


def _marked(cls, base, data, role):
    """A tensor of class `base` over the memory of `data`, with the mark that `role` is."""
    if data is None:
        from ..factories import empty

        data = empty(0)
    if not isinstance(data, Tensor):
        raise AttributeError(
            f"'{type(data).__name__}' object has no attribute 'detach': a {base.__name__} is made "
            "from a Tensor"
        )
    out = alias(data, data._counter, Tensor if cls is base else cls)
    out._role = role
    return out


class Parameter(Tensor, metaclass=_Marked):
    """A tensor that a module registers as a parameter when it is assigned to an attribute.

    It shares the memory of `data`, without its graph.
    """

    roles = ("parameter",)

    def __new__(cls, data=None, requires_grad=True):
        out = _marked(cls, Parameter, data, "parameter")
        out.requires_grad = requires_grad
        return out


class Buffer(Tensor, metaclass=_Marked):
    """A tensor that a module registers as a buffer when it is assigned to an attribute.

    persistent: whether it is part of the module's `state_dict`.
    """

    roles = ("buffer", "passing buffer")

    def __new__(cls, data=None, *, persistent=True):
        role = cls.roles[0 if persistent else 1]
        out = _marked(cls, Buffer, data, role)
        out._requires_grad = data is not None and data._requires_grad and data._grad_fn is None
        return out


def persistent(buffer):
    """Whether a tensor that is to be a buffer is part of the module's state."""
    return getattr(buffer, "_role", None) != Buffer.roles[1]
