"""Mean and variance from one reading of a lane: no worse than from two, wherever the lane lies."""

import numpy as np
import pytest
import rederive as rd

LAYOUTS = ["last", "first", "runs"]
ROWS = 32


def laid_out(array, layout):
    """The rows of a matrix as lanes of a tensor, and the dimensions that they go along."""
    if layout == "last":
        return rd.from_numpy(array), (1,)
    if layout == "first":
        return rd.from_numpy(np.ascontiguousarray(array.T)), (0,)
    images = array.reshape(len(array), 4, -1).transpose(1, 0, 2)
    return rd.from_numpy(np.ascontiguousarray(images)), (0, 2)


def exact_variance(array):
    values = array.astype(np.longdouble)
    center = values.mean(1, keepdims=True)
    center += (values - center).mean(1, keepdims=True)
    return np.square(values - center).sum(1) / (array.shape[1] - 1)


def lanes(what, n):
    array = np.random.default_rng(n).standard_normal((ROWS, n))
    if what == "first far away":
        array[:, 0] += 1e4
    elif what == "some far away":
        array[:, : n // 8] -= 1e4
    elif what == "mean far away":
        array = array * 3 + 1e4
    elif what == "sorted":
        array.sort(1)
    elif what == "steps":
        array[:, n // 2 :] += 1e6
    return array


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [64, 2500, 20004])
@pytest.mark.parametrize(
    "what", ["near 0", "first far away", "some far away", "mean far away", "sorted", "steps"]
)
def test_variance_is_accurate(what, n, layout):
    for kind, bound in ((np.float32, 1e-7), (np.float64, 2e-14)):
        array = lanes(what, n).astype(kind)
        exact = exact_variance(array)
        x, dims = laid_out(array, layout)
        # in float32 the formula takes squares about a mean that is rounded
        rounded = np.square(np.spacing(np.abs(array.mean(1)).astype(kind)).astype(float))
        error = np.abs(x.var(dims).numpy() - exact)
        assert np.all(error <= bound * exact + rounded), float((error / exact).max())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [20, 1000])
def test_lanes_of_one_value_have_no_variance(n, layout):
    for kind in (np.float32, np.float64):
        powers = 10.0 ** np.arange(-ROWS // 2, ROWS // 2)
        values = np.random.default_rng(1).standard_normal(ROWS) * powers
        array = np.repeat(values[:, None], n, 1).astype(kind)
        x, dims = laid_out(array, layout)
        assert not x.var(dims).numpy().any()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("place", [0, 3, 999])
def test_what_is_not_finite_stays_so(place, layout):
    array = np.random.default_rng(2).standard_normal((ROWS, 1000))
    array[1, place] = np.inf
    array[2, place] = -np.inf
    array[3, place] = np.nan
    array[4, [place, 500]] = np.inf, -np.inf
    array[5, [place, 500]] = np.inf, np.inf
    x, dims = laid_out(array, layout)
    x = x.requires_grad_()
    variance = x.var(dims)
    expected = np.array([False, True, True, True, True, True] + [False] * (ROWS - 6))
    np.testing.assert_array_equal(np.isnan(variance.detach().numpy()), expected)
    variance.sum().backward()
    undefined = np.isnan(x.grad.numpy())
    np.testing.assert_array_equal(undefined.all(dims), expected)
    np.testing.assert_array_equal(undefined.any(dims), expected)


@pytest.mark.parametrize("shape", [(1000, ROWS), (4, ROWS, 250)])
def test_running_statistics_are_those_of_each_channel(shape):
    array = np.random.default_rng(3).standard_normal(shape)
    dims = tuple(d for d in range(len(shape)) if d != 1)
    array[0, 1] = np.inf
    array[0, 2] = 1e4
    means, variances = (rd.zeros(ROWS, dtype=rd.float64) for _ in range(2))
    rd.nn.functional.batch_norm(rd.from_numpy(array), means, variances, training=True, momentum=1)
    np.testing.assert_allclose(means.numpy(), array.mean(dims), rtol=1e-12, atol=1e-14)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(variances.numpy(), array.var(dims, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("large", [1e200, np.finfo(float).max])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_squares_beyond_the_largest_number_are_infinite(layout, large):
    array = np.random.default_rng(4).standard_normal((ROWS, 400))
    array[1, 0] = array[2, 7] = array[3, 0] = large
    array[3, 200] = -large
    expected = np.isin(np.arange(ROWS), [1, 2, 3])
    x, dims = laid_out(array, layout)
    np.testing.assert_array_equal(np.isinf(x.var(dims).numpy()), expected)
