"""The scalar functions: accuracy over their whole range, limits, and what their loops become."""

import platform
import re
import warnings

import numpy as np
import pytest
import scipy.special
from rederive.codegen.scalars import SCALARS
from rederive.tools import accuracy

KINDS = (np.float32, np.float64)
SWEEP, POINTS = 60_000, 300
EXACT = {
    "abs": np.abs,
    "ceil": np.ceil,
    "copysign": np.copysign,
    "floor": np.floor,
    "floor_divide": np.floor_divide,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "fmod": np.fmod,
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "remainder": np.remainder,
    "round": np.round,
    "sign": np.sign,
    "square": np.square,
    "trunc": np.trunc,
    "where": np.where,
}
# Where the sign of a zero is a matter of taste.
LOOSE_ZERO = {"maximum", "minimum", "fmax", "fmin", "sign", "logaddexp", "xlogy", "acosh"}
# These call the C library for huge arguments, inside functions of several numbers.
RARE = {"sin", "cos", "tan", "fmod", "remainder", "floor_divide"}
LIMITS = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 1e-40, 1e-30, 1e30, 3e38, 100.0, 1e9, np.inf, np.nan]


@pytest.fixture(scope="module")
def compiled():
    return accuracy.loops(sorted(SCALARS))


def run(loop, arguments, result=None):
    out = np.empty(arguments[0].shape, result or arguments[-1].dtype)
    loop(*arguments, out)
    return out


def same(got, expected, signs=True):
    equal = (got == expected) & ((np.signbit(got) == np.signbit(expected)) | (not signs))
    return equal | (np.isnan(got) & np.isnan(expected))


def reference(name):
    return EXACT[name] if name in EXACT else accuracy.REFERENCES[name].array


def test_every_function_has_a_reference():
    assert set(SCALARS) == set(EXACT) | set(accuracy.REFERENCES)


@pytest.mark.parametrize("name", sorted(accuracy.REFERENCES))
def test_float32_is_within_its_bound_at_all_exponents(compiled, name):
    error, where = accuracy.errors_float32(name, compiled[name], SWEEP)
    assert error <= max(SCALARS[name].bound32, 0.5), where


@pytest.mark.parametrize("name", sorted(accuracy.REFERENCES))
def test_float64_is_within_its_bound(compiled, name):
    error, where = accuracy.errors_float64(name, compiled[name], POINTS)
    assert error <= max(SCALARS[name].bound64, 0.5), where


def limits(name, kind):
    points = np.array(LIMITS + [-x for x in LIMITS], kind)
    grids = np.meshgrid(*[points] * SCALARS[name].arity)
    return [g.ravel() for g in grids]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(set(SCALARS) - {"where"}))
def test_limits_are_those_of_numpy(compiled, name, kind):
    given = limits(name, kind)
    with np.errstate(all="ignore"):
        expected = reference(name)(*(given if name in EXACT else [x.astype(float) for x in given]))
    boolean = SCALARS[name].kind == "bool"
    got = run(compiled[name], given, bool if boolean else None)
    if boolean or name in EXACT:
        good = got == expected if boolean else same(got, expected, name not in LOOSE_ZERO)
    else:
        with np.errstate(all="ignore"):
            near = np.isclose(got, expected, rtol=1e-6, atol=1e-45) & (np.abs(expected) < 3.3e38)
            large = (np.abs(expected) >= 3.3e38) & (np.abs(got) >= 3.3e38) & (got * expected > 0)
            exact = same(got, expected.astype(kind), name not in LOOSE_ZERO)
        tiny = (expected == 0) | ~np.isfinite(expected)
        good = np.where(tiny, exact, near | large | exact)
    bad = np.nonzero(~good)[0][:5]
    assert good.all(), [(*(float(x[i]) for x in given), got[i], expected[i]) for i in bad]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_division_agrees_with_numpy_bit_for_bit(compiled, name, kind):
    generator = np.random.default_rng(3)
    a = np.exp2(generator.uniform(-120, 120, 20_000)) * generator.choice([-1, 1], 20_000)
    b = np.concatenate([generator.uniform(-9, 9, 10_000), generator.permutation(a)[:10_000]])
    given = [np.concatenate([a, np.round(b)]).astype(kind), np.concatenate([b, b]).astype(kind)]
    with np.errstate(all="ignore"):
        expected = EXACT[name](*given)
    assert same(run(compiled[name], given), expected).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_angles_are_reduced_exactly(compiled, name, kind):
    angles = np.exp2(np.linspace(36, 127, 3000)).astype(kind)
    angles[::3] = np.linspace(-3, 3, 1000)
    got = run(compiled[name], [angles])
    exact = reference(name)(angles.astype(np.longdouble))
    assert accuracy.ulps(got, exact.astype(float)).max() <= SCALARS[name].bound64


def test_pow_has_the_special_cases_of_ieee(compiled):
    inf, nan = np.inf, np.nan
    cases = [(nan, 0, 1), (1, nan, 1), (-2, 3, -8), (-2, 0.5, nan), (0, -1, inf), (-0.0, -1, -inf)]
    cases += [(-0.0, -2, inf), (-0.0, 3, -0.0), (-1, inf, 1), (-inf, 3, -inf), (-inf, -3, -0.0)]
    cases += [(0.5, inf, 0), (0.5, -inf, inf), (-inf, 0.5, inf), (10, 2, 100), (3, 1e300, inf)]
    x, y, expected = (np.array(column, float) for column in zip(*cases, strict=True))
    assert same(run(compiled["pow"], [x, y]), expected).all()


def test_odd_functions_keep_the_sign_of_zero(compiled):
    odd = "asin asinh atan atanh erf expm1 log1p sin sinh sqrt tan tanh floor ceil round trunc"
    for name in odd.split():
        for kind in KINDS:
            got = run(compiled[name], [np.array([-0.0, 0.0], kind)])
            assert (got == 0).all() and list(np.signbit(got)) == [True, False], (name, kind)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("name", ["remainder", "floor_divide", "fmod", "pow"])
def test_integers_follow_numpy(compiled, name, kind):
    values = np.arange(-9, 10) if np.iinfo(kind).min else np.arange(19)
    given = [g.ravel().astype(kind) for g in np.meshgrid(values, values)]
    if name == "pow":
        given[1] = abs(given[1])
    with np.errstate(all="ignore"):
        expected = (np.power if name == "pow" else EXACT[name])(*given)
    assert (run(compiled[name], given) == expected).all()


def test_integer_corner_cases_do_not_trap(compiled):
    smallest = np.array([np.iinfo(np.int64).min], np.int64)
    minus_one, zero = np.array([-1]), np.array([0])
    assert run(compiled["remainder"], [smallest, minus_one]) == 0
    assert run(compiled["floor_divide"], [smallest, minus_one]) == smallest
    assert run(compiled["floor_divide"], [smallest, zero]) == 0
    assert list(run(compiled["pow"], [np.array([2, 1, -1, 0]), np.array([-1] * 4)])) == [
        0,
        1,
        -1,
        0,
    ]


@pytest.mark.parametrize("kind", [np.int32, np.bool_])
@pytest.mark.parametrize("name", ["abs", "sign", "floor", "round", "maximum", "minimum", "where"])
def test_simple_functions_take_integers_and_booleans(compiled, name, kind):
    given = [np.array([0, 1, 1, 0]).astype(kind), np.array([1, 0, 1, 0]).astype(kind)]
    if kind == np.int32:
        given = [-3 * given[0], given[1] - 2]
    if name == "where":
        given = [np.array([True, False, True, False]), *given]
    given = given[: SCALARS[name].arity]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = EXACT[name](*given) if not (name == "sign" and kind == np.bool_) else given[0]
    got = run(compiled[name], given)
    assert got.dtype == kind and (got == expected).all()


def test_where_takes_the_chosen_one(compiled):
    c = np.array([True, False, True])
    x, y = np.array([1.0, 2.0, np.nan]), np.array([np.nan, 5.0, 6.0])
    assert same(run(compiled["where"], [c, x, y]), np.where(c, x, y)).all()


def test_sigmoid_agrees_with_scipy(compiled):
    x = np.linspace(-700, 40, 5001)
    np.testing.assert_allclose(run(compiled["sigmoid"], [x]), scipy.special.expit(x), rtol=1e-14)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 instructions")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(SCALARS))
def test_loops_are_vectorised_and_call_no_library(compiled, name, kind):
    arity, boolean = SCALARS[name].arity, SCALARS[name].kind == "bool"
    given = [np.ones(64, bool if name == "where" and i == 0 else kind) for i in range(arity)]
    run(compiled[name], given, bool if boolean else None)
    signature = next(s for s in compiled[name].signatures if str(s[-2].dtype) == kind.__name__)
    assembly = compiled[name].inspect_asm(signature)
    packed = re.findall(r"\n\s+v?(?!mov|broadcast)\w+\s[^\n]*%[xyz]mm\d+[^\n]*", assembly)
    wide = [p for p in packed if re.search(r"p[sd]\s|pand|por|pternlog|pblend|pxor|psign", p)]
    assert wide, "no packed instructions"
    library = r"\b(exp|log|pow|sin|cos|tan|tanh|erf|sqrt|fmod|floor|rint)f?\b(?!_)"
    called = set(re.findall(r"\$" + library, assembly))
    ir = compiled[name].inspect_llvm(signature)
    if name in RARE:
        assert re.search(r"rederive_rare_\w+_(4|8|16)\(<", ir.split("middle.block")[0])
        assert called <= {name, "fmod"}
    else:
        assert not called
