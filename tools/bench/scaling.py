"""How time grows with size, threads, nodes and rank, against PyTorch: `rederive bench --plots`.

Each point is the median of alternating rounds. Time per element or per node is shown, so that a
straight level line is perfect scaling and a knee can be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rederive
from rederive.tools import progress
from rederive.tools.bench.timing import Comparison, Work, compare

SIZES = [8**n for n in range(1, 9)] + [64_000_000]
NODES = (10, 100, 1000, 10_000, 100_000, 1_000_000)
RANKS = tuple(range(1, 9))
ELEMENTS = 65536  # of the strided operands, whatever their rank
ROUNDS = 5

Sides = tuple[Callable[[], Work], Callable[[], Work]]


def product(lib: Any, size: int) -> Work:
    """Forward and backward of a product of `size` elements."""
    x, y, g = (lib.ones(size, requires_grad=r) for r in (True, True, False))

    def work() -> None:
        x.grad = y.grad = None
        (x * y).backward(g)

    return work


def chain(lib: Any, nodes: int) -> Work:
    """Forward and backward of so many operators in a row, 8 elements each."""
    x = lib.ones(8, requires_grad=True)

    def work() -> None:
        y = x
        for _ in range(nodes):
            y = y * 0.999
        x.grad = None
        y.sum().backward()

    return work


def strided(lib: Any, rank: int) -> Work:
    """A sum of two operands whose dimensions lie in memory the other way round."""
    shape = [2] * rank
    shape[0] = ELEMENTS >> (rank - 1)
    x = lib.ones(shape[::-1]).permute(*reversed(range(rank)))
    y = lib.ones(shape)
    return lambda: x + y


def curves(torch: Any) -> dict[str, list[tuple[int, Comparison, int]]]:
    """Name of a plot -> (where, times, what they are divided by)."""

    def both(work: Callable[[Any, int], Work], at: int) -> Sides:
        return (lambda: work(rederive, at)), (lambda: work(torch, at))

    plan: list[tuple[str, Callable[[Any, int], Work], int, int]] = []
    for threads in (1, 2):
        name = f"elements, {threads} thread{'s' * (threads > 1)}"
        plan += [(name, product, size, threads) for size in SIZES]
    plan += [("nodes", chain, nodes, 1) for nodes in NODES]
    plan += [("dimensions", strided, rank, 1) for rank in RANKS]
    found: dict[str, list[tuple[int, Comparison, int]]] = {}
    for name, work, at, threads in progress.steps(plan, "measuring", lambda row: row[0]):
        rederive.set_num_threads(threads)
        torch.set_num_threads(threads)
        per = ELEMENTS if work is strided else at
        rounds = 3 if at >= 1_000_000 else ROUNDS
        found.setdefault(name, []).append((at, compare(name, *both(work, at), rounds, 2e-3), per))
    return found


def draw(found: dict[str, list[tuple[int, Comparison, int]]], path: Path) -> None:
    """One plot for each curve, times in nanoseconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for axis, (name, points) in zip(axes.flat, found.items(), strict=True):
        places = [at for at, _, _ in points]
        for label, side in (("rederive", "ours"), ("PyTorch", "theirs")):
            times = [getattr(c, side) / per * 1e9 for _, c, per in points]
            axis.plot(places, times, marker="o", markersize=4, label=label)
        what, _, rest = name.partition(", ")
        axis.set(xlabel=name, ylabel="ns per node" if what == "nodes" else "ns per element")
        axis.set_yscale("log")
        axis.set_xscale("linear" if what == "dimensions" else "log")
        axis.set_title(TITLES[what] + (f" ({rest})" if rest else ""), fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].legend()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


TITLES = {
    "elements": "x * y, forward and backward",
    "nodes": "a chain of operators, forward and backward",
    "dimensions": f"x + y of {ELEMENTS} elements, x transposed",
}


def plots(torch: Any, path: Path) -> None:
    """Measure, print each point and draw them."""
    found = curves(torch)
    for name, points in found.items():
        for at, c, per in points:
            ours, theirs = (side / per * 1e9 for side in (c.ours, c.theirs))
            print(f"{name:20} {at:>9} {ours:10.2f} ns, PyTorch {theirs:10.2f} ns")
    draw(found, path)
    print(f"{path} written")
