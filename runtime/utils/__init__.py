"""Helpers that programs import by name: nested containers, and what else grows here."""

from . import pytree
from . import pytree as _pytree

__all__ = ["_pytree", "pytree"]
