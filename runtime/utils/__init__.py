"""Helpers beside the core: checkpointing, nested containers."""

from . import checkpoint, pytree
from . import pytree as _pytree

__all__ = ["_pytree", "checkpoint", "pytree"]
