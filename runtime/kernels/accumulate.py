"""Adding one flat array into another: where gradients meet."""

from __future__ import annotations

from numba import njit, prange

from ..threads import threads

CHUNK = 16384


@njit(cache=True, nogil=True, error_model="numpy")
def _add(target, source):
    for i in range(target.shape[0]):
        target[i] += source[i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _add_parallel(target, source):
    n = target.shape[0]
    for part in prange((n + CHUNK - 1) // CHUNK):
        low = part * CHUNK
        high = min(low + CHUNK, n)
        _add(target[low:high], source[low:high])


def add_into(target, source):
    """`target += source` for dense flat arrays; returns `target`. RuntimeError on other sizes."""
    if len(source) != len(target):
        raise RuntimeError(
            f"gradients of {len(target)} and {len(source)} elements meet; they must be as many"
        )
    if len(target) < threads.minimum:
        _add(target, source)
    else:
        _add_parallel(target, source)
    return target
