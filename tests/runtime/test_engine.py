"""The backward pass over nodes written by hand."""

import random

import numpy as np
import pytest
from hand_nodes import add, leaf, scale, split
from rederive import autograd


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
