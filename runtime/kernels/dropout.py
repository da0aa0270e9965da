"""Dropout whose mask is a function of a key and the element's number, so that none is stored.

The same key gives the same mask in the backward pass, and on any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange, uint64

from ..threads import threads

CHUNK = 16384


@njit(cache=True, nogil=True)
def _drop(source, key, first, limit, scale, out):
    """Elements times `scale`, or times 0 where the hash of their number is below `limit`.

    The hash is the output function of SplitMix64 (Steele, Lea & Flood, 2014).
    """
    zero = out.dtype.type(0)
    for i in range(out.shape[0]):
        h = key + (first + uint64(i)) * uint64(0x9E3779B97F4A7C15)
        h = (h ^ (h >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> uint64(27))) * uint64(0x94D049BB133111EB)
        h = h ^ (h >> uint64(31))
        out[i] = source[i] * (scale if h >= limit else zero)


@njit(cache=True, nogil=True, parallel=True)
def _drop_parallel(source, key, limit, scale, out):
    n = out.shape[0]
    for part in prange((n + CHUNK - 1) // CHUNK):
        low = part * CHUNK
        high = min(low + CHUNK, n)
        _drop(source[low:high], key, uint64(low), limit, scale, out[low:high])


def keyed_dropout(self, p, key):
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    if self.dtype.kind != "f":
        raise RuntimeError("result type Float can't be cast to the desired output type Long")
    source = np.ascontiguousarray(self).reshape(-1)
    out = np.empty_like(source)
    if p == 1:
        np.multiply(source, 0, out=out)
        return out.reshape(self.shape)
    limit = np.uint64(min(int(p * 2.0**64), 2**64 - 1))
    arguments = np.uint64(key), limit, source.dtype.type(1 / (1 - p)), out
    if len(source) >= threads.minimum:
        _drop_parallel(source, *arguments)
    else:
        _drop(source, arguments[0], np.uint64(0), *arguments[1:])
    return out.reshape(self.shape)
