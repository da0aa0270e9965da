"""The loss of class indices: one element of each row, and where its gradient goes."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def _pick(scores, target, ignored, mean, out):
    total, count = 0.0, 0
    for row in range(target.shape[0]):
        place = target[row]
        if place != ignored:
            total -= scores[row, place]
            count += 1
    out[0] = total / count if mean else total


@njit(cache=True, nogil=True, error_model="numpy")
def _put(grad, target, ignored, mean, out):
    count = target.shape[0]
    if mean:
        count = 0
        for row in range(target.shape[0]):
            count += target[row] != ignored
    share = -grad[0] / count if mean else -grad[0]
    for row in range(target.shape[0]):
        if target[row] != ignored:
            out[row, target[row]] = share


def class_loss(self, target, ignore_index, mean):
    out = np.empty(1, self.dtype)
    scores = np.ascontiguousarray(self)
    _pick(scores, np.ascontiguousarray(target), ignore_index, mean, out)
    return out.reshape(())


def class_loss_back(self, target, ignore_index, mean, classes):
    out = np.zeros((len(target), classes), self.dtype)
    _put(self.reshape(1), np.ascontiguousarray(target), ignore_index, mean, out)
    return out


@njit(cache=True, nogil=True)
def wrong_class(target, ignored, classes):
    """The place of the first target that is no class; -1 if there is none."""
    for row in range(target.shape[0]):
        if target[row] != ignored and (target[row] < 0 or target[row] >= classes):
            return row
    return -1
