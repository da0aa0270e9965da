"""Sizes, strides, broadcasting and dimension numbers."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest
from rederive.geometry import (
    Size,
    as_size,
    broadcast_shapes,
    broadcast_strides,
    coalesce,
    contiguous_strides,
    infer_size,
    is_contiguous,
    normalize_dim,
    normalize_dims,
    storage_span,
    view_strides,
)


def test_size_stays_a_size():
    size = Size([2, 3])
    assert repr(size) == "rederive.Size([2, 3])" and size == (2, 3) and size.numel() == 6
    four = (4,)
    for made in (size[:1], size + four, four + size, size * 2, 2 * size):
        assert type(made) is Size
    assert four + size == (4, 2, 3) and size[-1] == 3 and Size().numel() == 1
    assert type(pickle.loads(pickle.dumps(size))) is Size and copy.deepcopy(size) == size
    with pytest.raises(TypeError, match="can only concatenate tuple"):
        size + list(size)


def test_as_size_takes_varargs_or_a_sequence():
    assert as_size((2, 3), "f") == as_size(([2, 3],), "f") == as_size((np.int64(2), 3), "f")
    with pytest.raises(TypeError, match=r"f\(\): argument 'size' must be tuple of ints"):
        as_size((2, 3.5), "f")
    with pytest.raises(TypeError, match="bool at pos 1"):
        as_size((True,), "f")


def test_contiguous_strides():
    assert contiguous_strides(()) == ()
    assert contiguous_strides((2, 3, 4)) == (12, 4, 1)
    assert contiguous_strides((2, 0, 3)) == (3, 3, 1)


def test_is_contiguous_ignores_sizes_of_one_and_empty():
    assert is_contiguous((2, 1, 3), (3, 99, 1))
    assert is_contiguous((2, 0), (7, 7))
    assert not is_contiguous((2, 3), (1, 2))
    assert not is_contiguous((2,), (2,))


def test_broadcast_shapes():
    assert broadcast_shapes((2, 1), (3,), ()) == (2, 3)
    assert broadcast_shapes((0,), (1,)) == (0,)
    message = (
        r"The size of tensor a \(3\) must match the size of tensor b \(4\) "
        r"at non-singleton dimension 1"
    )
    with pytest.raises(RuntimeError, match=message):
        broadcast_shapes((2, 3), (2, 4))
    with pytest.raises(RuntimeError, match="non-singleton dimension 1"):
        broadcast_shapes((2, 3), (5, 4))
    assert broadcast_strides((3, 1), (1, 1), (2, 3, 4)) == (0, 1, 0)


def test_normalize_dim():
    assert normalize_dim(-1, 3) == 2 and normalize_dim(0, 0) == 0
    message = r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 5\)"
    with pytest.raises(IndexError, match=message):
        normalize_dim(5, 2)
    with pytest.raises(IndexError, match="Dimension specified as 0 but tensor has no dimensions"):
        normalize_dim(0, 0, scalar_ok=False)
    assert normalize_dims(None, 2) == (0, 1) and normalize_dims((-1, 0), 3) == (2, 0)
    with pytest.raises(RuntimeError, match="dim 1 appears multiple times in the list of dims"):
        normalize_dims((1, -1), 2)


@pytest.mark.parametrize(
    ("sizes", "numel", "message"),
    [
        ((4, 2), 6, r"shape '\[4, 2\]' is invalid for input of size 6"),
        ((-1, 4), 6, r"shape '\[-1, 4\]' is invalid for input of size 6"),
        ((-1, -1), 6, "only one dimension can be inferred"),
        ((-2, 3), 6, r"invalid shape dimension -2 at index 0 of shape \[-2, 3\]"),
        ((-1, 0), 0, "because the unspecified dimension size -1 can be any value"),
    ],
)
def test_infer_size_errors(sizes, numel, message):
    with pytest.raises(RuntimeError, match=message):
        infer_size(sizes, numel)


def test_infer_size():
    assert infer_size((-1, 3), 6) == (2, 3) and infer_size((), 1) == ()
    assert infer_size((-1, 3), 0) == (0, 3)


def test_view_strides_agree_with_memory():
    """Whenever strides are found, they show the elements in the same order."""
    memory = np.arange(48)
    for shape, new in product([(2, 3, 4), (4, 6), (2, 1, 12)], [(24,), (6, 4), (2, 12), (3, 8)]):
        for strides in product((1, 2, 4, 12), repeat=len(shape)):
            if storage_span(shape, strides) > len(memory):
                continue
            found = view_strides(shape, strides, new)
            if found is not None:
                seen = shown(memory, new, found).ravel()
                assert (seen == shown(memory, shape, strides).ravel()).all()


def shown(memory, shape, strides):
    return np.ndarray(shape, memory.dtype, memory, 0, [8 * stride for stride in strides])


def test_view_strides_finds_none_when_a_copy_is_needed():
    assert view_strides((3, 2), (1, 3), (6,)) is None
    assert view_strides((2, 2, 3), (12, 3, 1), (2, 6)) == (12, 1)


def test_coalesce():
    assert coalesce((2, 3, 4), [(12, 4, 1), (12, 4, 1)]) == [(24, (1, 1))]
    assert coalesce((2, 3), [(3, 1), (0, 1)]) == [(2, (3, 0)), (3, (1, 1))]
    assert coalesce((1, 1), [(5, 7)]) == []
    assert coalesce((2, 1, 3), [(3, 9, 1)]) == [(6, (1,))]
