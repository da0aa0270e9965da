"""Factorizations, inverses and determinants of batches of matrices, by LAPACK.

NumPy loops over the batch and says only that something failed; which matrix, and where, is found
here when it did. Matrices are the last two dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy import linalg

from ..linalg import LinAlgError


def _each(array):
    """Index of each matrix of a batch."""
    return np.ndindex(array.shape[:-2])


def _where(batch, at):
    """How messages name a matrix of a batch."""
    if not batch:
        return ""
    return f"(Batch element {np.ravel_multi_index(at, batch)}): "


def _factor(name, matrix):
    """What LAPACK's factorization says of a matrix: 0, or where it failed."""
    from scipy.linalg import lapack  # a tenth of a second that few programs need

    (routine,) = lapack.get_lapack_funcs((name,), (matrix,))
    return routine(matrix)[-1]


def _singular(A):
    """(index, place) of the first singular matrix of a batch."""
    for at in _each(A):
        place = _factor("getrf", A[at])
        if place > 0:
            return at, place
    raise AssertionError("no matrix is singular")


def linalg_inv_ex(A, check_errors):
    """Inverses; singular matrices are errors, or else get infinities and nan."""
    try:
        return linalg.inv(A)
    except linalg.LinAlgError:
        if not check_errors:
            return _inverses(A)
        at, place = _singular(A)
        raise LinAlgError(
            f"linalg.inv: {_where(A.shape[:-2], at)}The diagonal element {place} is zero, the "
            "inversion could not be completed because the input matrix is singular."
        ) from None


def _inverses(A):
    """Inverses, infinite or nan where there is none: the adjugate divided by 0."""
    out = np.empty_like(A)
    for at in _each(A):
        try:
            out[at] = linalg.inv(A[at])
        except linalg.LinAlgError:
            out[at] = np.swapaxes(cofactor(A[at]), -1, -2) / A.dtype.type(0)
    return out


def linalg_solve_ex(A, B, left):
    """The X with A X = B, or X A = B."""
    try:
        if left:
            return linalg.solve(A, B)
        return np.swapaxes(linalg.solve(np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2)), -1, -2)
    except linalg.LinAlgError:
        at, _ = _singular(A)
        raise LinAlgError(
            f"linalg.solve: {_where(A.shape[:-2], at)}The solver failed because the input matrix "
            "is singular."
        ) from None


# --- determinants --------------------------------------------------------------------------------


def linalg_det(A):
    return np.asarray(linalg.det(A))


def linalg_slogdet(A):
    return tuple(np.asarray(part) for part in linalg.slogdet(A))


def cofactor(A):
    """The matrices of cofactors, det(A) inv(A).T, also of singular matrices."""
    n = A.shape[-1]
    if A.size == 0:
        return np.array(A)
    if n <= 3:
        return _small_cofactor(A)
    kind = A.dtype
    try:
        inverse = linalg.inv(A)
    except linalg.LinAlgError:
        return _rotated_cofactor(A)
    out = linalg.det(A)[..., None, None] * np.swapaxes(inverse, -1, -2)
    size = np.abs(A).sum(-1).max(-1) * np.abs(inverse).sum(-1).max(-1)
    # the inverse loses the digits that the condition number says; the rotated form loses none
    doubtful = ~(size < np.finfo(kind).eps ** -0.25)
    if np.any(doubtful):
        out[doubtful] = _rotated_cofactor(A[doubtful])
    return out


def _small_cofactor(A):
    """Written out; the sign of minors of order 2 follows from taking rows cyclically."""
    n = A.shape[-1]
    out = np.empty(A.shape, A.dtype)
    if n == 1:
        out[...] = 1
    elif n == 2:
        out[..., 0, 0], out[..., 0, 1] = A[..., 1, 1], -A[..., 1, 0]
        out[..., 1, 0], out[..., 1, 1] = -A[..., 0, 1], A[..., 0, 0]
    else:
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            out[..., i, :] = np.cross(A[..., j, :], A[..., k, :])
    return out


def _rotated_cofactor(A):
    """det(U) det(V) U diag(products of the other singular values) V.T; see Higham (2020),
    "What is the adjugate of a matrix?"."""
    U, S, Vh = linalg.svd(A)
    n = S.shape[-1]
    others = np.repeat(S[..., None, :], n, -2)
    np.einsum("...ii->...i", others)[...] = 1
    sign = linalg.det(U) * linalg.det(Vh)
    return (U * (sign[..., None] * others.prod(-1))[..., None, :]) @ Vh


def cofactor_along(A, direction):
    """The derivative of the cofactors along a direction, also of singular matrices.

    For a diagonal matrix of values s it has the elements sum_j w_ij d_jj on the diagonal and
    -w_ij d_ji elsewhere, w_ij being the product of all s but s_i and s_j; the singular value
    decomposition turns any matrix into that case.
    """
    if A.size == 0:
        return np.array(direction)
    A, direction = np.broadcast_arrays(A, direction)
    U, S, Vh = linalg.svd(A)
    weight = _without_two(S)
    turned = np.swapaxes(U, -1, -2) @ direction @ np.swapaxes(Vh, -1, -2)
    diagonal = np.einsum("...ii->...i", turned)
    inner = -weight * np.swapaxes(turned, -1, -2)
    np.einsum("...ii->...i", inner)[...] = (weight @ diagonal[..., None])[..., 0]
    sign = linalg.det(U) * linalg.det(Vh)
    return sign[..., None, None] * (U @ inner @ Vh)


def _without_two(S):
    """The product of all values but the i-th and the j-th; 0 where i = j."""
    n = S.shape[-1]
    rows = np.repeat(S[..., None, :], n, -2)
    np.einsum("...ii->...i", rows)[...] = 1
    ones = np.ones_like(rows[..., :1])
    before = np.cumprod(np.concatenate((ones, rows[..., :-1]), -1), -1)
    after = np.cumprod(np.concatenate((ones, rows[..., :0:-1]), -1), -1)[..., ::-1]
    out = before * after
    np.einsum("...ii->...i", out)[...] = 0
    return out


# --- factorizations ------------------------------------------------------------------------------


def linalg_cholesky_ex(self, upper, name):
    """The triangular factor; only the triangle that it fills is read."""
    try:
        return linalg.cholesky(self, upper=upper)
    except linalg.LinAlgError:
        part = np.swapaxes(self, -1, -2) if upper else self
        for at in _each(part):
            from scipy.linalg import lapack

            (routine,) = lapack.get_lapack_funcs(("potrf",), (part,))
            place = routine(part[at], lower=True)[1]
            if place > 0:
                raise LinAlgError(
                    f"{name}: {_where(part.shape[:-2], at)}The factorization could not be "
                    "completed because the input is not positive-definite (the leading minor of "
                    f"order {place} is not positive-definite)."
                ) from None
        raise


def linalg_qr(A, mode):
    """Q and R; mode "r" leaves Q empty."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    if mode == "r":
        return np.empty(0, A.dtype), linalg.qr(A, "r")
    return tuple(linalg.qr(A, mode))


def linalg_svd(A, full_matrices):
    """U, S and the transpose of V."""
    try:
        return tuple(linalg.svd(A, full_matrices))
    except linalg.LinAlgError:
        raise _not_converged("linalg.svd", A) from None


def linalg_eigh(self, UPLO):
    """Eigenvalues, rising, and eigenvectors; only one triangle is read."""
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    try:
        return tuple(linalg.eigh(self, UPLO))
    except linalg.LinAlgError:
        finite = np.isfinite(self).all((-1, -2))
        if finite.all():
            raise _not_converged("linalg.eigh", self) from None
        clean = np.where(finite[..., None, None], self, 0)
        values, vectors = linalg.eigh(clean, UPLO)
        values[~finite], vectors[~finite] = np.nan, np.nan
        return values, vectors


def _not_converged(name, A):
    if np.isfinite(A).all():
        return LinAlgError(
            f"{name}: The algorithm failed to converge because the input matrix is ill-conditioned "
            "or has too many repeated singular values."
        )
    return LinAlgError(
        f"{name}: The algorithm failed to converge because the input matrix contained non-finite "
        "values."
    )
