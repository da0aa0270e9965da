"""Times two ways of doing the same work, alternating, so that both meet the same machine."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Work = Callable[[], object]

# Threads of the other side's parallel runs go on spinning for a few milliseconds; with as many
# threads as cores they would be in the way.
REST = 0.02


@dataclass(frozen=True)
class Comparison:
    """Median seconds of one run of each side."""

    name: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """How many times faster we are; below 1 we are slower."""
        return self.theirs / self.ours


def seconds_of(work: Work, repeats: int) -> float:
    """Seconds of one of `repeats` runs in a row."""
    begin = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - begin) / repeats


def compare(
    name: str, ours: Callable[[], Work], theirs: Callable[[], Work], rounds: int, at_least: float
) -> Comparison:
    """Median times over alternating rounds, each of which lasts about `at_least` seconds.

    ours, theirs: make the work, with tensors of its own, anew for each round. Where the C library
    happens to put large arrays can make the same work twice as slow; over rounds that evens out.
    """
    repeats = []
    for make in (ours, theirs):
        work = make()
        work()  # compiles, loads and allocates
        once = max(min(seconds_of(work, 1) for _ in range(3)), 1e-7)
        repeats.append(max(1, math.ceil(at_least / once)))
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            sides = [(ours, 0), (theirs, 1)]
            for make, side in sides if number % 2 == 0 else reversed(sides):
                work = make()
                time.sleep(REST)
                work()
                times[side].append(seconds_of(work, repeats[side]))
                del work
    finally:
        gc.enable()
    return Comparison(name, statistics.median(times[0]), statistics.median(times[1]))


def geometric_mean(comparisons: Sequence[Comparison]) -> float:
    """Of the ratios: the one mean that does not depend on which side is the unit."""
    return math.exp(statistics.fmean(math.log(c.ratio) for c in comparisons))


def readable(seconds: float) -> str:
    """Three digits and a unit: `2.41 us`, `160 us`, `1.30 s`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            number = seconds / size
            return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
    raise AssertionError("unreachable")
