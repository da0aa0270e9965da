"""Branch-free scalar functions that kernels call: what there is, and the text of it.

The functions are written as ordinary Python in the modules beside this one, so that they are linted
and read like code, but nobody imports those: `emit` copies their text, with what it depends on,
into a file of kernels. Importing this package does not import Numba.

Kernels call a function by its plain name (`exp(x)`): the emitted text ends in a stub of that name
with an overload that picks `exp_float32` or `exp_float64` by the type of the arguments.
"""

from .catalogue import SCALARS, Scalar
from .emission import PREAMBLE, emit, preamble

__all__ = ["PREAMBLE", "SCALARS", "Scalar", "emit", "preamble"]
