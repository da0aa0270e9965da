"""What one can ask of nodes, and hooks on tensors and nodes."""

import gc
import weakref

import numpy as np
import pytest
import rederive as rd
from hand_nodes import ScaleBackward0, add, leaf, scale, split, tie


def test_nodes_show_their_names_and_neighbours():
    x = rd.ones(2).requires_grad_()
    y = (x * 2).exp()
    assert y.grad_fn.name() == "ExpBackward0"
    assert repr(y.grad_fn).startswith("<ExpBackward0 object at 0x")
    ((below, number),) = y.grad_fn.next_functions
    assert number == 0
    assert below.name() == "MulBackward0"
    accumulator = below.next_functions[0][0]
    assert accumulator.variable is x
    assert accumulator.name() == "AccumulateGrad"
    assert repr(accumulator).startswith("<AccumulateGrad object at 0x")
    assert accumulator == below.next_functions[0][0]
    assert accumulator.next_functions == ()


def test_an_input_without_gradient_is_a_missing_neighbour():
    node = add(leaf([1.0]), leaf([1.0], False)).grad_fn
    assert node.next_functions[1] == (None, 0)


def test_outputs_of_one_node_are_numbered():
    first, second = split(leaf([1.0]))
    assert scale(second, 1.0).grad_fn.next_functions == ((first.grad_fn, 1),)


def test_metadata_is_a_dictionary_of_the_node():
    y = scale(leaf([1.0]), 2.0)
    y.grad_fn.metadata["layer"] = 3
    assert y.grad_fn.metadata == {"layer": 3}


def test_hook_on_a_computed_tensor_replaces_its_gradient():
    x = leaf([1.0, 2.0])
    y = scale(x, 3.0)
    handle = y.register_hook(lambda grad: scale(grad.detach().requires_grad_(), 10.0).detach())
    z = scale(y, 1.0)
    z.backward(leaf([1.0, 1.0], False), retain_graph=True)
    assert x.grad.tolist() == [30.0, 30.0]
    handle.remove()
    handle.remove()
    x.grad = None
    z.backward(leaf([1.0, 1.0], False))
    assert x.grad.tolist() == [3.0, 3.0]


def test_hook_on_a_leaf_sees_the_whole_gradient_once():
    x, seen = leaf([1.0]), []
    x.register_hook(lambda grad: seen.append(grad.item()))
    add(scale(x, 2.0), scale(x, 3.0), x).backward()
    assert seen == [6.0]
    assert x.grad.item() == 6.0


def test_hooks_run_in_the_order_of_registration():
    x, order = leaf([1.0]), []
    y = scale(x, 2.0)
    for name in "abc":
        y.register_hook(lambda grad, name=name: order.append(name))
    y.backward()
    assert order == ["a", "b", "c"]


def test_hook_of_one_output_leaves_the_other_alone():
    x = leaf([1.0])
    first, second = split(x)
    second.register_hook(lambda grad: grad * 10)
    rd.autograd.backward([first, second])
    assert x.grad.item() == 2.0 + 3.0 * 10


def test_hook_runs_once_when_its_tensor_is_an_input_of_grad():
    x, calls = leaf([1.0]), []
    y = scale(x, 2.0)

    def double(grad):
        calls.append(grad.item())
        return grad * 2

    y.register_hook(double)
    z = scale(y, 5.0)
    assert [g.item() for g in rd.autograd.grad(z, [y, x])] == [10.0, 20.0]
    assert calls == [5.0]


@pytest.mark.parametrize(
    ("returned", "error", "text"),
    [
        (3, TypeError, "expected Variable, but hook returned 'int'"),
        (leaf([1.0, 2.0, 3.0], False), RuntimeError, "hook 'wrong' has changed the size of value"),
        (rd.ones(2), RuntimeError, "hook 'wrong' has changed the type of value"),
    ],
)
def test_what_a_hook_may_not_return(returned, error, text):
    def wrong(grad):
        return returned

    x = leaf([1.0, 2.0])
    y = scale(x, 2.0)
    handle = y.register_hook(wrong)
    with pytest.raises(error, match=text):
        y.backward(leaf([1.0, 1.0], False), retain_graph=True)
    handle.remove()
    x.register_hook(wrong)
    with pytest.raises(error, match=text):
        y.backward(leaf([1.0, 1.0], False))


def test_hooks_need_a_tensor_that_requires_grad():
    text = "cannot register a hook on a tensor that doesn't require gradient"
    with pytest.raises(RuntimeError, match=text):
        leaf([1.0], False).register_hook(print)
    with pytest.raises(RuntimeError, match=text):
        leaf([1.0], False).register_post_accumulate_grad_hook(print)
    text = "post accumulate grad hooks cannot be registered on non-leaf tensors"
    with pytest.raises(RuntimeError, match=text):
        scale(leaf([1.0]), 2.0).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has"):
        leaf([1.0], False).retain_grad()


def test_post_accumulate_hook_runs_after_each_accumulation():
    x, seen = leaf([1.0]), []
    with x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.item()))):
        scale(x, 2.0).backward()
        scale(x, 3.0).backward(inputs=[x])
    scale(x, 3.0).backward()
    assert seen == [(True, 2.0), (True, 5.0)]


def test_post_accumulate_hook_may_take_the_gradient_away():
    x = leaf([1.0])

    def step(t):
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    scale(x, 2.0).backward()
    assert x.grad is None


def test_node_hooks_see_and_replace_what_goes_in_and_out():
    x = leaf([1.0])
    y = scale(x, 2.0)
    seen = []

    def before(grads):
        seen.append(grads[0].item())
        return (grads[0] * 10,)

    def after(inputs, outputs):
        seen.append((inputs[0].item(), outputs[0].item()))
        return (inputs[0] + 1,)

    y.grad_fn.register_prehook(before)
    y.grad_fn.register_hook(after)
    y.backward()
    assert seen == [1.0, (20.0, 10.0)]
    assert x.grad.item() == 21.0


def test_node_hook_must_return_as_many_gradients():
    y = scale(leaf([1.0]), 2.0)
    y.grad_fn.register_hook(lambda inputs, outputs: (None, None))
    with pytest.raises(RuntimeError, match=r"incorrect number of values \(got 2, but expected 1\)"):
        y.backward()


def test_retained_gradient_is_what_the_hooks_left_and_adds_up():
    x = leaf([1.0])
    y = scale(x, 2.0)
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda grad: grad * 3)
    z = scale(y, 5.0)
    z.backward(retain_graph=True)
    assert y.grad.item() == 15.0
    z.backward()
    assert (y.grad.item(), y.retains_grad) == (30.0, True)


def test_retained_gradient_is_not_shared_with_the_leaf():
    x = leaf([1.0])
    y = add(x, x)
    y.retain_grad()
    y.backward()
    y.grad.numpy()[0] = 9.0
    assert x.grad.item() == 2.0


def test_a_node_does_not_keep_the_tensor_that_retains_its_gradient():
    gc.disable()
    try:
        y = scale(leaf([1.0]), 2.0)
        z = scale(y, 1.0)
        y.retain_grad()
        y.register_hook(lambda grad: None)
        gone = weakref.ref(y)
        del y
        assert gone() is None
        z.backward()
    finally:
        gc.enable()


@pytest.mark.parametrize("times", [1, 3])
def test_gradients_that_nobody_else_holds_are_not_copied(times):
    made = []

    class Watched(ScaleBackward0):
        __slots__ = ()

        def apply(self, grad):
            out = grad * self.saved[0]
            made.append(id(out))
            return out

    x = leaf([1.0, 2.0])
    roots = [tie(Watched, (x,), [0.0, 0.0], (2.0,)) for _ in range(times)]
    rd.autograd.backward(roots, [leaf([1.0, 1.0], False)] * times)
    assert id(x.grad._flat) == made[0]
    np.testing.assert_array_equal(x.grad.numpy(), [2.0 * times, 2.0 * times])
