"""Write what the programs in tests/programs print under PyTorch next to them."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests" / "programs"


def main():
    """Record the named programs, or all of them."""
    torch = importlib.import_module("torch")
    importlib.import_module("torch.utils.checkpoint")
    sys.path.insert(0, str(FOLDER))
    running = importlib.import_module("running")
    for path in running.PROGRAMS:
        if len(sys.argv) == 1 or path.stem in sys.argv[1:]:
            path.with_suffix(".out").write_text(running.output_of(path, torch))
            print(path.stem)


if __name__ == "__main__":
    main()
