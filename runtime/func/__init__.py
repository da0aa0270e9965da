"""Functions that take a function and return its derivative: grad, vjp, jacobians, ..."""

from .functional_call import functional_call
from .reverse import grad, grad_and_value, jacrev, vjp

__all__ = ["functional_call", "grad", "grad_and_value", "jacrev", "vjp"]
