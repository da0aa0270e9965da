"""Write where PyTorch's optimizers arrive on the problem of tests/runtime/optimizer_runs.py."""

import importlib
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent / "tests"


def main():
    """Record all runs."""
    sys.path.insert(0, str(TESTS / "runtime"))
    runs = importlib.import_module("optimizer_runs")
    found = runs.all_places(importlib.import_module("torch"))
    np.savez_compressed(TESTS / "data" / "optimizers.npz", **found)
    print(f"{len(found)} runs")


if __name__ == "__main__":
    main()
