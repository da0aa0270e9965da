"""Questions that formulas ask about tensors; the answers are plain values, never tensors."""

from __future__ import annotations

from . import dtypes
from .geometry import Size, is_contiguous, normalize_dim
from .layer_queries import (  # noqa: F401
    bilinear_pair,
    grouped_shape,
    half_shape,
    has_long_runs,
    line_window,
    one_window,
    pooled_line,
)
from .loss_queries import (  # noqa: F401
    batch,
    batch_statistics,
    channel_shape,
    class_index,
    class_share,
    class_shares,
    class_target,
    class_terms,
    divergence_reduction,
    equal_shape,
    fractions,
    logits_target,
    logits_weight,
    loss_parameter,
    loss_weight,
    other_dims,
    probabilities,
    probability_weight,
    reduction_name,
    reduction_number,
    same_shape,
    smoothing,
    tracked,
    wanted_classes,
)
from .matrix_queries import (  # noqa: F401
    epsilon,
    matrices,
    matrix,
    normed,
    right_hand_side,
    square_matrices,
    square_shape,
    svd_driver,
    wide_factor,
)
from .memory_format import row_major  # noqa: F401
from .modes import modes
from .operator import spread
from .tensor import Tensor, need_tensor
from .windows import convolution_plan

__all__ = ["convolution_plan"]


def _shape(subject):
    return subject.shape if isinstance(subject, Tensor) else subject


def viewable(tensor, shape):
    """Whether `tensor` can be seen in another shape without moving data."""
    from . import views

    if tensor._flat is not None:
        return True
    try:
        views.view(tensor.shape, tensor._strides, tensor._offset, spread(shape))
    except RuntimeError as error:
        if "not compatible with input tensor's size and stride" in str(error):
            return False
        raise
    return True


def dense(tensor):
    """Whether the elements lie densely in row-major order."""
    return is_contiguous(tensor.shape, tensor._strides)


def flat_shape(subject, start_dim, end_dim):
    """The shape with the dimensions from `start_dim` to `end_dim` as one."""
    from . import views

    return views.flatten_shape(_shape(subject), start_dim, end_dim)


def kept_shape(subject, dim):
    """The shape with one dimension of size one in the place of `dim`."""
    shape = list(_shape(subject))
    if shape:
        shape[normalize_dim(dim, len(shape))] = 1
    return Size(shape)


def lane_shape(subject, dim):
    """All ones but for `dim`: how a vector along `dim` broadcasts."""
    shape = _shape(subject)
    dim = normalize_dim(dim, len(shape))
    return Size(n if d == dim else 1 for d, n in enumerate(shape))


def inverse_permutation(dims):
    """The permutation that undoes `dims`."""
    dims = spread(dims)
    order = [0] * len(dims)
    for position, dim in enumerate(dims):
        order[normalize_dim(dim, len(dims))] = position
    return tuple(order)


def lengths(shapes, dim):
    """The size along `dim` of each shape of a list."""
    return [shape[dim] for shape in shapes]


def quotients(whole, part):
    """How often the sizes `part` fit into `whole`, dimension by dimension, from the last."""
    padded = (1,) * (len(whole) - len(part)) + tuple(part)
    return tuple(n // own if own else 1 for n, own in zip(whole, padded, strict=True))


def class_dim(tensor):
    """The dimension of the classes: 1, or 0 of a vector."""
    return 0 if len(_shape(tensor)) == 1 else 1


def dims(dim):
    """A `dim` argument as a list: None is no dimension, which reductions take for all."""
    return [] if dim is None else dim


def refuse(argument, value, wanted):
    """An error for an argument whose value no case of a composite takes."""
    raise ValueError(f"{value!r} is not a valid value for {argument}; it must be {wanted}")


def contains(operand, number):
    """Whether an element of a tensor, or a number, is equal to `number`."""
    if isinstance(operand, Tensor):
        return bool((operand._nd() == number).any())
    return operand == number


def overflows(operand, tensor):
    """Whether an operand is an integer that the dtype of an integer tensor does not hold."""
    if isinstance(operand, Tensor | float) or tensor.dtype is dtypes.bool:
        return False
    limits = dtypes.iinfo(tensor.dtype)
    return not limits.min <= operand <= limits.max


def is_number(operand):
    """Whether an operand is a number and not a tensor."""
    return not isinstance(operand, Tensor)


def integral(left, right):
    """Whether two operands, tensors or numbers, have an integer dtype together."""
    return not dtypes.result_type(left, right).is_floating_point


def fail(message):
    """An error that an operator's arguments cause."""
    raise RuntimeError(message)


def negated(sizes):
    """The negative of each of several whole numbers."""
    return tuple(-n for n in sizes)


def padding_mode(mode, value):
    """A mode of padding other than constant, which takes no value."""
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    return mode


def random_key():
    """A number from the default generator, that a counter-based random operator starts from."""
    from .random import default_generator

    return default_generator.key()


def probability(value):
    """A probability of dropout; ValueError outside 0 to 1."""
    if value < 0 or value > 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {value}")
    return value


def table_row(weight, index):
    """A row of a table counted from the front; -1, which is no row, for None."""
    if index is None:
        return -1
    rows = weight.shape[0]
    if not -rows <= index < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return index % rows


def renormalized(weight, indices, max_norm, norm_type):
    """A table whose rows at `indices` were scaled, in place, to norms of at most `max_norm`."""
    if max_norm is not None:
        from .kernels.embedding import renormalize

        if modes.before_write is not None:
            modes.before_write(weight)
        renormalize(weight._nd(), indices._nd(), max_norm, norm_type)
        weight._counter[0] += 1
    return weight


def vector(tensor, argument, operator):
    """The tensor, if it has one dimension."""
    if tensor.ndim != 1:
        raise RuntimeError(f"{operator}: Expected 1-D argument {argument}, but got {tensor.ndim}-D")
    return tensor


def wrong_type(operator, argument, value):
    """An error for something else where a composite takes a tensor."""
    need_tensor(operator, argument, value)
