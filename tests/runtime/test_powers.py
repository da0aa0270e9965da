"""Powers by one number: those that are products have loops of their own."""

import numpy as np
import pytest
import rederive as rd

EXPONENTS = [2, 3, -1, 2.0, -1.0, 0.5, -2, 0, 1, 5, 2.5]


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_power_and_its_gradient_are_numpys(exponent, kind):
    values = np.linspace(0.3, 3, 37).astype(kind)
    x = rd.tensor(values, requires_grad=True)
    weight = np.random.default_rng(0).normal(size=37).astype(kind)
    result = x**exponent
    result.backward(rd.tensor(weight))
    within = {"rtol": 8 * np.finfo(kind).eps}
    np.testing.assert_allclose(result.detach(), values.astype(np.float64) ** exponent, **within)
    slope = exponent * values.astype(np.float64) ** (exponent - 1)
    np.testing.assert_allclose(x.grad, weight * slope, **within)


@pytest.mark.parametrize("exponent", [2, 3, -1])
def test_special_values_are_numpys(exponent):
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -2.0])
    with np.errstate(divide="ignore"):
        expected = values ** float(exponent)
    np.testing.assert_array_equal(rd.tensor(values) ** exponent, expected)
    np.testing.assert_array_equal(rd.tensor(values).pow_(exponent), expected)


def test_whole_numbers_are_raised_along_long_rows():
    values = np.arange(200_000).reshape(1000, 200) % 7
    exponents = np.arange(1000)[:, None] % 4
    result = rd.tensor(values) ** rd.tensor(exponents)
    assert result.dtype is rd.int64
    np.testing.assert_array_equal(result, values**exponents)
