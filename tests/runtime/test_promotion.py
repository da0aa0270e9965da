"""dtypes and values of mixed arithmetic, against PyTorch where it is installed."""

import warnings

import numpy as np
import pytest
import rederive as rd
from hypothesis import given, settings
from hypothesis import strategies as st

DTYPES = ("float32", "float64", "int32", "int64", "bool")
OPERATORS = ("add", "mul", "sub", "div", "eq", "ne", "lt", "ge", "maximum", "minimum", "where")

fast = settings(deadline=None, max_examples=300, derandomize=True)


def test_promotion_by_example():
    f32, f64 = rd.ones(2), rd.ones(2, dtype=rd.float64)
    i32, i64 = rd.ones(2, dtype=rd.int32), rd.ones(2, dtype=rd.int64)
    mask = rd.ones(2, dtype=rd.bool)
    assert (f32 + f64).dtype is rd.float64
    assert (f32 + f64.sum()).dtype is rd.float32
    assert (f32 * 2).dtype is rd.float32
    assert (i32 + i64).dtype is rd.int64
    assert (i32 + i64.sum()).dtype is rd.int32
    assert (i32 * 2.5).dtype is rd.float32
    assert (i64 + f64.sum()).dtype is rd.float64
    assert (i64 / i64).dtype is rd.float32
    assert (mask + mask).dtype is rd.bool
    assert (mask * 2).dtype is rd.int64
    assert (mask + 1.0).dtype is rd.float32
    assert (f64 < i32).dtype is rd.bool


numbers = st.one_of(
    st.integers(-3, 3), st.sampled_from([-1.5, -0.0, 0.25, 2.0, float("inf")]), st.booleans()
)


@st.composite
def operand(draw, scalar=True):
    """("tensor", dtype, nested list) or ("number", value)."""
    if scalar and draw(st.booleans()):
        return ("number", draw(numbers))
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.sampled_from([(), (3,), (2, 3), (2, 1), (0, 3)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    array = rng.integers(-3, 4, shape) / (2 if dtype.startswith("float") else 1)
    return ("tensor", dtype, array.astype(dtype).tolist())


def build(module, what):
    if what[0] == "number":
        return what[1]
    return module.tensor(what[2], dtype=getattr(module, what[1]))


def outcome(module, name, first, second):
    """(dtype, shape, values), or None where the call is an error."""
    a, b = build(module, first), build(module, second)
    try:
        if name == "where":
            result = module.where(module.tensor([True, False, True]), a, b)
        else:
            result = getattr(module, name)(a, b)
    except (RuntimeError, TypeError):
        return None
    return str(result.dtype).split(".")[1], tuple(result.shape), np.array(result.tolist())


@fast
@given(st.sampled_from(OPERATORS), operand(scalar=False), operand())
def test_promotion_is_that_of_pytorch(name, first, second):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = outcome(torch, name, first, second)
    ours = outcome(rd, name, first, second)
    if theirs is None:
        return  # PyTorch takes no number in maximum, and no bool in sub
    assert ours is not None
    assert ours[:2] == theirs[:2]
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6)


@fast
@given(st.sampled_from(("add", "mul", "sub", "div", "pow")), operand(scalar=False), numbers)
def test_a_number_on_the_left_is_that_of_pytorch(name, first, number):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if name == "pow" and first[1] == "bool":
        return  # no kernel raises bool to bool
    symbol = {"add": "+", "mul": "*", "sub": "-", "div": "/", "pow": "**"}[name]
    results = []
    for module in (torch, rd):
        try:
            result = eval(f"n {symbol} x", {"n": number, "x": build(module, first)})
        except (RuntimeError, TypeError):
            results.append(None)
            continue
        values = np.array(result.tolist())
        results.append((str(result.dtype).split(".")[1], tuple(result.shape), values))
    theirs, ours = results
    if theirs is None:
        return
    assert ours is not None
    assert ours[:2] == theirs[:2]
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-5)


@pytest.mark.parametrize("first", ["float32", "float64"])
@pytest.mark.parametrize("second", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("name", ["add", "mul", "div", "maximum"])
def test_gradients_have_the_dtype_of_their_input(name, first, second):
    a = rd.tensor([1.5, 2.5], dtype=getattr(rd, first), requires_grad=True)
    b = rd.tensor([1, 1], dtype=getattr(rd, second))
    if b.is_floating_point():
        b.requires_grad_()
    getattr(rd, name)(a, b).sum().backward()
    assert a.grad.dtype is a.dtype
    assert not b.requires_grad or b.grad.dtype is b.dtype


@pytest.mark.parametrize("number", [np.float64(2.5), np.float32(2.5), np.int64(2), np.bool_(True)])
def test_numpy_numbers_are_python_numbers(number):
    x = rd.tensor([1.0, 2.0])
    for result in (x * number, number * x, x + number):
        assert isinstance(result, rd.Tensor) and result.dtype is rd.float32
    np.testing.assert_allclose((number * x).numpy(), [float(number), 2 * float(number)])
