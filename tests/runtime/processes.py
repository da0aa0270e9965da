"""Python in processes of its own, for tests of what a whole process does."""

import os
import subprocess
import sys
import textwrap


def start(program, *, command=(), unset=(), path=None, **environment):
    """Start a program in which every warning is an error; `path` is where imports look first."""
    values = {k: v for k, v in os.environ.items() if k not in unset} | environment
    if path is not None:
        values["PYTHONPATH"] = str(path)
    return subprocess.Popen(
        [*command, sys.executable, "-P", "-W", "error", "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=values,
    )


def printed(process):
    """The words that a program printed, once it has ended well."""
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.split()


def python(program, **options):
    """The words that a program prints."""
    return printed(start(program, **options))
