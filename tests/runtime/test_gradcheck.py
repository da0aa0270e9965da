"""The checker must find wrong gradients, and leave right ones and the inputs alone."""

import numpy as np
import pytest
import rederive as rd
from hand_nodes import leaf
from rederive.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from rederive.tensor import from_array


def made(forward, backward, **members):
    """A Function that saves its inputs; `backward(grad, *inputs)`."""

    def call(ctx, *inputs):
        ctx.save_for_backward(*inputs)
        return forward(*inputs)

    def back(ctx, *grads):
        return backward(*grads, *ctx.saved_tensors)

    members = {name: staticmethod(f) for name, f in members.items()}
    members |= {"forward": staticmethod(call), "backward": staticmethod(back)}
    return type("Made", (Function,), members).apply


def tensor(*shape, seed=0):
    """A random float64 leaf."""
    return leaf(np.random.default_rng(seed).standard_normal(shape))


FAST = pytest.mark.parametrize("fast_mode", [False, True])


@FAST
def test_right_gradients_pass(fast_mode):
    x, w = tensor(3, 2), tensor(2, seed=1)
    f = made(lambda x, w: x * w, lambda g, x, w: (g * w, (g * x).sum(0)))
    assert gradcheck(f, (x, w), fast_mode=fast_mode)
    assert gradgradcheck(f, (x, w), fast_mode=fast_mode)
    assert gradgradcheck(f, (x, w), fast_mode=fast_mode, gen_non_contig_grad_outputs=True)
    assert gradgradcheck(f, (x, w), tensor(3, 2, seed=2), fast_mode=fast_mode)


@FAST
def test_formula_off_by_a_thousandth_is_found(fast_mode):
    f = made(lambda x: x.exp(), lambda g, x: g * x.exp() * 1.001)
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to inp"):
        gradcheck(f, tensor(4), rtol=1e-5, atol=1e-7, fast_mode=fast_mode)


@FAST
def test_missing_transpose_is_found(fast_mode):
    f = made(lambda a, b: a @ b, lambda g, a, b: (g @ b, a.T @ g))
    with pytest.raises(GradcheckError, match="with respect to input 0, MadeBackward"):
        gradcheck(f, (tensor(3, 3), tensor(3, 3, seed=1)), fast_mode=fast_mode)


@FAST
def test_missing_factor_in_second_order_is_found(fast_mode):
    right = made(lambda x: x * x, lambda g, x: g * 2 * x)
    inner = made(lambda g, x: g * 2 * x, lambda u, g, x: (u * 2 * x, u * g))
    wrong = made(lambda x: x * x, inner)
    assert gradgradcheck(right, tensor(3), fast_mode=fast_mode)
    assert gradcheck(wrong, tensor(3), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="MadeBackward"):
        gradgradcheck(wrong, tensor(3), fast_mode=fast_mode)


@FAST
def test_gradient_that_ignores_a_broadcast_is_found(fast_mode):
    # right but for the sum over the rows that `b` was added to
    f = made(lambda a, b: a * b, lambda g, a, b: (g * b, (g * a)[0]))
    with pytest.raises(GradcheckError, match="with respect to input 1"):
        gradcheck(f, (tensor(3, 2), tensor(2, seed=1)), fast_mode=fast_mode)


@FAST
def test_gradient_that_ignores_what_comes_in_is_found(fast_mode):
    f = made(lambda x: x.sum(), lambda g, x: x.detach() * 0 + 1)
    assert gradcheck(f, tensor(3), fast_mode=False, raise_exception=False) is False
    f = made(lambda x: x * 3, lambda g, x: g * g * 3)
    if not fast_mode:
        with pytest.raises(GradcheckError, match="not linear in the gradients of the outputs"):
            gradcheck(f, tensor(3))


@FAST
def test_missing_gradient_is_found(fast_mode):
    f = made(lambda a, b: a * b, lambda g, a, b: (g * b, None))
    with pytest.raises(GradcheckError, match="with respect to input 1"):
        gradcheck(f, (tensor(2), tensor(2, seed=1)), fast_mode=fast_mode)


def test_message_names_the_largest_deviation():
    def backward(g, x):
        factor = np.ones((2, 3))
        factor[0, 1], factor[1, 2] = 1.5, -1.0
        return g * from_array(factor)

    f = made(lambda x: x * 1, backward)
    text = (
        r"Jacobian mismatch for output 0 with respect to input 1, MadeBackward: the largest "
        r"deviation is at element \(1, 2\) of the input and element \(1, 2\) of the output: "
        r"numerical (1|0.9999\d*|1.0000\d*), analytical -1 \(atol=1e-05, rtol=0.001\); 2 of 36 "
        "elements are wrong"
    )
    with pytest.raises(GradcheckError, match=text):
        gradcheck(lambda k, x: f(x), (2, tensor(2, 3)))


def test_each_of_several_outputs_is_checked():
    def forward(x):
        return x * 2, x * 3

    right = made(forward, lambda g, h, x: g * 2 + h * 3)
    wrong = made(forward, lambda g, h, x: g * 2 + h * 2)
    assert gradcheck(right, tensor(3))
    assert gradgradcheck(right, tensor(3))
    with pytest.raises(GradcheckError, match="for output 1 with respect to input 0"):
        gradcheck(wrong, tensor(3))


def test_undefined_gradients_of_other_outputs():
    class Careless(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            return g * 2 + h * 3

    assert gradcheck(Careless.apply, tensor(3), check_undefined_grad=False)
    with pytest.raises(TypeError):
        gradcheck(Careless.apply, tensor(3))


def test_integer_arguments_and_outputs_are_left_out():
    x, index = tensor(3), rd.tensor([2, 0])
    assert gradcheck(lambda x, i, k: (x[i] * k, x.argmax()), (x, index, 2.0))


def test_inputs_keep_their_values_even_after_a_failure():
    x = tensor(4)
    before = x.numpy(force=True).copy()
    version = x._version
    calls = []

    def fails_later(x):
        calls.append(0)
        if len(calls) == 4:
            raise KeyError("mine")
        return x * 2

    with pytest.raises(KeyError):
        gradcheck(fails_later, x)
    np.testing.assert_array_equal(x.numpy(force=True), before)
    gradcheck(lambda x: x * x, x)
    np.testing.assert_array_equal(x.numpy(force=True), before)
    assert (x._version, x.grad) == (version, None)


@FAST
def test_strided_empty_and_scalar_inputs(fast_mode):
    strided = from_array(np.random.default_rng(0).standard_normal((3, 2)).T).requires_grad_()
    assert strided.stride() == (1, 2)
    assert gradcheck(lambda x: x * x.sum(), strided, fast_mode=fast_mode)
    assert gradcheck(lambda x: x * x, tensor(0, 3), fast_mode=fast_mode)
    assert gradcheck(lambda x: x * x, tensor(), fast_mode=fast_mode)
    assert gradgradcheck(lambda x: x * x, tensor(0, 3), fast_mode=fast_mode)


def test_views_of_the_input_as_output():
    assert gradcheck(lambda x: (x.view(6), x.t()), tensor(2, 3))


def test_computed_inputs_can_be_checked():
    assert gradcheck(lambda x: x.exp(), tensor(3) * 1.0)


def test_random_functions_fail_the_check_of_repetition():
    state = [0.0]

    def backward(g, x):
        state[0] += 1e-9
        return g * (2 + state[0])

    f = made(lambda x: x * 2, backward)
    with pytest.raises(GradcheckError, match="Backward is not reentrant"):
        gradcheck(f, tensor(2))
    assert gradcheck(f, tensor(2), nondet_tol=1e-6)


def test_output_without_gradient_must_be_constant():
    assert gradcheck(lambda x: rd.ones(2), tensor(2))
    with pytest.raises(GradcheckError, match="Numerical gradient for function expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, tensor(2))


@FAST
def test_forward_mode_is_checked_on_request(fast_mode):
    f = made(lambda x: x * 3, lambda g, x: g * 3, jvp=lambda ctx, t: t * 2)
    assert gradcheck(f, tensor(3), fast_mode=fast_mode)
    text = "forward mode"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(3), check_forward_ad=True, fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(3), check_forward_ad=True, check_backward_ad=False, fast_mode=fast_mode)
    assert gradcheck(
        lambda x, w: (x * w).exp(),
        (tensor(3), tensor(3)),
        check_forward_ad=True,
        fast_mode=fast_mode,
    )


def test_forward_over_reverse():
    x, w = tensor(3, 2), tensor(2, seed=1)
    f = lambda x, w: (x * w).exp().sum(1)  # noqa: E731
    assert gradgradcheck(f, (x, w), check_fwd_over_rev=True)
    assert gradgradcheck(f, (x, w), check_fwd_over_rev=True, check_rev_over_rev=False)


def test_arguments_that_cannot_be_checked():
    with pytest.raises(ValueError, match="expects at least one input tensor to require gradient"):
        gradcheck(lambda x: x, leaf([1.0], False))
    with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
        gradcheck(lambda x: x, leaf([1.0]).expand(3))
    batched = {"check_forward_ad": True, "check_batched_forward_grad": True}
    with pytest.raises(NotImplementedError, match="needs tangents in batches, which do not exist"):
        gradcheck(lambda x: x, leaf([1.0]), **batched)
    with pytest.raises(ValueError, match="requires check_forward_ad to be True"):
        gradcheck(lambda x: x, leaf([1.0]), check_batched_forward_grad=True)
    with pytest.raises(ValueError, match="requires check_backward_ad to be True"):
        gradcheck(
            lambda x: x,
            leaf([1.0]),
            check_batched_grad=True,
            check_backward_ad=False,
            check_forward_ad=True,
        )
    with pytest.raises(ValueError, match="at least one of check_forward_ad and check_backward_ad"):
        gradcheck(lambda x: x, leaf([1.0]), check_backward_ad=False)
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double prec"):
        gradcheck(lambda x: x * 2, rd.ones(2).requires_grad_(), eps=1e-2)


def test_dtype_of_gradients_on_request():
    with pytest.warns(UserWarning, match="double precision"):
        assert gradcheck(
            lambda x: x * 2, rd.ones(2).requires_grad_(), eps=1e-2, check_grad_dtypes=True
        )


def test_batches_of_gradients_are_compared_with_single_ones():
    x = tensor(3, 2)
    assert gradcheck(lambda x: (x * x, x.sum(0)), x, check_batched_grad=True)
    state = {"calls": 0}

    def backward(grad, x):
        # wrong in the batch alone, after 8 elements, all of them at once, and two equal passes
        state["calls"] += 1
        return grad * x * (3.0 if state["calls"] in (12, 13) else 2.0)

    square = made(lambda x: x * x, backward)
    with pytest.raises(GradcheckError, match="computed in a batch differ from those computed one"):
        gradcheck(square, tensor(8), check_batched_grad=True)
