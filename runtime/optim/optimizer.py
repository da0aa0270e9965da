"""What all optimizers share: parameter groups, their options, gradients set to zero, printing."""

from __future__ import annotations

import warnings
from collections import defaultdict
from types import NoneType

from ..autograd.grad_mode import enable_grad
from ..dtypes import float32, float64, get_default_dtype
from ..modes import modes
from ..tensor import Tensor
from .hooks import (
    Hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    with_hooks,
)
from .saving import Saved

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]


class _Required:
    """The default of an option that each group has to give."""

    def __repr__(self):
        return "<required parameter>"


required = _Required()


class Optimizer(Hooked, Saved):
    """The base of optimizers. A derived class defines `step` and calls this constructor.

    params: tensors, pairs of name and tensor as `named_parameters` yields, or dictionaries with
    such under "params" and options of their own. defaults: the options of groups that give none.
    """

    def __init__(self, params, defaults):
        self.defaults = defaults
        self._no_hooks()
        self._add_hooks_to_step()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {_kind(params)}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _add_hooks_to_step(self):
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = with_hooks(cls.step)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def step(self, closure=None):
        """Change the parameters once; `closure` evaluates the model again and returns the loss."""
        raise NotImplementedError

    def zero_grad(self, set_to_none=True):
        """Take the gradients away, or with `set_to_none=False` overwrite them with zeros."""
        if modes.active and modes.profiler is not None:
            from ..profiler import record_function

            with record_function(f"Optimizer.zero_grad#{type(self).__name__}.zero_grad"):
                self._zero_grad(set_to_none)
        else:
            self._zero_grad(set_to_none)

    def _zero_grad(self, set_to_none):
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param._grad = None
                    continue
                grad = getattr(param, "_grad", None)
                if grad is not None:
                    if grad.grad_fn is not None:
                        grad.detach_()
                    else:
                        grad.requires_grad_(False)
                    grad.zero_()

    # --- groups ------------------------------------------------------------------------------

    def add_param_group(self, param_group):
        """Add a dictionary with "params" and options; those it does not give are the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = _listed(param_group["params"])
        names = [param[0] for param in params if isinstance(param, tuple)]
        if names and len(names) != len(params):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        param_group["params"] = params = [p[1] if isinstance(p, tuple) else p for p in params]
        if names:
            param_group["param_names"] = names
        self._check_params(params)
        for option, default in self.defaults.items():
            if default is required and option not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{option}"
                )
            param_group.setdefault(option, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        self._check_group(param_group)
        self.param_groups.append(param_group)

    def _check_params(self, params):
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is " + _kind(param)
                )
            if not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")

    def _check_group(self, new):
        """ValueError if a group does not go together with those that are there."""
        present = set()
        for group in self.param_groups:
            present.update(group["params"])
            if ("param_names" in new) != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {'with' if 'param_names' in new else 'without'} names to the optimizer"
                )
        if not present.isdisjoint(new["params"]):
            raise ValueError("some parameters appear in more than one parameter group")


def _listed(params):
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    return list(params)


def _kind(value):
    """The name of a value's type as error messages have it."""
    kind = type(value)
    if kind is Tensor:
        return "rederive.Tensor"
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


# --- what the steps of several optimizers do -----------------------------------------------------


def loss_of(closure):
    """What a closure returns, called with gradients on; None without a closure."""
    if closure is None:
        return None
    with enable_grad():
        return closure()


def with_gradients(group):
    """The parameters of a group that have a gradient, and the gradients."""
    params = group["params"]
    grads = [getattr(param, "_grad", None) for param in params]
    if NoneType in map(type, grads):
        params = [p for p, g in zip(params, grads, strict=True) if g is not None]
        grads = [g for g in grads if g is not None]
    return params, grads


def step_dtype(fused):
    """The dtype of the tensors that count steps."""
    return float64 if not fused and get_default_dtype() is float64 else float32


def check_lr(lr):
    """ValueError for a learning rate that is negative or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_variant(name, foreach, fused, differentiable):
    """RuntimeError for variants that exclude each other, and for what there is not."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError(
            f"{name}: differentiable=True is not supported; steps change parameters in place and "
            "are not recorded. Write the update with operators to differentiate through it"
        )


def not_capturable():
    """Raise AssertionError: steps are to be captured, which there is not on a CPU."""
    raise AssertionError(
        "If capturable=True, params and state_steps must be on supported devices: "
        "['cuda', 'xpu', 'hpu', 'privateuseone', 'xla']."
    )
