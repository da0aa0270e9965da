"""Products of matrices with something added."""

from __future__ import annotations

import numpy as np

from .accumulate import add_to_rows, outer
from .multiplying import bmm, mm


def addmm(self, mat1, mat2, beta, alpha):
    """`beta * self + alpha * (mat1 @ mat2)`, in one buffer."""
    columns = mat2.shape[1]
    if beta == alpha == 1 and self.shape in ((len(mat1), columns), (columns,)):
        return mm(mat1, mat2, self)
    product = mm(mat1, mat2)
    if alpha != 1:
        product *= product.dtype.type(alpha)
    product += self if beta == 1 else self * self.dtype.type(beta)
    return product


def product_over_rows(self, other):
    """The transposed first times the second, all leading dimensions taken as one."""
    if self.ndim != 2 or other.ndim != 2:
        self, other = self.reshape(-1, self.shape[-1]), other.reshape(-1, other.shape[-1])
    return mm(self.T, other)


def outer_product(self, other):
    return outer(self, other)


def batched_matmul(self, other):
    """Products of matrices; where all have the same on the right, one product of all rows."""
    if other.ndim == 2 and self.ndim > 2 and self.size:
        rows = mm(self.reshape(-1, self.shape[-1]), other)
        return rows.reshape(*self.shape[:-1], rows.shape[1])
    return (bmm if self.shape[:-2] == other.shape[:-2] else np.matmul)(self, other)


def linear(input, weight, bias):
    """`input @ weight.T + bias`, in one buffer."""
    if input.ndim == 2:
        return mm(input, weight.T, bias)
    if 0 in input.shape:
        product = np.matmul(input, weight.T)
        if bias is not None:
            add_to_rows(product, bias)
        return product
    # one product of all rows instead of one a matrix
    rows = mm(input.reshape(-1, input.shape[-1]), weight.T, bias)
    return rows.reshape(*input.shape[:-1], len(weight))
