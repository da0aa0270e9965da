"""Custom functions: what forward may do, what backward must give, and what is kept."""

import gc
import weakref

import pytest
import rederive as rd
from hand_nodes import leaf
from rederive import autograd
from rederive.autograd import Function
from rederive.autograd.function import once_differentiable


class Exp(Function):
    """Saves its output, and has a differentiable backward and a jvp."""

    @staticmethod
    def forward(ctx, x):
        result = x.exp()
        ctx.save_for_backward(result)
        ctx.save_for_forward(result)
        return result

    @staticmethod
    def backward(ctx, grad):
        (result,) = ctx.saved_tensors
        return grad * result

    @staticmethod
    def jvp(ctx, tangent):
        (result,) = ctx.saved_tensors
        return tangent * result


class Scaled(Function):
    """In the newer style; `factor` is no tensor."""

    @staticmethod
    def forward(x, weight, factor=2.0):
        return x * weight * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, weight, ctx.factor = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad * weight * ctx.factor, grad * x * ctx.factor, None


def make(forward, backward=None, **members):
    """A Function from two plain functions."""
    members = {name: staticmethod(f) for name, f in members.items()}
    if backward is not None:
        members["backward"] = staticmethod(backward)
    return type("Made", (Function,), {"forward": staticmethod(forward), **members})


def passing(ctx, grad):
    return grad


def test_gradients_of_both_orders():
    x = leaf([0.5, 1.5])
    assert autograd.gradcheck(Exp.apply, x)
    assert autograd.gradgradcheck(Exp.apply, x)
    w = leaf([2.0, 3.0])
    assert autograd.gradcheck(lambda x, w: Scaled.apply(x, w, 3.0), (x, w))
    assert autograd.gradgradcheck(Scaled.apply, (x, w))


def test_second_derivative_through_computed_inputs():
    x = leaf([0.5, 1.5])
    assert autograd.gradgradcheck(lambda x: Exp.apply(Scaled.apply(x * x, x)), x)


def test_node_is_named_for_the_function_and_is_the_context():
    y = Exp.apply(leaf([1.0]))
    assert y.grad_fn.name() == "ExpBackward"
    assert repr(y.grad_fn).startswith("<rederive.autograd.function.ExpBackward object at 0x")
    assert isinstance(y.grad_fn, autograd.function.BackwardCFunction)
    assert isinstance(y.grad_fn, autograd.function.FunctionCtx)
    assert Exp._backward_cls is type(y.grad_fn)
    assert y.grad_fn.saved_tensors[0].grad_fn is y.grad_fn
    assert y.grad_fn.needs_input_grad == (True,)


def test_nothing_is_recorded_inside_forward_or_without_need():
    seen = []

    def forward(ctx, x, w):
        seen.append((rd.is_grad_enabled(), ctx.needs_input_grad))
        return x * w

    function = make(forward, lambda ctx, grad: (grad, None))
    assert function.apply(leaf([1.0]), leaf([1.0], False)).requires_grad
    assert not function.apply(leaf([1.0], False), leaf([1.0], False)).requires_grad
    with rd.no_grad():
        assert not function.apply(leaf([1.0]), 3.0).requires_grad
    assert seen == [(False, (True, False)), (False, (False, False)), (False, (True, False))]


def test_default_and_keyword_arguments():
    x = leaf([3.0])
    assert Scaled.apply(x, x).item() == 18.0
    assert Scaled.apply(x, weight=x, factor=1.0).item() == 9.0
    assert Exp.apply(x=x).item() == Exp.apply(x).item()
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        Exp.apply(y=x)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda g: g, r"returned an incorrect number of gradients \(expected 2, got 1\)"),
        (lambda g: (g, g, g), r"returned an incorrect number of gradients \(expected 2, got 3\)"),
        (lambda g: (g, g), "returned a gradient different than None at position 2, but the corr"),
        (lambda g: (3, None), r"expected Variable or None \(got int\)"),
        (
            lambda g: (rd.ones(2), None),
            r"Function MadeBackward returned an invalid gradient at index 0 - got \[2\] but "
            r"expected shape compatible with \[3\]",
        ),
    ],
)
def test_what_backward_must_return(result, text):
    function = make(lambda ctx, x, k: x * k, lambda ctx, grad: result(grad))
    y = function.apply(leaf([1.0, 2.0, 3.0]), 2.0)
    with pytest.raises(RuntimeError, match=text):
        y.sum().backward()


def test_gradients_are_fitted_to_their_inputs():
    function = make(lambda ctx, x: x * 2, lambda ctx, grad: (rd.ones(2, 3), None, None))
    x = leaf([1.0, 2.0, 3.0])
    function.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    assert x.grad.dtype is rd.float64


def test_missing_methods():
    x = leaf([1.0])
    with pytest.raises(NotImplementedError, match="You must implement the forward function"):
        type("Empty", (Function,), {}).apply(x)
    y = make(lambda ctx, x: x * 2).apply(x)
    with pytest.raises(NotImplementedError, match="either the backward or vjp method"):
        y.backward()
    y = make(lambda ctx, x: x * 2, passing, vjp=passing).apply(x)
    with pytest.raises(RuntimeError, match="Implementing both 'backward' and 'vjp'"):
        y.backward()
    make(lambda ctx, x: x * 2, vjp=lambda ctx, grad: grad * 2).apply(x).backward()
    assert x.grad.item() == 2.0


def test_unused_outputs_have_zero_gradients_or_none():
    seen = []

    def forward(ctx, x, zeros):
        ctx.set_materialize_grads(zeros)
        return x * 2, "text", x * 3

    def backward(ctx, *grads):
        seen.append([g if g is None else g.tolist() for g in grads])
        return grads[0], None

    function = make(forward, backward)
    function.apply(leaf([1.0]), True)[0].backward()
    function.apply(leaf([1.0]), False)[0].backward()
    assert seen == [[[1.0], None, [0.0]], [[1.0], None, None]]


def test_outputs_without_gradient():
    def forward(ctx, x):
        top, place = x * 2, (x > 1).long()
        ctx.mark_non_differentiable(top)
        return top, place, x * 3

    top, place, rest = make(forward, lambda ctx, a, b, c: c * 3).apply(leaf([1.0]))
    assert (top.requires_grad, place.requires_grad, rest.requires_grad) == (False, False, True)
    assert rest.grad_fn.next_functions[0][1] == 0
    assert rest.output_nr == 2


def test_an_input_returned_as_it_is_becomes_a_view():
    x = leaf([1.0])
    y = make(lambda ctx, x: x, passing).apply(x)
    assert y is not x
    assert (x.grad_fn, y.grad_fn.name()) == (None, "MadeBackward")
    y.backward()
    assert x.grad.item() == 1.0
    plain = leaf([1.0], False)
    assert make(lambda ctx, x: x, passing).apply(plain) is not plain


def test_an_input_changed_in_place_gets_the_new_history():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(3.0)

    function = make(forward, lambda ctx, grad: grad * 3)
    x = leaf([1.0])
    y = x * 2
    assert function.apply(y) is y
    y.backward()
    assert (x.grad.item(), y.grad_fn.name()) == (6.0, "MadeBackward")
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in"):
        function.apply(leaf([1.0]))


def test_a_dirty_input_must_be_returned():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x * 2

    with pytest.raises(RuntimeError, match="Some elements marked as dirty during the forward"):
        make(forward, passing).apply(leaf([1.0]) * 1)


def test_only_tensors_can_be_saved():
    def forward(ctx, x):
        ctx.save_for_backward(x, None, 3)
        return x * 2

    text = "save_for_backward can only save variables, but argument 2 is of type int"
    with pytest.raises(TypeError, match=text):
        make(forward, passing).apply(leaf([1.0]))


def test_saved_tensors_know_their_place_in_the_graph():
    def forward(ctx, x, y):
        ctx.save_for_backward(x, None, y, x.detach() * 2)
        return x * y

    x = leaf([1.0])
    y = x * 2
    z = make(forward, lambda ctx, grad: (grad, grad)).apply(x, y)
    saved = z.grad_fn.saved_tensors
    assert saved[0] is x
    assert saved[1] is None
    assert saved[2].grad_fn is y.grad_fn
    assert not saved[3].requires_grad


def test_saved_tensor_written_in_place_is_an_error():
    y = Exp.apply(leaf([1.0, 2.0]))
    z = y * 1
    with rd.no_grad():
        y.add_(1.0)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: .*ExpBackward"):
        z.sum().backward()


def test_saved_tensors_are_released_after_backward():
    y = Exp.apply(leaf([1.0]))
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already"):
        _ = y.grad_fn.saved_tensors


def test_memory_is_returned_without_the_garbage_collector():
    gc.disable()
    try:
        y = Exp.apply(leaf([1.0]))
        node, data = weakref.ref(y.grad_fn), weakref.ref(y._data)
        del y
        assert (node(), data()) == (None, None)
    finally:
        gc.enable()


def test_once_differentiable_refuses_a_second_time():
    def backward(ctx, grad):
        assert not rd.is_grad_enabled()
        (x,) = ctx.saved_tensors
        return grad * 2 * x

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    x = leaf([3.0])
    y = make(forward, once_differentiable(backward)).apply(x)
    (g,) = autograd.grad(y, x, create_graph=True)
    assert (g.item(), g.requires_grad) == (6.0, False)
    (g,) = autograd.grad(y * x, x, create_graph=True)
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was"):
        autograd.grad(g, x)


def test_arguments_must_have_a_position():
    class Keyword(Function):
        @staticmethod
        def forward(ctx, x, *, k):
            return x * k

    with pytest.raises(TypeError, match=r"forward\(\) got an unexpected keyword argument 'k'"):
        Keyword.apply(leaf([1.0]), k=2.0)


def test_instances_are_of_no_use():
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = Exp(3)
    with pytest.raises(RuntimeError, match="Legacy autograd function with non-static forward"):
        instance(leaf([1.0]))
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        assert autograd.function.InplaceFunction(inplace=True).inplace


def test_old_names_of_the_context():
    def forward(ctx, x):
        ctx.save_for_backward(x)
        with pytest.warns(FutureWarning, match="mark_shared_storage is deprecated"):
            ctx.mark_shared_storage((x, x))
        with pytest.raises(TypeError, match="got int; a bool is required"):
            ctx.set_materialize_grads(1)
        return x * 2

    y = make(forward, passing).apply(leaf([1.0]))
    with pytest.warns(DeprecationWarning, match="use 'saved_tensors'"):
        assert len(y.grad_fn.saved_variables) == 1


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("mark_dirty", "mark_dirty can only accept variables, but argument 1 is of type list"),
        ("mark_non_differentiable", "only accepts variable arguments, but got list"),
    ],
)
def test_only_tensors_can_be_marked(mark, text):
    def forward(ctx, x):
        getattr(ctx, mark)(x, [x])
        return x

    with pytest.raises(RuntimeError, match=text):
        make(forward, passing).apply(leaf([1.0]) * 1)


def test_marking_what_is_no_input_as_dirty_warns():
    def forward(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y

    x = leaf([1.0])
    with pytest.warns(UserWarning, match="received a tensor that was not an input"):
        y = make(forward, lambda ctx, g: g * 2).apply(x)
    y.backward()
    assert x.grad.item() == 2.0


def test_saved_tensors_can_be_handed_out_once():
    alive = []

    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(y.detach() * 1)
        return y

    def backward(ctx, grad):
        (t,) = ctx.saved_tensors
        alive.append(weakref.ref(t._data))
        del t
        alive.append(alive[0]())
        with pytest.raises(RuntimeError, match="saved_tensors can only be accessed once"):
            _ = ctx.saved_tensors
        return grad * 2

    function = make(forward, backward)
    function.clear_saved_tensors_on_access = True
    function.apply(leaf([1.0])).backward()
    assert alive[1] is None


def test_gradients_can_come_in_a_list():
    def backward(ctx, grads):
        second, first = grads.pop(), grads.pop()
        return first * 2 + second * 3

    function = make(lambda ctx, x: (x * 2, x * 3), backward)
    function.boxed_grads_call = True
    x = leaf([1.0])
    a, b = function.apply(x)
    (a + b).backward()
    assert x.grad.item() == 5.0


def test_a_dirty_view_releases_its_graph_without_the_garbage_collector():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.exp_()
        ctx.save_for_backward(x)
        return x

    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]

    function = make(forward, backward)
    x = leaf([1.0, 2.0])
    gc.collect()
    gc.disable()
    try:
        base = x * 1
        view = base[:1]
        function.apply(view)
        node = weakref.ref(view.grad_fn)
        base.sum().backward()
        assert x.grad.tolist() == [base[0].item(), 1.0]
        del base, view
        assert node() is None
    finally:
        gc.enable()
