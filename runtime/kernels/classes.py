"""Targets of a classification: which class each names, and what its loss counts for."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(target, weights, classes, ignored, mean, chosen, share):
    """The place of the first target that is no class; -1 if there is none."""
    total = 0.0
    for i in range(target.shape[0]):
        k = np.int64(target[i])
        chosen[i] = -1
        share[i] = 0
        if k != ignored:
            if k < 0 or k >= classes:
                return i
            chosen[i] = k
            share[i] = weights[k] if weights.shape[0] else 1
            total += share[i]
    if mean:
        factor = target.shape[0] / total
        for i in range(share.shape[0]):
            share[i] *= factor
    return -1


def class_shares_of(target, weights, classes, ignored, mean, kind):
    """(class or -1, share) of each target, flat; IndexError for one that is no class.

    For a mean the shares add up to the number of targets.
    """
    chosen = np.empty(target.shape[0], np.int64)
    share = np.empty(target.shape[0], kind)
    wrong = _fill(target, weights, classes, ignored, mean, chosen, share)
    if wrong >= 0:
        raise IndexError(f"Target {target[wrong]} is out of bounds.")
    return chosen, share
