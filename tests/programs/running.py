"""Runs a program of this folder with any module in the place of `torch`."""

import contextlib
import io
import re
from pathlib import Path

FOLDER = Path(__file__).parent
PROGRAMS = sorted(p for p in FOLDER.glob("*.py") if p.stem != "running")


def output_of(path, module):
    """What the program prints, with the module's own name written as `torch`."""
    printed = io.StringIO()

    def attempt(function, message=False):
        try:
            function()
        except Exception as error:
            print(type(error).__name__, error if message else "")
        else:
            print("ok")

    names = {"torch": module, "attempt": attempt, "__name__": path.stem}
    with contextlib.redirect_stdout(printed):
        exec(compile(path.read_text(), str(path), "exec"), names)
    lines = printed.getvalue().replace(module.__name__ + ".", "torch.").splitlines()
    return "\n".join(re.sub(r" at 0x[0-9a-f]+", "", line).rstrip() for line in lines) + "\n"
