"""Operands of five to eight dimensions in any order, values and gradients, against NumPy."""

import numpy as np
import pytest
import rederive as rd
from hypothesis import given, settings
from hypothesis import strategies as st
from rederive.kernels.gathering import gather, scatter
from rederive.plan import layout

fast = settings(deadline=None, max_examples=60, derandomize=True)


@st.composite
def orders(draw):
    """Sizes of five to eight dimensions, and two orders of them."""
    ndim = draw(st.integers(5, 8))
    sizes = [draw(st.sampled_from([1, 2, 2, 3, 4, 5])) for _ in range(ndim)]
    sizes[draw(st.integers(0, ndim - 1))] = draw(st.sampled_from([1, 7, 16, 20, 33]))
    return sizes, draw(st.permutations(range(ndim))), draw(st.permutations(range(ndim)))


@fast
@given(orders(), st.booleans(), st.integers(0, 1000))
def test_operands_in_two_orders_and_their_gradients(case, repeated, seed):
    sizes, first, second = case
    draw = np.random.default_rng(seed)
    shape = tuple(sizes[d] for d in first)
    stored = [1 if repeated and d % 2 else sizes[d] for d in second]
    one, other = (draw.uniform(0.5, 2.0, s) for s in (shape, stored))
    x, y = (rd.tensor(array, requires_grad=True) for array in (one, other))
    turn = [second.index(d) for d in first]
    result = x * y.permute(turn)
    wide = np.broadcast_to(other.transpose(turn), shape)
    np.testing.assert_array_equal(result.detach().numpy(), one * wide)
    weight = draw.normal(size=shape)
    result.backward(rd.tensor(weight))
    np.testing.assert_allclose(x.grad.numpy(), weight * wide, rtol=1e-12)
    back = (weight * one).transpose(np.argsort(turn))
    axes = tuple(d for d, n in enumerate(stored) if n != back.shape[d])
    np.testing.assert_allclose(y.grad.numpy(), back.sum(axes, keepdims=True), rtol=1e-9, atol=1e-9)


KINDS = [np.float32, np.float64, np.bool_]


@fast
@given(orders(), st.sampled_from(KINDS), st.integers(1, 2), st.integers(0, 1000))
def test_any_part_of_a_layout_is_brought_and_put_back(case, kind, step, seed):
    sizes, order, _ = case
    array = np.random.default_rng(seed).integers(0, 100, sizes).astype(kind)
    seen = array.transpose(order)[..., ::step, :]
    expected = np.ascontiguousarray(seen).reshape(-1)
    strides = tuple(s // array.itemsize for s in seen.strides)
    found, _ = layout(seen.shape, strides, seen.shape)
    n = len(expected)
    for low, high in ((0, n), (n // 3, n), (n // 3, n // 2 + 1)):
        out = np.empty(high - low, kind)
        gather(array.reshape(-1), 0, found, low, out)
        np.testing.assert_array_equal(out, expected[low:high])
        target = np.zeros_like(array)
        scatter(out, target.reshape(-1), 0, found, low)
        kept = np.zeros(n, kind)
        kept[low:high] = out
        np.testing.assert_array_equal(target.transpose(order)[..., ::step, :].reshape(-1), kept)


@pytest.mark.parametrize("last", [2, 3, 8, 20])
def test_short_dense_rows_are_brought_and_put_back(last):
    array = np.random.default_rng(1).standard_normal((20, 3, 33, last))
    turned = array.transpose(2, 1, 0, 3)
    strides = tuple(s // array.itemsize for s in turned.strides)
    found, _ = layout(turned.shape, strides, turned.shape)
    for low, high in ((0, array.size), (last + 1, array.size - 5)):
        out = np.empty(high - low)
        gather(array.reshape(-1), 0, found, low, out)
        np.testing.assert_array_equal(out, turned.reshape(-1)[low:high])
        target = np.zeros_like(array)
        scatter(out, target.reshape(-1), 0, found, low)
        np.testing.assert_array_equal(target.transpose(2, 1, 0, 3).reshape(-1)[low:high], out)
        assert np.count_nonzero(target) == high - low


@pytest.mark.parametrize("shape", [(2,) * 18, (3, 40, 5, 30, 4, 6), (512, 8, 4, 2, 4)])
def test_many_elements_in_reverse_order(shape):
    array = np.random.default_rng(2).standard_normal(shape[::-1])
    x = rd.from_numpy(array).requires_grad_()
    weight = np.random.default_rng(3).standard_normal(shape)
    result = x.permute(*reversed(range(len(shape)))) * rd.from_numpy(weight)
    np.testing.assert_array_equal(result.detach().numpy(), array.transpose() * weight)
    result.backward(rd.from_numpy(weight))
    np.testing.assert_array_equal(x.grad.numpy(), (weight * weight).transpose())
    np.testing.assert_array_equal(x.detach().permute(*range(len(shape))).clone().numpy(), array)
