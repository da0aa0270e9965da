"""Pooling: nan, ties, places, windows at the borders, errors, threads."""

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional
NAN = float("nan")


def grid(*shape):
    return rd.arange(float(np.prod(shape))).reshape(*shape)


def test_of_equal_elements_the_first_gets_the_gradient():
    x = rd.zeros(1, 4, 4, requires_grad=True)
    y, places = F.max_pool2d(x, 2, return_indices=True)
    y.backward(rd.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    assert places.tolist() == [[[0, 2], [8, 10]]]
    assert x.grad[0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("kernel", [2, 3, (2, 3)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_nan_is_the_largest_and_the_last_of_several_is_taken(kernel, stride):
    x = grid(1, 9, 9)
    x[0, 4, 4] = x[0, 5, 5] = NAN
    y, places = F.max_pool2d(x, kernel, stride, return_indices=True)
    found = y.numpy()
    assert np.isnan(found).any()
    assert set(places.numpy()[np.isnan(found)].tolist()) <= {40, 50}
    both = F.max_pool2d(x[:, 4:6, 4:6], 2, return_indices=True)
    assert np.isnan(both[0].item()) and both[1].item() == 3


def test_a_plane_of_minus_infinity_has_places_inside_of_it():
    y, places = F.max_pool2d(rd.full((1, 3, 3), -float("inf")), 2, 1, 1, return_indices=True)
    assert (y == -float("inf")).all()
    assert places[0].tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [3, 3, 4, 5], [6, 6, 7, 8]]


def test_a_window_that_steps_over_the_whole_plane_has_no_gradient():
    x = rd.ones(1, 1, 1, dtype=rd.float64, requires_grad=True)
    y, places = F.max_pool2d(x, 2, 2, 1, 2, return_indices=True)
    assert y.tolist() == [[[-float("inf")]]]
    assert places.tolist() == [[[-1]]]
    (g,) = rd.autograd.grad(y, x, rd.ones(1, 1, 1, dtype=rd.float64), create_graph=True)
    assert g.tolist() == [[[0.0]]]


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "float32"])
def test_dtypes_of_max_pool2d(kind):
    x = rd.from_numpy(np.arange(16).reshape(1, 4, 4).astype(kind))
    y = F.max_pool2d(x, 2)
    assert y.tolist() == [[[5, 7], [13, 15]]]
    assert y.dtype == x.dtype
    assert F.avg_pool2d(x, 2).dtype == x.dtype


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_many_planes_on_several_threads_as_on_one(kernel):
    x = rd.from_numpy(np.random.default_rng(0).normal(size=(40, 3, 31, 30)).astype(np.float32))
    x.requires_grad_()
    before = rd.get_num_threads()
    found = []
    try:
        for threads in (before, 1):
            rd.set_num_threads(threads)
            x.grad = None
            y = F.max_pool2d(x, kernel, 2, 1) + F.avg_pool2d(x, kernel, 2, 1)
            (y * y).sum().backward()
            found.append((y.detach(), x.grad))
    finally:
        rd.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert (one == other).all()


def largest(plane, i, j, kernel, stride, padding, dilation):
    """The place of a window's largest element, found one by one; the last nan, else the first."""
    best = None
    for a, b in np.ndindex(*kernel):
        h, w = (
            k * s - p + n * d
            for k, s, p, n, d in zip((i, j), stride, padding, (a, b), dilation, strict=True)
        )
        if 0 <= h < plane.shape[0] and 0 <= w < plane.shape[1]:
            value = plane[h, w]
            if best is None or np.isnan(value) or value > plane[best]:
                best = h, w
    return best


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((1, 2), (1, 2), (0, 1), (1, 1)),
        ((3, 4), (2, 5), (1, 2), (2, 1)),
        ((2, 5), 2 * (3,), (1, 2), (3, 2)),
    ],
)
def test_windows_of_any_size_find_the_places_of_a_plain_search(kernel, stride, padding, dilation):
    planes = np.random.default_rng(3).integers(0, 9, (2, 1, 13, 40)).astype(np.float32)
    planes[0, 0, 4, ::7], planes[1, 0, :5] = NAN, -np.inf
    options = {"stride": stride, "padding": padding, "dilation": dilation, "return_indices": True}
    values, places = F.max_pool2d(rd.from_numpy(planes), kernel, **options)
    for n, _, i, j in np.ndindex(*values.shape):
        h, w = largest(planes[n, 0], i, j, kernel, stride, padding, dilation)
        assert places[n, 0, i, j].item() == h * 40 + w
        np.testing.assert_equal(values[n, 0, i, j].item(), planes[n, 0, h, w])


def test_ceil_mode_starts_no_window_in_the_padding():
    assert F.max_pool2d(grid(1, 1, 5), (1, 2), ceil_mode=True).tolist() == [[[1.0, 3.0, 4.0]]]
    assert F.max_pool2d(grid(1, 2, 2), 2, 2, 1, ceil_mode=True).shape == (1, 2, 2)


def test_what_means_are_divided_by():
    x = rd.ones(1, 2, 2)
    assert F.avg_pool2d(x, 2, 1, 1)[0, 0].tolist() == [0.25, 0.5, 0.25]
    assert F.avg_pool2d(x, 2, 1, 1, count_include_pad=False)[0, 0].tolist() == [1.0, 1.0, 1.0]
    assert F.avg_pool2d(x, 2, divisor_override=8).item() == 0.5
    over = F.avg_pool2d(rd.ones(1, 3, 3), 2, 2, ceil_mode=True)
    assert over[0].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_adaptive_sizes():
    x = grid(1, 3, 4)
    assert F.adaptive_avg_pool2d(x, (None, 2)).tolist() == [[[0.5, 2.5], [4.5, 6.5], [8.5, 10.5]]]
    assert F.adaptive_avg_pool2d(x, 1).tolist() == [[[5.5]]]
    assert F.adaptive_avg_pool2d(x, (1, 6))[0, 0].tolist() == [4, 4.5, 5, 6, 6.5, 7]
    assert F.adaptive_avg_pool2d(x, 0).shape == (1, 0, 0)


def test_the_same_function_at_the_top_level():
    assert rd.max_pool2d(grid(1, 4, 4), 2, 2, 0, 1, False).shape == (1, 2, 2)
    assert not hasattr(rd, "avg_pool2d")


PLANE = rd.ones(1, 4, 4)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda f: f(PLANE[0], 2), RuntimeError, "non-empty 3D or 4D .* expected for input"),
        (
            lambda f: f(PLANE[:, :, :0], 2),
            RuntimeError,
            "Expected 3D or 4D .* optional 0 dim batch",
        ),
        (lambda f: f(PLANE, (2, 2, 2)), RuntimeError, "kernel_size must either be a single int"),
        (lambda f: f(PLANE, 2, 0), RuntimeError, "stride should not be zero"),
        (lambda f: f(PLANE, 0, 1), RuntimeError, "kernel size should be greater than zero"),
        (lambda f: f(PLANE, 2, 1, -1), RuntimeError, "pad must be non-negative, but got pad: -1"),
        (lambda f: f(PLANE, 2, 1, 2), RuntimeError, "pad should be at most half of effective"),
        (lambda f: f(PLANE, 5), RuntimeError, r"Calculated output size: \(1x0x0\)"),
    ],
)
def test_errors_of_pooling(call, error, text):
    for function in (F.max_pool2d, F.avg_pool2d):
        with pytest.raises(error, match=text):
            call(function)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.max_pool2d(PLANE, 2, 1, 0, 0), RuntimeError, "dilation should be greater than"),
        (lambda: F.max_pool2d(PLANE > 0, 2), NotImplementedError, "not implemented for 'Bool'"),
        (lambda: F.avg_pool2d(PLANE, 2, divisor_override=0), RuntimeError, "must be not zero"),
        (lambda: F.adaptive_avg_pool2d(PLANE[0], 2), RuntimeError, "Expected 3D or 4D tensor"),
        (lambda: F.adaptive_avg_pool2d(PLANE, (1, 2, 3)), RuntimeError, "output_size must be 2"),
        (lambda: F.adaptive_avg_pool2d(PLANE, -1), RuntimeError, "greater than or equal to 0"),
        (lambda: F.adaptive_avg_pool2d(PLANE[:, :0], 2), RuntimeError, "dimension 1 being empty"),
        (lambda: F.adaptive_avg_pool2d(PLANE > 0, 2), NotImplementedError, "not implemented for"),
    ],
)
def test_errors_of_single_functions(call, error, text):
    with pytest.raises(error, match=text):
        call()
