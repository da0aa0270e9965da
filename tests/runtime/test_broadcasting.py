"""Random shapes, broadcasts, strides and dimensions against NumPy, values and gradients."""

import numpy as np
import pytest
import rederive as rd
from hypothesis import given, settings
from hypothesis import strategies as st
from rederive import operator_nodes
from rederive.blocks import sum_to
from rederive.geometry import Size
from rederive.kernels.gathering import gather, scatter
from rederive.plan import layout

fast = settings(deadline=None, max_examples=150, derandomize=True)


@st.composite
def layouts(draw, shape):
    """A tensor of `shape` whose memory lies in any order, with gaps, and its values."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, 3])) for _ in shape]
    stored = [shape[d] * step for d, step in zip(order, steps, strict=True)]
    memory = rd.tensor(rng.uniform(0.5, 2.0, stored))
    view = memory[tuple(slice(None, None, step) for step in steps)] if shape else memory
    if shape:
        view = view.permute([order.index(d) for d in range(len(shape))])
    assert tuple(view.shape) == tuple(shape)
    return view


@st.composite
def pairs(draw):
    """Two tensors that broadcast, of up to five dimensions."""
    full = draw(st.lists(st.sampled_from([1, 2, 3, 3, 4, 0]), max_size=5))
    shapes = []
    for _ in range(2):
        shape = [1 if draw(st.integers(0, 3)) == 0 else n for n in full]
        shapes.append(tuple(shape[draw(st.integers(0, len(shape))) :]))
    return [draw(layouts(shape)) for shape in shapes]


def folded(gradient, shape):
    """The NumPy way back from a broadcast."""
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(tuple(range(extra)))
    axes = tuple(d for d, n in enumerate(shape) if n == 1)
    return gradient.sum(axes, keepdims=True).reshape(shape)


BINARY = {
    "add": (np.add, lambda a, b: (np.ones_like(a), np.ones_like(b))),
    "sub": (np.subtract, lambda a, b: (np.ones_like(a), -np.ones_like(b))),
    "mul": (np.multiply, lambda a, b: (b, a)),
    "div": (np.divide, lambda a, b: (1 / b, -a / b**2)),
    "pow": (np.power, lambda a, b: (b * a ** (b - 1), a**b * np.log(a))),
    "maximum": (np.maximum, lambda a, b: (np.heaviside(a - b, 0.5), np.heaviside(b - a, 0.5))),
    "remainder": (np.remainder, lambda a, b: (np.ones_like(a), -np.floor(a / b))),
}


def leaf_like(view):
    """A leaf that requires grad, and a strided tensor computed from it by views alone."""
    leaf = view.detach()
    return leaf.requires_grad_()


@fast
@given(st.sampled_from(sorted(BINARY)), pairs(), st.integers(0, 1000))
def test_binary_operators_broadcast_as_numpy_does(name, operands, seed):
    function, derivatives = BINARY[name]
    a, b = (leaf_like(t) for t in operands)
    arrays = [t.detach().numpy().copy() for t in (a, b)]
    result = getattr(rd, name)(a, b)
    expected = function(*arrays)
    assert tuple(result.shape) == expected.shape
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-12)
    weight = np.random.default_rng(seed).normal(size=expected.shape)
    result.backward(rd.tensor(weight))
    wide = [np.broadcast_to(array, expected.shape) for array in arrays]
    for leaf, partial in zip((a, b), derivatives(*wide), strict=True):
        want = folded(weight * partial, leaf.shape)
        assert leaf.grad.shape == leaf.shape
        np.testing.assert_allclose(leaf.grad.numpy(), want, rtol=1e-10, atol=1e-10)
    for leaf, array in zip((a, b), arrays, strict=True):
        np.testing.assert_array_equal(leaf.detach().numpy(), array)


@pytest.mark.parametrize(
    ("shapes", "turned"),
    [
        (((300, 400), (400,)), False),
        (((300, 1), (1, 400)), False),
        (((120_000,), ()), False),
        (((50, 40), (40,)), True),
        (((300, 1), (1, 400)), True),
    ],
)
def test_large_operands_broadcast_on_several_threads(shapes, turned):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    a, b = (rd.tensor(array, requires_grad=True) for array in arrays)
    result = a.unsqueeze(0).transpose(0, -1) * b if turned else a * b
    wide = [a.detach().numpy()[None].swapaxes(0, -1) if turned else arrays[0], arrays[1]]
    expected = wide[0] * wide[1]
    np.testing.assert_array_equal(result.detach().numpy(), expected)
    weight = rng.normal(size=expected.shape)
    result.backward(rd.tensor(weight))
    first = folded(weight * np.broadcast_to(wide[1], expected.shape), wide[0].shape)
    first = first.swapaxes(0, -1)[0] if turned else first
    np.testing.assert_allclose(a.grad.numpy(), first, rtol=1e-9, atol=1e-9)
    second = folded(weight * np.broadcast_to(wide[0], expected.shape), shapes[1])
    np.testing.assert_allclose(b.grad.numpy(), second, rtol=1e-9, atol=1e-9)


@fast
@given(pairs(), st.integers(0, 1000))
def test_second_order_through_a_broadcast(operands, seed):
    a, b = (leaf_like(t) for t in operands)
    result = a * b * b
    weight = rd.tensor(np.random.default_rng(seed).normal(size=result.shape))
    (first,) = rd.autograd.grad((result * weight).sum(), b, create_graph=True)
    (second,) = rd.autograd.grad(first.sum(), a)
    x, y = (np.broadcast_to(t.detach().numpy(), result.shape) for t in (a, b))
    np.testing.assert_allclose(
        first.detach().numpy(), folded(2 * weight.numpy() * x * y, b.shape), rtol=1e-9, atol=1e-9
    )
    want = folded(2 * weight.numpy() * y, a.shape)
    np.testing.assert_allclose(second.numpy(), want, rtol=1e-9, atol=1e-9)


@fast
@given(st.data())
def test_three_operands_broadcast(data):
    a, b = data.draw(pairs())
    condition = np.random.default_rng(data.draw(st.integers(0, 99))).random(a.shape) < 0.5
    result = rd.where(rd.tensor(condition), a, b)
    np.testing.assert_array_equal(result.numpy(), np.where(condition, a.numpy(), b.numpy()))
    result = rd.lerp(a, b, 0.25)
    np.testing.assert_allclose(result.numpy(), a.numpy() + 0.25 * (b.numpy() - a.numpy()))


# --- reductions ----------------------------------------------------------------------------------

REDUCTIONS = {
    "sum": (np.sum, lambda a, axes: np.ones_like(a)),
    "mean": (np.mean, lambda a, axes: np.full_like(a, 1 / max(1, _count(a, axes)))),
    "amax": (np.max, lambda a, axes: 1.0 * (a == a.max(axes, keepdims=True))),
    "logsumexp": (
        lambda a, axis, keepdims: np.log(np.exp(a).sum(axis, keepdims=keepdims)),
        lambda a, axes: np.exp(a) / np.exp(a).sum(axes, keepdims=True),
    ),
}


def _count(a, axes):
    return int(np.prod([a.shape[d] for d in axes]))


@st.composite
def reduced(draw):
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 5]), min_size=1, max_size=4)))
    dims = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    dims = [d - len(shape) if draw(st.booleans()) else d for d in sorted(dims)]
    return draw(layouts(shape)), dims, draw(st.booleans())


@fast
@given(st.sampled_from(sorted(REDUCTIONS)), reduced(), st.integers(0, 1000))
def test_reductions_over_any_dims_of_any_layout(name, case, seed):
    tensor, dims, keepdim = case
    function, derivative = REDUCTIONS[name]
    leaf = leaf_like(tensor)
    array = leaf.detach().numpy().copy()
    axes = tuple(d % array.ndim for d in dims)
    result = getattr(rd, name)(leaf, dims, keepdim)
    expected = function(array, axis=axes, keepdims=keepdim)
    assert tuple(result.shape) == expected.shape
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-10)
    weight = np.random.default_rng(seed).normal(size=expected.shape)
    result.backward(rd.tensor(weight))
    kept = weight.reshape([1 if d in axes else n for d, n in enumerate(array.shape)])
    want = kept * derivative(array, axes)
    np.testing.assert_allclose(leaf.grad.numpy(), want, rtol=1e-9, atol=1e-11)


@fast
@given(st.sampled_from(["softmax", "log_softmax", "cumsum", "argmax", "var"]), reduced())
def test_lanes_of_any_layout(name, case):
    tensor, (dim, *_), _ = case
    array = tensor.numpy()
    if name == "var" and array.shape[dim] == 1:
        return
    shares = np.exp(array) / np.exp(array).sum(dim, keepdims=True)
    expected = {
        "softmax": lambda: shares,
        "log_softmax": lambda: np.log(shares),
        "cumsum": lambda: array.cumsum(dim),
        "argmax": lambda: array.argmax(dim),
        "var": lambda: array.var(dim, ddof=1),
    }[name]()
    result = getattr(rd, name)(tensor, dim)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_sums_of_nothing(shape):
    x = rd.zeros(shape, requires_grad=True)
    for dim in range(len(shape)):
        np.testing.assert_array_equal(x.sum(dim).detach().numpy(), np.zeros(shape).sum(dim))
    x.sum().backward()
    assert tuple(x.grad.shape) == shape


# --- layouts -------------------------------------------------------------------------------------


@fast
@given(pairs())
def test_a_layout_finds_the_elements_that_broadcasting_pairs(operands):
    shape = Size(np.broadcast_shapes(*(t.shape for t in operands)))
    for tensor in operands:
        found = layout(tensor.shape, tensor._strides, shape)
        if found is None or 0 in shape:
            continue
        steps, period = found
        expected = np.broadcast_to(tensor.numpy(), shape).ravel()
        n = len(expected)
        assert n % period == 0
        np.testing.assert_array_equal(expected, np.resize(expected[:period], n))
        for low, high in ((0, n), (n // 3, n), (n // 3, n // 2 + 1)):
            out = np.empty(high - low, expected.dtype)
            gather(tensor._data, tensor._offset, steps, low, out)
            np.testing.assert_array_equal(out, expected[low:high])


@fast
@given(pairs())
def test_folding_sums_what_broadcasting_repeated(operands):
    shape = Size(np.broadcast_shapes(*(t.shape for t in operands)))
    if 0 in shape:
        return
    values = rd.arange(shape.numel(), dtype=rd.float64).reshape(shape)
    for tensor in operands:
        total = sum_to(values, tensor.shape)
        if total is not None:
            ones = rd.ones(tensor.shape, dtype=rd.float64, requires_grad=True)
            expected = operator_nodes.sum_to_size(values, ones.shape).numpy()
            np.testing.assert_array_equal(total.reshape(tensor.shape), expected)


@pytest.mark.parametrize("shape", [(40, 70), (3, 33, 50), (5, 16, 4), (2, 40), (3, 5, 2500)])
def test_transposed_elements_are_brought_and_put_back(shape):
    array = np.random.default_rng(3).standard_normal(shape)
    turned = rd.from_numpy(array).transpose(-1, -2)
    expected = np.ascontiguousarray(turned.numpy()).reshape(-1)
    steps, _ = layout(turned.shape, turned._strides, turned.shape)
    n = len(expected)
    for low in (0, 7, n // 2):
        out = np.empty(n - low)
        gather(turned._data, 0, steps, low, out)
        np.testing.assert_array_equal(out, expected[low:])
        target = np.zeros(n)
        scatter(expected[low:], target, 0, steps, low)
        kept = np.concatenate([np.zeros(low), expected[low:]]).reshape(turned.shape)
        np.testing.assert_array_equal(target.reshape(shape), np.swapaxes(kept, -1, -2))


@pytest.mark.parametrize("shape", [(2, 3, 40), (2, 3, 2, 40), (40, 3, 2, 5), (2, 20, 3, 4)])
def test_short_dimensions_in_reverse_order_are_brought_and_put_back(shape):
    array = np.random.default_rng(3).standard_normal(shape)
    turned = rd.from_numpy(array).permute(*reversed(range(len(shape))))
    expected = np.ascontiguousarray(turned.numpy()).reshape(-1)
    steps, _ = layout(turned.shape, turned._strides, turned.shape)
    n = len(expected)
    for low in (0, 7, n // 2):
        out = np.empty(n - low - 1)
        gather(turned._data, 0, steps, low, out)
        np.testing.assert_array_equal(out, expected[low : n - 1])
        target = np.zeros(n)
        scatter(expected[low : n - 1], target, 0, steps, low)
        kept = np.concatenate([np.zeros(low), expected[low : n - 1], [0]]).reshape(turned.shape)
        np.testing.assert_array_equal(target.reshape(shape), kept.transpose())


LARGE = [
    ((700, 301), (301,)),
    ((700, 301), (700, 1)),
    ((700, 301), ()),
    ((3, 40, 1801), (40, 1)),
    ((1801, 3, 40), (1801, 1, 40)),
    ((70001, 3), (3,)),
]


@pytest.mark.parametrize(("shape", "other"), LARGE)
def test_blocks_of_large_operands_agree_with_numpy(shape, other):
    generator = np.random.default_rng(5)
    arrays = [generator.uniform(0.5, 1.5, s) for s in (shape, other, shape)]
    a, b = (rd.from_numpy(array).requires_grad_() for array in arrays[:2])
    result = a / b
    result.backward(rd.from_numpy(arrays[2]))
    one, two, grad = arrays
    np.testing.assert_allclose(result.detach().numpy(), one / two, rtol=1e-15)
    np.testing.assert_allclose(a.grad.numpy(), grad / two, rtol=1e-14)
    whole = -grad * one / (two * two)
    missing = len(shape) - len(other)
    padded = (1,) * missing + other
    dims = tuple(d for d in range(len(shape)) if padded[d] != shape[d])
    np.testing.assert_allclose(b.grad.numpy(), whole.sum(dims).reshape(other), rtol=1e-12)


def test_the_gradient_of_a_broadcast_float32_adds_up_in_float64():
    b = rd.zeros((), requires_grad=True)
    grad = rd.full((3_000_000,), 0.1)
    (rd.zeros(3_000_000) + b).backward(grad)
    assert b.grad.item() == pytest.approx(3e6 * float(np.float32(0.1)), rel=1e-7)


def test_strided_large_operands():
    array = np.random.default_rng(7).uniform(0.5, 1.5, (500, 600))
    x = rd.from_numpy(array).requires_grad_()
    (x.t() * x.t()[:, ::2].repeat(1, 2) * x[:, :1].t()).sum().backward()
    repeated = np.tile(array[::2], (2, 1))
    expected = repeated * array[:, :1]
    expected[::2] += (array * array[:, :1])[:250] + (array * array[:, :1])[250:]
    expected[:, 0] += (array * repeated).sum(1)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


def test_threads_repeat_and_add_up_what_one_does():
    """Sums are made strip by strip, copies block by block, whoever does it."""
    generator = np.random.default_rng(5)
    values = generator.uniform(-1, 1, (1031, 1021)).astype(np.float32)

    def results():
        x = rd.from_numpy(values)
        row = rd.zeros(1021, requires_grad=True)
        number = rd.zeros((), requires_grad=True)
        leaf = rd.zeros(1031, 1021, requires_grad=True)
        (leaf + row).backward(x)
        (leaf + number).backward(x)
        found = [x.sum(), x.sum(0), x[:, 1:].sum(0), x.t().contiguous(), leaf.grad]
        return [t.numpy() for t in (*found, x[0].expand(1031, 1021).clone(), row.grad, number.grad)]

    many = results()
    before = rd.get_num_threads()
    rd.set_num_threads(1)
    try:
        one = results()
    finally:
        rd.set_num_threads(before)
    for left, right in zip(many, one, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(many[0], values.sum(dtype=np.float64), rtol=1e-6)
    np.testing.assert_array_equal(many[3], values.T)
    np.testing.assert_array_equal(many[4], 2 * values)
    np.testing.assert_array_equal(many[5], np.broadcast_to(values[0], values.shape))
    np.testing.assert_allclose(many[6], values.sum(0, dtype=np.float64), rtol=1e-6, atol=1e-6)
