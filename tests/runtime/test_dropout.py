"""Dropout: its mask follows the default generator, is never stored, and fits every derivative."""

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional


def test_elements_are_dropped_or_scaled_in_the_asked_proportion():
    rd.manual_seed(1)
    y = F.dropout(rd.ones(100_000), 0.3)
    dropped = (y.numpy() == 0).mean()
    assert abs(dropped - 0.3) < 0.01
    assert set(np.unique(y.numpy())) == {np.float32(0), np.float32(1 / 0.7)}


def test_neighbours_are_dropped_independently():
    rd.manual_seed(2)
    kept = F.dropout(rd.ones(200_000), 0.5).numpy() != 0
    for lag in (1, 2, 3, 64, 1000):
        assert abs(np.corrcoef(kept[:-lag], kept[lag:])[0, 1]) < 0.01


def test_the_mask_follows_the_generator():
    x = rd.ones(1000)
    rd.manual_seed(3)
    first, second = F.dropout(x), F.dropout(x)
    assert (first != second).any()
    rd.manual_seed(3)
    assert (F.dropout(x) == first).all()
    state = rd.get_rng_state()
    again = F.dropout(x)
    rd.set_rng_state(state)
    assert (F.dropout(x) == again).all()
    assert (again == second).all()


def test_the_mask_does_not_depend_on_threads_or_layout():
    before = rd.get_num_threads()
    found = []
    try:
        for threads in (before, 1):
            rd.set_num_threads(threads)
            for x in (rd.ones(300, 500), rd.ones(500, 300).t()):
                rd.manual_seed(4)
                found.append(F.dropout(x, 0.4))
    finally:
        rd.set_num_threads(before)
    assert all((y == found[0]).all() for y in found)


def test_gradients_of_every_order_use_the_same_mask():
    rd.manual_seed(5)
    x = rd.ones(50, dtype=rd.float64, requires_grad=True)
    y = F.dropout(x, 0.5)
    (g,) = rd.autograd.grad((y**3).sum(), x, create_graph=True)
    (h,) = rd.autograd.grad(g.sum(), x)
    scale = y.detach().numpy()
    np.testing.assert_allclose(g.detach().numpy(), 3 * scale**3)
    np.testing.assert_allclose(h.numpy(), 6 * scale**3)


def test_no_mask_is_stored():
    x = rd.ones(1000, requires_grad=True)
    node = F.dropout(x, 0.5).grad_fn
    assert node.name() == "DropoutBackward0"
    assert not any(isinstance(value, np.ndarray | rd.Tensor) for value in node.saved)


def test_nothing_is_dropped_outside_training():
    x = rd.ones(5)
    assert F.dropout(x, 0.5, False) is x
    assert F.dropout(x, 0.0) is x
    assert rd.dropout(x, p=0.5, train=False) is x


def test_everything_is_dropped_with_probability_one():
    x = rd.ones(5, requires_grad=True)
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.tolist() == x.grad.tolist() == [0.0] * 5
    assert np.isnan(F.dropout(rd.tensor([float("nan")]), 1.0).numpy()).all()


def test_dropout_in_place():
    rd.manual_seed(6)
    wanted = F.dropout(rd.ones(20))
    rd.manual_seed(6)
    x = rd.ones(20)
    assert F.dropout(x, inplace=True) is x
    assert (x == wanted).all()
    rd.manual_seed(6)
    assert (rd.dropout_(rd.ones(20), 0.5, True) == wanted).all()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        F.dropout(rd.ones(3, requires_grad=True), inplace=True)


@pytest.mark.parametrize("p", [-0.5, 1.5])
def test_probabilities(p):
    with pytest.raises(ValueError, match=f"has to be between 0 and 1, but got {p}"):
        F.dropout(rd.ones(3), p)
    with pytest.raises(RuntimeError, match=f"has to be between 0 and 1, but got {p}"):
        rd.dropout(rd.ones(3), p, True)


def test_integers_cannot_be_scaled():
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type Long"):
        F.dropout(rd.ones(3, dtype=rd.int64))
    assert not hasattr(rd.Tensor, "dropout")
