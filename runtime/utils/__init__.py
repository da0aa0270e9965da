"""What programs use around their models: checkpointing, nested containers."""

from . import checkpoint, dlpack, pytree
from . import pytree as _pytree

__all__ = ["_pytree", "checkpoint", "dlpack", "pytree"]
