"""Runs the command line without importing the library: `python tools/bootstrap.py generate`.

Importing `rederive` imports generated/, so a generated/ that a merge or a faulty template left
broken could not be generated anew by `rederive generate`. Here `rederive` is an empty package
around codegen/ and tools/, which import nothing of the library until a command needs it.
"""

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "rederive": "runtime",
    "rederive.codegen": "codegen",
    "rederive.tools": "tools",
}


def lay_out_packages() -> None:
    """Put packages with the right folders, and nothing in them, where imports look first."""
    for name, folder in FOLDERS.items():
        package = ModuleType(name)
        package.__path__ = [str(ROOT / folder)]
        package.__file__ = str(ROOT / folder / "__init__.py")
        sys.modules[name] = package
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, package)


if __name__ == "__main__":
    lay_out_packages()
    from rederive.tools.cli import main

    raise SystemExit(main())
