"""The geometry of the view family: what each view does to shape, strides and offset.

Each function takes (shape, strides, offset, *arguments) and returns (shape, strides, offset) with
shape a Size, or a list of such triples for the functions that split. No memory is touched and no
tensor is known. Errors have PyTorch's type and wording.
"""

import warnings

import numpy as np

from .geometry import (
    Size,
    broadcast_strides,
    infer_size,
    normalize_dim,
    normalize_dims,
    storage_span,
    view_strides,
)
from .view_parts import (
    chunk,
    corner,
    diagonal,
    narrow,
    select,
    slice,
    split,
    split_with_sizes,
    tensor_split,
    unbind,
    unfold,
)

__all__ = [
    "T",
    "adjoint",
    "as_strided",
    "broadcast_to",
    "chunk",
    "corner",
    "diagonal",
    "expand",
    "flatten_shape",
    "flatten_view",
    "mH",
    "mT",
    "moveaxis",
    "movedim",
    "narrow",
    "permute",
    "select",
    "slice",
    "split",
    "split_with_sizes",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "transpose",
    "unbind",
    "unflatten",
    "unflatten_shape",
    "unfold",
    "unsqueeze",
    "view",
]

# --- the order of dimensions ---------------------------------------------------------------


def transpose(shape, strides, offset, dim0, dim1):
    """Swap two dimensions."""
    order = list(range(len(shape)))
    if not order:
        normalize_dim(dim0, 0), normalize_dim(dim1, 0)
        return shape, strides, offset
    dim0, dim1 = normalize_dim(dim0, len(shape)), normalize_dim(dim1, len(shape))
    order[dim0], order[dim1] = dim1, dim0
    return _reorder(shape, strides, offset, order)


swapaxes = swapdims = transpose


def permute(shape, strides, offset, dims):
    """Put the dimensions in the order `dims`."""
    if len(dims) != len(shape):
        raise RuntimeError(
            "permute: number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {len(shape)} is not equal to "
            f"len(dims) = {len(dims)}"
        )
    order = [normalize_dim(dim, len(shape)) for dim in dims]
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _reorder(shape, strides, offset, order)


def movedim(shape, strides, offset, source, destination):
    """Move the dimensions `source` (int or several) to the positions `destination`."""
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should "
            "contain the same number of dims as destination "
            f"({list(destination)} dims)"
        )
    ndim = len(shape)
    moved = [normalize_dim(dim, ndim) for dim in source]
    places = [normalize_dim(dim, ndim) for dim in destination]
    for name, dims, given in (("source", moved, source), ("destination", places, destination)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    if not ndim:
        return shape, strides, offset
    rest = iter([dim for dim in range(ndim) if dim not in moved])
    target = dict(zip(places, moved, strict=True))
    order = [target[dim] if dim in target else next(rest) for dim in range(ndim)]
    return _reorder(shape, strides, offset, order)


moveaxis = movedim


def t(shape, strides, offset):
    """The transpose of a matrix; tensors of fewer dimensions stay as they are."""
    if len(shape) > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {len(shape)}D")
    return Size(reversed(shape)), strides[::-1], offset


t.on_arrays = np.transpose  # what is given there has passed as a tensor


def mT(shape, strides, offset):
    """Each matrix of a batch transposed."""
    return _matrix_transpose(shape, strides, offset, "tensor.mT")


mT.on_arrays = np.matrix_transpose
mT.warns = True


def mH(shape, strides, offset):
    """Each matrix of a batch transposed; conjugation changes nothing as there are no complex."""
    return _matrix_transpose(shape, strides, offset, "tensor.mH")


def adjoint(shape, strides, offset):
    """Each matrix of a batch transposed."""
    return _matrix_transpose(shape, strides, offset, "tensor.adjoint()")


mH.warns = adjoint.warns = True


def _matrix_transpose(shape, strides, offset, name):
    if not shape:
        warnings.warn(
            f"{name} is deprecated on 0-D tensors, where it is the identity.",
            UserWarning,
            stacklevel=3,
        )
        return shape, strides, offset
    if len(shape) < 2:
        raise RuntimeError(
            f"{name} is only supported on matrices or batches of matrices. "
            f"Got {len(shape)}-D tensor."
        )
    order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    return _reorder(shape, strides, offset, order)


def T(shape, strides, offset):
    """All dimensions in reverse order."""
    if len(shape) != 2:
        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated. Consider `x.mT` to transpose batches of matrices or `x.permute(...)` to "
            "reverse the dimensions of a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return Size(shape[::-1]), strides[::-1], offset


T.warns = True


def _reorder(shape, strides, offset, order):
    sizes = tuple(shape)  # quicker to index than a Size
    return Size([sizes[dim] for dim in order]), tuple([strides[dim] for dim in order]), offset


# --- another shape of the same elements ----------------------------------------------------


def view(shape, strides, offset, size):
    """Show the elements as `size` (one -1 is inferred); RuntimeError if that needs a copy."""
    new = infer_size(size, Size(shape).numel())
    found = view_strides(shape, strides, new)
    if found is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return new, found, offset


def flatten_shape(shape, start_dim=0, end_dim=-1):
    """The shape with the dimensions from `start_dim` to `end_dim` merged into one."""
    ndim = len(shape)
    start, end = normalize_dim(start_dim, ndim), normalize_dim(end_dim, ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    shape = tuple(shape)
    return Size((*shape[:start], Size(shape[start : end + 1]).numel(), *shape[end + 1 :]))


def flatten_view(shape, strides, offset, start_dim=0, end_dim=-1):
    """Merge the dimensions from `start_dim` to `end_dim`; RuntimeError if that needs a copy."""
    return view(shape, strides, offset, flatten_shape(shape, start_dim, end_dim))


def unflatten_shape(shape, dim, sizes):
    """The shape with dimension `dim` split into `sizes`, one of which may be -1."""
    dim = normalize_dim(dim, len(shape))
    if not shape:
        raise RuntimeError(f"unflatten: dim is {dim}, but the tensor has no dimensions")
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    shape = tuple(shape)
    try:
        split = infer_size(sizes, shape[dim])
    except RuntimeError as error:
        if not str(error).startswith("shape"):
            raise RuntimeError(f"unflatten got an unexpected error:\n{error}") from None
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({shape[dim]}) in the input tensor"
        ) from None
    return Size((*shape[:dim], *split, *shape[dim + 1 :]))


def unflatten(shape, strides, offset, dim, sizes):
    """Split dimension `dim` into `sizes`, one of which may be -1."""
    return view(shape, strides, offset, unflatten_shape(shape, dim, sizes))


def squeeze(shape, strides, offset, dim=None):
    """Drop the dimensions of size 1: all of them, or those among `dim` (int or several)."""
    if dim is None:
        kept = [d for d, size in enumerate(shape) if size != 1]
    else:
        dims = normalize_dims(dim, len(shape))
        kept = [d for d, size in enumerate(shape) if size != 1 or d not in dims]
    return _reorder(shape, strides, offset, kept)


def unsqueeze(shape, strides, offset, dim):
    """Insert a dimension of size 1 at `dim`."""
    dim = normalize_dim(dim, len(shape) + 1)
    sizes, steps = list(shape), list(strides)
    steps.insert(dim, sizes[dim] * steps[dim] if dim < len(sizes) else 1)
    sizes.insert(dim, 1)
    return Size(sizes), tuple(steps), offset


def expand(shape, strides, offset, size):
    """Repeat dimensions of size 1, and add leading ones, without copying; -1 keeps a size."""
    missing = len(size) - len(shape)
    if missing < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(size)}) must be greater or equal to the "
            f"number of dimensions in the tensor ({len(shape)}); got size={list(size)} for a "
            f"tensor of size {list(shape)}"
        )
    new = list(size)
    for dim, wanted in enumerate(size):
        if dim < missing:
            if wanted < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) isn't allowed in a leading, "
                    f"non-existing dimension {dim}"
                )
            continue
        own = shape[dim - missing]
        if wanted == -1:
            new[dim] = own
        elif wanted < 0 or (own != 1 and own != wanted):
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({own}) "
                f"at non-singleton dimension {dim}.  Target sizes: {list(size)}.  "
                f"Tensor sizes: {list(shape)}"
            )
    return Size(new), broadcast_strides(shape, strides, new), offset


broadcast_to = expand


def as_strided(shape, strides, offset, size, stride, storage_offset=None, storage_size=None):
    """Any geometry over the same storage. With `storage_size`, what lies outside is an error."""
    start = offset if storage_offset is None else storage_offset
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(step < 0 for step in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, "
            f"got strides: {list(stride)}"
        )
    if any(n < 0 for n in size):
        raise RuntimeError(f"as_strided: got negative size in {list(size)}")
    if start < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {start}")
    span = storage_span(size, stride)
    if storage_size is not None and span and start + span > storage_size:
        raise RuntimeError(
            f"as_strided: size {list(size)}, stride {list(stride)} and storage_offset {start} "
            f"reach {start + span} elements into a storage of {storage_size}: out of bounds"
        )
    return Size(size), tuple(stride), start
