"""Shapes, strides and dimension numbers: pure functions over tuples of ints.

Strides and offsets are counted in elements. Nothing here knows tensors or memory.
"""

import operator
from math import prod


class Size(tuple):
    """A shape: a tuple of ints that stays a Size when sliced or joined.

    Indexing goes through Python code here, so code in a hurry unpacks instead: `n, m = shape`.
    """

    __slots__ = ()

    def numel(self):
        """The number of elements of a tensor of this shape."""
        return prod(self)

    def __getitem__(self, index):
        got = tuple.__getitem__(self, index)
        return Size(got) if type(index) is slice else got

    def __add__(self, other):
        if not isinstance(other, tuple):
            raise TypeError(
                f"can only concatenate tuple (not {type(other).__name__}) to rederive.Size"
            )
        return Size(tuple.__add__(self, other))

    def __radd__(self, other):
        if not isinstance(other, tuple):
            raise TypeError(
                f"can only concatenate tuple (not {type(other).__name__}) to rederive.Size"
            )
        return Size(tuple.__add__(other, self))

    def __mul__(self, times):
        got = tuple.__mul__(self, times)
        return got if got is NotImplemented else Size(got)

    __rmul__ = __mul__

    def __repr__(self):
        return f"rederive.Size({list(self)})"

    def __reduce__(self):
        return (Size, (tuple(self),))


def as_int(value):
    """`value` as a Python int if it is integral but not a bool; TypeError otherwise."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        raise TypeError("bool")
    return operator.index(value)


def as_size(sizes, where, argument="size"):
    """The Size meant by varargs or by one sequence: both `(2, 3)` and `((2, 3),)` are 2 by 3."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
        if type(sizes) is Size:
            return sizes
    out = []
    for position, size in enumerate(sizes, 1):
        try:
            out.append(as_int(size))
        except TypeError:
            raise TypeError(
                f"{where}(): argument '{argument}' must be tuple of ints, but found element of "
                f"type {type(size).__name__} at pos {position}"
            ) from None
    return Size(out)


# Row-major strides by shape. Programs use few shapes, and looking one up is quicker than
# multiplying; the dictionary is emptied before it can grow large.
_known_strides = {}


def contiguous_strides(shape):
    """Strides of row-major memory; dimensions of size 0 count as 1, as in PyTorch."""
    found = _known_strides.get(shape)
    if found is not None:
        return found
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size or 1
    strides = tuple(reversed(strides))
    if len(_known_strides) > 4096:
        _known_strides.clear()
    _known_strides[tuple(shape)] = strides
    return strides


def is_contiguous(shape, strides):
    """Whether the elements lie in row-major order without gaps; sizes of 1 do not matter."""
    wanted = contiguous_strides(shape)
    if strides == wanted:
        return True
    for size, stride, step in zip(shape, strides, wanted, strict=True):
        if stride != step and size != 1:
            return 0 in shape
    return True


def is_permuted(shape, strides):
    """Whether the elements lie without gaps or overlaps, in whatever order of dimensions."""
    step = 1
    for stride, size in sorted((m, n) for m, n in zip(strides, shape, strict=True) if n != 1):
        if stride != step:
            return False
        step *= size
    return True


def broadcast_shapes(*shapes):
    """The shape that all `shapes` expand to; RuntimeError names the sizes that do not match."""
    result = tuple(shapes[0]) if shapes else ()
    for shape in shapes[1:]:
        result = broadcast_pair(result, shape)
    return Size(result)


def broadcast_pair(a, b):
    """The common shape of two shapes, as a plain tuple or one of the two."""
    if a == b:
        return a
    ndim = max(len(a), len(b))
    left = (1,) * (ndim - len(a)) + tuple(a)
    right = (1,) * (ndim - len(b)) + tuple(b)
    out = []
    for dim, (m, n) in enumerate(zip(left, right, strict=True)):
        if m != n and m != 1 and n != 1:
            # PyTorch looks from the last dimension, and so names the last mismatch
            last = max(
                d for d in range(dim, ndim) if left[d] != right[d] and 1 not in (left[d], right[d])
            )
            raise RuntimeError(
                f"The size of tensor a ({left[last]}) must match the size of tensor b "
                f"({right[last]}) at non-singleton dimension {last}"
            )
        out.append(n if m == 1 else m)
    return tuple(out)


def normalize_dim(dim, ndim, scalar_ok=True):
    """`dim` counted from the front. A 0-d tensor takes 0 and -1 unless `scalar_ok` is False."""
    if ndim == 0:
        if not scalar_ok:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        ndim = 1
    if -ndim <= dim < ndim:
        return dim + ndim if dim < 0 else dim
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})"
    )


def normalize_dims(dims, ndim):
    """Each of `dims` (an int or a sequence; None: all) counted from the front, none twice."""
    if dims is None:
        return tuple(range(ndim))
    if not isinstance(dims, (tuple, list)):
        return (normalize_dim(as_int(dims), ndim),)
    out = tuple(normalize_dim(as_int(dim), ndim) for dim in dims)
    if len(set(out)) != len(out):
        twice = next(dim for i, dim in enumerate(out) if dim in out[:i])
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return out


def infer_size(sizes, numel):
    """`sizes` as a Size of `numel` elements, with one -1 filled in; RuntimeError as PyTorch's."""
    unknown = None
    known = 1
    for dim, size in enumerate(sizes):
        if size == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = dim
        elif size < 0:
            raise RuntimeError(
                f"invalid shape dimension {size} at index {dim} of shape {list(sizes)}"
            )
        else:
            known *= size
    if unknown is None:
        if known == numel:
            return Size(sizes)
    elif known == 0:
        if numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
    elif numel % known == 0:
        return Size((*sizes[:unknown], numel // known, *sizes[unknown + 1 :]))
    raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {numel}")


def view_strides(shape, strides, new_shape):
    """Strides that show the same elements as `new_shape`, or None if a copy would be needed.

    Neighbouring dimensions that step evenly through memory form a block; each new dimension must
    lie inside one block.
    """
    if 0 in shape or strides == contiguous_strides(shape):
        return contiguous_strides(new_shape)
    blocks = [list(pair) for pair in coalesce(shape, [strides])]
    out = [0] * len(new_shape)
    left, step = 1, strides[-1]
    for dim in range(len(new_shape) - 1, -1, -1):
        size = new_shape[dim]
        if size != 1:
            if left == 1:
                left, (step,) = blocks.pop()
            if left % size:
                return None
        out[dim] = step
        step *= size
        left //= size
    return tuple(out)


def coalesce(shape, strides):
    """Merge neighbouring dimensions that every operand steps through evenly; drop sizes of 1.

    strides: one tuple per operand. Returns a list of (size, (stride per operand, ...)), outermost
    first; it is empty for a single element. A kernel needs only as many loops as entries.
    """
    merged = []
    for dim, size in enumerate(shape):
        if size == 1:
            continue
        steps = tuple(operand[dim] for operand in strides)
        if merged:
            outer, outer_steps = merged[-1]
            if all(far == size * near for far, near in zip(outer_steps, steps, strict=True)):
                merged[-1] = (outer * size, steps)
                continue
        merged.append((size, steps))
    return merged


def broadcast_strides(shape, strides, to_shape):
    """Strides of `shape` seen as `to_shape`: 0 where a dimension is repeated."""
    missing = len(to_shape) - len(shape)
    return (0,) * missing + tuple(
        0 if size == 1 and wanted != 1 else stride
        for size, stride, wanted in zip(shape, strides, tuple(to_shape)[missing:], strict=True)
    )


def storage_span(shape, strides):
    """How many elements of storage, from the offset on, a tensor of this geometry reaches."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
