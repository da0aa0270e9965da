"""Levels of forward mode inside one another, as the transformations of functions nest them."""

import numpy as np
import pytest
import rederive as rd
from rederive import autograd
from rederive.autograd import forward_ad


def derivative(function, x, v):
    """The derivative of `function` at `x` along `v`, by a level of its own."""
    opening = forward_ad.open_level()
    try:
        dual = forward_ad.copy_tangents(x, forward_ad.view_of_all(x))
        forward_ad.set_tangent(dual, v)
        result = function(dual)
        tangent = forward_ad.tangents_of(result).get(opening)
    finally:
        forward_ad.close_level()
    return rd.zeros_like(result) if tangent is None else tangent


def number(value, **options):
    return rd.tensor(value, dtype=rd.float64, **options)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_higher_derivatives_of_a_power(order):
    def function(x):
        return x**5.0

    for _ in range(order):
        inner = function

        def function(x, inner=inner):
            return derivative(inner, x, number(1.0))

    expected = {1: 5 * 2.0**4, 2: 20 * 2.0**3, 3: 60 * 2.0**2}[order]
    assert function(number(2.0)).item() == pytest.approx(expected)


def test_tangents_of_different_levels_are_not_confused():
    def outer(x):
        return x * derivative(lambda y: x + y, number(1.0), number(1.0))

    assert derivative(outer, number(3.0), number(1.0)).item() == 1.0

    def product(x):
        return x * derivative(lambda y: x * y, number(2.0), number(1.0))

    assert derivative(product, number(3.0), number(1.0)).item() == 6.0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: rd.softmax(x, 0) * x,
        lambda x: (x @ x) * x.sin(),
        lambda x: rd.cumprod(x, 0),
        lambda x: rd.nn.functional.gelu(x),
        lambda x: x.var() * x[1:].sum() * x,
        lambda x: rd.cat([x, x * x]).gather(0, rd.tensor([0, 4, 5])),
    ],
)
def test_second_derivatives_agree_in_every_combination_of_modes(function):
    rd.manual_seed(2)
    x, u, v = (rd.randn(3, dtype=rd.float64) for _ in range(3))
    twice = derivative(lambda x: derivative(function, x, u), x, v).sum().item()

    def scalar(x):
        return function(x).sum()

    def gradient(x):
        x = x if x.requires_grad else forward_ad.copy_tangents(x, x.detach()).requires_grad_()
        return autograd.grad(scalar(x), x, create_graph=True)[0]

    forward_over_reverse = (derivative(gradient, x, v) * u).sum().item()
    leaf = x.clone().requires_grad_()
    (row,) = autograd.grad(derivative(scalar, leaf, u), leaf)
    reverse_over_forward = (row * v).sum().item()
    assert forward_over_reverse == pytest.approx(twice)
    assert reverse_over_forward == pytest.approx(twice)


def test_levels_close_after_an_error():
    with pytest.raises(ZeroDivisionError):
        derivative(lambda x: derivative(lambda y: 1 / 0, x, x), number(1.0), number(1.0))
    with forward_ad.dual_level():
        assert forward_ad.unpack_dual(rd.ones(1)).tangent is None


def test_programs_cannot_nest_levels():
    with (
        forward_ad.dual_level(),
        pytest.raises(RuntimeError, match="Nested forward mode AD is not supported"),
        forward_ad.dual_level(),
    ):
        pass
    np.testing.assert_equal(derivative(lambda x: x * x, number(3.0), number(1.0)).item(), 6.0)
