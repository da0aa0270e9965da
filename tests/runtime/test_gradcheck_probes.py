"""The checker looks at more than numbers: repetition, undefined gradients, dtypes, batches."""

import numpy as np
import pytest
import rederive as rd
from hand_functions import FAST, made, tensor
from hand_nodes import ScaleBackward0, leaf, tie
from rederive.autograd import Function, GradcheckError, gradcheck, gradgradcheck, gradients
from rederive.modes import modes

# --- repetition --------------------------------------------------------------------------------


@FAST
def test_backward_that_does_not_repeat_is_found(fast_mode):
    state = [0.0]

    def backward(g, x):
        state[0] += 1e-9
        return g * (2 + state[0])

    f = made(lambda x: x * 2, backward)
    text = "Backward is not reentrant, .* MadeBackward gives input 0 first .*, then .* was 0.0"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(2), fast_mode=fast_mode)
    assert gradcheck(f, tensor(2), fast_mode=fast_mode, raise_exception=False) is False
    assert gradcheck(f, tensor(2), fast_mode=fast_mode, nondet_tol=1e-6)


@FAST
def test_lack_of_repetition_is_told_before_the_wrong_numbers_it_makes(fast_mode):
    noise = np.random.default_rng(0)
    f = made(lambda x: x * 2, lambda g, x: g * (2 + noise.uniform()))
    with pytest.raises(GradcheckError, match="Backward is not reentrant"):
        gradcheck(f, tensor(2), fast_mode=fast_mode)


# --- undefined gradients -----------------------------------------------------------------------


def two(backward):
    """`x * 2` and `x * 3`, with a backward that sees None for an undefined gradient."""
    return made(lambda x: (x * 2, x * 3), backward, materialize=False)


@FAST
def test_backward_that_cannot_take_none_is_found(fast_mode):
    careless = two(lambda g, h, x: g * 2 + h * 3)
    text = (
        "Expected backward function to handle undefined output grads: with None for a gradient, "
        "MadeBackward raised TypeError: unsupported operand"
    )
    with pytest.raises(GradcheckError, match=text) as caught:
        gradcheck(careless, tensor(3), fast_mode=fast_mode)
    assert isinstance(caught.value.__cause__, TypeError)
    assert gradcheck(careless, tensor(3), fast_mode=fast_mode, raise_exception=False) is False
    assert gradcheck(careless, tensor(3), fast_mode=fast_mode, check_undefined_grad=False)


@FAST
def test_backward_that_takes_none_for_zeros_passes(fast_mode):
    def backward(g, h, x):
        if g is None and h is None:
            return None
        return (0 if g is None else g * 2) + (0 if h is None else h * 3)

    assert gradcheck(two(backward), tensor(3), fast_mode=fast_mode)
    assert gradgradcheck(two(backward), tensor(3), fast_mode=fast_mode)


@FAST
def test_backward_that_takes_none_for_something_else_is_found(fast_mode):
    def forgets(g, h, x):
        return x * 0 if g is None or h is None else g * 2 + h * 3

    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0"):
        gradcheck(two(forgets), tensor(3), fast_mode=fast_mode)
    assert gradcheck(two(forgets), tensor(3), fast_mode=fast_mode, check_undefined_grad=False)

    def invents(g, h, x):
        if g is None and h is None:
            return x.detach() * 0 + 1
        return (0 if g is None else g * 2) + (0 if h is None else h * 3)

    text = "Expected all input grads to be undefined or zero when all output grads are undefined or"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(two(invents), tensor(3), fast_mode=fast_mode)


@FAST
def test_single_output_without_a_gradient_is_tried(fast_mode):
    careless = made(lambda x: x * 2, lambda g, x: g * 2, materialize=False)
    with pytest.raises(GradcheckError, match="handle undefined output grads"):
        gradcheck(careless, tensor(3), fast_mode=fast_mode)
    # the Function lies deeper in the graph
    with pytest.raises(GradcheckError, match="handle undefined output grads"):
        gradcheck(lambda x: careless(x * 2).exp(), tensor(3), fast_mode=fast_mode)


def test_undefined_gradients_of_outputs_of_different_nodes():
    assert gradcheck(lambda x, y: (x * y, x.exp(), y.sum()), (tensor(3), tensor(3, seed=1)))


# --- dtypes and shapes -------------------------------------------------------------------------


class NarrowBackward0(ScaleBackward0):
    """A node that forgets in which precision it works."""

    __slots__ = ()

    def apply(self, grad):
        return (grad * self.saved[0]).astype(np.float32)


def narrow(t):
    return tie(NarrowBackward0, (t,), t._nd() * 2.0, (2.0,))


@FAST
def test_gradient_of_another_dtype_is_found_on_request(fast_mode):
    text = "Gradient has dtype mismatch: NarrowBackward0: the gradient of input 0 has dtype .*32; "
    with pytest.raises(GradcheckError, match=text):
        gradcheck(narrow, tensor(2), fast_mode=fast_mode, check_grad_dtypes=True)
    assert gradcheck(narrow, tensor(2), fast_mode=fast_mode)
    # what a custom Function returns is converted, as PyTorch does
    f = made(lambda x: x * 2, lambda g, x: (g * 2).float())
    assert gradcheck(f, tensor(2), fast_mode=fast_mode, check_grad_dtypes=True)
    with pytest.warns(UserWarning, match="double precision"):
        x = rd.ones(2).requires_grad_()
        assert gradcheck(lambda x: x * 2, x, eps=1e-2, check_grad_dtypes=True, fast_mode=fast_mode)


def test_tangent_of_another_dtype_is_found_on_request():
    f = made(lambda x: x * 2, lambda g, x: g * 2, jvp=lambda ctx, t: (t * 2).float())
    options = {"check_forward_ad": True}
    assert gradcheck(f, tensor(2), **options)
    text = "Forward AD gradient has dtype mismatch: MadeBackward: the tangent of output 0"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(2), check_grad_dtypes=True, **options)


class ShortBackward0(ScaleBackward0):
    """A node that loses an element of the gradient."""

    __slots__ = ()

    def apply(self, grad):
        return rd.ones(1, dtype=rd.float64)


@FAST
def test_gradient_of_another_shape_is_found(fast_mode):
    text = (
        r"Analytical gradient has incorrect size: ShortBackward0: the gradient of input 0 has "
        r"shape \(1,\); it must have the shape of the input, \(2,\)"
    )
    with pytest.raises(GradcheckError, match=text):
        gradcheck(lambda t: tie(ShortBackward0, (t,), t._nd() * 2.0, ()), tensor(2))


# --- forward mode ------------------------------------------------------------------------------


@FAST
def test_forward_mode_is_checked_on_request(fast_mode):
    f = made(lambda x: x * 3, lambda g, x: g * 3, jvp=lambda ctx, t: t * 2)
    assert gradcheck(f, tensor(3), fast_mode=fast_mode)
    text = "Jacobian computed with forward mode mismatch for output 0 with respect to input 0,"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(3), check_forward_ad=True, fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(3), check_forward_ad=True, check_backward_ad=False, fast_mode=fast_mode)
    options = {"check_forward_ad": True, "fast_mode": fast_mode}
    assert gradcheck(lambda x, w: (x * w).exp(), (tensor(3), tensor(3)), **options)
    wrong_backward = made(lambda x: x * 3, lambda g, x: g * 2, jvp=lambda ctx, t: t * 3)
    assert gradcheck(wrong_backward, tensor(3), check_backward_ad=False, **options)


@FAST
def test_tangent_of_one_input_alone_must_do(fast_mode):
    class Product(Function):
        wrong = False

        @staticmethod
        def forward(ctx, x, y):
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return (None, None) if g is None else (g * y, g * x)

        @classmethod
        def jvp(cls, ctx, s, t):
            x, y = ctx.saved_tensors
            if cls.wrong and (s is None or t is None):
                return x * y
            return cls.sum(None if s is None else s * y, None if t is None else t * x)

        @staticmethod
        def sum(a, b):
            return a if b is None else b if a is None else a + b

    class Careless(Product):
        @staticmethod
        def sum(a, b):
            return a + b

    class Wrong(Product):
        wrong = True

    pair = (tensor(3), tensor(3, seed=1))
    options = {"fast_mode": fast_mode, "check_forward_ad": True}
    assert gradcheck(Product.apply, pair, **options)
    with pytest.raises(
        GradcheckError, match="handle undefined tangents: without one for input 0, "
    ):
        gradcheck(Careless.apply, pair, **options)
    with pytest.raises(GradcheckError, match="Mismatch in tangent values for output with index: 0"):
        gradcheck(Wrong.apply, pair, **options)
    assert gradcheck(Careless.apply, pair, check_undefined_grad=False, **options)


@FAST
def test_forward_over_reverse(fast_mode):
    x, w = tensor(3, 2), tensor(2, seed=1)

    def f(x, w):
        return (x * w).exp().sum(1)

    options = {"check_fwd_over_rev": True, "fast_mode": fast_mode}
    assert gradgradcheck(f, (x, w), **options)
    alone = {"check_rev_over_rev": False, "check_undefined_grad": False}
    assert gradgradcheck(f, (x, w), **alone, **options)
    # a gradient whose own forward mode is wrong
    double = made(lambda g: g * 2, lambda u, g: u * 2, jvp=lambda ctx, t: t * 3)
    square = made(lambda x: x * x, lambda g, x: double(g * x), jvp=lambda ctx, t: t)
    assert gradgradcheck(square, x, fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="computed with forward mode mismatch"):
        gradgradcheck(square, x, **options)


# --- batches -----------------------------------------------------------------------------------


def test_batches_of_gradients_are_compared_with_single_ones(monkeypatch):
    x = tensor(3, 2)
    options = {"check_batched_grad": True}
    assert gradcheck(lambda x, y: (x * x, x.sum(0)), (x, tensor(2)), **options)
    assert gradgradcheck(lambda x: x * x, x, **options)
    state = {"batch": 0}

    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * (2.0 + state["batch"])

    batched = gradients._batched

    def wrong(*arguments):
        state["batch"] = 1
        try:
            return batched(*arguments)
        finally:
            state["batch"] = 0

    monkeypatch.setattr(gradients, "_batched", wrong)
    text = "For output 0 and input 0: SquareBackward: derivatives computed in a batch differ"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(Square.apply, tensor(8), **options)


def test_batches_of_tangents_are_compared_with_single_ones():
    options = {"check_forward_ad": True, "check_batched_forward_grad": True}
    assert gradcheck(lambda x, y: (x * y, x.sum(0)), (tensor(3), tensor(3, seed=1)), **options)
    state = {"opening": None, "count": 0}

    def jvp(ctx, t):
        # wrong for the second tangent of one level
        opening = modes.openings[0]
        state["count"] = state["count"] + 1 if opening == state["opening"] else 0
        state["opening"] = opening
        return t * (2.0 + state["count"])

    f = made(lambda x: x * 2, lambda g, x: g * 2, jvp=jvp)
    with pytest.raises(GradcheckError, match="For output 0 and input 0: MadeBackward: derivatives"):
        gradcheck(f, tensor(2), **options)


# --- second order ------------------------------------------------------------------------------


@FAST
def test_second_order_of_several_inputs_and_outputs(fast_mode):
    def f(x, w):
        return (x * w).exp(), (x * x).sum() * w

    pair = (tensor(3, 2), tensor(2, seed=1))
    assert gradgradcheck(f, pair, fast_mode=fast_mode)
    given = (tensor(3, 2, seed=2), leaf([0.5, 2.0], requires_grad=False))
    assert gradgradcheck(f, pair, given, fast_mode=fast_mode)


@FAST
def test_gradient_that_cannot_be_differentiated_is_found(fast_mode):
    f = made(lambda x: x * x, lambda g, x: (g * 2 * x).detach())
    assert gradcheck(f, tensor(2), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="expected to be zero: output 0 has no grad_fn, but"):
        gradgradcheck(f, tensor(2), fast_mode=fast_mode)


def test_generated_gradients_are_strided_on_request():
    seen = []

    def backward(g, x):
        seen.append(g.is_contiguous())
        return g * 2

    f = made(lambda x: x * 2, backward)
    assert gradgradcheck(f, tensor(2, 3))
    assert all(seen)
    assert gradgradcheck(f, tensor(2, 3), gen_non_contig_grad_outputs=True)
    assert not all(seen)
