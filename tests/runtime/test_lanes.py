"""Lanes that are not the last dimension, as many as take several blocks."""

import numpy as np
import pytest
import rederive as rd

SHAPES = [((300, 400), (0,)), ((37, 64), (0,)), ((5, 1000, 30), (1,)), ((70, 5, 400), (0, 2))]


@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_totals_and_their_gradients(shape, dims):
    array = np.random.default_rng(1).standard_normal(shape)
    for name in ("sum", "mean", "amax", "var"):
        x = rd.from_numpy(array).requires_grad_()
        result = getattr(x, name)(dims)
        options = {"ddof": 1} if name == "var" else {}
        expected = getattr(np, name)(array, axis=dims, **options)
        np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-12, atol=1e-14)
        weights = np.random.default_rng(2).standard_normal(expected.shape)
        result.backward(rd.from_numpy(weights))
        spread, count = np.expand_dims(weights, dims), array.size // expected.size
        center = array.mean(dims, keepdims=True)
        gradient = {
            "sum": spread + 0 * array,
            "mean": spread / count + 0 * array,
            "amax": spread * (array == array.max(dims, keepdims=True)),
            "var": 2 * spread * (array - center) / (count - 1),
        }[name]
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("shape", [(300, 400), (37, 64), (5, 1000, 30)])
def test_softmax_along_the_first_dimension(shape):
    array = np.random.default_rng(3).standard_normal(shape)
    x = rd.from_numpy(array).requires_grad_()
    result = rd.softmax(x, 0)
    powers = np.exp(array - array.max(0))
    expected = powers / powers.sum(0)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-12)
    weights = np.random.default_rng(4).standard_normal(shape)
    result.backward(rd.from_numpy(weights))
    gradient = expected * (weights - (weights * expected).sum(0))
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("equal", [False, True], ids=["random", "equal"])
def test_ten_million_float32_add_up_to_a_millionth(equal):
    """Equal terms are the hardest: all roundings of a running sum go the same way."""
    array = np.random.default_rng(5).random(20_000_000, dtype=np.float32)
    if equal:
        array.fill(0.1)
    half = array[:10_000_000]
    views = [
        (half, None),
        (half.reshape(2_500_000, 4), 0),
        (half.reshape(4, 2_500_000), 1),
        (half.reshape(2, 2_500_000, 2), (0, 1)),
        (half.reshape(2_500_000, 4).T, 1),
        (array[::2], 0),
    ]
    for view, dim in views:
        x = rd.from_numpy(view)
        expected = view.sum(dim, dtype=np.float64)
        count = view.size // max(expected.size, 1)
        np.testing.assert_allclose(x.sum(dim).numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(x.mean(dim).numpy(), expected / count, rtol=1e-6)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_extrema_honour_nan_wherever_it_stands(kind):
    array = np.random.default_rng(6).standard_normal((40, 70)).astype(kind)
    for row, place in enumerate([0, 1, 35, 68, 69]):
        array[row, place] = np.nan
    array[7] = -np.inf
    x = rd.from_numpy(array)
    np.testing.assert_array_equal(x.amax(1).numpy(), array.max(1))
    np.testing.assert_array_equal(x.amin(1).numpy(), array.min(1))
    np.testing.assert_array_equal(x.argmax(1).numpy(), array.argmax(1))
    np.testing.assert_array_equal(x.argmin(1).numpy(), array.argmin(1))


def cross_entropy(x, dim):
    shape = [n for d, n in enumerate(x.shape) if d != dim]
    target = rd.from_numpy(np.random.default_rng(7).integers(0, x.shape[dim], shape))
    x = x.transpose(dim, 1) if x.ndim > 2 else x if dim == 1 else x.t()
    return rd.nn.functional.cross_entropy(x, target, reduction="none")


def batch_norm(x, dim):
    x = x.transpose(dim, 0).reshape(x.shape[dim], -1)
    weight = rd.linspace(0.5, 2, x.shape[1], dtype=x.dtype)
    return rd.nn.functional.batch_norm(x, None, None, weight, weight / 3, True)


SIDE_BY_SIDE = {
    "amax": rd.amax,
    "var": rd.var,
    "norm": lambda x, dim: rd.norm(x, 2, dim),
    "sum of magnitudes": lambda x, dim: rd.norm(x, 1, dim),
    "logsumexp": rd.logsumexp,
    "softmax": rd.softmax,
    "log_softmax": rd.log_softmax,
    "cross_entropy": cross_entropy,
    "batch_norm": batch_norm,
    "argmax": lambda x, dim: x * rd.argmax(x, dim, True),
}


@pytest.mark.parametrize("name", SIDE_BY_SIDE)
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((70, 33), 0), ((3, 9, 40), 1), ((5, 2100), 0), ((700, 801), 0), ((2, 501, 600), 1)],
)
def test_lanes_side_by_side_give_what_lanes_one_after_the_other_give(name, shape, dim):
    array = np.random.default_rng(8).standard_normal(shape)
    found = []
    for turned in (False, True):
        x = rd.from_numpy(array).requires_grad_()
        y = x
        if turned:  # the same values, but where a lane lies dense
            y = x.transpose(dim, -1).contiguous().transpose(-1, dim)
        result = SIDE_BY_SIDE[name](y, dim)
        result.backward(rd.linspace(0.5, 1.5, result.numel(), dtype=x.dtype).reshape(result.shape))
        found.append((result.detach().numpy(), x.grad.numpy()))
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["softmax", "var", "batch_norm"])
def test_sums_over_columns_do_not_depend_on_the_number_of_threads(name):
    array = np.random.default_rng(10).standard_normal((701, 800)).astype(np.float32)
    before, found = rd.get_num_threads(), []
    try:
        for number in (1, 2):
            rd.set_num_threads(number)
            x = rd.from_numpy(array.copy()).requires_grad_()
            result = SIDE_BY_SIDE[name](x, 0)
            (result * result).sum().backward()
            found.append((result.detach().numpy(), x.grad.numpy()))
    finally:
        rd.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_column(value):
    array = np.random.default_rng(9).standard_normal((6, 40))
    array[2, 5] = value
    array[:, 7] = value
    for function in (rd.amax, rd.amin, rd.logsumexp, rd.softmax, rd.var):
        beside = function(rd.from_numpy(array), 0).numpy()
        after = function(rd.from_numpy(np.ascontiguousarray(array.T)), 1).numpy().T
        np.testing.assert_allclose(beside, after, rtol=1e-12)


def normalized(x, dims, mean=None, variance=None):
    mean = x.mean(dims, keepdims=True) if mean is None else mean
    variance = x.var(dims, keepdims=True) if variance is None else variance
    return (x - mean) / np.sqrt(variance + 1e-5)


def norms_of_images(x, weight, bias):
    """Ours and NumPy's, where a channel's elements are runs of memory."""
    array, F = x.detach().numpy(), rd.nn.functional
    groups = array.reshape(len(array), 2, -1)
    known = rd.arange(4.0, dtype=rd.float64), rd.arange(1.0, 5.0, dtype=rd.float64)
    mean, variance = (t.numpy()[:, None, None] for t in known)
    yield F.group_norm(x, 2, weight, bias), normalized(groups, 2).reshape(array.shape)
    yield F.batch_norm(x, None, None, weight, bias, True), normalized(array, (0, 2, 3))
    yield F.batch_norm(x, *known, weight, bias), normalized(array, None, mean, variance)


@pytest.mark.parametrize("size", [(3, 4, 5, 7), (40, 4, 30, 41), (2, 4, 1, 16)])
def test_normalisation_of_images(size):
    draw = np.random.default_rng(6)
    x = rd.from_numpy(draw.standard_normal(size)).requires_grad_()
    weight, bias = (rd.from_numpy(draw.standard_normal(4)) for _ in range(2))
    scale, shift = weight.numpy()[:, None, None], bias.numpy()[:, None, None]
    flow = draw.standard_normal(size)
    for result, normal in norms_of_images(x, weight, bias):
        np.testing.assert_allclose(result.detach().numpy(), normal * scale + shift, atol=1e-12)
    weight.requires_grad_()
    bias.requires_grad_()
    result = rd.nn.functional.group_norm(x, 2, weight, bias)
    gradients = rd.autograd.grad(result, (x, weight, bias), rd.from_numpy(flow))
    groups = (size[0], 2, -1)
    normal = normalized(x.detach().numpy().reshape(groups), 2)
    inner = (flow * scale).reshape(groups)
    deviation = x.detach().numpy().reshape(groups).std(2, keepdims=True)
    rstd = 1 / np.sqrt(deviation**2 + 1e-5)
    of_normal = normal * (inner * normal).mean(2, keepdims=True)
    expected = rstd * (inner - inner.mean(2, keepdims=True) - of_normal)
    np.testing.assert_allclose(gradients[0].numpy(), expected.reshape(size), atol=1e-11)
    by_channel = (flow * normal.reshape(size)).sum((0, 2, 3))
    np.testing.assert_allclose(gradients[1].numpy(), by_channel, atol=1e-10)
    np.testing.assert_allclose(gradients[2].numpy(), flow.sum((0, 2, 3)), atol=1e-10)


def test_channels_of_images_run_by_run():
    """Lanes whose runs lie far apart, of several strips and with sums along them."""
    generator = np.random.default_rng(3)
    values, flow = (generator.uniform(0.5, 1.5, (9, 6, 41, 37)) for _ in range(2))
    mean, weight, bias = (generator.uniform(0.5, 1.5, 6) for _ in range(3))
    x, w, b = (rd.tensor(v, requires_grad=True) for v in (values, weight, bias))
    out = rd.nn.functional.batch_norm(x, rd.tensor(mean), rd.ones(6, dtype=rd.float64), w, b, eps=0)
    out.backward(rd.tensor(flow))
    normal = values - mean.reshape(6, 1, 1)
    expected = normal * weight.reshape(6, 1, 1) + bias.reshape(6, 1, 1)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), flow * weight.reshape(6, 1, 1), rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), (flow * normal).sum((0, 2, 3)), rtol=1e-11)
    np.testing.assert_allclose(b.grad.numpy(), flow.sum((0, 2, 3)), rtol=1e-12)
    found = rd.tensor(values).norm(2, (0, 2, 3)).numpy()
    np.testing.assert_allclose(found, np.sqrt((values**2).sum((0, 2, 3))), rtol=1e-12)
