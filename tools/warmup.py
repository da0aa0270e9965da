"""`rederive warmup`: calls every operator once, so that its kernels are compiled and cached."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rederive.tools import progress, samples
from rederive.tools.binding import Bound

DTYPES = ("float32", "float64")


def run(operators: Sequence[Any]) -> int:
    """Warm the kernels of `operators` and say how long it took; 1 if one could not be called."""
    begin = time.perf_counter()
    failures = []
    for operator in progress.steps(operators, "warmup", lambda o: o.name):
        try:
            warm(operator)
        except Exception as error:  # the others are still worth compiling
            failures.append(f"{operator.name}: {type(error).__name__}: {error}")
    for failure in failures:
        print(failure)
    seconds = time.perf_counter() - begin
    print(f"{len(operators) - len(failures)} operators compiled or loaded in {seconds:.1f} s")
    return 1 if failures else 0


def warm(operator: Any) -> None:
    """Forward and backward of one operator on its samples: dense, strided and broadcast."""
    for sample in samples.draw(operator):
        for dtype in DTYPES:
            bound = Bound(operator, sample, dtype)
            if operator.differentiable and bound.leaves:
                bound.gradients()
            else:
                bound.outputs(*bound.leaves)
