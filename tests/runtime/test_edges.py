"""Edges, accumulators, hooks that watch several tensors, and when the gradient of a leaf is due."""

import gc
import weakref

import numpy as np
import pytest
import rederive as rd
from rederive import autograd
from rederive.autograd import graph


def leaf(*values):
    return rd.tensor(values, dtype=rd.float64, requires_grad=True)


def test_the_accumulator_of_a_leaf_is_a_node_with_hooks():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    node = y.grad_fn.next_functions[0][0]
    assert type(node).__name__ == "AccumulateGrad"
    assert isinstance(node, graph.Node)
    assert node is (x * 3.0).grad_fn.next_functions[0][0]
    assert node.variable is x
    assert node.next_functions == ()
    assert node.metadata == {}
    seen = []
    node.register_prehook(lambda grads: seen.append(("before", grads[0].tolist())))
    node.register_hook(lambda ins, outs: seen.append(("after", ins, outs[0].tolist())))
    x.register_hook(lambda grad: seen.append(("tensor", grad.tolist())))
    x.register_post_accumulate_grad_hook(lambda t: seen.append(("done", t.grad.tolist())))
    y.sum().backward()
    two = [2.0, 2.0]
    assert seen == [("tensor", two), ("before", two), ("done", two), ("after", (), two)]


def test_hooks_of_an_accumulator_last_when_nobody_holds_it():
    x = leaf(1.0)
    (x * 2.0).grad_fn.next_functions[0][0].register_prehook(lambda grads: (grads[0] * 10.0,))
    gc.collect()
    (x * 2.0).backward()
    assert x.grad.tolist() == [20.0]


def test_a_leaf_that_has_hooks_is_not_kept_alive_by_them():
    x = leaf(1.0)
    x.register_hook(lambda grad: None)
    graph.get_gradient_edge(x).node.register_prehook(lambda grads: None)
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None


def test_nodes_can_be_called():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = x * y
    gradients = z.grad_fn(rd.ones(2, dtype=rd.float64))
    assert [g.tolist() for g in gradients] == [[3.0, 4.0], [1.0, 2.0]]
    assert gradients[0].requires_grad
    with pytest.raises(RuntimeError, match="MulBackward0: got 2 gradients; it has 1"):
        z.grad_fn(x, y)


def test_gradients_with_respect_to_edges():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    z = (y * y).sum()
    edge = graph.get_gradient_edge(y)
    assert edge == graph.GradientEdge(y.grad_fn, 0)
    assert edge.ownership_token is None
    del y
    (at_y, at_x) = autograd.grad(z, [edge, graph.get_gradient_edge(x)])
    assert at_y.tolist() == [6.0, 12.0]
    assert at_x.tolist() == [18.0, 36.0]


def test_edges_as_roots():
    x = leaf(1.0, 2.0)
    edge = graph.get_gradient_edge(x * x)
    (g,) = autograd.grad(edge, x, rd.tensor([1.0, 10.0], dtype=rd.float64), retain_graph=True)
    assert g.tolist() == [2.0, 40.0]
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        autograd.grad(edge, x, rd.ones(3))
    autograd.backward(edge, rd.ones(2, dtype=rd.float64))
    assert x.grad.tolist() == [2.0, 4.0]


def test_backward_into_an_edge():
    x, w = leaf(1.0), leaf(2.0)
    autograd.backward(x * w, inputs=graph.get_gradient_edge(x))
    assert x.grad.tolist() == [2.0]
    assert w.grad is None


def test_an_edge_needs_a_tensor_that_requires_grad():
    with pytest.raises(RuntimeError, match="It is not possible to get the gradient edge for a"):
        graph.get_gradient_edge(rd.ones(2))


def test_what_is_neither_tensor_nor_edge_is_refused():
    x = leaf(1.0)
    for outputs, inputs in ((x * x, [3]), ("loss", x), (None, x)):
        with pytest.raises(TypeError, match="expected a Tensor or a GradientEdge, got"):
            autograd.grad(outputs, inputs)


# --- hooks on several tensors --------------------------------------------------------------------


def test_a_hook_waits_for_all_gradients_of_a_pass():
    a, b, c, unused = leaf(1.0), leaf(2.0), leaf(3.0), leaf(4.0)
    seen = []
    handle = graph.register_multi_grad_hook((a, b, unused, c), seen.append)
    product = a * b
    (product * c).backward(retain_graph=True)
    assert [None if g is None else g.item() for g in seen[0]] == [6.0, 3.0, None, 2.0]
    product.backward()
    assert [None if g is None else g.item() for g in seen[1]] == [2.0, 1.0, None, None]
    handle.remove()
    (a * b).backward()
    assert len(seen) == 2


def test_a_hook_takes_the_first_gradient_of_each_pass():
    a, b = leaf(1.0), leaf(2.0)
    seen = []
    with graph.register_multi_grad_hook((a, b), seen.append, mode="any"):
        for _ in range(2):
            (a * b).backward()
    (a * b).backward()
    assert [g.item() for g in seen] == [2.0, 2.0]


def test_a_hook_on_computed_tensors_and_chosen_inputs():
    a = leaf(1.0)
    b, c = a * 2.0, a * 3.0
    seen = []
    graph.register_multi_grad_hook((b, c), seen.append)
    autograd.grad(b * c, b, retain_graph=True)
    assert [None if g is None else g.item() for g in seen[0]] == [3.0, None]
    (b * c).backward()
    assert [g.item() for g in seen[1]] == [3.0, 2.0]


def test_what_a_hook_on_several_tensors_must_be():
    with pytest.raises(ValueError, match=r"Expects mode to be one of \('all', 'any'\) but got one"):
        graph.register_multi_grad_hook([leaf(1.0)], print, mode="one")
    with pytest.raises(TypeError, match="must be callable"):
        graph.register_multi_grad_hook([leaf(1.0)], 3)
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        graph.register_multi_grad_hook([rd.ones(2)], print)


def test_hooks_on_several_tensors_leave_no_cycle():
    a = leaf(1.0)
    b = a * 2.0
    graph.register_multi_grad_hook((b,), print)
    node = weakref.ref(b.grad_fn)
    gc.disable()
    try:
        del b
        assert node() is None
    finally:
        gc.enable()


# --- when a leaf is done -------------------------------------------------------------------------


def test_a_leaf_with_hooks_is_finished_as_soon_as_its_gradient_is_complete():
    early, late = leaf(1.0), leaf(2.0)
    order = []
    late.register_post_accumulate_grad_hook(lambda t: order.append("late"))
    early.register_post_accumulate_grad_hook(lambda t: order.append("early"))
    first = early * early
    first.register_hook(lambda grad: order.append("first"))
    (first * late).backward()
    assert order == ["late", "first", "early"]


def test_a_leaf_that_is_used_twice_is_finished_once():
    x = leaf(1.0, 2.0)
    seen = []
    x.register_hook(lambda grad: seen.append(grad.tolist()))
    ((x * x).exp() * x).sum().backward()
    assert len(seen) == 1
    (g,) = autograd.grad(((x * x).exp() * x).sum(), x)
    assert len(seen) == 2
    np.testing.assert_allclose(x.grad.numpy(), g.numpy())


def test_hooks_of_leaves_that_are_not_asked_for_stay_silent():
    x, w = leaf(1.0), leaf(2.0)
    seen = []
    w.register_hook(lambda grad: seen.append("w"))
    w.register_post_accumulate_grad_hook(lambda t: seen.append("w accumulated"))
    autograd.grad(x * w, x)
    (x * w).backward(inputs=[x])
    assert seen == []


# --- batches of gradients ------------------------------------------------------------------------


def test_a_batch_of_gradients_gives_a_batch_of_results():
    x, unused = leaf(1.0, 2.0, 3.0), leaf(1.0)
    y = x * x
    rows, none = autograd.grad(
        y, (x, unused), rd.eye(3, dtype=rd.float64), is_grads_batched=True, allow_unused=True
    )
    assert rows.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    assert none is None
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.sum().backward()


def test_a_batch_of_gradients_can_be_differentiated():
    x = leaf(1.0, 2.0)
    (rows,) = autograd.grad(
        x**3.0, x, rd.eye(2, dtype=rd.float64), is_grads_batched=True, create_graph=True
    )
    (second,) = autograd.grad(rows.sum(), x)
    assert second.tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (rd.ones(2, 3), RuntimeError, r"If `is_grads_batched=True`, we interpret the first dimens"),
        (rd.ones(()), IndexError, r"grad_output\[0\] has no dimension"),
        (None, RuntimeError, "grad can be implicitly created only for scalar outputs"),
    ],
)
def test_a_batch_must_fit(given, error, text):
    x = leaf(1.0, 2.0)
    with pytest.raises(error, match=text):
        autograd.grad(x * x, x, given, is_grads_batched=True)


def test_batches_must_be_of_one_size():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"must have the same first dimension, got sizes \[2, 3\]"):
        autograd.grad((x * x, x * 2.0), x, (rd.ones(2, 2), rd.ones(3, 2)), is_grads_batched=True)


# --- several outputs -----------------------------------------------------------------------------


def test_the_views_of_one_call_are_outputs_of_one_node():
    x = rd.randn(3, 2, dtype=rd.float64, requires_grad=True)
    parts = x.unbind()
    assert [p.output_nr for p in parts] == [0, 1, 2]
    assert parts[0].grad_fn is parts[2].grad_fn
    assert parts[0].grad_fn.name() == "UnbindBackward0"
    seen = []
    parts[0].grad_fn.register_prehook(lambda grads: seen.append([g is None for g in grads]))
    (parts[0] + parts[2] * 2.0).sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]
    assert seen == [[False, True, False]]


def test_gradients_through_several_views_can_be_differentiated():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    first, second = x.split(2)
    (g,) = autograd.grad((first**3.0 * second).sum(), x, create_graph=True)
    assert g.tolist() == [9.0, 48.0, 1.0, 8.0]
    (h,) = autograd.grad(g.sum(), x)
    assert h.tolist() == [21.0, 60.0, 3.0, 12.0]


def test_one_of_several_outputs_that_is_not_used():
    x = leaf(1.0, 2.0)
    first, second = x.split(1)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        autograd.grad(first.sum(), second)
    assert autograd.grad(first.sum(), second, allow_unused=True) == (None,)


# --- layout and ownership of gradients -----------------------------------------------------------


def test_a_gradient_lies_in_memory_as_its_leaf():
    for t in (rd.ones(3, 2).t(), rd.ones(2, 3, 4).permute(2, 0, 1)):
        x = t.requires_grad_()
        (x * x).sum().backward()
        assert x.grad.stride() == x.stride()
        assert x.grad.tolist() == (2 * x.detach()).tolist()
    x = rd.ones(3, 4)[:, ::2].requires_grad_()
    (x * x).sum().backward()
    assert x.grad.stride() == (2, 1)
    x = rd.ones(1, 4).expand(3, 4).requires_grad_()
    (x * x).sum().backward()
    assert x.grad.stride() == (4, 1)


def test_the_gradient_that_was_given_is_not_the_gradient_that_is_kept():
    x = leaf(1.0, 2.0)
    given = rd.ones(2, dtype=rd.float64)
    (x + 0.0).backward(given)
    x.backward(given)
    assert given.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0]
    kept = x.grad
    x.sum().backward()
    assert x.grad is kept
    x.sum().backward(create_graph=True)
    assert x.grad is not kept
    assert kept.tolist() == [3.0, 3.0]


# --- passes within passes, and errors ------------------------------------------------------------


def test_a_backward_pass_inside_a_hook():
    x, w = leaf(1.0), leaf(3.0)
    y = x * 2.0

    def inner(grad):
        with rd.enable_grad():
            (w * w).backward()
        return grad * w.grad.detach()

    y.register_hook(inner)
    (y * y).backward()
    assert w.grad.tolist() == [6.0]
    assert x.grad.tolist() == [2 * 4.0 * 6.0]


@pytest.mark.parametrize("where", ["tensor", "leaf", "before", "after", "accumulated"])
def test_an_error_in_a_hook_leaves_the_engine_usable(where):
    x = leaf(1.0)
    y = x * 2.0

    def fails(*args):
        raise ZeroDivisionError("on purpose")

    handle = {
        "tensor": y.register_hook,
        "leaf": x.register_hook,
        "before": y.grad_fn.register_prehook,
        "after": y.grad_fn.register_hook,
        "accumulated": x.register_post_accumulate_grad_hook,
    }[where](fails)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        (y * 3.0).backward(retain_graph=True)
    handle.remove()
    x.grad = None
    assert rd.is_grad_enabled()
    (y * 3.0).backward()
    assert x.grad.tolist() == [6.0]
