"""Functions that take a function and return its derivative: grad, vjp, jacobians, ..."""

from .reverse import grad, grad_and_value, jacrev, vjp

__all__ = ["grad", "grad_and_value", "jacrev", "vjp"]
