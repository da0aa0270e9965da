"""Products of matrices with something added."""

from __future__ import annotations

import numpy as np


def addmm(self, mat1, mat2, beta, alpha):
    """`beta * self + alpha * (mat1 @ mat2)`, in one buffer."""
    product = np.matmul(mat1, mat2)
    if alpha != 1:
        product *= product.dtype.type(alpha)
    product += self if beta == 1 else self * self.dtype.type(beta)
    return product


def product_over_rows(self, other):
    """The transposed first times the second, all leading dimensions taken as one."""
    return np.matmul(self.reshape(-1, self.shape[-1]).T, other.reshape(-1, other.shape[-1]))


def linear(input, weight, bias):
    """`input @ weight.T + bias`, in one buffer."""
    product = np.matmul(input, weight.T)
    if bias is not None:
        product += bias
    return product
