"""The checker must find wrong gradients, and leave right ones and the inputs alone."""

import inspect
import re

import numpy as np
import pytest
import rederive as rd
from hand_functions import FAST, made, tensor
from hand_nodes import leaf
from rederive.autograd import GradcheckError, gradcheck, gradgradcheck
from rederive.tensor import from_array


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
    with pytest.raises(GradcheckError, match="with respect to input 0,\n"):
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
    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output"):
        gradcheck(f, tensor(3), fast_mode=fast_mode)
    # right for gradients of 0 and 1, which are all that a Jacobian takes
    f = made(lambda x: x * 3, lambda g, x: g * g * 3)
    text = (
        "Jacobian mismatch" if fast_mode else "not linear in the gradients of the outputs: thrice"
    )
    with pytest.raises(GradcheckError, match=text):
        gradcheck(f, tensor(3), fast_mode=fast_mode)


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
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda k, x: f(x), (2, tensor(2, 3)))
    heading, numerical, *rows, last = str(caught.value).splitlines()
    assert heading == "Jacobian mismatch for output 0 with respect to input 1,"
    assert numerical.startswith("numerical:tensor([[1.") and len(rows) == 12
    assert rows[5] == "analytical:tensor([[ 1.0000,  0.0000,  0.0000,  0.0000,  0.0000,  0.0000],"
    text = (
        r"MadeBackward: the largest deviation is at element \(1, 2\) of the input and element "
        r"\(1, 2\) of the output: numerical (1|0.9999\d*|1.0000\d*), analytical -1 \(atol=1e-05, "
        r"rtol=0.001\); 2 of 36 elements are wrong"
    )
    assert re.fullmatch(text, last)


def test_each_of_several_outputs_is_checked():
    def forward(x):
        return x * 2, x * 3

    right = made(forward, lambda g, h, x: g * 2 + h * 3)
    wrong = made(forward, lambda g, h, x: g * 2 + h * 2)
    assert gradcheck(right, tensor(3))
    assert gradgradcheck(right, tensor(3))
    with pytest.raises(GradcheckError, match="for output 1 with respect to input 0"):
        gradcheck(wrong, tensor(3))


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


@FAST
def test_output_without_gradient_must_be_constant(fast_mode):
    assert gradcheck(lambda x: rd.ones(2), tensor(2), fast_mode=fast_mode)
    assert gradcheck(lambda x: x.argmax(), tensor(2), fast_mode=fast_mode)
    text = "Numerical gradient for function expected to be zero: output 0 has no grad_fn, but chang"
    with pytest.raises(GradcheckError, match=text):
        gradcheck(lambda x: x.detach() * 2, tensor(2), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=text):
        gradcheck(lambda x: x.detach() * np.nan, tensor(2))
    assert gradcheck(lambda x: (x * 2, x.detach() * 2), tensor(2), fast_mode=fast_mode)


def test_nan_agrees_with_nothing_and_infinity_with_itself():
    with pytest.raises(GradcheckError, match=r"numerical nan, analytical nan"):
        gradcheck(lambda x: (x - 9).sqrt(), tensor(2))
    f = made(lambda x: x * np.inf, lambda g, x: rd.where(g == 0, g, g * np.inf))
    assert gradcheck(f, leaf([1.0]), raise_exception=False) is False  # inf - inf in differences


# --- fast mode ---------------------------------------------------------------------------------


def test_fast_mode_shows_the_elements_behind_the_products():
    f = made(lambda x: x * 2, lambda g, x: g * 3)
    text = (
        r"Jacobian mismatch for output 0 with respect to input 0,\nnumerical:(\S+)\n"
        r"analytical:(\S+)\n\n.* In full:\n\n"
        r"Numerical:\n tensor\(\[\[2\..*, 0\..*\],\n +\[0\..*, 2\..*\]\], .*\)\n"
        r"Analytical:\n tensor\(\[\[3\., 0\.\],\n +\[0\., 3\.\]\], .*\)\n\n"
        r"The max per-element difference \(slow mode\) is: (1|0.9999\d*|1.0000\d*)\.\n"
        r"MadeBackward: the largest deviation is at element \(0,\) .*; 2 of 4 elements are wrong"
    )
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, tensor(2), fast_mode=True)
    found = re.fullmatch(text, str(caught.value))
    assert found, str(caught.value)
    assert float(found[2]) == pytest.approx(1.5 * float(found[1]))


def test_fast_mode_says_where_slow_mode_would_pass():
    # whole Jacobians are right: a gradient of ones and zeros cannot show what is wrong
    f = made(lambda x: x * 2, lambda g, x: g * g * 2)
    assert gradcheck(f, tensor(2), raise_exception=False) is False  # by linearity
    with pytest.raises(GradcheckError, match="element-wise differences are small"):
        gradcheck(f, tensor(2), fast_mode=True)


def test_fast_mode_does_not_write_down_what_is_too_large():
    f = made(lambda x: x * 2, lambda g, x: g * 3)
    assert gradcheck(lambda x: x * 2, tensor(4000), fast_mode=True)
    with pytest.raises(GradcheckError, match="have 16000000 elements, too many to compute"):
        gradcheck(f, tensor(4000), fast_mode=True)


def test_fast_mode_repeats_and_leaves_the_programs_numbers_alone():
    f = made(lambda x: x * 2, lambda g, x: g * 3)
    messages = []
    for seed in (1, 2):
        rd.manual_seed(seed)
        with pytest.raises(GradcheckError) as caught:
            gradcheck(f, tensor(3), fast_mode=True)
        messages.append(str(caught.value))
        drawn = rd.rand(2)
        rd.manual_seed(seed)
        assert drawn.tolist() == rd.rand(2).tolist()
    assert messages[0] == messages[1]


# --- arguments ---------------------------------------------------------------------------------


def test_signatures_are_those_of_pytorch():
    shared = {
        "eps": 1e-6,
        "atol": 1e-5,
        "rtol": 1e-3,
        "raise_exception": True,
        "nondet_tol": 0.0,
        "check_undefined_grad": True,
        "check_grad_dtypes": False,
        "check_batched_grad": False,
        "fast_mode": False,
    }
    first = {
        "masked": None,
        "check_batched_forward_grad": False,
        "check_forward_ad": False,
        "check_backward_ad": True,
    }
    second = {
        "masked": False,
        "gen_non_contig_grad_outputs": False,
        "check_fwd_over_rev": False,
        "check_rev_over_rev": True,
    }
    for function, more in ((gradcheck, first), (gradgradcheck, second)):
        parameters = inspect.signature(function).parameters.values()
        named = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        assert named == shared | more


def test_inputs_that_cannot_be_checked():
    for options in ({}, {"raise_exception": False}):
        with pytest.raises(ValueError, match="at least one input tensor to require gradient, but"):
            gradcheck(lambda x: x, leaf([1.0], False), **options)
        with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
            gradcheck(lambda x: x, leaf([1.0]).expand(3), **options)
    assert gradcheck(lambda x: x * 2, leaf([1.0]).expand(1, 1))
    numbers = np.lib.stride_tricks.sliding_window_view(np.arange(4.0), 2, writeable=True)
    with pytest.raises(RuntimeError, match="The 1th input has elements at the same place"):
        gradcheck(lambda k, x: x * 2, (1, rd.from_numpy(numbers).requires_grad_()))
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double prec"):
        gradcheck(lambda x: x * 2, rd.ones(2).requires_grad_(), eps=1e-2)


@pytest.mark.parametrize(
    ("check", "options", "text"),
    [
        (gradcheck, {"check_backward_ad": False}, "one of check_forward_ad or check_backward_ad"),
        (
            gradcheck,
            {"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
            "Setting check_batched_grad=True requires check_backward_ad to be True",
        ),
        (
            gradcheck,
            {"check_batched_forward_grad": True},
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True",
        ),
        (gradgradcheck, {"check_rev_over_rev": False}, "one of check_fwd_over_rev or check_rev_ov"),
        (
            gradgradcheck,
            {"check_rev_over_rev": False, "check_fwd_over_rev": True},
            "Setting check_undefined_grad=True requires check_rev_over_rev to be True",
        ),
        (
            gradgradcheck,
            {
                "check_rev_over_rev": False,
                "check_fwd_over_rev": True,
                "check_undefined_grad": False,
                "check_batched_grad": True,
            },
            "Setting check_batched_grad=True requires check_rev_over_rev to be True",
        ),
    ],
)
def test_arguments_that_exclude_each_other(check, options, text):
    with pytest.raises(AssertionError, match=text):
        check(lambda x: x, leaf([1.0]), **options)


@FAST
def test_inputs_of_any_kind_and_order(fast_mode):
    def f(a, text, k, b, index, nothing):
        assert text == "text" and nothing is None
        return a * k, (b * 2)[index]

    inputs = [tensor(2), "text", 3, tensor(3, seed=1), rd.tensor([2, 0]), None]
    options = {"fast_mode": fast_mode, "check_forward_ad": True, "masked": True}
    assert gradcheck(f, inputs, **options)
    wrong = made(lambda b: b * 2, lambda g, b: g)
    with pytest.raises(GradcheckError, match="for output 1 with respect to input 3,"):
        gradcheck(lambda a, t, k, b, i, n: (a * k, wrong(b)), inputs, fast_mode=fast_mode)


@FAST
def test_the_same_tensor_given_twice(fast_mode):
    x = tensor(3)
    assert gradcheck(lambda a, b: a * b, (x, x), fast_mode=fast_mode)


@FAST
@pytest.mark.parametrize("what", ["shape", "dtype"])
def test_outputs_that_change_their_kind_are_refused(what, fast_mode):
    calls = []

    def f(x):
        calls.append(0)
        if len(calls) < 3:
            return x * 2
        return x.sum() if what == "shape" else (x * 2).float()

    text = f"Expected `func` to return outputs with the same {what} when inputs are perturbed "
    with pytest.raises(AssertionError, match=text):
        gradcheck(f, tensor(2), fast_mode=fast_mode)


def test_what_the_function_raises_is_raised():
    def backward(g, x):
        raise KeyError("mine")

    f = made(lambda x: x * 2, backward)
    with pytest.raises(KeyError):
        gradcheck(f, tensor(2), raise_exception=False)
