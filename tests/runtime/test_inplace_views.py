"""In-place operations on views rewrite the history of the base and of its other views."""

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


# --- memory that is not dense, elements that share a place ---------------------------------------


def test_inplace_on_a_view_of_a_base_that_is_not_dense():
    w = leaf(3)
    base = r.from_numpy(np.arange(12.0).reshape(4, 3).T)
    assert not base.is_contiguous() and not base._is_view()
    column = base[:, 1]
    row = base[2]
    column.mul_(w)
    assert base.grad_fn.name() == "CopySlices"
    (base * base).sum().backward(retain_graph=True)
    old = np.arange(12.0).reshape(4, 3).T[:, 1]
    np.testing.assert_allclose(w.grad.numpy(), 2 * old**2 * w.detach().numpy())
    assert row.grad_fn.name() == "AsStridedBackward0"
    (gw,) = grad(row.sum(), w)
    np.testing.assert_allclose(gw.numpy(), [0, 0, old[2]])


def test_second_derivative_through_a_base_that_is_not_dense():
    x = leaf(2)
    base = r.from_numpy(np.ones((2, 2)).T.copy(order="F"))
    base[0].mul_(x * x)
    (first,) = grad((base * base).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x)
    np.testing.assert_allclose(first.detach().numpy(), 4 * x.detach().numpy() ** 3)
    np.testing.assert_allclose(second.numpy(), 12 * x.detach().numpy() ** 2)


def test_expanded_view_sums_its_gradient_after_its_base_changed():
    x = leaf(3)
    base = x * 1
    wide = base.expand(4, 3)
    base.mul_(2)
    (gx,) = grad(wide.sum(), x)
    np.testing.assert_array_equal(gx.numpy(), [8, 8, 8])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.add_(1),
        lambda t: t.neg_(),
        lambda t: t.copy_(r.ones(4, 3)),
        lambda t: t.uniform_(),
        lambda t: t.__setitem__(slice(None), 1.0),
        lambda t: r.add(r.ones(4, 3), 1, out=t),
    ],
)
def test_writing_into_elements_that_share_a_place_raises(change):
    wide = r.ones(3).expand(4, 3)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        change(wide)
    assert wide.sum().item() == 12.0 and wide._version == 0
    assert wide.zero_().sum().item() == 0.0  # what is the same everywhere may be written
    wide[0] = 2.0
    assert wide.sum().item() == 24.0


# --- hooks and retained gradients ----------------------------------------------------------------


def test_retained_gradient_is_that_of_the_tensor_after_the_operation():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    assert y.retains_grad
    (y * y).sum().backward()
    np.testing.assert_allclose(y.grad.numpy(), 12 * x.detach().numpy())


def test_base_and_views_keep_retaining_their_gradients():
    x = leaf(4)
    y = x * 2
    head, tail = y[:2], y[2:]
    for t in (y, head, tail):
        t.retain_grad()
    head.mul_(3)
    (head * 2).sum().backward()
    np.testing.assert_array_equal(head.grad.numpy(), [2, 2])
    np.testing.assert_array_equal(y.grad.numpy(), [2, 2, 0, 0])
    assert tail.grad is None
    np.testing.assert_array_equal(x.grad.numpy(), [12, 12, 0, 0])


def test_gradient_retained_before_zero():
    y = leaf(3) * 2
    y.retain_grad()
    y.zero_()
    y.sum().backward()
    np.testing.assert_array_equal(y.grad.numpy(), [1, 1, 1])


def test_hook_stays_with_the_value_it_was_registered_for():
    x, seen = leaf(3), {}
    y = x * 2
    y.register_hook(lambda g: seen.update(before=g.numpy().copy()))
    y.mul_(3)
    y.register_hook(lambda g: seen.update(after=g.numpy().copy()))
    y.sum().backward()
    np.testing.assert_array_equal(seen["before"], [3, 3, 3])
    np.testing.assert_array_equal(seen["after"], [1, 1, 1])


def test_hook_of_a_view_that_was_changed_is_not_called_for_its_base():
    x, seen = leaf(4), []
    y = x * 2
    view = y[:2]
    view.register_hook(lambda g: seen.append("view before"))
    y.register_hook(lambda g: seen.append(("base before", g.tolist())))
    view.mul_(3)
    view.register_hook(lambda g: seen.append("view after"))
    y.register_hook(lambda g: seen.append(("base after", g.tolist())))
    y.sum().backward()
    assert seen == [("base after", [1.0, 1, 1, 1]), ("base before", [3.0, 3, 1, 1])]


def test_version_counters_are_shared_by_views_and_detached_tensors_but_not_by_data():
    y = leaf(3) * 1
    view, detached, data = y[:1], y.detach(), y.data
    y.mul_(1)
    assert (y._version, view._version, detached._version, data._version) == (1, 1, 1, 0)
    detached.mul_(1)
    data.mul_(1)
    assert (y._version, view._version, detached._version, data._version) == (2, 2, 2, 1)
    assert not detached._is_view() and detached.data_ptr() == y.data_ptr() == data.data_ptr()


# --- geometry in place ---------------------------------------------------------------------------

GEOMETRY = {
    "t_": ((2, 3), lambda t: t.t_(), (3, 2)),
    "transpose_": ((2, 3, 4), lambda t: t.transpose_(0, -1), (4, 3, 2)),
    "swapaxes_": ((2, 3), lambda t: t.swapaxes_(0, 1), (3, 2)),
    "swapdims_": ((2, 3), lambda t: t.swapdims_(0, 1), (3, 2)),
    "unsqueeze_": ((2, 3), lambda t: t.unsqueeze_(1), (2, 1, 3)),
    "squeeze_": ((2, 1, 3, 1), lambda t: t.squeeze_(), (2, 3)),
    "squeeze_ one": ((2, 1, 3, 1), lambda t: t.squeeze_(1), (2, 3, 1)),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_is_changed_in_place(name):
    shape, change, wanted = GEOMETRY[name]
    x = leaf(*shape)
    y = x * 2
    beside = y[0]
    address = y.data_ptr()
    assert change(y) is y
    assert y.shape == wanted and y._version == 1 and y.data_ptr() == address
    assert not y._is_view() and y.requires_grad and not y.is_leaf
    y.mul_(3)
    weight = r.tensor(np.random.default_rng(0).normal(size=wanted))
    (y * weight).sum().backward(retain_graph=True)
    expected = grad((change((x * 6).clone()) * weight).sum(), x)[0]
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy())
    (gx,) = grad(beside.sum(), x)
    np.testing.assert_array_equal(gx.numpy()[0], np.full(shape[1:], 6.0))


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_of_a_leaf_changes_only_without_grad(name):
    shape, change, wanted = GEOMETRY[name]
    x = leaf(*shape)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        change(x)
    assert x.shape == shape
    with r.no_grad():
        change(x)
    assert x.shape == wanted and x.is_leaf


def test_geometry_of_a_view_changes_without_that_of_its_base():
    x = leaf(2, 3)
    y = x * 1
    view = y[...]
    view.t_()
    assert view.shape == (3, 2) and y.shape == (2, 3) and view._base is y
    view[0].mul_(5)
    (gx,) = grad(y.sum(), x)
    np.testing.assert_array_equal(gx.numpy(), [[5, 1, 1], [5, 1, 1]])
