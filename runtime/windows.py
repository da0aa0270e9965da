"""The arguments of convolutions as their kernels take them, and the errors that they cause."""

from __future__ import annotations


def _sizes(value, count, name):
    """One size for all dimensions, or one for each, as a tuple."""
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(sizes) not in (1, count):
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match "
            f"the convolution dimensions, but got {name}={list(sizes)}"
        )
    return sizes * count if len(sizes) == 1 else sizes


def convolution_plan(input, weight, bias, stride, padding, dilation, groups, dims):
    """(stride, padding, dilation) of a convolution over `dims` dimensions, as if it had two.

    padding: a number for each side, (top, bottom, left, right).
    """
    _check_ranks(input, weight, dims)
    strides, dilations = _sizes(stride, dims, "stride"), _sizes(dilation, dims, "dilation")
    if min(strides) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilations) <= 0:
        raise RuntimeError("non-positive dilation is not supported")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    kernel = tuple(weight.shape)[2:]
    sides = _sides(padding, kernel, strides, dilations)
    _check_channels(input, weight, bias, groups, dims)
    _check_sizes(tuple(input.shape)[-dims:], kernel, sides, dilations)
    if dims == 1:
        return (1, *strides), (0, 0, *sides[0]), (1, *dilations)
    return strides, (*sides[0], *sides[1]), dilations


def _sides(padding, kernel, strides, dilations):
    """(before, after) of each dimension."""
    if not isinstance(padding, str):
        sizes = _sizes(padding, len(kernel), "padding")
        if min(sizes) < 0:
            raise RuntimeError("negative padding is not supported")
        return [(n, n) for n in sizes]
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if set(strides) != {1}:
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def _check_ranks(input, weight, dims):
    ndim = len(input.shape)
    if ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to conv{dims}d, but "
            f"got input of size: {list(input.shape)}"
        )
    if len(weight.shape) != dims + 2:
        size = list(input.shape) if ndim == dims + 2 else [1, *input.shape]
        raise RuntimeError(
            f"Expected {len(weight.shape)}-dimensional input for {len(weight.shape)}-dimensional "
            f"weight {list(weight.shape)}, but got {dims + 2}-dimensional input of size {size} "
            "instead"
        )


def _check_channels(input, weight, bias, groups, dims):
    outputs, channels = tuple(weight.shape)[:2]
    given = f"Given groups={groups}, "
    if outputs < groups:
        raise RuntimeError(
            f"{given}expected weight to be at least {groups} at dimension 0, but got weight of "
            f"size {list(weight.shape)} instead"
        )
    if outputs % groups:
        raise RuntimeError(
            f"{given}expected weight to be divisible by {groups} at dimension 0, but got weight "
            f"of size [{list(weight.shape)}] instead"
        )
    size = list(input.shape) if len(input.shape) == dims + 2 else [1, *input.shape]
    if size[1] != channels * groups:
        raise RuntimeError(
            f"{given}weight of size {list(weight.shape)}, expected input{size} to have "
            f"{channels * groups} channels, but got {size[1]} channels instead"
        )
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise RuntimeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with "
            f"{outputs} elements, but got bias of size {list(bias.shape)} instead"
        )


def _check_sizes(size, kernel, sides, dilations):
    if 0 in kernel:
        raise RuntimeError(f"the kernel of a convolution is of size {list(kernel)}")
    padded = [n + before + after for n, (before, after) in zip(size, sides, strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    if any(n < m for n, m in zip(padded, reach, strict=True)):
        shown = (" x ".join(str(n) for n in sizes) for sizes in (padded, reach))
        first, second = shown
        raise RuntimeError(
            f"Calculated padded input size per channel: ({first}). Kernel size: ({second}). "
            "Kernel size can't be greater than actual input size"
        )
