"""Sizes of windows that slide over dimensions: arguments, output sizes, errors."""

from __future__ import annotations

from functools import lru_cache


def remembered(function):
    """A function of sizes that is computed once for each; lists count as tuples."""
    known = lru_cache(maxsize=1024, typed=True)(function)

    def call(*arguments):
        return known(*[tuple(a) if type(a) is list else a for a in arguments])

    return call


def pair(value, operator, name):
    """One size for both dimensions, or one for each, as a tuple of two."""
    if isinstance(value, tuple | list):
        if len(value) not in (1, 2):
            raise RuntimeError(
                f"{operator}: {name} must either be a single int, or a tuple of two ints"
            )
        return (value[0], value[-1])
    return (value, value)


def pooled_size(n, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit; with `ceil_mode` the last may go over the end, but starts inside."""
    rest = n + 2 * padding - dilation * (kernel - 1) - 1
    count = (rest + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= n + padding:
        count -= 1
    return count


@remembered
class Pooling:
    """The windows of a two-dimensional pooling: sizes in pairs, and the output's size."""

    def __init__(self, operator, shape, kernel_size, stride, padding, dilation, ceil_mode):
        if isinstance(stride, tuple | list) and len(stride) == 0:
            stride = None
        self.kernel = pair(kernel_size, operator, "kernel_size")
        self.stride = self.kernel if stride is None else pair(stride, operator, "stride")
        self.padding = pair(padding, operator, "padding")
        self.dilation = pair(dilation, operator, "dilation")
        self._check(shape)
        sizes = zip(shape[-2:], self.kernel, self.stride, self.padding, self.dilation, strict=True)
        self.output = tuple(pooled_size(*values, ceil_mode) for values in sizes)
        if min(self.output) < 1:
            depth, (height, width) = shape[-3], self.output
            raise RuntimeError(
                f"Given input size: ({depth}x{shape[-2]}x{shape[-1]}). Calculated output size: "
                f"({depth}x{height}x{width}). Output size is too small"
            )
        self.inner = self._inner(shape)
        self.sizes = (*self.kernel, *self.stride, *self.padding, *self.dilation)

    def _inner(self, shape):
        """First and last row and column of the windows that lie inside, were they not dilated."""
        ends = []
        sizes = zip(shape[-2:], self.output, self.kernel, self.stride, self.padding, strict=True)
        for n, count, kernel, stride, padding in sizes:
            first = min(-(-padding // stride), count)
            ends += first, max(first, min(count, (n + padding - kernel) // stride + 1))
        return tuple(ends)

    def _check(self, shape):
        check_planes(shape)
        if 0 in self.stride:
            raise RuntimeError("stride should not be zero")
        if min(self.kernel) <= 0:
            raise RuntimeError(
                "kernel size should be greater than zero, but got "
                f"kH: {self.kernel[0]} kW: {self.kernel[1]}"
            )
        if min(self.dilation) <= 0:
            raise RuntimeError(
                "dilation should be greater than zero, but got "
                f"dilationH: {self.dilation[0]} dilationW: {self.dilation[1]}"
            )
        for pad, kernel, dilation in zip(self.padding, self.kernel, self.dilation, strict=True):
            if pad < 0:
                raise RuntimeError(f"pad must be non-negative, but got pad: {pad}")
            if pad > (dilation * (kernel - 1) + 1) // 2:
                raise RuntimeError(
                    "pad should be at most half of effective kernel size, but got "
                    f"pad={pad}, kernel_size={kernel} and dilation={dilation}"
                )


def check_planes(shape):
    """Errors of an input that is not (batch, channel, height, width) or without batch."""
    if len(shape) not in (3, 4):
        raise RuntimeError(
            f"non-empty 3D or 4D (batch mode) tensor expected for input, but got: {list(shape)}"
        )
    if 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got: {list(shape)}"
        )
