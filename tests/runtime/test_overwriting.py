"""copy_, fill_, zero_ and `t[key] = value` in a graph, and which in-place forms there are."""

import numpy as np
import pytest
import rederive as rd
from rederive.generated.registry import OPERATORS

# --- which forms there are -----------------------------------------------------------------------

NAMES = """
    abs absolute add addcdiv addcmul bernoulli bitwise_and bitwise_not bitwise_or bitwise_xor cauchy
    ceil clamp clamp_max clamp_min clip copy cos cumprod cumsum detach div divide eq erf exp exp2
    expm1 exponential fill fix floor floor_divide ge geometric greater greater_equal gt index_add le
    lerp less less_equal log log1p log2 log_normal logical_and logical_not logical_or logical_xor lt
    masked_fill mul multiply ne neg negative normal not_equal pow random reciprocal relu remainder
    requires_grad resize resize_as round rsqrt scatter_add sigmoid sign sin sqrt square squeeze sub
    subtract swapaxes swapdims t tanh transpose tril triu true_divide trunc uniform unsqueeze zero
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_tensor_has_the_inplace_form(name):
    assert callable(getattr(rd.Tensor, f"{name}_"))


def test_each_pointwise_operator_that_is_a_method_has_an_inplace_form():
    without = [
        op.public
        for op in OPERATORS
        if op.family == "pointwise"
        and hasattr(rd.Tensor, op.public)
        and not hasattr(rd.Tensor, f"{op.public}_")
    ]
    # declared without one, as PyTorch has none
    assert sorted(without) == ["isfinite", "isinf", "isnan", "maximum", "minimum", "where"]


def test_pytorch_has_no_inplace_form_of_a_declared_operator_that_is_missing_here():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    aliases = {name.removesuffix("_") for name in dir(rd.Tensor)}
    missing = [
        f"{name}_"
        for name in {op.public for op in OPERATORS} | aliases
        if hasattr(torch.Tensor, f"{name}_") and not name.startswith("_")
        if not hasattr(rd.Tensor, f"{name}_")
    ]
    assert missing == []
    functions = [f"{name}_" for name in {op.public for op in OPERATORS}]
    for space, ours in ((torch, rd), (torch.nn.functional, rd.nn.functional)):
        assert [f for f in functions if hasattr(space, f) and not hasattr(ours, f)] == []


def test_augmented_assignments_of_integers():
    n = rd.tensor([6, 3])
    n &= rd.tensor([3, 3])
    n |= rd.tensor([8, 0])
    n ^= rd.tensor([1, 1])
    assert n.tolist() == [11, 2] and n._version == 3
    assert n.bitwise_not_().tolist() == [-12, -3]


# --- overwriting in a graph ----------------------------------------------------------------------


def computed():
    x = rd.tensor([1.0, 2.0, 3.0, 4.0], dtype=rd.float64, requires_grad=True)
    return x, x * 2


OVERWRITE = {
    "zero_": (lambda y: y.zero_(), "ZeroBackward0"),
    "fill_": (lambda y: y.fill_(3), "FillBackward0"),
    "fill_ tensor": (lambda y: y.fill_(rd.tensor(3.0)), "FillBackward0"),
    "copy_": (lambda y: y.copy_(rd.ones(4)), "CopyBackwards"),
    "eq_": (lambda y: y.eq_(2.0), "EqBackward0"),
    "[...] =": (lambda y: y.__setitem__(..., 5), "FillBackward0"),
    "[:] =": (lambda y: y.__setitem__(slice(None), 5), "FillBackward0"),
}


@pytest.mark.parametrize("name", OVERWRITE)
def test_overwritten_tensor_stays_in_the_graph_with_a_gradient_of_zeros(name):
    change, node = OVERWRITE[name]
    x, y = computed()
    change(y)
    assert y.requires_grad and not y.is_leaf and y.grad_fn.name() == node
    y.sum().backward()
    assert x.grad.tolist() == [0.0] * 4


def test_overwriting_what_has_no_graph_leaves_it_without():
    y = rd.ones(4)
    y.zero_().fill_(2).copy_(rd.ones(4))
    y[0] = 3.0
    assert not y.requires_grad and y.grad_fn is None


def test_value_in_the_graph_gets_its_share():
    value = rd.tensor(3.0, requires_grad=True)
    x, y = computed()
    y.fill_(value)
    y.sum().backward()
    assert value.grad.item() == 4.0 and x.grad.tolist() == [0.0] * 4
    row = rd.tensor([1.0, 2.0], requires_grad=True)
    z = rd.zeros(3, 2, dtype=rd.float64).copy_(row)
    (z * rd.arange(6.0, dtype=rd.float64).reshape(3, 2)).sum().backward()
    assert row.grad.tolist() == [6.0, 9.0] and row.grad.dtype is rd.float32


def test_integers_take_values_without_their_graph():
    n = rd.zeros(4, dtype=rd.int64)
    _, y = computed()
    n.copy_(y)
    n[0] = y[3]
    assert n.tolist() == [8, 4, 6, 8] and not n.requires_grad


def test_second_derivative_through_overwriting():
    x, y = computed()
    y[1:3].copy_(x[:2] * x[:2])
    (first,) = rd.autograd.grad((y * y).sum(), x, create_graph=True)
    (second,) = rd.autograd.grad(first.sum(), x)
    a, b, _, d = x.tolist()
    np.testing.assert_allclose(first.tolist(), [8 * a + 4 * a**3, 4 * b**3, 0, 8 * d])
    np.testing.assert_allclose(second.tolist(), [8 + 12 * a**2, 12 * b**2, 0, 8])


# --- writing by index ----------------------------------------------------------------------------

KEYS = {
    "int": 1,
    "negative int": -1,
    "two ints": (1, 2),
    "slice": slice(1, 3),
    "step": slice(None, None, 2),
    "column": (slice(None), 0),
    "ellipsis": (..., 1),
    "everything": ...,
    "none": (None, 1),
    "list": [0, 2],
    "array": np.array([2, 0]),
    "tensor": "rd.tensor([[0, 1], [2, 3]])",
    "mask": "rd.arange(4) % 2 == 0",
    "full mask": "rd.arange(12).reshape(4, 3) > 5",
    "arrays": ([0, 1], [2, 0]),
    "slice and array": (slice(1, None), [0, 2]),
    "int and array": (1, [0, 2]),
    "array and none": ([0, 1], None),
    "true": True,
    "false": False,
    "empty list": [],
    "empty slice": slice(2, 2),
}


def key_of(name):
    key = KEYS[name]
    return eval(key) if isinstance(key, str) else key


@pytest.mark.parametrize("what", ["number", "row", "whole"])
@pytest.mark.parametrize("name", KEYS)
def test_written_elements_lose_their_gradient_and_the_value_gets_it(name, what):
    key = key_of(name)
    start = np.random.default_rng(0).normal(size=(4, 3))
    weight = np.random.default_rng(1).normal(size=(4, 3))
    x = rd.tensor(start, requires_grad=True)
    y = x * 1
    shape = y[key].shape
    if what == "number":
        value = rd.tensor(2.5, dtype=rd.float64, requires_grad=True)
    else:
        taken = shape if what == "whole" else shape[-1:]
        value = rd.tensor(np.random.default_rng(2).normal(size=taken), requires_grad=True)
    y[key] = value
    assert y._version == 1
    kept = np.ones((4, 3))
    written = rd.arange(12).reshape(4, 3)[key].numpy()
    kept.reshape(-1)[written.ravel()] = 0
    expected = start.copy()
    expected.reshape(-1)[written.ravel()] = np.broadcast_to(value.detach().numpy(), shape).ravel()
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    (y * rd.tensor(weight)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), weight * kept)
    sent = weight.reshape(-1)[written]
    while sent.ndim > value.ndim:
        sent = sent.sum(0)
    np.testing.assert_allclose(value.grad.numpy(), sent)


def test_value_may_have_more_leading_ones():
    _, y = computed()
    value = rd.tensor([[[7.0, 8.0]]], dtype=rd.float64, requires_grad=True)
    y[1:3] = value
    assert y.tolist() == [2.0, 7.0, 8.0, 8.0]
    y.sum().backward()
    assert value.grad.tolist() == [[[1.0, 1.0]]]


@pytest.mark.parametrize(
    ("key", "value"),
    [(0, [1.0, 2.0]), (slice(2), [1.0, 2.0, 3.0]), ([0, 1], [1.0, 2.0, 3.0])],
)
def test_value_that_does_not_fit_is_refused_before_anything_is_written(key, value):
    for y in (computed()[1], rd.tensor([2.0, 4.0, 6.0, 8.0])):
        with pytest.raises(RuntimeError):
            y[key] = rd.tensor(value)
        assert y.tolist() == [2.0, 4.0, 6.0, 8.0] and y._version == 0


def test_of_two_values_for_one_place_the_last_stays_and_gets_the_gradient():
    _, y = computed()
    value = rd.tensor([7.0, 8.0], dtype=rd.float64, requires_grad=True)
    y[[1, 1]] = value
    assert y.grad_fn.name() == "IndexPutBackward0"
    y.sum().backward()
    assert y[1].item() == 8.0 and value.grad.tolist() == [0.0, 1.0]


def test_writing_into_a_view_by_index_reaches_its_base():
    x = rd.ones(4, 3, dtype=rd.float64, requires_grad=True)
    y = x * 1
    view = y[1:].t()
    value = rd.tensor(5.0, dtype=rd.float64, requires_grad=True)
    view[[0, 2]] = value
    assert y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert value.grad.item() == 6.0
    assert x.grad.tolist() == [[1.0] * 3] + [[0.0, 1.0, 0.0]] * 3


def test_a_number_too_large_for_the_dtype_is_refused():
    t = rd.zeros(2)
    with pytest.raises(RuntimeError, match="cannot be converted to type float32 without overflow"):
        t.fill_(1e300)
    assert t.tolist() == [0.0, 0.0]
    assert t.fill_(float("inf")).tolist() == [float("inf")] * 2


def test_large_tensors_are_overwritten_whole():
    t, other = rd.ones(1_000_003), rd.arange(1_000_003, dtype=rd.float32)
    assert t.copy_(other).equal(other)
    assert t.copy_(other.double() + 0.5).double().equal(other.double() + 0.5)
    assert not t.zero_().numpy().any()
    assert (t.fill_(2.5).numpy() == 2.5).all()
    assert (t.long().fill_(-7).numpy() == -7).all()
