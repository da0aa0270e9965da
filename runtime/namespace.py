"""The operators by name, for generated formulas: filled in as generated packages register."""

from types import SimpleNamespace

ops = SimpleNamespace()

arrays = SimpleNamespace()
"""The same on arrays, of those that need nothing else."""
