"""How near operators that only move memory come to the speed at which the machine copies."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from rederive.tools.bench.timing import seconds_of
from rederive.tools.progress import Table

SIZES = (1_000_000, 16_000_000)
BYTES = 4  # of a float32


def measure(rederive: Any, torch: Any, rounds: int) -> Table:
    """Bytes that must be read and written a second, in GB/s and as a share of a copy's.

    The copy is the faster of NumPy's and PyTorch's, into memory that is there already; the
    operators take memory for their results.
    """
    table = Table(
        "Memory, float32: GB/s read and written",
        ("elements", "copy", "add", "mul", "mul, both ways", "share of the copy's"),
        right=frozenset({"elements", "copy", "add", "mul", "mul, both ways"}),
    )
    for size in SIZES:
        x, y, g = (rederive.ones(size) for _ in range(3))
        a, b = np.ones(size, np.float32), np.zeros(size, np.float32)
        p, q = torch.ones(size), torch.zeros(size)
        leaf, other = (t.clone().requires_grad_() for t in (x, y))

        def both_ways(leaf: Any = leaf, other: Any = other, g: Any = g) -> None:
            rederive.autograd.grad(leaf * other, (leaf, other), g)

        works: list[tuple[Callable[[], object], int]] = [
            (lambda a=a, b=b: np.copyto(b, a), 2),
            (lambda p=p, q=q: q.copy_(p), 2),
            (lambda x=x, y=y: x + y, 3),
            (lambda x=x, y=y: x * y, 3),
            (both_ways, 8),  # reads x, y, g, x, y, writes the product and two gradients
        ]
        times: list[list[float]] = [[] for _ in works]
        for _ in range(rounds + 1):
            for (work, _), found in zip(works, times, strict=True):
                work()
                found.append(seconds_of(work, 3))
        numpys, torchs, *ours = (
            moved * BYTES * size / statistics.median(found) / 1e9
            for (_, moved), found in zip(works, times, strict=True)
        )
        copy = max(numpys, torchs)
        shares = ", ".join(f"{speed / copy:.2f}" for speed in ours)
        table.add(f"{size:,}", *(f"{speed:.1f}" for speed in (copy, *ours)), shares)
    return table
