"""Freed memory is kept for the next arrays, unless the user has chosen otherwise."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import rederive

def rounds():
    for _ in range(50):
        held = [np.ones(1 << 16) for _ in range(8)]  # 4 MB
        del held

rounds()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
rounds()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator lets itself be told"
)


def _pages_cleared(**environment):
    chosen = {key: value for key, value in os.environ.items() if "MALLOC" not in key}
    chosen.pop("GLIBC_TUNABLES", None)
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env={**chosen, **environment}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_arrays_that_come_and_go_take_no_new_pages():
    assert _pages_cleared() < 1000


def test_a_choice_of_the_user_stays():
    assert _pages_cleared(MALLOC_TRIM_THRESHOLD_="131072") > 20_000
