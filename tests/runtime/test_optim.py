"""Optimizers go where PyTorch's go: recorded by tools/record_optimizers.py."""

import numpy as np
import optimizer_runs
import pytest
import rederive

RECORDED = np.load(optimizer_runs.RECORDED)


def agree(key, name, options, steps, dtype, tolerance):
    found = optimizer_runs.places(rederive, dtype, name, options, steps)
    expected = RECORDED[f"{key}, {dtype}"]
    assert found.dtype == expected.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("key", optimizer_runs.RUNS)
def test_a_hundred_steps_lead_where_those_of_pytorch_lead(key, dtype, tolerance):
    name, options = optimizer_runs.RUNS[key]
    agree(key, name, options, optimizer_runs.STEPS, dtype, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("key", optimizer_runs.MINIMISERS)
def test_lbfgs_goes_where_that_of_pytorch_goes(key, dtype, tolerance):
    name, options = optimizer_runs.MINIMISERS[key]
    agree(key, name, options, optimizer_runs.MINIMISER_STEPS, dtype, tolerance)


def test_every_run_is_recorded():
    names = {*optimizer_runs.RUNS, *optimizer_runs.MINIMISERS}
    assert set(RECORDED) == {f"{key}, float{bits}" for key in names for bits in (32, 64)}


def test_lbfgs_finds_the_minimum_of_the_rosenbrock_function():
    place = rederive.tensor([-1.2, 1.0], dtype=rederive.float64, requires_grad=True)
    optimizer = rederive.optim.LBFGS(
        [place], max_iter=100, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        x, y = place
        loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(24.2)
    np.testing.assert_allclose(place.detach().numpy(), [1, 1], atol=1e-6)
