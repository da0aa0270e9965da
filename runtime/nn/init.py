"""Fills tensors with starting values, in place and without recording it."""

from __future__ import annotations

import math
import warnings

import numpy as np

from .. import random
from ..autograd.grad_mode import no_grad
from ..inference import check_inplace
from ..overwriting import overwrite

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _write(tensor, values):
    """Put an array of the tensor's shape into it."""
    check_inplace(tensor)
    overwrite(tensor, values)
    return tensor


def _need_floating(tensor):
    if not tensor.dtype.is_floating_point:
        raise NotImplementedError(f'"normal_kernel_cpu" not implemented for {tensor.dtype}')


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Uniform in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Normal with this mean and standard deviation."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Normal, but only in [a, b]: by the inverse of the distribution function."""
    from scipy import special

    _need_floating(tensor)
    if a > b:
        raise RuntimeError(f"trunc_normal_: a is {a:g} and b is {b:g}; a <= b is required")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of "
            "values may be incorrect.",
            stacklevel=2,
        )
    low, high = special.ndtr((a - mean) / std), special.ndtr((b - mean) / std)
    drawn = special.ndtri(random.source(generator).uniform(low, high, tensor.shape))
    return _write(tensor, np.clip(drawn * std + mean, a, b))


def constant_(tensor, val):
    """The same value everywhere."""
    return _write(tensor, val)


def ones_(tensor):
    """Ones."""
    return _write(tensor, 1.0)


def zeros_(tensor):
    """Zeros."""
    return _write(tensor, 0.0)


def eye_(tensor):
    """Ones on the diagonal of a matrix, else zeros."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _write(tensor, np.eye(*tensor.shape))


def dirac_(tensor, groups=1):
    """Filters of a convolution that pass as many channels as possible, 3 to 5 dimensions."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape)
    each = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(each, tensor.shape[1])):
            values[(group * each + channel, channel, *middle)] = 1
    return _write(tensor, values)


# --- by the number of inputs and outputs ---------------------------------------------------------


def calculate_gain(nonlinearity, param=None):
    """The factor by which weights are larger before this nonlinearity."""
    if nonlinearity in ("linear", "sigmoid", *(f"conv{n}d" for n in (1, 2, 3))) or (
        nonlinearity in tuple(f"conv_transpose{n}d" for n in (1, 2, 3))
    ):
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "selu":
        return 3.0 / 4
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def _calculate_fan_in_and_fan_out(tensor):
    """(inputs, outputs) of one element of what a weight computes; programs call it by this name."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Uniform, with variance gain^2 * 2 / (inputs + outputs). Source: Glorot & Bengio (2010)."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Normal, with variance gain^2 * 2 / (inputs + outputs). Source: Glorot & Bengio (2010)."""
    return normal_(
        tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator
    )


def _calculate_correct_fan(tensor, mode):
    """The number that `mode` means, "fan_in" or "fan_out"."""
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def _kaiming_std(tensor, a, mode, nonlinearity):
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Uniform, with variance gain^2 / inputs (or outputs). Source: He et al. (2015).

    a: the negative slope of a leaky ReLU.
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Normal, with variance gain^2 / inputs (or outputs). Source: He et al. (2015)."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor, gain=1, generator=None):
    """A (semi-)orthogonal matrix of all dimensions but the first. Source: Saxe et al. (2013)."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if 0 in tensor.shape:
        return tensor
    _need_floating(tensor)
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    drawn = random.source(generator).normal(size=(rows, columns))
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    # the signs make the distribution uniform over the orthogonal matrices
    q = q * np.sign(np.diag(r))
    return _write(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Normal, with the fraction `sparsity` of each column zero. Source: Martens (2010)."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std, generator)
    values = tensor._nd().copy()
    for column in range(columns):
        values[random.source(generator).permutation(rows)[:zeros], column] = 0
    return _write(tensor, values)


# --- names of before ------------------------------------------------------------------------------

_WITHOUT_UNDERSCORE = (
    "constant",
    "dirac",
    "eye",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "orthogonal",
    "sparse",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
)


def __getattr__(name):
    if name not in _WITHOUT_UNDERSCORE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def fill(*args, **kwargs):
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.",
            FutureWarning,
            stacklevel=2,
        )
        return globals()[f"{name}_"](*args, **kwargs)

    return fill
