"""Everything that generated code may import; its only import from the runtime."""

import numpy as np
from numpy import empty, ndarray

from . import dtypes, pointwise, programs, queries, rowwise
from .arrays import (
    ArrayNode,
    ArrayOperator,
    View,
    ViewNode,
    array_function,
    fitted,
    fitted_list,
    hand_written,
    wrapped,
)
from .columns import Columns
from .declared import declared
from .dispatch import dispatch, profiled, profiling
from .geometry import contiguous_strides as strides
from .graph import freed, next_sequence
from .inplace import apart, changed, check, inplace, inplace_view
from .kernel_modules import Kernels
from .modes import modes
from .namespace import arrays, ops
from .operator import return_type, spread, total
from .operator_nodes import TensorNode, expired, unpack
from .pointwise import GuardedPointwise, Pointwise, PointwiseNode
from .quiet import attempt
from .register import register
from .resizing import write_out
from .rowwise import Rowwise, RowwiseNode
from .seeing import GeometryNode, ints, see
from .tensor import Tensor
from .threads import threads

new = object.__new__
bool_dtype = dtypes.bool
bool_numpy = np.dtype(bool)

__all__ = [
    "ArrayNode",
    "ArrayOperator",
    "Columns",
    "GeometryNode",
    "GuardedPointwise",
    "Kernels",
    "Pointwise",
    "PointwiseNode",
    "Rowwise",
    "RowwiseNode",
    "Tensor",
    "TensorNode",
    "View",
    "ViewNode",
    "apart",
    "array_function",
    "arrays",
    "attempt",
    "bool_dtype",
    "bool_numpy",
    "changed",
    "check",
    "declared",
    "dispatch",
    "empty",
    "expired",
    "fitted",
    "fitted_list",
    "freed",
    "hand_written",
    "inplace",
    "inplace_view",
    "ints",
    "modes",
    "ndarray",
    "new",
    "next_sequence",
    "ops",
    "pointwise",
    "profiled",
    "profiling",
    "programs",
    "queries",
    "register",
    "return_type",
    "rowwise",
    "see",
    "spread",
    "strides",
    "threads",
    "total",
    "unpack",
    "wrapped",
    "write_out",
]
