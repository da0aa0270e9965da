"""Stochastic gradient descent."""

from __future__ import annotations

from types import NoneType

from ..factories import zeros_like
from . import kernels
from .fused import update
from .optimizer import Optimizer, check_lr, check_variant, loss_of, with_gradients

_PLAIN = (kernels.sgd, kernels.sgd_parallel)
_MOMENTUM = (kernels.momentum, kernels.momentum_parallel)


class SGD(Optimizer):
    """Steps against the gradient, if wanted with momentum.

    With `g = grad + weight_decay * param`, negated to maximize::

        buffer = momentum * buffer + (1 - dampening) * g    # at first just g
        param = param - lr * buffer                         # nesterov: g + momentum * buffer

    `foreach` and `fused` are accepted and change nothing: steps are always fused.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        check_lr(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_variant("SGD", foreach, fused, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        absent = {"nesterov": False, "maximize": False, "foreach": None, "fused": False}
        for group in self.param_groups:
            group.update({**absent, "differentiable": False, **group})

    def step(self, closure=None):
        """Change the parameters that have gradients; returns what `closure()` returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if not params:
                continue
            sign = -1 if group["maximize"] else 1
            momentum = group["momentum"]
            if momentum == 0:
                update(_PLAIN, (params, grads), (), (group["lr"], sign, group["weight_decay"]))
                continue
            buffers, new = self._buffers(params)
            numbers = (
                group["lr"],
                momentum,
                group["dampening"],
                group["nesterov"],
                sign,
                group["weight_decay"],
            )
            update(_MOMENTUM, (params, grads, buffers), (), numbers, new)
        return loss

    def _buffers(self, params):
        """The momentum of each parameter, and 1 where it was made now."""
        states = self.state
        buffers = [states[param].get("momentum_buffer") for param in params]
        new = [0] * len(params)
        if NoneType in map(type, buffers):
            for at, param in enumerate(params):
                if buffers[at] is None:
                    new[at] = 1
                    buffers[at] = states[param]["momentum_buffer"] = zeros_like(param)
        return buffers, new
