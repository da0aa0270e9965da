"""Where the polynomials of the scalar functions come from.

`python -m rederive.tools.minimax [constant ...]` fits each again and prints the coefficients with
the error of the new and of the present ones. The fit is the exchange algorithm of Remez on a grid,
in mpmath; then one coefficient after another is rounded, lowest degree first, and the rest are
fitted again, so that they make good what rounding spoilt. Needs mpmath.
"""

import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from rederive.codegen.scalars.sources import definitions

mp = mpmath.mp
PRECISION = 200
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Recipe:
    """A polynomial of `count` coefficients near `function` on [low, high].

    The error is weighted by `weight`; it stays below 2**-bits. first: the lowest power.
    """

    function: Function
    low: float
    high: float
    count: int
    bits: float
    weight: Function
    first: int = 0


def _series(function: Function, power: int, *terms: Any) -> Function:
    """x -> (function(x) - the terms up to x**(power - 1)) / x**power, with its limit at 0."""

    def rest(x: Any) -> Any:
        x = x if abs(x) > mp.mpf(2) ** -30 else mp.mpf(2) ** -30
        with mp.workprec(PRECISION + 200):
            head = sum(c * x**k for k, c in enumerate(terms))
            return (function(x) - head) / x**power

    return rest


def _odd(function: Function, *terms: Any) -> Function:
    """z -> (function(x) - terms[0] x - terms[1] x**3 ...) / x**(2 len(terms) + 1), x = sqrt(z)."""

    def rest(z: Any) -> Any:
        return _series(lambda x: function(x) / x, 2 * len(terms), *_spread(terms))(mp.sqrt(abs(z)))

    return rest


def _even(function: Function, *terms: Any) -> Function:
    def rest(z: Any) -> Any:
        return _series(function, 2 * len(terms), *_spread(terms))(mp.sqrt(abs(z)))

    return rest


def _spread(terms: Sequence[Any]) -> list[Any]:
    return [x for term in terms for x in (term, 0)]


def _scaled_erfc(t: Any) -> Any:
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def _log_erfc(center: float) -> tuple[Function, Function]:
    return (lambda u: mp.log(mp.erfc(u + center))), (lambda u: mp.erfc(u + center))


def _log2_erfc(u: Any) -> Any:
    return mp.log(mp.erfc(u + 1)) / mp.log(2)


_HALF_LN2 = 0.34661
_ROOT = (0.17158) ** 2
_ANGLE = 0.6169
_EXP = _series(mp.exp, 2, 1, 1)
_EXP2 = _series(lambda x: mp.mpf(2) ** x, 1, 1)
_LOG = _series(mp.log1p, 3, 0, 1, -0.5)
_TWICE_ATANH = _odd(lambda s: 2 * mp.atanh(s), 2)
with mp.workprec(PRECISION):
    _TWO_THIRDS = mp.mpf(2) / 3
    _TO_2 = (2 / mp.log(2), _TWO_THIRDS / mp.log(2))
_T = (0.65 - 4) / (0.65 + 4)


def _erf_over_x(z: Any) -> Any:
    x = mp.sqrt(abs(z)) + mp.mpf(2) ** -60
    return mp.erf(x) / x - 1


def _of_exp(x: Any) -> Any:
    return x * x / mp.exp(x)


def _square(x: Any) -> Any:
    return x * x


def _cube_over_log(f: Any) -> Any:
    return f * f if abs(f) < 1e-9 else f**3 / mp.log1p(f)


def _logarithm_to(base: int, half: str, count: int) -> tuple[Any, ...]:
    """The recipe of the terms beyond f**2, whose coefficient is the rounded constant `half`."""

    def rest(f: Any) -> Any:
        f = f if abs(f) > mp.mpf(2) ** -30 else mp.mpf(2) ** -30
        with mp.workprec(PRECISION + 200):
            return ((mp.log1p(f) - f) / mp.log(base) - constant(half) * f * f) / f**3

    return rest, -0.2929, 0.4143, count, 27, lambda f: _cube_over_log(f) * mp.log(base)


def _over_log2(z: Any) -> Any:
    return z * z * mp.log(2) / 2


def _cube_over_tanh(z: Any) -> Any:
    x = mp.sqrt(abs(z)) + mp.mpf(2) ** -60
    return x**3 / mp.tanh(x)


RECIPES = {
    "EXP_FLOAT32": Recipe(_EXP, -_HALF_LN2, _HALF_LN2, 5, 28, _of_exp),
    "EXP_FLOAT64": Recipe(_EXP, -_HALF_LN2, _HALF_LN2, 11, 61, _of_exp),
    "EXP_SHORT": Recipe(_EXP, -_HALF_LN2, _HALF_LN2, 6, 33, _of_exp),
    "EXP2_FLOAT32": Recipe(_EXP2, -0.5, 0.5, 7, 32, abs),
    "EXP2_FLOAT64": Recipe(_EXP2, -0.5, 0.5, 11, 57, abs),
    "LOG_FLOAT32": Recipe(_LOG, -0.25, 0.5, 9, 29, _cube_over_log),
    "LOG2_FLOAT32": Recipe(*_logarithm_to(2, "HALF_LOG2_E_FLOAT32", 9)),
    "LOG10_FLOAT32": Recipe(*_logarithm_to(10, "HALF_LOG10_E_FLOAT32", 8)),
    "LOG_FLOAT64": Recipe(_TWICE_ATANH, 0, _ROOT, 7, 59, lambda z: z / 2),
    "LOG_SHORT": Recipe(_TWICE_ATANH, 0, _ROOT, 4, 37, lambda z: z / 2),
    "LOG2_REST_FLOAT32": Recipe(
        _odd(lambda s: 2 * mp.atanh(s) / mp.log(2), *_TO_2), 0, _ROOT, 3, 36, _over_log2
    ),
    "LOG_REST": Recipe(
        _odd(lambda s: 2 * mp.atanh(s), 2, _TWO_THIRDS), 0, _ROOT, 8, 73, lambda z: z * z / 2
    ),
    "SIN_FLOAT32": Recipe(_odd(mp.sin, 1), 0, _ANGLE, 3, 27.7, abs),
    "SIN_SHORT": Recipe(_odd(mp.sin, 1), 0, _ANGLE, 3, 27.9, abs),
    "SIN_FLOAT64": Recipe(_odd(mp.sin, 1), 0, _ANGLE, 6, 57, abs),
    "COS_FLOAT32": Recipe(_even(mp.cos, 1, -0.5), 0, _ANGLE, 3, 32.8, _square),
    "COS_SHORT": Recipe(_even(mp.cos, 1), 0, _ANGLE, 4, 33, abs),
    "COS_FLOAT64": Recipe(_even(mp.cos, 1, -0.5), 0, _ANGLE, 6, 63, _square),
    "ATAN_FLOAT64": Recipe(_odd(mp.atan, 1), 0, 0.1716, 11, 59, abs),
    "ATAN_SHORT": Recipe(_odd(mp.atan, 1), 0, 0.1716, 6, 35, abs),
    "ASIN_FLOAT64": Recipe(_odd(mp.asin, 1), 0, 0.25, 13, 59, abs),
    "ASIN_SHORT": Recipe(_odd(mp.asin, 1), 0, 0.25, 6, 31, abs),
    "TANH_NEAR_FLOAT32": Recipe(_odd(mp.tanh, 1), 0, 0.865, 7, 29, _cube_over_tanh),
    "SINH_NEAR_FLOAT32": Recipe(_odd(mp.sinh, 1), 0, 1, 4, 31, abs),
    "ASINH_NEAR_FLOAT32": Recipe(_odd(mp.asinh, 1), 0, 0.25, 6, 33, abs),
    "ERF_NEAR_FLOAT32": Recipe(_erf_over_x, 0, 1, 7, 29, lambda z: 1),
    "ERF_NEAR_FLOAT64": Recipe(_erf_over_x, 0, 1, 12, 55.5, lambda z: 1),
    "ERF_FAR_FLOAT32": Recipe(_log2_erfc, 0, 3, 7, 27, lambda u: mp.erfc(u + 1) * mp.log(2)),
    "ERF_FAR_FLOAT64": Recipe(_log_erfc(2.5)[0], -1.5, 3.5, 20, 58.9, _log_erfc(2.5)[1]),
    "ERFCX_SHORT": Recipe(_scaled_erfc, _T, 6.5 / 14.5, 10, 29, lambda t: 1),
    "ERFCX_REST": Recipe(
        lambda t: _scaled_erfc(t) - constant("ERFCX_HIGH") - constant("ERFCX_LOW"),
        *(_T, 0.75, 20, 55.5, lambda t: 1, 1),
    ),
}


def constant(name: str) -> Any:
    """The present value of a constant of the scalar functions, as numbers of mpmath."""
    tree = ast.parse(definitions()[name].text).body[-1]
    assert isinstance(tree, ast.Assign)
    if isinstance(tree.value, ast.Tuple):
        return [_number(element) for element in tree.value.elts]
    return _number(tree.value)


def _number(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return mp.mpf(float(np.float32(ast.literal_eval(node.args[0]))))
    return mp.mpf(ast.literal_eval(node))


def grid(recipe: Recipe, count: int) -> list[Any]:
    """Chebyshev points: dense where the error of a minimax polynomial peaks last."""
    middle = (mp.mpf(recipe.low) + recipe.high) / 2
    half = (mp.mpf(recipe.high) - recipe.low) / 2
    return [middle - half * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]


def error_bits(recipe: Recipe, coefficients: Sequence[Any], count: int = 100) -> float:
    """-log2 of the largest weighted error of a polynomial."""
    with mp.workprec(PRECISION):
        worst = mp.mpf(2) ** -150
        for x in grid(recipe, count):
            value = sum(c * x ** (k + recipe.first) for k, c in enumerate(coefficients))
            worst = max(worst, abs(recipe.weight(x) * (recipe.function(x) - value)))
        return float(-mp.log(worst, 2))


def exchange(target: list[Any], weight: list[Any], points: list[Any], powers: list[int]) -> Any:
    """The coefficients that level the weighted error, by the exchange algorithm."""
    count, last = len(powers), len(points) - 1
    chosen = [round(last * k / count) for k in range(count + 1)]
    best, least = [mp.mpf(0)] * count, mp.inf
    for _ in range(12):
        matrix = mp.matrix(count + 1, count + 1)
        right = mp.matrix([target[k] * weight[k] for k in chosen])
        for row, k in enumerate(chosen):
            for column, power in enumerate(powers):
                matrix[row, column] = points[k] ** power * weight[k]
            matrix[row, count] = (-1) ** row
        try:
            solution = list(mp.lu_solve(matrix, right))
        except ZeroDivisionError:
            break
        errors = []
        for x, t, w in zip(points, target, weight, strict=True):
            errors.append(w * (t - sum(c * x**p for c, p in zip(solution, powers, strict=False))))
        peak = max(abs(e) for e in errors)
        if peak < least:
            best, least = solution[:count], peak
        chosen = _extremes(errors, count + 1)
        if len(chosen) < count + 1 or peak <= abs(solution[count]) * 1.0005:
            break
    return best


def _extremes(errors: list[Any], wanted: int) -> list[int]:
    """The places of the peaks between changes of sign; at most `wanted`, smaller ones dropped."""
    found: list[int] = []
    start = 0
    for k in range(1, len(errors) + 1):
        if k == len(errors) or (errors[k] > 0) != (errors[start] > 0):
            found.append(max(range(start, k), key=lambda i: abs(errors[i])))
            start = k
    while len(found) > wanted:
        if len(found) - wanted == 1:
            del found[0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1]
        else:
            pairs = range(len(found) - 1)
            k = min(pairs, key=lambda i: max(abs(errors[found[i]]), abs(errors[found[i + 1]])))
            del found[k : k + 2]
    return found


def fit(recipe: Recipe, kind: Any) -> list[float]:
    """Coefficients rounded to `kind`, numpy.float32 or numpy.float64."""
    with mp.workprec(PRECISION):
        # An even number: the middle, where a weight may be 0 and would make the equations
        # singular, is not one of them.
        points = grid(recipe, 400)
        target = [recipe.function(x) for x in points]
        weight = [abs(recipe.weight(x)) for x in points]
        powers = list(range(recipe.first, recipe.first + recipe.count))
        result: list[float] = []
        while powers:
            value = float(kind(float(exchange(target, weight, points, powers)[0])))
            result.append(value)
            target = [t - value * x ** powers[0] for x, t in zip(points, target, strict=True)]
            powers = powers[1:]
        return result


def main(names: list[str]) -> None:
    """Fit the polynomials of these names, or all, and print them."""
    for name in names or list(RECIPES):
        recipe = RECIPES[name]
        coefficients = fit(recipe, np.float32 if name.endswith("32") else np.float64)
        new, old = error_bits(recipe, coefficients), error_bits(recipe, constant(name))
        print(f"{name}: 2**-{new:.1f}, at present 2**-{old:.1f}\n    {coefficients}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
