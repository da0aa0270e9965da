"""The operators by name, for generated formulas: filled in as generated packages register."""

from types import SimpleNamespace

ops = SimpleNamespace()

pointwise = {}
"""The descriptors of the pointwise operators, whose kernels hand-written ones may call."""

arrays = SimpleNamespace()
"""The same on arrays, of those that need nothing else."""
