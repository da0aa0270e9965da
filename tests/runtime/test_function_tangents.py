"""Forward mode through custom Functions, alone and mixed with reverse mode at any depth."""

import gc
import weakref

import pytest
import rederive as rd
from hand_nodes import leaf
from rederive import autograd, func
from rederive.autograd import Function, forward_ad


class Cube(Function):
    """Keeps its input."""

    @staticmethod
    def forward(x):
        return x * x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return 3 * x * x * tangent


class Exp(Function):
    """Keeps its output."""

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


class CubeInPlace(Function):
    """Changes its input, and the tangent of that."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        ctx.x = x.clone()
        return x.pow_(3)

    @staticmethod
    def backward(ctx, grad):
        return 3 * ctx.x * ctx.x * grad

    @staticmethod
    def jvp(ctx, tangent):
        return tangent.mul_(3 * ctx.x * ctx.x)


def made(**methods):
    return type("Made", (Function,), {key: staticmethod(f) for key, f in methods.items()})


def dual(values=(1.0, 2.0), tangent=(1.0, 10.0)):
    return forward_ad.make_dual(leaf(values, False), leaf(tangent, False))


def tangent_of(t):
    return forward_ad.unpack_dual(t).tangent


@pytest.mark.parametrize("function", [Cube, Exp])
def test_derivatives_of_both_modes(function):
    x = leaf([0.5, 1.5])
    assert autograd.gradcheck(function.apply, x, check_forward_ad=True)
    assert autograd.gradgradcheck(
        function.apply, x, check_fwd_over_rev=True, check_rev_over_rev=True
    )


@pytest.mark.parametrize("outer", [func.jacfwd, func.jacrev])
@pytest.mark.parametrize("middle", [func.jacfwd, func.jacrev])
@pytest.mark.parametrize("inner", [func.jacfwd, func.jacrev])
def test_third_derivatives_in_every_combination_of_modes(outer, middle, inner):
    def function(x):
        return Exp.apply(Cube.apply(Exp.apply(Cube.apply(x))) * 0.1).sum()

    def plain(x):
        return ((x**3).exp() ** 3 * 0.1).exp().sum()

    x = leaf([0.3, 0.4], False)
    found = outer(middle(inner(function)))(x)
    wanted = func.jacrev(func.jacrev(func.jacrev(plain)))(x)
    assert rd.allclose(found, wanted, rtol=1e-9)


def test_the_tangent_of_an_input_changed_in_place_changes_with_it():
    with forward_ad.dual_level():
        base = dual((1.0, 2.0, 3.0), (1.0, 10.0, 100.0)) * 1
        view, other = base[1:], base[:2]
        assert CubeInPlace.apply(view) is view
        assert base.tolist() == [1.0, 8.0, 27.0]
        assert tangent_of(base).tolist() == [1.0, 120.0, 2700.0]
        assert tangent_of(view).tolist() == [120.0, 2700.0]
        assert tangent_of(other).tolist() == [1.0, 120.0]


def test_what_has_no_tangent_gets_one_with_what_is_written():
    def forward(ctx, target, x):
        ctx.mark_dirty(target)
        return target.add_(x)

    function = made(forward=forward, jvp=lambda ctx, target, x: target.add_(x))
    with forward_ad.dual_level():
        base = leaf([0.0, 0.0, 0.0], False)
        view = base[:2]
        function.apply(view, dual())
        assert tangent_of(view).tolist() == [1.0, 10.0]
        assert tangent_of(base).tolist() == [1.0, 10.0, 0.0]


def test_jvp_does_not_see_its_own_level():
    seen = []

    def forward(ctx, x):
        seen.append(tangent_of(x))
        ctx.save_for_forward(x)
        return x * 2

    def jvp(ctx, tangent):
        seen.append(tangent_of(ctx.saved_tensors[0]))
        return tangent * 2

    with forward_ad.dual_level():
        made(forward=forward, jvp=jvp).apply(dual())
    assert seen == [None, None]


def test_arguments_without_tangent_have_zeros_or_none():
    seen = []

    def forward(ctx, x, w, places, k, zeros):
        ctx.set_materialize_grads(zeros)
        return x * w

    def jvp(ctx, *tangents):
        seen.append([None if t is None else t.tolist() for t in tangents[1:]])
        return tangents[0]

    with forward_ad.dual_level():
        for zeros in (True, False):
            rest = leaf([1.0, 1.0]), rd.tensor([1, 2]), 3, zeros
            made(forward=forward, jvp=jvp).apply(dual(), *rest)
    assert seen == [[[0.0, 0.0], None, None, None], [None, None, None, None]]


def test_functions_without_jvp_refuse_forward_mode():
    function = made(forward=lambda ctx, x: x * 2)
    with forward_ad.dual_level():
        with pytest.raises(NotImplementedError, match="You must implement the jvp function"):
            function.apply(dual())
        assert function.apply(leaf([1.0])).item() == 2.0


def constant(ctx, x):
    result = x * 2
    ctx.mark_non_differentiable(result)
    return result


def written(ctx, x):
    ctx.mark_dirty(x)
    return x.mul_(2)


@pytest.mark.parametrize(
    ("forward", "jvp", "text"),
    [
        (lambda ctx, x: x * 2, lambda t: (t, t), r"number of forward gradients \(expected 1 but g"),
        (lambda ctx, x: x * 2, lambda t: rd.ones(3), r"is of size \[2\] while .* is of size \[3\]"),
        (
            lambda ctx, x: x * 2,
            lambda t: [t],
            r"expected Variable or None \(got list\) for grad out",
        ),
        (lambda ctx, x: x * 2, lambda t: t.long(), "its forward grad to be floating point"),
        (constant, lambda t: t, "position 0, but  the corresponding forward output is not a diff"),
        (lambda ctx, x: x > 1, lambda t: t, "the corresponding forward output is not a differ"),
        (
            lambda ctx, x: x,
            lambda t: t * 1,
            "returning a view .* but the jvp is not returning a view",
        ),
        (lambda ctx, x: x[:1], lambda t: t[:1] * 1, "but the jvp is not returning a view"),
        (written, lambda t: t * 2, "is not modifying the forward mode gradients inplace"),
    ],
)
def test_what_jvp_must_return(forward, jvp, text):
    function = made(forward=forward, jvp=lambda ctx, t: jvp(t))
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match=text):
        function.apply(dual())


def test_nothing_is_left_when_the_level_is_closed():
    gc.collect()
    gc.disable()
    try:
        with forward_ad.dual_level():
            x = leaf([1.0, 2.0])
            y = Exp.apply(forward_ad.make_dual(x, leaf([1.0, 1.0])))
            node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_an_error_in_forward_or_jvp_leaves_the_level_as_it_was():
    def failing(ctx, x):
        raise KeyError("on purpose")

    with forward_ad.dual_level():
        for methods in ({"forward": failing}, {"forward": lambda ctx, x: x * 2, "jvp": failing}):
            with pytest.raises(KeyError):
                made(**methods).apply(dual())
            assert rd.is_grad_enabled()
            assert tangent_of(dual() * 2).tolist() == [2.0, 20.0]
