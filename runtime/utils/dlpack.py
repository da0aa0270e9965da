"""DLPack capsules under the names that PyTorch programs use."""

from ..dlpack import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
