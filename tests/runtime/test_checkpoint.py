"""Checkpoints: the same gradients from less memory."""

import tracemalloc

import numpy as np
import pytest
import rederive as rd
from rederive import autograd
from rederive.utils import checkpoint as module
from rederive.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

BOTH = pytest.mark.parametrize("reentrant", [True, False])


def leaf(*shape):
    rd.manual_seed(1)
    return rd.randn(*shape, dtype=rd.float64, requires_grad=True)


def layer(x, scale=1.0):
    return (x * x * scale).sin().exp()


def gradient(function, x):
    return autograd.grad(function(x).sum(), x)[0].numpy()


@BOTH
def test_gradients_are_those_without_a_checkpoint(reentrant):
    x = leaf(3, 4)
    y = checkpoint(layer, x, use_reentrant=reentrant)
    np.testing.assert_array_equal(y.detach().numpy(), layer(x).detach().numpy())
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), gradient(layer, x))


@BOTH
def test_several_arguments_and_outputs(reentrant):
    x, w = leaf(3), leaf(3)

    def part(x, factor, w, name):
        assert name == "name"
        return x * w * factor, (x + w).exp(), 3

    first, second, three = checkpoint(part, x, 2.0, w, "name", use_reentrant=reentrant)
    assert three == 3
    (first * second).sum().backward()
    plain, other = leaf(3), leaf(3)
    (plain * other * 2.0 * (plain + other).exp()).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), plain.grad.numpy())
    np.testing.assert_array_equal(w.grad.numpy(), other.grad.numpy())


def test_keyword_arguments():
    x, scale = leaf(3), leaf(3)
    checkpoint(layer, x, use_reentrant=False, scale=scale).sum().backward()
    expected = autograd.grad(layer(x, scale).sum(), (x, scale))
    np.testing.assert_array_equal(x.grad.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(scale.grad.numpy(), expected[1].numpy())
    with pytest.raises(ValueError, match="Unexpected keyword arguments: scale"):
        checkpoint(layer, x, use_reentrant=True, scale=scale)


@BOTH
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_nested(reentrant):
    x = leaf(4)

    def outer(x):
        inner = checkpoint(layer, layer(x), use_reentrant=reentrant)
        return checkpoint(layer, inner, use_reentrant=reentrant)

    checkpoint(outer, x, use_reentrant=reentrant).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), gradient(lambda x: layer(layer(layer(x))), x))


@BOTH
def test_sequential(reentrant):
    x, calls = leaf(4), []

    def counted(x):
        calls.append(rd.is_grad_enabled())
        return layer(x)

    y = checkpoint_sequential([counted] * 5, 2, x, use_reentrant=reentrant)
    assert len(calls) == 5
    y.sum().backward()
    assert len(calls) == 7
    five = gradient(lambda x: layer(layer(layer(layer(layer(x))))), x)
    np.testing.assert_array_equal(x.grad.numpy(), five)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: scale"):
        checkpoint_sequential([layer], 1, x, use_reentrant=reentrant, scale=2.0)


@BOTH
def test_random_numbers_are_the_same_again(reentrant):
    x = leaf(100)
    rd.manual_seed(3)
    y = checkpoint(lambda x: x * rd.bernoulli(rd.full((100,), 0.5)), x, use_reentrant=reentrant)
    after = rd.rand(3)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), (y != 0).double().numpy())
    rd.manual_seed(3)
    rd.bernoulli(rd.full((100,), 0.5))
    np.testing.assert_array_equal(after.numpy(), rd.rand(3).numpy())


def test_random_numbers_go_on_if_asked_for():
    x = leaf(1000)
    options = {"use_reentrant": False, "preserve_rng_state": False}
    y = checkpoint(lambda x: x * rd.rand(1000), x, **options)
    y.sum().backward()
    assert not np.allclose(x.grad.numpy(), (y / x).detach().numpy())


def test_second_computation_stops_when_everything_is_there():
    x, finished = leaf(3), []

    def part(x):
        y = layer(x)
        finished.append(True)
        return y + 1.0

    checkpoint(part, x, use_reentrant=False).sum().backward()
    assert len(finished) == 1
    checkpoint(part, x, use_reentrant=False, early_stop=False).sum().backward()
    assert len(finished) == 3
    with module.set_checkpoint_early_stop(False):
        y = checkpoint(part, x, use_reentrant=False)
    y.sum().backward()
    assert len(finished) == 5


def test_a_part_that_computes_something_else_is_found():
    x, calls = leaf(3), []

    def changes_count(x):
        calls.append(1)
        return x.exp().sin() if len(calls) == 1 else x * 2.0

    y = checkpoint(changes_count, x, use_reentrant=False, debug=True)
    with pytest.raises(CheckpointError, match="different number of tensors") as caught:
        y.sum().backward()
    assert f"{__file__}:" in str(caught.value)
    calls.clear()

    def changes_shape(x):
        calls.append(1)
        return x.exp() if len(calls) == 1 else x[:2].exp()

    y = checkpoint(changes_shape, x, use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"position 0: saved rederive.float64 \[3\], recomp"):
        y.sum().backward()
    calls.clear()
    y = checkpoint(changes_shape, x, use_reentrant=False, determinism_check="none")
    with pytest.raises(Exception, match=r"."):
        y.sum().backward()
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        checkpoint(layer, x, use_reentrant=False, determinism_check="some")


def test_a_graph_that_is_kept_can_run_again():
    x = leaf(3)
    y = checkpoint(layer, x, use_reentrant=False).sum()
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_gradients_can_be_differentiated():
    x = leaf(3)
    (g,) = autograd.grad(checkpoint(layer, x, use_reentrant=False).sum(), x, create_graph=True)
    (second,) = autograd.grad(g.sum(), x)
    (g,) = autograd.grad(layer(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(second.numpy(), autograd.grad(g.sum(), x)[0].numpy())


def test_saved_values_can_be_looked_at():
    x = leaf(3)
    y = checkpoint(lambda x: x.exp(), x, use_reentrant=False)
    np.testing.assert_array_equal(y.grad_fn._saved_result.detach().numpy(), y.detach().numpy())
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_contexts_around_each_computation():
    x, log = leaf(3), []

    class Note:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            log.append(f"into {self.name}")

        def __exit__(self, *error):
            log.append(f"out of {self.name}")

    contexts = {"use_reentrant": False, "context_fn": lambda: (Note("first"), Note("second"))}
    y = checkpoint(layer, x, **contexts)
    assert log == ["into first", "out of first"]
    y.sum().backward()
    assert log[2:] == ["into second", "out of second"]
    with pytest.raises(ValueError, match="only supported when use_reentrant=False"):
        checkpoint(layer, x, use_reentrant=True, context_fn=lambda: (Note("a"), Note("b")))


def test_limits_of_the_reentrant_variant():
    x = leaf(3)
    y = checkpoint(layer, x, use_reentrant=True).sum()
    with pytest.raises(RuntimeError, match=r"incompatible with .grad\(\)"):
        autograd.grad(y, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(layer, rd.ones(3), use_reentrant=True)
    y = checkpoint(lambda x: x.detach(), x, use_reentrant=True)
    with pytest.raises(RuntimeError, match="none of output has requires_grad=True"):
        y.sum().backward()


def test_the_variant_has_to_be_named():
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(layer, leaf(3))


@BOTH
def test_an_error_leaves_everything_usable(reentrant):
    x, calls = leaf(3), []

    def fails(x):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError("on purpose")
        return layer(x)

    y = checkpoint(fails, x, use_reentrant=reentrant).sum()
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        y.backward()
    assert rd.is_grad_enabled()
    checkpoint(layer, x, use_reentrant=reentrant).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), gradient(layer, x))


def peak(segments, reentrant):
    """Bytes at most held at once by a step through 32 layers of 80 kB."""
    x = leaf(10000)
    functions = [layer] * 32
    tracemalloc.start()
    y = checkpoint_sequential(functions, segments, x, use_reentrant=reentrant)
    y.sum().backward()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@BOTH
def test_memory_falls_with_the_number_of_segments(reentrant):
    peak(8, reentrant)  # compiled once, so that only the step is measured
    whole, parts = peak(1, reentrant), peak(8, reentrant)
    # A layer saves 2 arrays: 64 in all, against 7 inputs of segments, 8 of one segment and 8 of
    # the last, which is not checkpointed; the pass itself holds a few more.
    assert parts < 0.35 * whole
