"""The polynomials of the scalar functions are what their recipes say."""

import re

import numpy as np
import pytest
from rederive.codegen.scalars.sources import definitions
from rederive.tools.minimax import RECIPES, Recipe, constant, error_bits, fit, mp


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_constants_are_as_near_as_stated(name):
    recipe = RECIPES[name]
    assert len(constant(name)) == recipe.count
    assert error_bits(recipe, constant(name), 40) > recipe.bits


def test_every_polynomial_has_a_recipe():
    tuples = {n for n, d in definitions().items() if re.search(rf"^{n} = \($", d.text, re.M)}
    assert tuples == set(RECIPES)


def test_a_small_error_in_a_coefficient_is_seen():
    recipe, coefficients = RECIPES["EXP_FLOAT32"], constant("EXP_FLOAT32")
    coefficients[2] *= 1.001
    assert error_bits(recipe, coefficients, 40) < recipe.bits - 5


def test_fit_levels_the_error():
    recipe = Recipe(mp.exp, 0, 1, 3, 6, lambda x: 1)
    found = fit(recipe, np.float64)
    assert 6.8 < error_bits(recipe, found, 40) < 7.0
