"""Gradients of what was joined: parts of one array, which leaves may share out."""

import copy

import numpy as np
import pytest
import rederive as rd

WEIGHTS = np.arange(1.0, 13.0).reshape(2, 6).astype(np.float32)


def leaves(count=2, shape=(6,)):
    return [rd.ones(shape, requires_grad=True) for _ in range(count)]


def bases(*tensors):
    return [tensor.grad._flat.base for tensor in tensors]


def shared(*tensors):
    """Whether the gradients of leaves are parts of one array."""
    first, *rest = bases(*tensors)
    return first is not None and all(base is first for base in rest)


def apart(*tensors):
    """Whether each gradient lies in memory of its own."""
    return all(base is None for base in bases(*tensors))


@pytest.mark.parametrize("join", [rd.stack, lambda given: rd.cat(given).reshape(2, 6)])
def test_leaves_keep_their_parts_of_a_gradient_that_nobody_else_sees(join):
    x, y = leaves()
    (join([x, y]) * rd.from_numpy(WEIGHTS)).sum().backward()
    assert shared(x, y)
    np.testing.assert_array_equal(x.grad.numpy(), WEIGHTS[0])
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS[1])
    assert not x.grad._is_view() and x.grad._base is None and x.grad.storage_offset() == 0


def test_changing_a_part_changes_no_other():
    x, y = leaves()
    (rd.stack([x, y]) * rd.from_numpy(WEIGHTS)).sum().backward()
    x.grad.mul_(-1)
    assert (x.grad._version, y.grad._version) == (1, 0)
    (rd.stack([x, y]) * rd.from_numpy(WEIGHTS)).sum().backward()  # adds in place
    np.testing.assert_array_equal(x.grad.numpy(), 0 * WEIGHTS[0])
    np.testing.assert_array_equal(y.grad.numpy(), 2 * WEIGHTS[1])
    x.grad.resize_(20).fill_(7)
    np.testing.assert_array_equal(y.grad.numpy(), 2 * WEIGHTS[1])
    assert copy.deepcopy(y.grad)._flat.base is None


@pytest.mark.parametrize("join", [rd.stack, lambda given: rd.cat(given).reshape(2, 6)])
def test_a_given_gradient_is_copied(join):
    x, y = leaves()
    given = rd.from_numpy(WEIGHTS.copy())
    join([x, y]).backward(given)
    x.grad.zero_()
    np.testing.assert_array_equal(given.numpy(), WEIGHTS)
    given.zero_()
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS[1])
    assert apart(x, y)


def test_parts_are_not_shared_out_where_some_are_nobodys():
    a, b, c = leaves(3, (4,))
    weights = rd.from_numpy(WEIGHTS.reshape(12))
    (rd.cat([a, b, rd.ones(4)]) * weights).sum().backward()
    assert not shared(a, b)
    a.grad = b.grad = None
    (rd.cat([a, b, c]) * weights)[:8].sum().backward()
    assert shared(a, b, c)  # of zeros, too


@pytest.mark.parametrize("see", ["hook", "retained"])
def test_parts_are_copied_of_a_gradient_that_somebody_sees(see):
    x, y = leaves()
    joined, seen = rd.stack([x, y]), []
    if see == "hook":
        joined.register_hook(seen.append)
    else:
        joined.retain_grad()
    (joined * rd.from_numpy(WEIGHTS)).sum().backward()
    seen = seen[0] if see == "hook" else joined.grad
    x.grad.zero_()
    np.testing.assert_array_equal(seen.numpy(), WEIGHTS)
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS[1])


def test_a_leaf_joined_with_itself_adds_up():
    x, y = leaves()
    (rd.stack([x, x]) * rd.from_numpy(WEIGHTS)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), WEIGHTS.sum(0))
    (x,), weights = leaves(1), rd.from_numpy(np.concatenate([WEIGHTS, WEIGHTS]))
    (rd.stack([x, y, y, x]) * weights).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), WEIGHTS.sum(0))
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS.sum(0))
    x.grad.zero_()
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS.sum(0))


def test_leaves_that_get_the_same_part_do_not_share_it():
    a, b, c = leaves(3)
    (rd.stack([a + b.view(6), c]) * rd.from_numpy(WEIGHTS)).sum().backward()
    a.grad.zero_()
    c.grad.zero_()
    np.testing.assert_array_equal(b.grad.numpy(), WEIGHTS[0])
    d, e, f = leaves(3)
    (rd.stack([d + e.reshape(2, 3).reshape(6), f]) * rd.from_numpy(WEIGHTS)).sum().backward()
    d.grad.zero_()
    np.testing.assert_array_equal(e.grad.numpy(), WEIGHTS[0])
    np.testing.assert_array_equal(f.grad.numpy(), WEIGHTS[1])


def test_an_optimizer_steps_with_parts():
    x, y = leaves()
    (rd.stack([x, y]) * rd.from_numpy(WEIGHTS)).sum().backward()
    assert shared(x, y)
    rd.optim.SGD([x, y], lr=1.0).step()
    np.testing.assert_array_equal(x.detach().numpy(), 1 - WEIGHTS[0])
    np.testing.assert_array_equal(y.detach().numpy(), 1 - WEIGHTS[1])
