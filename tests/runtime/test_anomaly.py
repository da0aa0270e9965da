"""Anomaly mode: errors of a backward pass tell where the forward call was."""

import threading
import warnings

import pytest
import rederive as rd
from rederive import autograd


@pytest.fixture(autouse=True)
def announced():
    """Entering the mode warns; what the tests expect beyond that they say themselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Anomaly Detection has been enabled")
        yield


def root_of(x):
    return x.sqrt()


def test_nan_in_a_gradient_is_an_error_that_shows_the_forward_call():
    x = rd.tensor([-1.0, 4.0], requires_grad=True)
    with autograd.detect_anomaly():
        y = root_of(x).sum()
        with (
            pytest.warns(UserWarning, match="Error detected in SqrtBackward0"),
            pytest.raises(RuntimeError) as caught,
        ):
            y.backward()
    assert str(caught.value) == "Function 'SqrtBackward0' returned nan values in its 0th output."
    (note,) = caught.value.__notes__
    assert "Traceback of forward call that caused the error" in note
    assert "in root_of" in note
    assert "return x.sqrt()" in note
    assert "runtime/operator.py" not in note


def test_an_error_in_a_custom_backward_shows_the_forward_call():
    class Broken(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise ZeroDivisionError("on purpose")

    x = rd.ones(2, requires_grad=True)
    with autograd.detect_anomaly():
        y = Broken.apply(x)
        with (
            pytest.warns(UserWarning, match=r"(?s)BrokenBackward.*y = Broken.apply"),
            pytest.raises(ZeroDivisionError, match="on purpose"),
        ):
            y.sum().backward()


def test_nan_is_allowed_where_it_is_not_looked_for():
    x = rd.tensor([-1.0], requires_grad=True)
    with autograd.detect_anomaly(check_nan=False):
        assert rd.is_anomaly_enabled()
        assert not rd.is_anomaly_check_nan_enabled()
        root_of(x).sum().backward()
    assert x.grad.isnan().all()


def test_a_node_made_outside_says_so():
    x = rd.tensor([-1.0], requires_grad=True)
    y = root_of(x)
    with (
        autograd.detect_anomaly(),
        pytest.warns(UserWarning, match="No forward pass information is available"),
        pytest.raises(RuntimeError, match="nan values"),
    ):
        y.sum().backward()


def test_second_derivatives_tell_of_both_calls():
    x = rd.tensor([2.0], requires_grad=True)
    with autograd.detect_anomaly():
        (g,) = autograd.grad((x**3.0).sum(), x, create_graph=True)
        assert g.grad_fn.metadata["traceback_"]
        assert g.grad_fn.metadata["parent_"].name() == "PowBackward0"
        with (
            pytest.warns(UserWarning, match="previous calculation was induced by PowBackward0"),
            pytest.raises(RuntimeError, match="nan values"),
        ):
            g.backward(rd.tensor([float("nan")]))


def test_the_mode_ends_and_is_of_one_thread():
    seen = []
    with autograd.set_detect_anomaly(True):
        assert rd.is_anomaly_enabled()
        thread = threading.Thread(target=lambda: seen.append(rd.is_anomaly_enabled()))
        thread.start()
        thread.join()
        with autograd.set_detect_anomaly(False):
            assert not rd.is_anomaly_enabled()
        assert rd.is_anomaly_enabled()
    assert not rd.is_anomaly_enabled()
    assert seen == [False]
    autograd.set_detect_anomaly(True)
    assert rd.is_anomaly_enabled()
    autograd.set_detect_anomaly(False)
    assert not rd.is_anomaly_enabled()


def test_it_decorates_functions():
    @autograd.detect_anomaly()
    def inside():
        return rd.is_anomaly_enabled()

    assert inside()
    assert not rd.is_anomaly_enabled()


def test_entering_warns():
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        autograd.detect_anomaly()
