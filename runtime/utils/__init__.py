"""Helpers beside the core: checkpointing and what goes with it."""

from . import checkpoint

__all__ = ["checkpoint"]
