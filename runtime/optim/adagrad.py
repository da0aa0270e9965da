"""Adagrad."""

from __future__ import annotations

from ..factories import full_like, zeros
from . import kernels
from .fused import update
from .optimizer import Optimizer, check_lr, check_variant, loss_of, step_dtype, with_gradients
from .saving import steps_as_tensors

_KERNELS = (kernels.adagrad, kernels.adagrad_parallel)


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

    With `g = grad + weight_decay * param`, negated to maximize, in step t::

        sum = sum + g**2                     # from initial_accumulator_value on
        param = param - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps)

    Source: Duchi, Hazan & Singer (2011).
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        check_lr(lr)
        checked = {
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "epsilon": eps,
        }
        for name, value in checked.items():
            if not value >= 0.0:
                raise ValueError(f"Invalid {name} value: {value}")
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_variant("Adagrad", foreach, fused, differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                self._begin(group, param)

    def _begin(self, group, param):
        state = self.state[param]
        state["step"] = zeros((), dtype=step_dtype(group["fused"]))
        state["sum"] = full_like(param, self.defaults["initial_accumulator_value"])

    def __setstate__(self, state):
        super().__setstate__(state)
        absent = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}
        for group in self.param_groups:
            group.update({**absent, **group})
        steps_as_tensors(self, lambda group: step_dtype(group["fused"]))

    def step(self, closure=None):
        """Change the parameters that have gradients; returns what `closure()` returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if not params:
                continue
            states = [self.state[param] for param in params]
            if not all(states):
                for param, state in zip(params, states, strict=True):
                    if not state:
                        self._begin(group, param)
            steps, sums = ([state[name] for state in states] for name in ("step", "sum"))
            sign = -1 if group["maximize"] else 1
            numbers = (group["lr"], group["lr_decay"], group["eps"], sign, group["weight_decay"])
            update(_KERNELS, (params, grads, sums), steps, numbers)
        return loss
