"""Triangular systems of equations."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from ..threads import threads

LARGE = 64  # from so many rows on, BLAS is faster than a loop over rows


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(matrix, upper, unit, out):
    """Rows of `out`, which holds the right-hand side, from the first or the last on."""
    n = matrix.shape[0]
    for step in range(n):
        i = n - 1 - step if upper else step
        row = out[i]
        for back in range(step):
            j = n - 1 - back if upper else back
            factor = matrix[i, j]
            other = out[j]
            for k in range(row.shape[0]):
                row[k] -= factor * other[k]
        if not unit:
            pivot = matrix[i, i]
            for k in range(row.shape[0]):
                row[k] /= pivot


@njit(cache=True, nogil=True)
def _solve_all(matrices, upper, unit, out):
    for b in range(out.shape[0]):
        _solve(matrices[b], upper, unit, out[b])


@njit(cache=True, nogil=True, parallel=True)
def _solve_parallel(matrices, upper, unit, out):
    for b in prange(out.shape[0]):
        _solve(matrices[b], upper, unit, out[b])


def linalg_solve_triangular(self, B, upper, left, unitriangular):
    """The X with A X = B or X A = B; only one triangle of A is read."""
    if not left:
        turned = np.swapaxes(self, -1, -2), np.swapaxes(B, -1, -2)
        solution = linalg_solve_triangular(*turned, not upper, True, unitriangular)
        return np.swapaxes(solution, -1, -2)
    n, m = B.shape[-2:]
    batch = np.broadcast_shapes(self.shape[:-2], B.shape[:-2])
    count = math.prod(batch)
    matrices = np.broadcast_to(self, (*batch, n, n)).reshape(count, n, n)
    out = np.array(np.broadcast_to(B, (*batch, n, m)), order="C").reshape(count, n, m)
    if n >= LARGE:
        _by_blas(matrices, upper, unitriangular, out)
    else:
        work = n * out.size
        run = _solve_parallel if work >= threads.minimum and len(out) > 1 else _solve_all
        run(np.ascontiguousarray(matrices), upper, unitriangular, out)
    return out.reshape(*batch, n, m)


def _by_blas(matrices, upper, unit, out):
    """One matrix at a time; as Fortran sees them, the equations read X.T A.T = B.T."""
    from scipy.linalg import blas  # a tenth of a second that few programs need

    (trsm,) = blas.get_blas_funcs(("trsm",), (out,))
    for matrix, target in zip(matrices, out, strict=True):
        target[...] = trsm(1, matrix.T, target.T, side=1, lower=upper, diag=unit).T
