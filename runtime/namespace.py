"""The operators by name, for generated formulas: filled in as generated packages register."""

from types import SimpleNamespace

ops = SimpleNamespace()

kernels = SimpleNamespace()
"""The flat forward kernels of the pointwise operators, for hand-written kernels."""

arrays = SimpleNamespace()
"""The same on arrays, of those that need nothing else."""
