"""Functions that take a function and return its derivative: grad, vjp, jacobians, ..."""

from .forward import jacfwd, jvp, linearize
from .functional_call import functional_call
from .reverse import grad, grad_and_value, jacrev, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "vjp",
]


def hessian(func, argnums=0):
    """A function that returns the Hessian of `func`, by forward mode over reverse mode.

    Its structure is that of the Jacobian of the gradient: for each argument (or container of
    them) the derivatives by each.
    """
    return jacfwd(jacrev(func, argnums), argnums)
