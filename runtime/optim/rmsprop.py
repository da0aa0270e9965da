"""RMSprop."""

from __future__ import annotations

from ..factories import zeros, zeros_like
from . import kernels
from .fused import update
from .optimizer import (
    Optimizer,
    check_lr,
    check_variant,
    loss_of,
    not_capturable,
    step_dtype,
    with_gradients,
)
from .saving import steps_as_tensors

_KERNELS = (kernels.rmsprop, kernels.rmsprop_parallel)


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of the gradient's square.

    With `g = grad + weight_decay * param`, negated to maximize::

        square_avg = alpha * square_avg + (1 - alpha) * g**2
        step = g / (sqrt(square_avg) + eps)       # centered: of square_avg - grad_avg**2
        buffer = momentum * buffer + step         # with momentum; buffer is then the step
        param = param - lr * step

    where `grad_avg` is the running mean of the gradient. Source: Hinton's lectures (2012); Graves
    (2013) for the centred form.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for name, value in (("momentum", momentum), ("weight_decay", weight_decay)):
            if not value >= 0.0:
                raise ValueError(f"Invalid {name} value: {value}")
        if not alpha >= 0.0:
            raise ValueError(f"Invalid alpha value: {alpha}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
        check_variant("RMSprop", foreach, False, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        absent = dict.fromkeys(("centered", "maximize", "differentiable", "capturable"), False)
        for group in self.param_groups:
            group.update({"momentum": 0, "foreach": None, **absent, **group})
        steps_as_tensors(self, lambda group: step_dtype(False))

    def step(self, closure=None):
        """Change the parameters that have gradients; returns what `closure()` returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if not params:
                continue
            momentum, centered = group["momentum"], group["centered"]
            states = [self.state[param] for param in params]
            if not all(states):
                _begin(params, states, momentum > 0, centered)
            if group["capturable"]:
                not_capturable()
            steps, squares = ([state[name] for state in states] for name in ("step", "square_avg"))
            buffers = [s["momentum_buffer"] for s in states] if momentum > 0 else squares
            means = [state["grad_avg"] for state in states] if centered else squares
            numbers = (
                group["lr"],
                group["alpha"],
                group["eps"],
                -1 if group["maximize"] else 1,
                group["weight_decay"],
                momentum,
                centered,
            )
            update(_KERNELS, (params, grads, squares, buffers, means), steps, numbers)
        return loss


def _begin(params, states, with_momentum, centered):
    names = ["square_avg"]
    names += ["momentum_buffer"] if with_momentum else []
    names += ["grad_avg"] if centered else []
    for param, state in zip(params, states, strict=True):
        if not state:
            state["step"] = zeros((), dtype=step_dtype(False))
            state.update({name: zeros_like(param) for name in names})
