"""The operators by name, for generated formulas: filled in as generated packages register."""

from types import SimpleNamespace

ops = SimpleNamespace()
