"""Hand-written kernels on arrays, one for each entry of the kernel family.

They take NumPy arrays of any strides and plain values, and return new arrays. What a formula
can say does not belong here.
"""

from .. import kernel_cache
from . import (
    accumulate,
    averaging,
    classes,
    convolving,
    depthwise,
    dropout,
    folding,
    gathering,
    laying_out,
    losses,
    moving,
    multiplying,
    panels,
    placing,
    pooling,
    scan,
    sharing,
    sliding,
    sorting,
    taking,
    tiles,
    triangular,
    turning,
    weighing,
    weighing_panels,
)
from .attention import attention_backward, blocked_attention
from .averaging import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
)
from .convolving import convolution, convolution_input
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
from .dropout import keyed_dropout
from .embedding import embedding_dense_backward, embedding_rows, embedding_shared_rows
from .indexing import (
    gather,
    gather_last,
    gathered_back,
    index,
    index_add,
    index_along,
    index_put_add,
    index_select,
    indexed_along_back,
    indexed_back,
    scatter,
    scatter_add,
    scatter_fill,
    scatter_multiply,
    selected_back,
)
from .losses import class_loss, class_loss_back
from .matrices import (
    cofactor,
    cofactor_along,
    linalg_cholesky_ex,
    linalg_det,
    linalg_eigh,
    linalg_inv_ex,
    linalg_qr,
    linalg_slogdet,
    linalg_solve_ex,
    linalg_svd,
)
from .multiplying import bmm, mm
from .padding import constant_pad_nd, extend, fold_padding
from .pooling import max_pool2d_with_indices, pool_gather, pool_scatter
from .products import addmm, batched_matmul, linear, outer_product, product_over_rows
from .scan import cumprod, cumsum, linear_recurrence, prod, reverse_cumsum
from .sorting import nonzero, one_hot, sort, topk
from .triangular import linalg_solve_triangular
from .weighing import convolution_weight

for module in (
    averaging,
    classes,
    dropout,
    folding,
    losses,
    moving,
    pooling,
    scan,
    sharing,
    sorting,
    triangular,
):
    kernel_cache.separate(module)
kernel_cache.separate(accumulate, tiles)
kernel_cache.separate(gathering, tiles, turning)
kernel_cache.separate(placing, folding)
kernel_cache.separate(convolving, laying_out, tiles)
kernel_cache.separate(depthwise, sliding, tiles)
kernel_cache.separate(panels, tiles, turning)
kernel_cache.separate(multiplying, panels, taking, tiles, turning)
kernel_cache.separate(weighing, laying_out, tiles)
kernel_cache.separate(weighing_panels, panels, tiles, turning)

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "addmm",
    "attention_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batched_matmul",
    "blocked_attention",
    "bmm",
    "cast",
    "cat",
    "class_loss",
    "class_loss_back",
    "cofactor",
    "cofactor_along",
    "constant_pad_nd",
    "convolution",
    "convolution_input",
    "convolution_weight",
    "copy",
    "cumprod",
    "cumsum",
    "embedding_dense_backward",
    "embedding_rows",
    "embedding_shared_rows",
    "extend",
    "flip",
    "fold_padding",
    "fold_repeats",
    "gather",
    "gather_last",
    "gathered_back",
    "index",
    "index_add",
    "index_along",
    "index_put_add",
    "index_select",
    "indexed_along_back",
    "indexed_back",
    "keyed_dropout",
    "linalg_cholesky_ex",
    "linalg_det",
    "linalg_eigh",
    "linalg_inv_ex",
    "linalg_qr",
    "linalg_slogdet",
    "linalg_solve_ex",
    "linalg_solve_triangular",
    "linalg_svd",
    "linear",
    "linear_recurrence",
    "max_pool2d_with_indices",
    "mm",
    "new_zeros",
    "nonzero",
    "one_hot",
    "outer_product",
    "pool_gather",
    "pool_scatter",
    "prod",
    "product_over_rows",
    "repeat",
    "reverse_cumsum",
    "scatter",
    "scatter_add",
    "scatter_fill",
    "scatter_multiply",
    "selected_back",
    "shift",
    "sort",
    "stack",
    "sum_to_size",
    "topk",
]
