"""The incoming gradient, of many elements: copied for one input, added up for another."""

import numpy as np
import pytest
import rederive as rd
from rederive.kernels import accumulate
from rederive.kernels.accumulate import copy_of, stream

SHAPE = (1100, 2000)  # more bytes than are copied through the cache


def drawn(*shape):
    return np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape).astype(np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("low", range(3))
def test_copies_past_the_cache_begin_and_end_anywhere(kind, low):
    for count in (0, 1, 15, 16, 33, 1000):
        source = np.arange(low, low + count, dtype=kind)
        target = np.zeros(low + count + 5, kind)
        stream(source, target[low : low + count])
        assert target[low : low + count].tolist() == source.tolist()
        assert not target[:low].any() and not target[low + count :].any()


def test_large_copies_are_whole():
    source = drawn(accumulate.STREAMED // 4 + 7)
    np.testing.assert_array_equal(copy_of(source), source)


@pytest.mark.parametrize("function", [lambda x, b: x + b, lambda x, b: x - b, lambda x, b: b + x])
@pytest.mark.parametrize("other", [(2000,), (1100, 1), ()])
def test_a_leaf_owns_the_copy_of_a_gradient_that_is_added_up_for_another(function, other):
    x, b = (rd.zeros(shape, requires_grad=True) for shape in (SHAPE, other))
    grad = rd.from_numpy(drawn(*SHAPE))
    sign = 1 if function(0, 1) > 0 else -1
    function(x, b).backward(grad)
    assert not np.shares_memory(x.grad.numpy(), grad.numpy())
    np.testing.assert_array_equal(x.grad.numpy(), grad.numpy())
    dims = {2: (1,), 1: (0,), 0: (0, 1)}[len(other)]
    total = grad.numpy().sum(dims, dtype=np.float64, keepdims=len(other) == 2)
    np.testing.assert_allclose(b.grad.numpy(), sign * total, rtol=1e-6)
    first = x.grad
    function(x, b).backward(grad)
    assert x.grad is first
    np.testing.assert_array_equal(first.numpy(), 2 * grad.numpy())


def test_a_gradient_that_nobody_else_holds_is_not_copied(monkeypatch):
    from rederive import blocks, passing

    copies = []
    monkeypatch.setattr(
        passing, "sum_to", lambda *args, copy: copies.append(copy) or blocks.sum_to(*args)
    )
    x, b = rd.zeros(SHAPE, requires_grad=True), rd.zeros(SHAPE[1], requires_grad=True)
    ((x + b) * 2).backward(rd.ones(SHAPE))
    assert copies == [None]
    assert x.grad.min().item() == x.grad.max().item() == 2
    assert b.grad.tolist() == [2.0 * SHAPE[0]] * SHAPE[1]


def test_a_leaf_used_twice_gets_the_sum():
    x, b = rd.zeros(SHAPE, requires_grad=True), rd.zeros(SHAPE[1], requires_grad=True)
    grad = rd.from_numpy(drawn(*SHAPE))
    (x + (x + b)).backward(grad)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * grad.numpy())
    np.testing.assert_array_equal(grad.numpy(), drawn(*SHAPE))
