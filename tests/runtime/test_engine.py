"""The backward pass over nodes written by hand."""

import gc
import random
import threading
import weakref

import numpy as np
import pytest
import rederive as rd
from hand_nodes import ScaleBackward0, SumBackward0, add, leaf, scale, split, tie
from rederive import autograd
from rederive.engine import queue_callback
from rederive.graph import next_sequence
from rederive.modes import modes
from rederive.tensor import from_array


def test_gradients_of_a_random_graph_are_those_of_its_matrix():
    # buffers are freed and reallocated throughout, and shared by several targets
    for seed in range(100):
        draw = random.Random(seed)
        leaves = [leaf([1.0, 2.0, 3.0]) for _ in range(3)]
        # each tensor is a known combination of the leaves
        known = [(t, np.eye(3)[i]) for i, t in enumerate(leaves)]
        for _ in range(30):
            (a, ka), (b, kb) = draw.choice(known), draw.choice(known[-4:])
            if draw.random() < 0.5:
                known.append((add(a, b), ka + kb))
            else:
                factor = draw.choice([-0.5, 0.5, 2.0])
                known.append((scale(b, factor), kb * factor))
        roots = [t for t, _ in known]
        total = add(*roots)
        total.backward(leaf([1.0, 10.0, 100.0], False))
        expected = sum(k for _, k in known)
        for t, factor in zip(leaves, expected, strict=True):
            got = t.grad.numpy()
            np.testing.assert_allclose(got, factor * np.array([1.0, 10.0, 100.0]), err_msg=seed)


def test_a_gradient_shared_by_two_leaves_is_not_shared_afterwards():
    a, b = leaf([1.0]), leaf([2.0])
    given = leaf([1.0], False)
    add(a, b).backward(given)
    a.grad.numpy()[0] = 7.0
    assert (b.grad.item(), given.item()) == (1.0, 1.0)


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1), (1, 0, 1)])
def test_a_node_with_two_outputs_gets_the_gradients_of_those_that_were_used(used):
    a = leaf([1.0, 1.0])
    outputs = split(a)
    roots = [outputs[i] for i in used]
    autograd.backward(roots, [leaf([1.0, 2.0], False)] * len(used))
    factor = sum((2.0, 3.0)[i] for i in used)
    np.testing.assert_array_equal(a.grad.numpy(), [factor, 2 * factor])


@pytest.mark.parametrize("length", range(1, 8))
def test_memory_freed_during_the_pass_is_not_mistaken_for_a_sum_of_ours(length):
    a, b = leaf([1.0]), leaf([1.0])
    early = scale(a, 5.0)
    t = add(a, b)
    for _ in range(length):
        t = scale(t, 2.0)
    # a sum at t is freed below it, and its address may be given to the array that add passes on
    add(scale(t, 1.0), scale(t, 1.0), early).backward(leaf([1.0], False))
    assert (a.grad.item(), b.grad.item()) == (2.0 ** (length + 1) + 5, 2.0 ** (length + 1))


def test_a_chain_of_a_million_nodes_runs_and_is_destroyed_without_recursion():
    x = leaf([1.0])
    t = x
    for _ in range(1_000_000):
        node = object.__new__(SumBackward0)
        node.sequence = next_sequence()
        node.edges = (t, 0)
        node.saved = ()
        node.shape = x.shape
        node.general = node.hooks = None
        t = node
    y = scale(x, 1.0)
    y._grad_fn = t
    del t, node
    y.backward()
    assert x.grad.item() == 1.0
    gone = weakref.ref(y.grad_fn)
    del y
    assert gone() is None


def test_a_long_chain_of_operators_has_second_derivatives():
    x = leaf([1.0])
    y = x
    for _ in range(3000):
        y = y * 1.0
    (g,) = autograd.grad(y * y, x, create_graph=True)
    (second,) = autograd.grad(g, x)
    assert (g.item(), second.item()) == (2.0, 2.0)


def test_saved_values_are_released_by_the_pass_and_nodes_with_the_root():
    gc.disable()
    try:
        x = leaf(np.ones(1000))
        middle = scale(x, 2.0) * 3.0
        memory = weakref.ref(middle._flat)
        y = (middle * middle).sum()
        node = weakref.ref(middle.grad_fn)
        del middle
        assert memory() is not None
        y.backward()
        assert memory() is None
        assert node() is not None
        del y
        assert node() is None
    finally:
        gc.enable()


def test_retain_graph_keeps_what_was_saved():
    x = leaf([3.0])
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_a_pass_that_failed_leaves_the_engine_usable():
    class Failing(ScaleBackward0):
        __slots__ = ()

        def apply(self, grad):
            raise KeyError("mine")

    x = leaf([1.0])
    bad = tie(Failing, (x,), [1.0], (1.0,))
    with pytest.raises(KeyError, match="mine"):
        add(scale(x, 2.0), bad).backward()
    assert modes.grad
    assert modes.task is None
    x.grad = None
    scale(x, 2.0).backward()
    assert x.grad.item() == 2.0


def test_a_node_may_run_a_pass_of_its_own():
    inner = leaf([1.0])

    class Nested(ScaleBackward0):
        __slots__ = ()

        def apply(self, grad):
            y = scale(inner, 4.0)
            y.backward()
            return grad * 2

    x = leaf([1.0])
    tie(Nested, (tie(Nested, (x,), [1.0]),), [1.0]).backward()
    assert (x.grad.item(), inner.grad.item()) == (4.0, 8.0)


def test_gradients_add_up_in_place_in_grad():
    x = leaf([1.0, 2.0])
    scale(x, 2.0).backward(leaf([1.0, 1.0], False))
    had = x.grad
    scale(x, 3.0).backward(leaf([1.0, 1.0], False))
    assert x.grad is had
    assert had._version == 1
    assert had.tolist() == [5.0, 5.0]


def test_gradients_add_up_in_a_strided_grad():
    x = leaf(np.ones((2, 3)))
    bucket = leaf(np.zeros((3, 2)), False)
    x.grad = bucket.t()
    ones = leaf(np.arange(6.0).reshape(2, 3), False)
    scale(x, 2.0).backward(ones)
    np.testing.assert_array_equal(bucket.numpy(), 2 * np.arange(6.0).reshape(2, 3).T)


def test_create_graph_makes_a_new_sum_with_a_graph():
    x = leaf([3.0])
    (x * x).backward(create_graph=True)
    first = x.grad
    (x * x).backward(create_graph=True)
    assert (first.item(), x.grad.item()) == (6.0, 12.0)
    assert x.grad.requires_grad
    (second,) = autograd.grad(x.grad, x)
    assert second.item() == 4.0


def test_grad_has_the_dtype_of_its_leaf():
    x = rd.ones(3).requires_grad_()
    tie(ScaleBackward0, (x,), np.ones(3), (2.0,)).backward(leaf([1.0, 1.0, 1.0], False))
    assert x.grad.dtype is rd.float32


def test_a_gradient_of_another_shape_is_an_error():
    class Wrong(ScaleBackward0):
        __slots__ = ()

        def apply(self, grad):
            return np.ones(5)

    text = r"AccumulateGrad: got a gradient of shape \(5,\) for a tensor of shape \(1,\)"
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match=text):
        tie(Wrong, (x,), [1.0]).backward()
    with pytest.raises(RuntimeError, match="gradients of 1 and 5 elements meet"):
        add(tie(Wrong, (x,), [1.0]), scale(x, 2.0)).backward()


def test_gradients_may_be_strided_tensors():
    class Transposed(ScaleBackward0):
        __slots__ = ()

        def apply(self, grad):
            return from_array(grad.reshape(3, 2)).t()

    x, matrix = leaf(np.zeros((2, 3))), np.arange(6.0).reshape(3, 2)
    y = add(tie(Transposed, (x,), np.zeros((3, 2))), tie(Transposed, (x,), np.zeros((3, 2))))
    y.backward(leaf(matrix, False))
    np.testing.assert_array_equal(x.grad.numpy(), 2 * matrix.T)
    single = leaf(np.zeros((2, 3)))
    tie(Transposed, (single,), np.zeros((3, 2))).backward(leaf(matrix, False))
    np.testing.assert_array_equal(single.grad.numpy(), matrix.T)


def test_two_threads_add_to_one_leaf_without_losing_anything():
    x, failures = leaf(np.zeros(20_000)), []
    ones = leaf(np.ones(20_000), False)

    def work():
        try:
            for _ in range(300):
                scale(x, 1.0).backward(ones)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    np.testing.assert_array_equal(x.grad.numpy(), 1200.0)


def test_callbacks_run_once_at_the_end_of_the_outermost_pass():
    x, order = leaf([1.0]), []

    def hook(grad):
        scale(leaf([1.0]), 2.0).backward()
        queue_callback(lambda: order.append(("callback", x.grad.item(), modes.grad)))
        order.append("hook")

    x.register_hook(hook)
    scale(x, 2.0).backward()
    assert order == ["hook", ("callback", 2.0, True)]
    with pytest.raises(RuntimeError, match="can only be installed during backward pass"):
        queue_callback(print)


def test_only_what_the_inputs_need_is_run():
    class Never(ScaleBackward0):
        __slots__ = ()

        def apply(self, grad):
            raise AssertionError("this node was not needed")

    x, other = leaf([1.0]), leaf([1.0])
    middle = scale(tie(Never, (x,), [1.0]), 2.0)
    y = add(scale(middle, 3.0), tie(Never, (other,), [1.0]))
    assert autograd.grad(y, middle, retain_graph=True)[0].item() == 3.0
    y.backward(inputs=[middle])
    assert (middle.grad.item(), x.grad, other.grad) == (3.0, None, None)


def test_inputs_may_be_outputs_and_one_of_several_outputs_of_a_node():
    x = leaf([1.0])
    first, second = split(x)
    y = add(scale(first, 5.0), scale(second, 7.0))
    found = autograd.grad(y, [y, second, x, first])
    assert [g.item() for g in found] == [1.0, 7.0, 31.0, 5.0]
