"""In-place operations on views rewrite the history of the base and of its other views."""

import random

import numpy as np
import pytest
import rederive as r
from rederive.autograd import grad


def leaf(*shape):
    return r.tensor(np.random.default_rng(3).normal(size=shape), requires_grad=True)


def test_inplace_on_a_view_changes_the_history_of_its_base():
    x, w = leaf(3, 4), leaf(4)
    base = x * 1
    base[1].mul_(w)
    assert base.grad_fn.name() == "CopySlices"
    gx, gw = grad((base * base).sum(), (x, w))
    expected = 2 * x.detach().numpy()
    expected[1] *= w.detach().numpy() ** 2
    np.testing.assert_allclose(gx.numpy(), expected)
    np.testing.assert_allclose(gw.numpy(), 2 * (x[1] ** 2 * w).detach().numpy())


def test_other_views_follow_an_inplace_operation_on_one_of_them():
    x = leaf(3, 4)
    base = x * 1
    column, row = base[:, 0], base[0]
    row.mul_(3.0)
    assert column.grad_fn.name() == "AsStridedBackward0"
    (gx,) = grad(column.sum(), x)
    np.testing.assert_array_equal(gx.numpy()[:, 0], [3, 1, 1])


def test_views_follow_an_inplace_operation_on_their_base():
    x = leaf(3, 4)
    base = x * 1
    row = base[0]
    base.mul_(2.0)
    (gx,) = grad(row.sum(), x)
    np.testing.assert_array_equal(gx.numpy()[0], np.full(4, 2.0))


def test_base_without_history_gets_one_from_what_is_written():
    w = leaf(4)
    base = r.zeros(3, 4, dtype=r.float64)
    base[2] = w * 2
    (gw,) = grad(base.sum(), w)
    np.testing.assert_array_equal(gw.numpy(), np.full(4, 2.0))


def test_second_derivative_through_a_written_view():
    x = leaf(3)
    base = x * 1
    base[1:].mul_(x[1:])
    (first,) = grad((base * x).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x)
    np.testing.assert_allclose(second.numpy(), [2.0, *(6 * x.detach().numpy()[1:])], rtol=1e-12)


def test_inplace_on_a_view_of_a_leaf_raises():
    x = leaf(3)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[0].mul_(2.0)


def test_inplace_on_one_of_several_views_raises():
    base = leaf(4) * 1
    first, _ = base.split(2)
    with pytest.raises(RuntimeError, match="returns multiple views"):
        first.mul_(2.0)


def random_program(m, seed):
    """A loss and its gradients after random views and in-place operations."""
    choose, values = random.Random(seed), np.random.RandomState(seed)
    x = m.tensor(values.randn(4, 3), dtype=m.float64, requires_grad=True)
    w = m.tensor(values.randn(3), dtype=m.float64, requires_grad=True)
    tensors = [x * 1]
    for _ in range(choose.randrange(2, 8)):
        t = choose.choice(tensors)
        match choose.randrange(8):
            case 0 if t.ndim and t.shape[0]:
                tensors.append(t[choose.randrange(t.shape[0])])
            case 1 if t.ndim == 2:
                tensors.append(t.t())
            case 2 if t.ndim:
                tensors.append(t[1:])
            case 3:
                t.mul_(2.5)
            case 4 if t.ndim and t.shape[-1] == 3:
                t.mul_(w)
            case 5:
                t.add_(w.sum())
            case 6:
                t.sin_()
            case 7 if t.ndim and t.shape[0]:
                t[0] = w[1] * 3
    loss = sum((t * t).sum() for t in tensors)
    return loss, m.autograd.grad(loss, [x, w], allow_unused=True)


def test_random_programs_of_views_and_inplace_operations_agree_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for seed in range(300):
        loss, gradients = random_program(r, seed)
        wanted, expected = random_program(torch, seed)
        np.testing.assert_allclose(loss.item(), wanted.item(), rtol=1e-10, err_msg=f"{seed}")
        for ours, theirs in zip(gradients, expected, strict=True):
            assert (ours is None) == (theirs is None), seed
            if ours is not None:
                np.testing.assert_allclose(
                    ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-12, err_msg=f"{seed}"
                )
