"""The wording of the errors of views, and what needs no PyTorch to check."""

import pytest
from rederive import views
from rederive.geometry import Size, contiguous_strides


def call(name, shape, *arguments, **keywords):
    return getattr(views, name)(Size(shape), contiguous_strides(shape), 0, *arguments, **keywords)


def test_every_shape_is_a_size():
    for name, *arguments in [
        ("transpose", 0, 1),
        ("permute", (1, 0)),
        ("view", (6,)),
        ("expand", (4, 2, 3)),
        ("squeeze",),
        ("unsqueeze", 0),
        ("select", 0, 1),
        ("slice", 1, 0, 2, 1),
        ("narrow", 1, 0, 2),
        ("diagonal",),
        ("unfold", 1, 2, 1),
        ("as_strided", (2, 2), (1, 1)),
        ("movedim", 0, 1),
        ("flatten_view",),
        ("unflatten", 1, (3, 1)),
        ("t",),
        ("T",),
        ("mT",),
    ]:
        shape, strides, _ = call(name, (2, 3), *arguments)
        assert type(shape) is Size and type(strides) is tuple, name
    assert [part[0] for part in call("chunk", (5,), 2)] == [(3,), (2,)]
    assert [part[2] for part in call("unbind", (2, 3), 1)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "error", "message"),
    [
        ("transpose", (2, 3), (0, 2), IndexError, r"range of \[-2, 1\], but got 2"),
        ("permute", (2, 3), ((0,),), RuntimeError, r"input.dim\(\) = 2 is not equal to len\(dims"),
        ("permute", (2, 3), ((0, 0),), RuntimeError, "duplicate dims are not allowed"),
        ("t", (2, 3, 4), (), RuntimeError, "expects a tensor with <= 2 dimensions, but self is 3D"),
        (
            "mT",
            (3,),
            (),
            RuntimeError,
            "only supported on matrices or batches of matrices. Got 1-D",
        ),
        ("movedim", (2, 3), ((0, 1), (0,)), RuntimeError, "Invalid source or destination dims"),
        ("movedim", (2, 3), ((0, 0), (0, 1)), RuntimeError, "repeated dim in `source`"),
        (
            "expand",
            (2, 3),
            ((3, 3),),
            RuntimeError,
            r"expanded size of the tensor \(3\) must match",
        ),
        ("expand", (2, 3), ((3,),), RuntimeError, "must be greater or equal to the number of dim"),
        ("expand", (3,), ((-1, 3),), RuntimeError, "isn't allowed in a leading, non-existing dim"),
        ("select", (), (0, 0), IndexError, r"select\(\) cannot be applied to a 0-dim tensor"),
        ("select", (2, 3), (0, 2), IndexError, r"index 2 out of range for tensor of size \[2, 3\]"),
        ("slice", (2,), (0, 0, 2, 0), ValueError, "step must be greater than zero"),
        ("narrow", (2,), (0, 1, 2), RuntimeError, r"start \(1\) \+ length \(2\) exceeds dimension"),
        ("narrow", (2,), (0, 0, -1), RuntimeError, "length must be non-negative"),
        ("narrow", (2,), (0, 3, 1), IndexError, "start out of range"),
        ("diagonal", (2, 2), (0, 0, 0), RuntimeError, "diagonal dimensions cannot be identical"),
        ("unfold", (2,), (0, 3, 1), RuntimeError, "maximum size for tensor at dimension 0 is 2"),
        ("unfold", (2,), (0, 1, 0), RuntimeError, "step is 0 but must be > 0"),
        ("as_strided", (2,), ((2,), (-1,)), RuntimeError, "Negative strides are not supported"),
        ("as_strided", (2,), ((2,), (1, 1)), RuntimeError, "mismatch in length of strides"),
        ("as_strided", (2,), ((2,), (1,), -1), RuntimeError, "invalid storage offset -1"),
        ("as_strided", (2,), ((2,), (1,), 1, 2), RuntimeError, "out of bounds"),
        ("flatten_view", (2, 3), (1, 0), RuntimeError, "start_dim cannot come after end_dim"),
        ("unflatten", (2, 3), (1, (2, 2)), RuntimeError, r"\[2, 2\] don't multiply up to the size"),
        ("unflatten", (2, 3), (1, ()), RuntimeError, "sizes must be non-empty"),
        ("split", (2,), (0,), RuntimeError, "split_size can only be 0 if dimension size is 0"),
        ("split", (2,), (-1,), RuntimeError, "split_size be non-negative, but got split_size=-1"),
        ("split", (2,), ([1, 2],), RuntimeError, "split_sizes to sum exactly to 2"),
        ("split", (2,), ([3, -1],), RuntimeError, "have only non-negative entries"),
        ("chunk", (2,), (0,), RuntimeError, "`chunks` to be greater than 0, got: 0"),
        ("tensor_split", (2,), (0,), RuntimeError, "number of sections must be larger than 0"),
        ("unbind", (), (), IndexError, "Dimension specified as 0 but tensor has no dimensions"),
    ],
)
def test_errors(name, shape, arguments, error, message):
    with pytest.raises(error, match=message):
        call(name, shape, *arguments)


def test_view_says_when_a_copy_is_needed():
    with pytest.raises(RuntimeError, match=r"Use \.reshape\(\.\.\.\) instead\."):
        views.view(Size((3, 2)), (1, 3), 0, (6,))


def test_T_warns_unless_it_is_a_matrix():
    with pytest.warns(UserWarning, match=r"The use of `x\.T` on tensors of dimension other than 2"):
        call("T", (2, 3, 4))
