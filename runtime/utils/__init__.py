"""What programs use around their models: checkpointing."""

from . import checkpoint

__all__ = ["checkpoint"]
