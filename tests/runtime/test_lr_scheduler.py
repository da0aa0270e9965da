"""Schedules of the learning rate."""

import math
import pickle

import pytest
import rederive as torch
from rederive.optim import SGD, lr_scheduler


def optimizer_of(*rates):
    groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": rate} for rate in rates]
    return SGD(groups)


def rates_of(scheduler, epochs):
    """The first group's learning rate in each epoch."""
    found = []
    for _ in range(epochs):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_steps_multiply_by_gamma():
    scheduler = lr_scheduler.StepLR(optimizer_of(0.1), step_size=2, gamma=0.5)
    assert rates_of(scheduler, 5) == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_function_of_the_epoch():
    optimizer = optimizer_of(0.5, 0.25)
    scheduler = lr_scheduler.LambdaLR(optimizer, [lambda e: 1 / (1 + e), lambda e: 2.0**e])
    assert rates_of(scheduler, 3) == [0.5, 0.25, 0.5 / 3]
    assert scheduler.get_last_lr() == [0.125, 2.0]
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas, but got 1"):
        lr_scheduler.LambdaLR(optimizer, [lambda e: 1])


def test_cosine_goes_down_and_up_again():
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer_of(0.5), T_max=4, eta_min=0.1)
    expected = [0.1 + 0.4 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(12)]
    assert rates_of(scheduler, 12) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.StepLR(o, 3, 0.5),
        lambda o: lr_scheduler.LambdaLR(o, lambda e: 0.9**e),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 7, 0.01),
    ],
)
def test_state_goes_on_in_another_scheduler(make):
    first = make(optimizer_of(0.4))
    rates_of(first, 5)
    second = make(optimizer_of(0.4))
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert rates_of(second, 9) == rates_of(first, 9)


def test_tensor_as_rate_is_changed_in_place():
    rate = torch.tensor(0.5)
    scheduler = lr_scheduler.StepLR(optimizer_of(rate), 1, 0.5)
    rates_of(scheduler, 2)
    assert rate.item() == 0.125 and scheduler.base_lrs[0].item() == 0.5


def test_resuming_needs_the_initial_rate():
    with pytest.raises(KeyError, match="'initial_lr' is not specified"):
        lr_scheduler.StepLR(optimizer_of(0.1), 2, last_epoch=3)
    optimizer = optimizer_of(0.1)
    optimizer.param_groups[0]["initial_lr"] = 0.8
    assert lr_scheduler.StepLR(optimizer, 2, last_epoch=3).last_epoch == 4
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        lr_scheduler.StepLR(1, 2)


def test_wrong_order_and_old_uses_warn():
    scheduler = lr_scheduler.StepLR(optimizer_of(0.1), 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(6)
    assert scheduler.get_last_lr() == [0.1 * 0.1**3]
