"""The layers under the name that PyTorch has for their folder."""

from . import module
from .module import Module

__all__ = ["Module", "module"]


def __getattr__(name):
    from rederive import nn

    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(nn, name)
