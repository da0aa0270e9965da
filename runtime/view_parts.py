"""The geometry of views that show a part of a tensor: slices, diagonals, windows, splits.

The same rules as in `views`, which offers these functions too.
"""

from itertools import pairwise

from .geometry import Size, normalize_dim


def select(shape, strides, offset, dim, index):
    """One slice of dimension `dim`, which disappears."""
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = normalize_dim(dim, len(shape))
    sizes, steps = list(shape), list(strides)
    size, stride = sizes.pop(dim), steps.pop(dim)
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at "
            f"dimension {dim}"
        )
    if index < 0:
        index += size
    return Size(sizes), tuple(steps), offset + index * stride


def slice_bounds(size, start, end):
    """`start` and `end` counted from the front and clamped to the dimension, as Python does."""
    start = 0 if start is None else start
    end = size if end is None else end
    start = min(max(start + size if start < 0 else start, 0), size)
    end = min(max(end + size if end < 0 else end, start), size)
    return start, end


def slice(shape, strides, offset, dim=0, start=None, end=None, step=1):
    """Every `step`-th element of dimension `dim` from `start` to `end`; clamped, never raising."""
    if not shape:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    dim = normalize_dim(dim, len(shape))
    if step < 1:
        raise ValueError("step must be greater than zero")
    sizes, steps = list(shape), list(strides)
    start, end = slice_bounds(sizes[dim], start, end)
    offset += start * steps[dim]
    sizes[dim] = (end - start + step - 1) // step
    steps[dim] *= step
    return Size(sizes), tuple(steps), offset


def narrow(shape, strides, offset, dim, start, length):
    """The part of dimension `dim` that begins at `start` and has `length` elements."""
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim = normalize_dim(dim, len(shape))
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    size = shape[dim]
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    if start < 0:
        start += size
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return slice(shape, strides, offset, dim, start, start + length)


def corner(shape, strides, offset, size):
    """The first elements of each dimension, at most `size`; all of a shape of another rank."""
    if len(size) != len(shape):
        return shape, strides, offset
    return Size(min(n, own) for n, own in zip(size, shape, strict=True)), strides, offset


def diagonal(shape, strides, offset, offset_=0, dim1=0, dim2=1):
    """The diagonal of two dimensions, as a new last one. `offset_` above 0 lies above it."""
    ndim = len(shape)
    first, second = normalize_dim(dim1, ndim), normalize_dim(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = shape[first], shape[second]
    if offset_ >= 0:
        length, skip = min(rows, columns - offset_), offset_ * strides[second]
    else:
        length, skip = min(rows + offset_, columns), -offset_ * strides[first]
    kept = [dim for dim in range(ndim) if dim not in (first, second)]
    return (
        Size((*(shape[dim] for dim in kept), max(length, 0))),
        (*(strides[dim] for dim in kept), strides[first] + strides[second]),
        offset + skip if length > 0 else offset,
    )


def unfold(shape, strides, offset, dimension, size, step):
    """Windows of `size` elements, `step` apart, along a dimension; the window is a new last one."""
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step < 1:
        raise RuntimeError(f"step is {step} but must be > 0")
    dim = normalize_dim(dimension, len(shape))
    length = shape[dim] if shape else 1
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {length} but size is {size}"
        )
    if not shape:
        return Size((size,)), (1,), offset
    sizes, steps = [*shape, size], [*strides, strides[dim]]
    sizes[dim] = (length - size) // step + 1
    steps[dim] *= step
    return Size(sizes), tuple(steps), offset


# --- several parts at once -----------------------------------------------------------------


def unbind(shape, strides, offset, dim=0):
    """Each slice of dimension `dim`."""
    dim = normalize_dim(dim, len(shape), scalar_ok=False)
    return [select(shape, strides, offset, dim, index) for index in range(shape[dim])]


def split(shape, strides, offset, split_size, dim=0):
    """Consecutive parts of dimension `dim`: of one size, the last smaller, or of listed sizes."""
    if not isinstance(split_size, int):
        return split_with_sizes(shape, strides, offset, split_size, dim)
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size < 0:
        raise RuntimeError(
            f"split expects split_size be non-negative, but got split_size={split_size}"
        )
    dim = normalize_dim(dim, len(shape))
    size = shape[dim]
    if split_size == 0:
        if size:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
            )
        return [(Size(shape), strides, offset)]
    starts = range(0, max(size, 1), split_size)
    return [slice(shape, strides, offset, dim, s, min(s + split_size, size)) for s in starts]


def split_with_sizes(shape, strides, offset, split_sizes, dim=0):
    """Consecutive parts of dimension `dim` of the sizes listed, which fill it exactly."""
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = normalize_dim(dim, len(shape))
    sizes = list(split_sizes)
    if any(size < 0 for size in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, "
            f"but got split_sizes={sizes}"
        )
    if sum(sizes) != shape[dim]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {shape[dim]} "
            f"(input tensor's size at dimension {dim}), but got split_sizes={sizes}"
        )
    out, start = [], 0
    for size in sizes:
        out.append(slice(shape, strides, offset, dim, start, start + size))
        start += size
    return out


def chunk(shape, strides, offset, chunks, dim=0):
    """At most `chunks` consecutive parts of dimension `dim`, equal but for the last."""
    if not shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = normalize_dim(dim, len(shape))
    size = shape[dim]
    if size == 0:
        # as many empty parts as asked for, as split by 0 could not say how many
        return [(Size(shape), strides, offset)] * chunks
    return split(shape, strides, offset, -(-size // chunks), dim)


def tensor_split(shape, strides, offset, indices_or_sections, dim=0):
    """Parts of dimension `dim`: so many of nearly equal size, or cut at the indices listed."""
    if not shape:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got 0 dims")
    dim = normalize_dim(dim, len(shape))
    size = shape[dim]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1:
            raise RuntimeError(
                f"number of sections must be larger than 0, got {indices_or_sections}"
            )
        small, larger = divmod(size, indices_or_sections)
        sizes = [small + (part < larger) for part in range(indices_or_sections)]
        return split_with_sizes(shape, strides, offset, sizes, dim)
    cuts = [0, *indices_or_sections, size]
    return [slice(shape, strides, offset, dim, start, end) for start, end in pairwise(cuts)]
