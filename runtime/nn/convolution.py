"""Convolutions over lines and images."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..factories import empty
from . import functional as F
from . import init
from .linear import uniform_by_fan_in
from .module import Module
from .parameter import Parameter

__all__ = ["Conv1d", "Conv2d"]

_PADDINGS = ("same", "valid")
_MODES = ("zeros", "reflect", "replicate", "circular")


def each(value, count):
    """A size for each of `count` dimensions, as a tuple."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


class _Convolution(Module):
    """What the convolutions share: checks, parameters, the printed form."""

    dims = 0
    transposed = False

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = each(kernel_size, self.dims)
        self.stride, self.dilation = each(stride, self.dims), each(dilation, self.dims)
        self.padding = padding if isinstance(padding, str) else each(padding, self.dims)
        self.output_padding = (0,) * self.dims
        self.padding_mode = padding_mode
        self._check()
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self):
        if self.groups <= 0:
            raise ValueError("groups must be a positive integer")
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(f"{name} must be divisible by groups")
        if isinstance(self.padding, str):
            if self.padding not in _PADDINGS:
                raise ValueError(
                    f"Invalid padding string {self.padding!r}, should be one of {_PADDINGS}"
                )
            if self.padding == "same" and set(self.stride) != {1}:
                raise ValueError("padding='same' is not supported for strided convolutions")
        if self.padding_mode not in _MODES:
            raise ValueError(
                f"padding_mode must be one of {_MODES}, but got padding_mode='{self.padding_mode}'"
            )

    def reset_parameters(self):
        """Draw the parameters anew, uniform in +-1/sqrt(elements that an output is a sum of)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            uniform_by_fan_in(self.bias, math.prod(self.weight.shape[1:]))

    def _sides(self):
        """(before, after) of each dimension, the last one first, as `F.pad` takes them."""
        if self.padding == "valid":
            return (0, 0) * self.dims
        if self.padding == "same":
            spare = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return tuple(n for total in reversed(spare) for n in (total // 2, total - total // 2))
        return tuple(n for size in reversed(self.padding) for n in (size, size))

    def _convolved(self, convolution, input, weight, bias):
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._sides(), mode=self.padding_mode), 0
        return convolution(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input):
        return self._conv_forward(input, self.weight, self.bias)

    def extra_repr(self):
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts += [f"kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * self.dims:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dims:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_Convolution):
    """A convolution over lines: (batch, channels, length), or without batch.

    The weight is (out_channels, in_channels / groups, kernel_size). `padding` is a size, 'same' or
    'valid'; `padding_mode` 'zeros', 'reflect', 'replicate' or 'circular'.
    """

    dims = 1

    def _conv_forward(self, input, weight, bias):
        return self._convolved(F.conv1d, input, weight, bias)


class Conv2d(_Convolution):
    """A convolution over images: (batch, channels, height, width), or without batch.

    The weight is (out_channels, in_channels / groups, *kernel_size). `padding` is a size or two,
    'same' or 'valid'; `padding_mode` 'zeros', 'reflect', 'replicate' or 'circular'.
    """

    dims = 2

    def _conv_forward(self, input, weight, bias):
        return self._convolved(F.conv2d, input, weight, bias)
