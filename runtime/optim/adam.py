"""Adam and AdamW."""

from __future__ import annotations

from ..factories import zeros, zeros_like
from ..tensor import Tensor
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

_NO_TENSOR = "{} as a Tensor is not supported for capturable=False and foreach=True"
_KERNELS = (kernels.adam, kernels.adam_parallel)


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    With `g = grad + weight_decay * param`, negated to maximize, in step t::

        exp_avg = beta1 * exp_avg + (1 - beta1) * g
        exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
        mean = exp_avg / (1 - beta1**t)
        square = exp_avg_sq / (1 - beta2**t)
        param = param - lr * mean / (sqrt(square) + eps)

    `amsgrad` takes the largest `exp_avg_sq` so far; with `decoupled_weight_decay` the gradient is
    left alone and the parameter multiplied by `1 - lr * weight_decay`. `foreach` and `fused` change
    no number: steps are always fused.
    Source: Kingma & Ba (2015); Reddi, Kale & Kumar (2018); Loshchilov & Hutter (2019).
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        listwise = foreach and not capturable
        if isinstance(lr, Tensor) and listwise:
            raise ValueError(_NO_TENSOR.format("lr"))
        check_lr(lr)
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for index, beta in enumerate(betas[:2]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        _check_tensors(betas, listwise)
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_variant(type(self).__name__, foreach, fused, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        absent = dict.fromkeys(("amsgrad", "maximize", "capturable", "differentiable"), False)
        absent |= {"decoupled_weight_decay": False, "foreach": None, "fused": None}
        for group in self.param_groups:
            group.update({**absent, **group})
        steps_as_tensors(self, lambda g: step_dtype(g["capturable"] or g["fused"]))

    def step(self, closure=None):
        """Change the parameters that have gradients; returns what `closure()` returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if not params:
                continue
            states = [self.state[param] for param in params]
            if not all(states):
                _begin(group, params, states)
            if group["capturable"]:
                not_capturable()
            steps, first, second = (
                [state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq")
            )
            amsgrad = group["amsgrad"]
            highest = [state["max_exp_avg_sq"] for state in states] if amsgrad else second
            lr, decay = group["lr"], group["weight_decay"]
            decoupled = group["decoupled_weight_decay"]
            if group["foreach"] and isinstance(lr, Tensor):
                raise RuntimeError(_NO_TENSOR.format("lr"))
            numbers = (
                lr,
                *group["betas"],
                group["eps"],
                -1 if group["maximize"] else 1,
                0 if decoupled else decay,
                1 - lr * decay if decoupled else 1,
                amsgrad,
            )
            update(_KERNELS, (params, grads, first, second, highest), steps, numbers)
        return loss


def _check_tensors(betas, listwise):
    """ValueError if the betas are neither two floats nor two tensors of one element."""
    kinds = {Tensor if isinstance(beta, Tensor) else type(beta) for beta in betas[:2]}
    if kinds not in ({float}, {Tensor}):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, beta in enumerate(betas[:2] if kinds == {Tensor} else ()):
        if listwise:
            raise ValueError(_NO_TENSOR.format(f"betas[{index}]"))
        if beta.numel() != 1:
            raise ValueError(f"Tensor betas[{index}] must be 1-element")


def _begin(group, params, states):
    for param, state in zip(params, states, strict=True):
        if not state:
            state["step"] = zeros((), dtype=step_dtype(group["fused"]))
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = zeros_like(param)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(param)


class AdamW(Adam):
    """Adam whose weight decay is decoupled from the gradient; see `Adam`."""

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
