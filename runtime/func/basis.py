"""The vectors that a Jacobian is computed from."""

import numpy as np

from ..tensor import from_flat


def one_hot(tensor, index):
    """Zeros like a tensor, but for a one at the element `index`."""
    flat = np.zeros(tensor.numel(), tensor.dtype.numpy)
    flat[index] = 1
    return from_flat(flat, tensor.shape, tensor.dtype)
