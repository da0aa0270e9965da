"""Operators on nothing, and on shapes that do not belong together."""

import math

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional


def test_logsumexp_of_nothing_is_minus_infinity():
    x = rd.zeros(3, 0, requires_grad=True)
    result = rd.logsumexp(x, 1)
    assert result.tolist() == [-math.inf] * 3
    assert rd.autograd.grad(result.sum(), x)[0].shape == (3, 0)
    assert rd.logsumexp(rd.zeros(0, 4), (0, 1), keepdim=True).tolist() == [[-math.inf]]


def test_maximum_of_nothing_is_an_error():
    with pytest.raises(IndexError, match="non-zero size"):
        rd.zeros(3, 0).amax(1)


@pytest.mark.parametrize(("count", "correction"), [(0, 0), (0, 1), (1, 1), (1, 2)])
def test_variance_without_degrees_of_freedom_is_nan(count, correction):
    assert rd.var(rd.ones(count), correction=correction).isnan()
    assert rd.std(rd.ones(count), correction=correction).isnan()


def test_variance_divides_by_nothing_less_than_zero():
    assert rd.var(rd.tensor([1.0, 2.0]), correction=5).item() == math.inf


def test_derivative_of_deviation_of_equal_numbers_is_zero_in_both_modes():
    x = rd.ones(4, requires_grad=True)
    assert rd.autograd.grad(rd.std(x), x)[0].tolist() == [0.0] * 4
    assert rd.func.jvp(rd.std, (rd.ones(4),), (rd.arange(4.0),))[1].item() == 0.0


def test_gradient_of_cumprod_of_nothing():
    x = rd.zeros(3, 0, requires_grad=True)
    assert rd.autograd.grad(rd.cumprod(x, 1).sum(), x)[0].shape == (3, 0)


def test_classes_without_members():
    nothing = rd.zeros(2, 0)
    assert F.cross_entropy(nothing, nothing, reduction="sum").item() == 0
    assert F.cross_entropy(nothing, nothing, reduction="none").tolist() == [0, 0]


def test_convolution_without_channels_is_the_bias():
    result = F.conv1d(rd.zeros(2, 0, 7), rd.zeros(3, 0, 4), rd.tensor([1.0, 2.0, 3.0]))
    assert result.numpy().tolist() == np.broadcast_to([[1], [2], [3]], (2, 3, 4)).tolist()


def test_adaptive_pooling_without_channels():
    assert F.adaptive_avg_pool2d(rd.zeros(2, 0, 5, 6), 2).shape == (2, 0, 2, 2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: rd.outer(rd.ones(2), rd.ones(2, 2)), RuntimeError, "Expected 1-D argument vec2"),
        (lambda: rd.tril(rd.ones(4)), RuntimeError, "at least 2 dimensions"),
        (
            lambda: F.layer_norm(rd.ones(3, 4), (4,), rd.ones(2, 2)),
            RuntimeError,
            "Expected weight to be of same shape as normalized_shape",
        ),
        (
            lambda: F.cross_entropy(rd.ones(1, 4), rd.ones(3, 4)),
            RuntimeError,
            "target dtype to be Long",
        ),
        (
            lambda: F.cross_entropy(rd.ones(4), rd.ones(4, dtype=rd.int64)),
            RuntimeError,
            "Expected floating point type for target with class probabilities",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(
                rd.ones(1, 4), rd.ones(1, 4), weight=rd.ones(2, 4)
            ),
            RuntimeError,
            r"output with shape \[1, 4\] doesn't match the broadcast shape \[2, 4\]",
        ),
    ],
)
def test_shapes_that_do_not_belong_together(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_deviation_of_equal_numbers_is_exactly_zero():
    numbers = np.random.default_rng(0).uniform(-2, 2, 500)
    for count in (3, 7, 10, 100):
        x = rd.from_numpy(np.repeat(numbers[:, None], count, 1))
        assert rd.std(x, 1).abs().max().item() == 0
