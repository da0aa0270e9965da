"""What is measured from outside: starting up, regenerating, compiling."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time

from rederive.tools import specification
from rederive.tools.bench.timing import Comparison

FIRST_GRADIENT = """
import {library} as torch
x = torch.ones(8, requires_grad=True)
(x * x).sum().backward()
"""


def start_up(rounds: int) -> Comparison:
    """Whole processes: import, then a first gradient from warm caches."""
    commands = {
        library: [sys.executable, "-c", FIRST_GRADIENT.format(library=library)]
        for library in ("rederive", "torch")
    }
    times: dict[str, list[float]] = {library: [] for library in commands}
    for number in range(rounds + 1):
        for library, command in commands.items():
            seconds = _timed(command)
            if number:  # the first round warms the caches
                times[library].append(seconds)
    ours, theirs = (statistics.median(times[library]) for library in ("rederive", "torch"))
    return Comparison("import and first gradient", ours, theirs)


def regeneration(rounds: int) -> float | None:
    """Median seconds of rendering all of generated/ in memory and comparing it; None without
    a checkout."""
    spec = specification.checkout_specification()
    if spec is None:
        return None
    from rederive.codegen import command

    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            command.generate(spec, spec.parent / "generated", check=True)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def compilation() -> tuple[float, float]:
    """Seconds of `rederive warmup` with an empty cache, then with the cache it filled."""
    command = [sys.executable, "-m", "rederive", "warmup"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        return _timed(command, environment), _timed(command, environment)


def _timed(command: list[str], environment: dict[str, str] | None = None) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise specification.Mistake(f"{' '.join(command[:4])} failed: {' '.join(last)}")
    return seconds
