"""Hand-written kernels on arrays, one for each entry of the kernel family.

They take NumPy arrays of any strides and plain values, and return new arrays. What a formula
can say does not belong here.
"""

from .. import kernel_cache
from . import scan
from .copying import (
    cast,
    cat,
    copy,
    flip,
    fold_repeats,
    new_zeros,
    repeat,
    shift,
    stack,
    sum_to_size,
)
from .indexing import gather, index, index_add, index_put_add, index_select, scatter_add
from .products import addmm, linear
from .scan import cumprod, cumsum, linear_recurrence, prod

kernel_cache.separate(scan)

__all__ = [
    "addmm",
    "cast",
    "cat",
    "copy",
    "cumprod",
    "cumsum",
    "flip",
    "fold_repeats",
    "gather",
    "index",
    "index_add",
    "index_put_add",
    "index_select",
    "linear",
    "linear_recurrence",
    "new_zeros",
    "prod",
    "repeat",
    "scatter_add",
    "shift",
    "stack",
    "sum_to_size",
]
