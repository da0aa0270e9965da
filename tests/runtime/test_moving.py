"""Gathering and scattering many elements: as NumPy does, on several threads, errors included."""

import numpy as np
import pytest
import rederive as rd

SHAPES = [((300, 400), 1), ((300, 400), 0), ((2, 40, 900), 1), ((1, 7, 9000), 1)]


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_elements_go_where_the_index_says(shape, dim):
    generator = np.random.default_rng(1)
    array, source = generator.standard_normal((2, *shape))
    index = generator.integers(0, shape[dim], shape)
    x, y = rd.from_numpy(array).requires_grad_(), rd.from_numpy(source).requires_grad_()
    taken = x.gather(dim, rd.from_numpy(index))
    np.testing.assert_array_equal(taken.detach().numpy(), np.take_along_axis(array, index, dim))
    places = list(np.indices(shape))
    places[dim] = index
    expected = array.copy()
    np.add.at(expected, tuple(places), source)
    added = x.scatter_add(dim, rd.from_numpy(index), y)
    np.testing.assert_allclose(added.detach().numpy(), expected, rtol=1e-12)
    put = x.scatter(dim, rd.from_numpy(index), y)
    last = np.zeros(shape)
    order = np.arange(array.size).reshape(shape)
    np.maximum.at(last, tuple(places), order + 1)
    stays = last[tuple(places)] == order + 1
    expected = array.copy()
    expected[tuple(p[stays] for p in places)] = source[stays]
    np.testing.assert_array_equal(put.detach().numpy(), expected)
    put.backward(rd.ones(shape, dtype=x.dtype))
    np.testing.assert_array_equal(y.grad.numpy(), stays.astype(float))


def test_slices_go_where_the_index_says():
    array = np.random.default_rng(2).standard_normal((40, 30, 50))
    rows = np.array([[3, -1, 3], [0, 29, -30]])
    x = rd.from_numpy(array).requires_grad_()
    for key in ((slice(None), rows), (rows,), (rows, rows[0]), (slice(None), rows, rows[0])):
        x.grad = None
        found = x[tuple(rd.from_numpy(k) if isinstance(k, np.ndarray) else k for k in key)]
        np.testing.assert_array_equal(found.detach().numpy(), array[key])
        flow = np.random.default_rng(3).standard_normal(found.shape)
        found.backward(rd.from_numpy(flow))
        expected = np.zeros_like(array)
        np.add.at(expected, key, flow)
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("wrong", [-1, 400])
def test_an_index_beyond_the_dimension_is_an_error(wrong):
    x = rd.zeros(300, 400)
    index = rd.zeros(300, 400, dtype=rd.int64)
    index[299, 399] = wrong
    for call in (
        lambda: x.gather(1, index),
        lambda: x.scatter_add(1, index, x),
        lambda: x.scatter(1, index, x),
    ):
        with pytest.raises(RuntimeError, match=f"index {wrong} is out of bounds for dimension 1"):
            call()


@pytest.fixture
def every_kernel_parallel(monkeypatch):
    """Copying kernels share their work however little it is."""
    monkeypatch.setattr(rd.threads.threads, "light", 1)


@pytest.mark.parametrize(("shape", "dim"), [((40, 50), 0), ((40, 50), 1), ((30, 7, 3), 0)])
def test_threads_share_slices_and_joins(every_kernel_parallel, shape, dim):
    draw = np.random.default_rng(3)
    values = draw.standard_normal(shape).astype(np.float32)
    index = draw.integers(0, shape[dim], 300)
    source = np.take(values, index, dim)
    expected = values.copy()
    np.add.at(np.moveaxis(expected, dim, 0), index, np.moveaxis(source, dim, 0))
    given, places, sent = (rd.from_numpy(v) for v in (values, index, source))
    np.testing.assert_array_equal(given.index_select(dim, places).numpy(), source)
    np.testing.assert_allclose(given.index_add(dim, places, sent).numpy(), expected, 1e-5)
    joined = rd.cat([given, sent], dim)
    np.testing.assert_array_equal(joined.numpy(), np.concatenate([values, source], dim))
    for at in range(len(shape) + 1):
        both = rd.stack([given, given * 2], at)
        np.testing.assert_array_equal(both.numpy(), np.stack([values, values * 2], at))
