"""What operators of linear algebra ask about their arguments, and the errors that follow.

The same rules as in `queries`, which offers these functions to formulas.
"""

from __future__ import annotations

import numbers

import numpy as np

from . import dtypes
from .geometry import Size, broadcast_shapes, normalize_dims
from .namespace import ops

_TYPE_NAMES = {
    dtypes.float32: "Float",
    dtypes.float64: "Double",
    dtypes.int64: "Long",
    dtypes.int32: "Int",
    dtypes.int16: "Short",
    dtypes.int8: "Char",
    dtypes.uint8: "Byte",
    dtypes.bool_: "Bool",
}


def epsilon(tensor):
    """The distance from 1 to the next number of the tensor's dtype."""
    return float(np.finfo(tensor.dtype.numpy).eps)


def matrices(tensor, name):
    """The tensor, if it holds floating matrices in its last two dimensions."""
    if tensor.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    _floating(tensor, name)
    return tensor


def square_matrices(tensor, name):
    """The tensor, if it holds floating square matrices in its last two dimensions."""
    matrices(tensor, name)
    rows, columns = tensor.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {rows} by {columns} "
            "matrices"
        )
    return tensor


def _floating(tensor, name):
    if not tensor.dtype.is_floating_point:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{_TYPE_NAMES[tensor.dtype]}"
        )


def right_hand_side(A, B, left):
    """Whether B holds one vector for each matrix of A; errors for what `solve` cannot take."""
    name = "linalg.solve"
    square_matrices(A, name)
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{_TYPE_NAMES[A.dtype]} and B of type {_TYPE_NAMES[B.dtype]} instead"
        )
    if B.ndim == 0:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    rows, columns = (*B.shape, 1)[-2:] if vector else B.shape[-2:]
    n, fitting = A.shape[-1], rows if left else columns
    if n != fitting:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {equation} "
            f"({A.shape[-2]}x{n} and {rows}x{columns})"
        )
    broadcast_shapes(A.shape[:-2], B.shape[: -1 if vector else -2])
    return vector


def matrix(tensor, name):
    """The tensor, if it is one matrix of numbers."""
    if tensor.ndim != 2:
        raise RuntimeError(f"{name}: expected a matrix, but got tensor with dim {tensor.ndim}")
    if tensor.dtype is dtypes.bool_:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")
    return tensor


def normed(tensor, ord, dim, dtype):
    """The tensor in the dtype to compute a vector norm in; errors for norms that do not exist."""
    name = "linalg.vector_norm"
    _floating(tensor, name)
    kind = tensor.dtype
    if dtype is not None:
        if not dtype.is_floating_point:
            raise RuntimeError(
                f"{name}: dtype should be floating point or complex, but got {_TYPE_NAMES[dtype]}"
            )
        if dtype.itemsize < kind.itemsize:
            raise RuntimeError(
                f"{name}: the dtype of the input ({_TYPE_NAMES[kind]}) should be convertible "
                f"without narrowing to the specified dtype ({_TYPE_NAMES[dtype]})"
            )
        kind = dtype
    if not isinstance(ord, numbers.Number):
        raise TypeError(
            f"linalg_vector_norm(): argument 'ord' must be Number, not {type(ord).__name__}"
        )
    if tensor.numel() == 0 and (ord < 0 or ord == float("inf")):
        _no_identity(tensor, ord, dim, name)
    return tensor if tensor.dtype is kind else ops.to(tensor, kind)


def _no_identity(tensor, ord, dim, name):
    """An error unless the reduced dimensions have elements."""
    what = f"{name} cannot compute the {ord} norm on"
    if dim is None or dim in ((), []):
        raise RuntimeError(
            f"{what} an empty tensor because the operation does not have an identity"
        )
    for d in normalize_dims(dim, tensor.ndim):
        if tensor.shape[d] == 0:
            raise RuntimeError(
                f"{what} the dimension {d} because this dimension is empty and the operation does "
                "not have an identity"
            )


def wide_factor(Q, R, mode):
    """Whether a QR factorization has more columns than rows; errors where it has no gradient."""
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    if mode == "complete" and R.shape[-2] > R.shape[-1]:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    return R.shape[-1] > R.shape[-2]


def square_shape(tensor, dim):
    """The shape with the size of dimension `dim` in the last two."""
    return Size((*tensor.shape[:-2], tensor.shape[dim], tensor.shape[dim]))


def svd_driver(driver):
    """An error: only GPUs have a choice of algorithms."""
    raise RuntimeError(
        "linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER "
        f"backend; it is {driver!r}"
    )
