"""Write where PyTorch's optimizers arrive on the problem of tests/runtime/optimizer_runs.py."""

import importlib
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "tests" / "runtime"


def main():
    """Record all runs."""
    sys.path.insert(0, str(FOLDER))
    runs = importlib.import_module("optimizer_runs")
    found = runs.all_places(importlib.import_module("torch"))
    np.savez_compressed(runs.RECORDED, **found)
    print(f"{len(found)} runs")


if __name__ == "__main__":
    main()
