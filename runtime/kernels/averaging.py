"""Means over windows of planes, and the adjoint: gradients shared among the windows' elements.

Windows are given by their first and last rows and columns, and by what their sums are divided
by: the product of a number for the row and one for the column.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .pooling import dense_planes, run_planes
from .windows import Pooling, remembered


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _mean(planes, out, rows, columns, row_counts, column_counts, low, high):
    """Rows are added first, which vectorises; their columns are then added window by window."""
    line = np.empty(planes.shape[2], planes.dtype)
    for p in range(low, high):
        for i in range(out.shape[1]):
            sums = planes[p, rows[i, 0]] if rows[i, 1] == rows[i, 0] + 1 else line
            if sums is line:
                line[:] = 0
                for h in range(rows[i, 0], rows[i, 1]):
                    source = planes[p, h]
                    for w in range(line.shape[0]):
                        line[w] += source[w]
            for j in range(out.shape[2]):
                total = out.dtype.type(0)
                part = sums[columns[j, 0] : columns[j, 1]]
                for w in range(part.shape[0]):
                    total += part[w]
                out[p, i, j] = total / (row_counts[i] * column_counts[j])


@njit(cache=True, nogil=True)
def _share(given, out, rows, columns, row_counts, column_counts, low, high):
    line = np.empty(out.shape[2], out.dtype)
    for p in range(low, high):
        for i in range(given.shape[1]):
            line[:] = 0
            for j in range(given.shape[2]):
                part = given[p, i, j] / (row_counts[i] * column_counts[j])
                for w in range(columns[j, 0], columns[j, 1]):
                    line[w] += part
            for h in range(rows[i, 0], rows[i, 1]):
                target = out[p, h]
                for w in range(line.shape[0]):
                    target[w] += line[w]


def _averaged(input, rows, columns, row_counts, column_counts):
    """Means over windows; integers are rounded towards zero."""
    kind = input.dtype if input.dtype.kind == "f" else np.dtype(np.float64)
    planes = dense_planes(input.astype(kind, copy=False))
    if (len(rows), len(columns)) == (1, 1):
        (top, bottom), (left, right) = rows[0], columns[0]
        if (left, right) == (0, planes.shape[2]):  # whole rows lie one behind the other
            columns = np.array([[top * right, bottom * right]])
            rows = np.array([[0, 1]])
            planes = planes.reshape(len(planes), 1, planes.shape[1] * planes.shape[2])
    out = np.empty((len(planes), len(rows), len(columns)), kind)
    counts = row_counts.astype(kind), column_counts.astype(kind)
    run_planes(_mean, planes.size, len(planes), planes, out, rows, columns, *counts)
    return out.reshape(*input.shape[:-2], *out.shape[1:]).astype(input.dtype, copy=False)


def _shared(grad, size, rows, columns, row_counts, column_counts):
    size = tuple(size)
    given = dense_planes(grad)
    out = np.zeros((len(given), *size[-2:]), grad.dtype)
    counts = row_counts.astype(grad.dtype), column_counts.astype(grad.dtype)
    run_planes(_share, out.size, len(given), given, out, rows, columns, *counts)
    return out.reshape(size)


# --- windows of one size ---------------------------------------------------------------------


def _ends(n, count, kernel, stride, padding, padded):
    """First and last element of each window, and how many count: also padding if `padded`."""
    start = np.arange(count) * stride - padding
    end = np.minimum(start + kernel, n + padding)
    inside = np.stack([np.maximum(start, 0), np.minimum(end, n)], 1)
    return inside, (end - start if padded else inside[:, 1] - inside[:, 0])


@remembered
def _fixed(shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    windows = Pooling("avg_pool2d", shape, kernel_size, stride, padding, 1, ceil_mode)
    (rows, row_counts), (columns, column_counts) = (
        _ends(n, count, kernel, stride, padding, count_include_pad)
        for n, count, kernel, stride, padding in zip(
            shape[-2:], windows.output, windows.kernel, windows.stride, windows.padding, strict=True
        )
    )
    if divisor_override is not None:
        row_counts = np.full(len(rows), divisor_override)
        column_counts = np.ones(len(columns))
    return rows, columns, row_counts, column_counts


def avg_pool2d(input, *options):
    return _averaged(input, *_fixed(input.shape, *options))


def avg_pool2d_backward(grad_output, size, *options):
    return _shared(grad_output, size, *_fixed(tuple(size), *options))


# --- as many windows as asked for ------------------------------------------------------------


@remembered
def _adaptive(shape, output_size):
    """Windows that cover the plane and overlap by at most one element."""
    if len(shape) not in (3, 4):
        raise RuntimeError(
            f"adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got {list(shape)}"
        )
    for dim in (-2, -1):
        if shape[dim] == 0:
            raise RuntimeError(
                "adaptive_avg_pool2d(): Expected input to have non-zero size for non-batch "
                f"dimensions, but input has sizes {list(shape)} with dimension "
                f"{len(shape) + dim} being empty"
            )
    if isinstance(output_size, tuple | list) and len(output_size) != 2:
        raise RuntimeError("adaptive_avg_pool2d: output_size must be 2")
    asked = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    sizes = [n if m is None else m for n, m in zip(shape[-2:], asked, strict=True)]
    if min(sizes) < 0:
        raise RuntimeError(
            "adaptive_avg_pool2d: elements of output_size must be greater than or equal to 0 "
            f"but received {{{sizes[0]}, {sizes[1]}}}"
        )
    ends = []
    for n, count in zip(shape[-2:], sizes, strict=True):
        at = np.arange(count)
        ends.append(np.stack([at * n // max(count, 1), -(-(at + 1) * n // max(count, 1))], 1))
    rows, columns = ends
    return rows, columns, rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0]


def adaptive_avg_pool2d(input, output_size):
    if input.dtype.kind != "f":
        raise NotImplementedError(f'"adaptive_avg_pool2d" not implemented for {input.dtype}')
    return _averaged(input, *_adaptive(input.shape, output_size))


def adaptive_avg_pool2d_backward(grad_output, size, output_size):
    return _shared(grad_output, size, *_adaptive(tuple(size), output_size))
