"""backward and grad: arguments, defaults and errors."""

import pytest
import rederive as rd
from hand_nodes import leaf, scale
from rederive import autograd


def test_root_that_needs_no_gradient_is_an_error():
    text = "element 0 of tensors does not require grad and does not have a grad_fn"
    with pytest.raises(RuntimeError, match=text):
        leaf([1.0], False).backward()


def test_gradient_is_implicit_for_one_element_only():
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar output"):
        scale(leaf([1.0, 2.0]), 2.0).backward()
    x = leaf([[1.0]])
    scale(x, 2.0).backward()
    assert x.grad.tolist() == [[2.0]]


def test_gradient_must_have_the_shape_of_the_root():
    text = (
        r"Mismatch in shape: grad_output\[0\] has a shape of rederive.Size\(\[2\]\) and "
        r"output\[0\] has a shape of rederive.Size\(\[3\]\)."
    )
    with pytest.raises(RuntimeError, match=text):
        scale(leaf([1.0, 2.0, 3.0]), 2.0).backward(leaf([1.0, 1.0], False))


def test_there_must_be_as_many_gradients_as_roots():
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        autograd.backward([x, x], [leaf([1.0])])


def test_a_leaf_may_be_its_own_root():
    x = leaf([1.0, 2.0])
    given = leaf([3.0, 4.0], False)
    x.backward(given)
    assert x.grad.tolist() == [3.0, 4.0]
    assert x.grad._data is not given._data


def test_roots_may_repeat_and_depend_on_each_other():
    x = leaf([1.0])
    y = scale(x, 2.0)
    z = scale(y, 3.0)
    autograd.backward([y, z, y])
    assert x.grad.item() == 2 + 6 + 2


def test_gradient_of_another_dtype_is_converted():
    x = leaf([1.0])
    scale(x, 2.0).backward(rd.tensor([3]))
    assert x.grad.tolist() == [6.0]
    assert x.grad.dtype is rd.float64


def test_grad_returns_a_tuple_and_leaves_grad_alone():
    x = leaf([1.0])
    assert [g.item() for g in autograd.grad(scale(x, 2.0), x)] == [2.0]
    assert x.grad is None


def test_grad_of_several_outputs_is_the_sum():
    x = leaf([1.0])
    (g,) = autograd.grad([scale(x, 2.0), scale(x, 5.0)], [x], [leaf([1.0]), leaf([10.0])])
    assert g.item() == 52.0


def test_unused_input():
    x, other = leaf([1.0]), leaf([1.0, 1.0])
    y = scale(x, 2.0)
    text = "The differentiated Tensor at index 1 appears to not have been used in the graph. Set "
    with pytest.raises(RuntimeError, match=text + "allow_unused=True if this is the desired beh"):
        autograd.grad(y, [x, other], retain_graph=True)
    assert autograd.grad(y, other, retain_graph=True, allow_unused=True) == (None,)
    (zeros,) = autograd.grad(y, other, retain_graph=True, materialize_grads=True)
    assert zeros.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed when"):
        autograd.grad(y, other, allow_unused=False, materialize_grads=True)


def test_inputs_must_exist_and_require_gradients():
    y = scale(leaf([1.0]), 2.0)
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `grad\(\)` cannot be empty."):
        autograd.grad(y, [])
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `backward\(\)` cannot be empty."):
        y.backward(inputs=[])
    with pytest.raises(RuntimeError, match="One of the differentiated Tensors does not require gr"):
        autograd.grad(y, leaf([1.0], False))


def test_backward_into_chosen_inputs_only():
    x, w = leaf([2.0]), leaf([3.0])
    middle = x * w
    y = middle * middle
    y.backward(inputs=[w, middle])
    assert (x.grad, w.grad.item(), middle.grad.item()) == (None, 24.0, 12.0)


def test_backward_into_an_input_that_retains_its_gradient_adds_once():
    x = leaf([2.0])
    y = x * x
    y.retain_grad()
    (y * 3.0).backward(inputs=[y])
    assert y.grad.item() == 3.0


def test_a_leaf_that_no_longer_wants_a_gradient_gets_none():
    x = leaf([1.0])
    y = scale(x, 2.0)
    x.requires_grad_(False)
    y.backward()
    assert x.grad is None


def test_second_and_third_derivatives():
    x = leaf([2.0])
    y = x * x * x * x
    (first,) = autograd.grad(y, x, create_graph=True)
    (second,) = autograd.grad(first, x, create_graph=True)
    (third,) = autograd.grad(second, x)
    assert [g.item() for g in (first, second, third)] == [32.0, 48.0, 48.0]
    assert not third.requires_grad


def test_create_graph_keeps_what_was_saved():
    x = leaf([2.0])
    y = x * x
    autograd.grad(y, x, create_graph=True)
    assert autograd.grad(y, x)[0].item() == 4.0


def test_gradient_with_respect_to_the_gradient_of_the_root():
    x, u = leaf([2.0]), leaf([5.0])
    (g,) = autograd.grad(x * x, x, u, create_graph=True)
    assert autograd.grad(g, u)[0].item() == 4.0


def test_backward_inside_no_grad_still_computes_gradients():
    x = leaf([2.0])
    y = x * x
    with rd.no_grad():
        y.backward()
    assert x.grad.item() == 4.0


def test_a_graph_that_saved_nothing_can_run_again():
    x = rd.ones(3, requires_grad=True)
    y = (x + 1.0).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    z = (x * x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        z.backward()
