"""nn.init: what the starting values are, and how they are distributed."""

import math

import numpy as np
import pytest
import rederive as rd
from rederive import nn


def spread(tensor):
    return tensor.numpy().astype(np.float64)


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: nn.init.uniform_(t, -1, 3), 4 / math.sqrt(12)),
        (lambda t: nn.init.normal_(t, 1.0, 2.0), 2.0),
        (lambda t: nn.init.xavier_uniform_(t, 2.0), 2 * math.sqrt(2 / 500)),
        (lambda t: nn.init.xavier_normal_(t), math.sqrt(2 / 500)),
        (lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(2 / 200)),
        (lambda t: nn.init.kaiming_normal_(t, mode="fan_out", a=1), math.sqrt(1 / 300)),
        (lambda t: nn.init.kaiming_normal_(t, nonlinearity="tanh"), 5 / 3 / math.sqrt(200)),
    ],
)
def test_spread_of_random_starting_values(fill, std):
    rd.manual_seed(0)
    tensor = rd.empty(300, 200)
    assert fill(tensor) is tensor
    assert spread(tensor).std() == pytest.approx(std, rel=0.02)
    assert tensor._version == 1


def test_starting_values_come_from_the_given_generator():
    first = nn.init.normal_(rd.empty(4), generator=rd.Generator().manual_seed(7))
    second = nn.init.normal_(rd.empty(4), generator=rd.Generator().manual_seed(7))
    assert first.tolist() == second.tolist()


def test_fans_of_filters():
    rd.manual_seed(0)
    filters = nn.init.kaiming_normal_(rd.empty(64, 16, 5, 5), nonlinearity="linear")
    assert spread(filters).std() == pytest.approx(1 / math.sqrt(16 * 25), rel=0.05)


def test_constant_starting_values():
    assert nn.init.constant_(rd.empty(2), 3.0).tolist() == [3, 3]
    assert nn.init.ones_(rd.empty(2)).tolist() == [1, 1]
    assert nn.init.zeros_(rd.empty(2)).tolist() == [0, 0]
    assert nn.init.eye_(rd.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    identity = nn.init.dirac_(rd.empty(4, 2, 3), groups=2)
    assert identity[:, :, 1].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert identity.sum().item() == 4


def test_truncated_normal():
    rd.manual_seed(0)
    values = spread(nn.init.trunc_normal_(rd.empty(5000), 1.0, 2.0, -0.5, 2.0))
    assert values.min() >= -0.5 and values.max() <= 2
    assert np.histogram(values, 5)[0].min() > 500
    with pytest.warns(UserWarning, match="more than 2 std"):
        nn.init.trunc_normal_(rd.empty(2), mean=10.0)


def test_orthogonal_and_sparse():
    for shape in ((4, 6), (6, 4), (4, 2, 3)):
        matrix = spread(nn.init.orthogonal_(rd.empty(shape), gain=2)).reshape(shape[0], -1)
        product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)
    columns = spread(nn.init.sparse_(rd.empty(10, 4), 0.25))
    assert ((columns == 0).sum(0) == 3).all()


def test_parameters_are_filled_without_a_graph():
    p = nn.Parameter(rd.ones(2))
    assert nn.init.normal_(p) is p and p.is_leaf and p.requires_grad
    t = rd.ones(3, 3)
    nn.init.zeros_(t[:, 1])
    assert t.sum().item() == 6


@pytest.mark.parametrize(
    ("name", "parameter", "gain"),
    [
        ("linear", None, 1),
        ("conv2d", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 1, 1),
        ("selu", None, 0.75),
    ],
)
def test_gains(name, parameter, gain):
    assert nn.init.calculate_gain(name, parameter) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.init.calculate_gain("other"), "Unsupported nonlinearity other"),
        (lambda: nn.init.calculate_gain("leaky_relu", "a"), "not a valid number"),
        (lambda: nn.init.xavier_normal_(rd.empty(3)), "fewer than 2 dimensions"),
        (lambda: nn.init.kaiming_normal_(rd.empty(3, 3), mode="in"), "Mode in not supported"),
        (lambda: nn.init.eye_(rd.empty(3)), "2 dimensions"),
        (lambda: nn.init.sparse_(rd.empty(3), 0.5), "2 dimensions"),
        (lambda: nn.init.orthogonal_(rd.empty(3)), "2 or more dimensions"),
        (lambda: nn.init.dirac_(rd.empty(3, 3)), "3, 4, or 5 dimensions"),
    ],
)
def test_errors_of_starting_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: nn.init.uniform_(rd.ones(2), 1, 0), "found from=1 > to=0"),
        (lambda: nn.init.normal_(rd.ones(2), 0, -1), "found std -1"),
        (lambda: nn.init.trunc_normal_(rd.ones(2), 0, 1, 2, -2), "a <= b is required"),
    ],
)
def test_distributions_that_do_not_exist(call, error):
    with pytest.raises(RuntimeError, match=error):
        call()


@pytest.mark.parametrize("fill", ["uniform_", "normal_", "trunc_normal_", "orthogonal_"])
def test_integers_are_not_drawn(fill):
    with pytest.raises(NotImplementedError, match="int64"):
        getattr(nn.init, fill)(rd.ones(2, 2, dtype=rd.int64))


def test_names_of_before_warn():
    with pytest.warns(FutureWarning, match=r"in favor of `nn.init.constant_`"):
        assert nn.init.constant(rd.empty(2), 4.0).tolist() == [4, 4]
    with pytest.raises(AttributeError, match="'nothing'"):
        nn.init.nothing  # noqa: B018


def moments(values):
    """(mean, variance, fourth moment over squared variance) of an array."""
    centered = values - values.mean()
    variance = (centered**2).mean()
    return values.mean(), variance, (centered**4).mean() / variance**2


@pytest.mark.parametrize("dtype", [rd.float32, rd.float64])
def test_shapes_of_the_distributions(dtype):
    rd.manual_seed(1)
    uniform = moments(spread(nn.init.uniform_(rd.empty(60_000, dtype=dtype), -2, 4)))
    assert uniform == pytest.approx((1, 3, 1.8), abs=0.05)
    normal = moments(spread(nn.init.normal_(rd.empty(60_000, dtype=dtype), 1, 2)))
    assert normal == pytest.approx((1, 4, 3), abs=0.12)
    # a normal variable cut at one standard deviation on both sides
    cut = spread(nn.init.trunc_normal_(rd.empty(60_000, dtype=dtype), 0, 1, -1, 1))
    assert moments(cut)[:2] == pytest.approx((0, 0.2911), abs=0.01)


def test_orthogonal_matrices_have_no_preferred_sign():
    rd.manual_seed(2)
    corners = [nn.init.orthogonal_(rd.empty(2, 2))[0, 0].item() for _ in range(400)]
    assert 150 < sum(corner > 0 for corner in corners) < 250
    determinants = [np.linalg.det(spread(nn.init.orthogonal_(rd.empty(2, 2)))) for _ in range(200)]
    assert 60 < sum(determinant > 0 for determinant in determinants) < 140


def test_sparse_columns_keep_the_spread():
    rd.manual_seed(3)
    columns = spread(nn.init.sparse_(rd.empty(1000, 5), 0.3, std=0.5))
    assert ((columns == 0).sum(0) == 300).all()
    assert columns[columns != 0].std() == pytest.approx(0.5, rel=0.05)
    assert len({tuple(column.nonzero()[0]) for column in columns.T}) == 5
