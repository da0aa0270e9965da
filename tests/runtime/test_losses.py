"""Losses and batch_norm beyond samples: errors, warnings, limits, running statistics."""

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_shapes_that_only_broadcast_are_warned_about(name):
    with pytest.warns(UserWarning, match="different to the input size") as caught:
        getattr(F, name)(rd.ones(2, 3), rd.ones(3))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: F.mse_loss(x, x, weight=x[0]), ValueError, "must have the same size"),
        (lambda x: F.l1_loss(x, x, reduction="x"), ValueError, "is not a valid value for reduct"),
        (lambda x: F.smooth_l1_loss(x, x, beta=-1.0), RuntimeError, "negative values for beta"),
        (lambda x: F.huber_loss(x, x, delta=0.0), RuntimeError, "non-positive values for delta"),
        (lambda x: F.binary_cross_entropy(x, x[0]), ValueError, "is deprecated"),
        (lambda x: F.binary_cross_entropy(2 * x, x), RuntimeError, "of input should be between"),
        (lambda x: F.binary_cross_entropy(x, 2 * x), RuntimeError, "of target should be between"),
        (lambda x: F.binary_cross_entropy_with_logits(x, x[0]), ValueError, "must be the same as"),
        (lambda x: F.kl_div(x.to(rd.int64), x), RuntimeError, "Integral inputs not supported"),
        (lambda x: F.cross_entropy(x, rd.tensor([0, 3])), IndexError, "Target 3 is out of bounds"),
        (lambda x: F.cross_entropy(x, rd.tensor([0])), ValueError, r"batch_size \(2\) to match"),
        (lambda x: F.nll_loss(x, rd.tensor([0, 1]), x[0, :2]), RuntimeError, "for all 3 classes"),
        (
            lambda x: F.cross_entropy(x, rd.tensor([0, 1]), label_smoothing=1.5),
            RuntimeError,
            "label_smoothing must be between",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:reduction")
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(rd.ones(2, 3))


def test_weights_of_binary_losses_have_no_gradient():
    x, weight = rd.ones(3) / 2, rd.ones(3, requires_grad=True)
    for call in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        with pytest.raises(RuntimeError, match="not differentiable with respect to argument 'wei"):
            call(x, x, weight)


def test_logarithms_of_zero_count_one_hundred():
    x = rd.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(x, rd.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert losses.tolist() == [0.0, 0.0, 100.0, 100.0]
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0.0, 0.0, -1e12, 1e12], rtol=1e-6)


def test_logits_do_not_overflow():
    x = rd.tensor([1000.0, -1000.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, rd.tensor([0.0, 1.0]))
    loss.backward()
    assert (loss.item(), x.grad.tolist()) == (1000.0, [0.5, -0.5])


def test_the_mean_of_kl_div_warns_and_the_batch_mean_does_not():
    x = rd.zeros(2, 3)
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(x, rd.ones(2, 3))
    assert F.kl_div(x - 1, rd.ones(2, 3), reduction="batchmean").item() == 3.0


def test_functions_of_the_top_level_reduce_nothing_by_default():
    x = rd.zeros(2, 3)
    assert rd.kl_div(x, x).shape == rd.binary_cross_entropy_with_logits(x, x).shape == (2, 3)
    assert rd.kl_div(x - 1, x + 1, 2).item() == 6.0


def test_ignored_targets_count_nothing_even_beside_infinity():
    x = rd.full((2, 3), float("-inf"))
    losses = F.nll_loss(x, rd.tensor([-100, 1]), reduction="none")
    assert losses.tolist() == [0.0, float("inf")]


# --- batch_norm ----------------------------------------------------------------------------------


def test_running_statistics_move_in_training_only():
    x = rd.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 2)))
    mean, var = rd.zeros(3, dtype=rd.float64), rd.ones(3, dtype=rd.float64)
    F.batch_norm(x, mean, var, training=True, momentum=0.3)
    array = x.numpy()
    np.testing.assert_allclose(mean.numpy(), 0.3 * array.mean((0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.7 + 0.3 * array.var((0, 2), ddof=1))
    before = mean.tolist()
    y = F.batch_norm(x, mean, var, eps=0.0)
    assert mean.tolist() == before
    wanted = (array[0, :, 0] - mean.numpy()) / np.sqrt(var.numpy())
    np.testing.assert_allclose(y.numpy()[0, :, 0], wanted)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: F.batch_norm(x, None, None), RuntimeError, "must be defined in evaluation mode"),
        (lambda x: F.batch_norm(x[:1], None, None, training=True), ValueError, "more than 1 value"),
        (
            lambda x: F.batch_norm(x, rd.ones(3), None, training=True),
            ValueError,
            "must either both be None",
        ),
        (
            lambda x: F.batch_norm(x, rd.ones(4), rd.ones(4)),
            RuntimeError,
            "running_mean should contain 3 elements not 4",
        ),
        (
            lambda x: F.batch_norm(x, None, None, training=True, eps=0.0),
            ValueError,
            "eps must be positive",
        ),
        (
            lambda x: F.batch_norm(x, rd.ones(3, requires_grad=True), rd.ones(3)),
            RuntimeError,
            "not differentiable with respect to argument 'running_mean'",
        ),
    ],
)
def test_errors_of_batch_norm(call, error, text):
    with pytest.raises(error, match=text):
        call(rd.ones(2, 3))


def test_rms_norm_of_small_numbers_uses_the_epsilon_of_the_dtype():
    x = rd.full((1, 3), 1e-4)
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(F.rms_norm(x, [3]).numpy(), 1e-4 / np.sqrt(1e-8 + eps), rtol=1e-5)
