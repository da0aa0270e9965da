"""What layers ask about their arguments, with the errors that these cause.

The same rules as in `queries`, which offers these functions to formulas.
"""

from __future__ import annotations

import math

from .geometry import Size
from .lanes import LONG

# --- bilinear maps -------------------------------------------------------------------------------


def bilinear_pair(input1, input2, weight, bias):
    """The inputs of a bilinear map, if they fit each other and the weight."""
    name = "bilinear()"
    if len({t.dtype for t in (input1, input2, weight, bias) if t is not None}) > 1:
        kinds = [("input1", input1), ("input2", input2), ("weight", weight), ("bias", bias)]
        given = ", ".join(f"{key}: {t.dtype}" for key, t in kinds if t is not None)
        raise RuntimeError(f"All tensors must have the same dtype, got {given}")
    if input1.ndim != input2.ndim:
        raise RuntimeError(
            f"{name}: input dimensions do not match: got {input1.ndim} and {input2.ndim}"
        )
    for dim, (first, second) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if first != second:
            raise RuntimeError(
                f"{name}: input batch dimensions do not match at dim {dim}: got {first} and "
                f"{second}"
            )
    if weight.ndim != 3:
        raise RuntimeError(f"{name}: weight has {weight.ndim} dimensions; 3 are required")
    for number, tensor in enumerate((input1, input2), 1):
        if tensor.shape[-1] != weight.shape[number]:
            raise RuntimeError(
                f"{name}: input{number} size does not match weight size: got {tensor.shape[-1]} "
                f"but expected {weight.shape[number]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"{name}: bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{weight.shape[0]}"
        )
    return input1, input2


def half_shape(input, weight):
    """The shape of `input @ weight[k]` for each matrix of a bilinear map."""
    return Size((*input.shape[:-1], weight.shape[0], weight.shape[2]))


# --- groups of channels --------------------------------------------------------------------------


def grouped_shape(input, num_groups, weight, bias):
    """(batch, groups, channels, places) of the input of group_norm, if its arguments fit."""
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f'"group_norm" not implemented for {input.dtype}')
    shape, channels = list(input.shape), input.shape[1]
    groups = input.shape[0] * channels // num_groups
    if num_groups < 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if math.prod([groups, *shape[2:]]) == 1:
        seen = [groups, num_groups, *shape[2:]]
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {seen}"
        )
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {shape} and num_groups={num_groups}"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        if tuple(tensor.shape) != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(tensor.shape)} and input of shape {shape}"
            )
        if tensor.dtype is not input.dtype:
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
    return Size((shape[0], num_groups, channels // num_groups, math.prod(shape[2:])))


def has_long_runs(input):
    """Whether a channel has enough elements for kernels that go from channel to channel."""
    return math.prod(input.shape[2:]) >= LONG


# --- pooling ----------------------------------------------------------------------------------


def one_window(input, output_size):
    """Whether an adaptive pooling takes in all of each plane: a mean, of any dimensions."""
    ones = (1, (1,), [1], (1, 1), [1, 1])
    return input.dtype.is_floating_point and output_size in ones


# --- pooling of lines ----------------------------------------------------------------------------


def pooled_line(input, operator):
    """The input of a pooling over one dimension: (channels, length), or a batch of these."""
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"{operator}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got:{list(input.shape)}"
        )
    return input


def line_window(size, operator, argument, across):
    """A size along a line as that of a plane one high: `across`, then the size."""
    if size is None:
        return None
    sizes = list(size) if isinstance(size, tuple | list) else [size]
    if not sizes and argument == "stride":
        return None
    if len(sizes) != 1:
        raise RuntimeError(
            f"{operator}() {argument} must be an int, list of ints or tuple of ints of size 1 but "
            f"got size {len(sizes)}"
        )
    return across, sizes[0]
