"""Saved values: read from nodes, packed by hooks, changed after they were saved."""

import gc
import weakref

import numpy as np
import pytest
import rederive as rd
from rederive.autograd import graph


def leaf(*values):
    return rd.tensor(values, dtype=rd.float64, requires_grad=True)


class Keep:
    """Hooks that count and keep what they are given."""

    def __init__(self):
        self.packed, self.unpacked = [], 0

    def pack(self, tensor):
        self.packed.append(tensor)
        return len(self.packed) - 1

    def unpack(self, index):
        self.unpacked += 1
        return self.packed[index]


def test_nodes_show_what_they_saved():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    product = x * y
    assert product.grad_fn._saved_self is x
    assert product.grad_fn._saved_other is y
    assert {"_saved_self", "_saved_other"} <= set(dir(product.grad_fn))
    power = product.exp()
    assert power.grad_fn._saved_result.grad_fn is power.grad_fn
    total = (product * 2.0).grad_fn
    assert total._saved_other == 2.0
    with pytest.raises(AttributeError, match="'MulBackward0' object has no attribute '_saved_dim'"):
        product.grad_fn._saved_dim  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'elsewhere'"):
        product.grad_fn.elsewhere  # noqa: B018


def test_saved_values_cannot_be_read_once_freed():
    x = leaf(1.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already"):
        y.grad_fn._saved_self  # noqa: B018


def test_a_saved_value_that_was_changed_cannot_be_read():
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y * y
    y.detach().mul_(2.0)
    with pytest.raises(
        RuntimeError, match=r"ExpBackward0, saved by MulBackward0 as 'self'.*version 1; exp"
    ):
        z.grad_fn._saved_self  # noqa: B018


def test_hooks_pack_and_unpack_what_the_gradients_read():
    x = leaf(1.0, 2.0, 3.0)
    hooks = Keep()
    with graph.saved_tensors_hooks(hooks.pack, hooks.unpack):
        y = x * x
        z = y.exp()
    assert hooks.packed[0] is x
    assert len(hooks.packed) == 3
    assert hooks.packed[2].grad_fn is z.grad_fn
    z.sum().backward()
    assert hooks.unpacked == 3
    values = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(x.grad.numpy(), 2 * values * np.exp(values**2))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x,
        lambda x: x * 3.0,
        lambda x: x * x[:, :1],
        lambda x: rd.softmax(x, 0),
        lambda x: rd.nn.functional.layer_norm(x, (3,)),
        lambda x: x @ x.mT,
        lambda x: rd.cat([x, x * x]),
        lambda x: x.gather(1, rd.tensor([[0, 2], [1, 1]])),
        lambda x: x.var(1),
        lambda x: x.max(1).values,
        lambda x: rd.where(x > 0, x * x, x),
        lambda x: x.clone().mul_(x),
        lambda x: x.cumprod(0),
        lambda x: x.t().exp(),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_are_the_same_through_hooks(function, create_graph):
    rd.manual_seed(0)
    x = rd.randn(2, 3, dtype=rd.float64, requires_grad=True)
    hooks = Keep()
    plain = function(x)
    cotangent = rd.randn(*plain.shape, dtype=rd.float64)
    with graph.saved_tensors_hooks(hooks.pack, hooks.unpack):
        through = function(x)
    (expected,) = rd.autograd.grad(plain, x, cotangent, create_graph=create_graph)
    (got,) = rd.autograd.grad(through, x, cotangent, create_graph=create_graph)
    np.testing.assert_array_equal(got.detach().numpy(), expected.detach().numpy())
    if create_graph and expected.requires_grad:
        again = rd.randn(2, 3, dtype=rd.float64)
        (expected,) = rd.autograd.grad(expected, x, again)
        (got,) = rd.autograd.grad(got, x, again)
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_gradients_use_what_the_unpack_hook_returns():
    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t * 10.0):
        y = x * x
    (g,) = rd.autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [20.0, 40.0]
    g.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_of_nested_hooks_the_innermost_is_used():
    x, outer, inner = leaf(1.0), Keep(), Keep()
    with graph.saved_tensors_hooks(outer.pack, outer.unpack):
        with graph.saved_tensors_hooks(inner.pack, inner.unpack):
            x * x
        assert (len(outer.packed), len(inner.packed)) == (0, 2)
        x * x
    assert (len(outer.packed), len(inner.packed)) == (2, 2)
    x * x
    assert (len(outer.packed), len(inner.packed)) == (2, 2)


def test_packed_values_are_released_with_the_graph():
    class Content:
        def __init__(self, tensor):
            self.tensor = tensor

    x = leaf(1.0)
    made = []

    def pack(tensor):
        content = Content(tensor.detach())
        made.append(weakref.ref(content))
        return content

    with graph.saved_tensors_hooks(pack, lambda content: content.tensor):
        y = x.exp()
    assert made[0]() is not None
    y.backward(retain_graph=True)
    y.backward()
    assert made[0]() is None
    assert x.grad.item() == pytest.approx(2 * np.e)


def test_hooks_see_what_a_custom_function_saves():
    class Cube(rd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x * x * grad

    x, hooks = leaf(2.0), Keep()
    with graph.saved_tensors_hooks(hooks.pack, hooks.unpack):
        y = Cube.apply(x)
    assert hooks.packed[0] is x
    (g,) = rd.autograd.grad(y, x, create_graph=True)
    g.backward()
    assert (g.item(), x.grad.item()) == (12.0, 12.0)


def test_what_hooks_may_not_do():
    x = leaf(1.0)
    with graph.saved_tensors_hooks(lambda t: 1, lambda t: 2):
        y = x * x
    with pytest.raises(TypeError, match="expected to be a Tensor but got result of type int"):
        y.backward()

    def changes(t):
        return t.add_(1.0)

    with (
        graph.saved_tensors_hooks(changes, lambda t: t),
        pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
    ):
        x * x


def test_hooks_can_be_disabled():
    hooks = graph.saved_tensors_hooks(lambda t: t, lambda t: t)
    disabled = graph.disable_saved_tensors_hooks
    with disabled("not in here"), pytest.raises(RuntimeError, match="not in here"), hooks:
        pass
    with hooks, pytest.raises(RuntimeError, match="not in here"), disabled("not in here"):
        pass


def test_an_error_leaves_the_modes_as_they_were():
    with pytest.raises(ZeroDivisionError), graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        raise ZeroDivisionError
    from rederive.modes import modes

    assert modes.saved_hooks is None
    assert not modes.active


def test_hooks_on_one_saved_tensor():
    x = leaf(1.0, 2.0)
    y = x * x
    raw = y.grad_fn._raw_saved_self
    raw.register_hooks(lambda t: t + 1.0, lambda t: t * 10.0)
    assert raw.data.tolist() == [20.0, 30.0]
    with pytest.raises(RuntimeError, match="hooks have already been set"):
        raw.register_hooks(lambda t: t, lambda t: t)
    y.sum().backward()
    assert x.grad.tolist() == [21.0, 32.0]


def test_save_on_cpu_keeps_a_copy():
    x = leaf(1.0, 2.0)
    with graph.save_on_cpu(pin_memory=True):
        y = x.clone()
        z = y * y
    y.detach().zero_()
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_saved_tensors_may_be_changed_where_that_is_allowed():
    x = leaf(0.5, 1.0)
    with graph.allow_mutation_on_saved_tensors():
        y = x.clone()
        z = y.sin()
        y.sin_()
        w = y * y
        y[0] = 7.0
        y.zero_()
        again = graph.allow_mutation_on_saved_tensors()
        with pytest.raises(RuntimeError, match="contexts cannot be nested"), again:
            pass
        (g,) = rd.autograd.grad(z.sum(), x, retain_graph=True)
        np.testing.assert_allclose(g.numpy(), np.cos([0.5, 1.0]))
        (g,) = rd.autograd.grad(w.sum(), x)
        np.testing.assert_allclose(g.numpy(), 2 * np.sin([0.5, 1.0]) * np.cos([0.5, 1.0]))
    with pytest.raises(AssertionError, match="Trying to backward outside of the"):
        z.sum().backward()


def test_what_was_saved_can_be_cleared():
    x = leaf(0.5)
    with graph.allow_mutation_on_saved_tensors() as saved:
        y = x.clone().exp()
        held = weakref.ref(y._flat.base if y._flat.base is not None else y._flat)
        z = y.sin()
        del y
        saved.clear()
        with pytest.raises(AssertionError, match="Trying to backward outside of the"):
            z.backward()
    del z
    gc.collect()
    assert held() is None


def test_increment_version():
    x = leaf(1.0, 2.0)
    y = x.clone()
    z = y * y
    graph.increment_version(y)
    assert y._version == 1
    graph.increment_version([x, y])
    assert y._version == 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match=r"increment_version expect a Iterable\[Tensor\]"):
        graph.increment_version(3)
