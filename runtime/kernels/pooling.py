"""Largest elements of windows and their places, plane by plane.

Windows of 2 x 2 and 3 x 3 elements that lie inside the plane have loops of their own, which
vectorise; `steps` is a tuple as long as the stride, so that the compiler knows it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit

from ..threads import threads
from .sharing import run_items
from .windows import Pooling


@njit(cache=True, nogil=True)
def _window(plane, sizes, i, j, lowest):
    """The largest element of any window and its place; nan is larger than any number.

    A window that dilation lets step over the whole plane has the place -1.
    """
    kh, kw, sh, sw, ph, pw, dh, dw = sizes
    height, width = plane.shape
    h, w = i * sh - ph, j * sw - pw
    h_end, w_end = min(h + (kh - 1) * dh + 1, height), min(w + (kw - 1) * dw + 1, width)
    while h < 0:
        h += dh
    while w < 0:
        w += dw
    best, place = lowest, (h * width + w if h < h_end and w < w_end else -1)
    for y in range(h, h_end, dh):
        for x in range(w, w_end, dw):
            value = plane[y, x]
            if (value > best) | (value != value):
                best, place = value, y * width + x
    return best, place


@njit(cache=True, nogil=True)
def _pool_any(planes, out, place, sizes, steps, lowest, low, high):
    """Windows of any size: place by place of a window, each for all windows of a row.

    A window's first element inside is taken as it is, the others where they are larger.
    """
    kh, kw, sh, sw, ph, pw, dh, dw = sizes
    height, width = planes.shape[1:]
    columns = out.shape[2]
    for p in range(low, high):
        for i in range(out.shape[1]):
            values, places = out[p, i], place[p, i]
            values[:] = lowest
            places[:] = -1
            first = True
            for y in range(kh):
                h = i * sh - ph + y * dh
                if h < 0 or h >= height:
                    continue
                begun = columns if first else 0
                first = False
                for x in range(kw):
                    w = x * dw - pw
                    start = max(0, -(w // sw))
                    end = min(columns, (width - 1 - w) // sw + 1)
                    line = planes[p, h]
                    new = min(end, begun)
                    _take(line, values, places, start, new, h * width, w, sw, steps)
                    _take_larger(
                        line, values, places, max(start, begun), end, h * width, w, sw, steps
                    )
                    begun = min(begun, start)


@njit(cache=True, nogil=True)
def _take(line, values, places, start, end, base, w, stride, steps):
    """Elements of a row of the plane and their places, for windows from `start` to `end`."""
    if end <= start:
        return
    first = w + start * stride
    given, best, at = line[first:], values[start:end], places[start:end]
    step = len(steps) if len(steps) else stride
    for j in range(best.shape[0]):
        best[j] = given[step * j]
        at[j] = base + first + step * j


@njit(cache=True, nogil=True)
def _take_larger(line, values, places, start, end, base, w, stride, steps):
    """The same where they are larger than what was found before."""
    if end <= start:
        return
    first = w + start * stride
    given, best, at = line[first:], values[start:end], places[start:end]
    step = len(steps) if len(steps) else stride
    for j in range(best.shape[0]):
        value, old = given[step * j], best[j]
        larger = (value > old) | (value != value)
        best[j] = value if larger else old
        at[j] = base + first + step * j if larger else at[j]


@njit(cache=True, nogil=True)
def _pool_2(planes, out, place, sizes, steps, inner, lowest, low, high):
    """Windows of 2 x 2; those from `inner` on, first and last row and column, lie inside."""
    top, bottom, left, right = inner
    step, width = len(steps), planes.shape[2]
    for p in range(low, high):
        for i in range(out.shape[1]):
            inside = right if top <= i < bottom else left
            for j in range(out.shape[2]):
                if j < left or j >= inside:
                    out[p, i, j], place[p, i, j] = _window(planes[p], sizes, i, j, lowest)
            if inside == left:
                continue
            h, w = i * step - sizes[4], left * step - sizes[5]
            a, b = planes[p, h, w:], planes[p, h + 1, w:]
            values, places = out[p, i, left:right], place[p, i, left:right]
            base = h * width + w
            for j in range(values.shape[0]):
                q = len(steps) * j
                best, at = a[q], 0
                v = a[q + 1]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (1 if larger else at)
                v = b[q]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (width if larger else at)
                v = b[q + 1]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (width + 1 if larger else at)
                values[j] = best
                places[j] = base + q + at


@njit(cache=True, nogil=True)
def _pool_3(planes, out, place, sizes, steps, inner, lowest, low, high):
    """The same for windows of 3 x 3."""
    top, bottom, left, right = inner
    step, width = len(steps), planes.shape[2]
    for p in range(low, high):
        for i in range(out.shape[1]):
            inside = right if top <= i < bottom else left
            for j in range(out.shape[2]):
                if j < left or j >= inside:
                    out[p, i, j], place[p, i, j] = _window(planes[p], sizes, i, j, lowest)
            if inside == left:
                continue
            h, w = i * step - sizes[4], left * step - sizes[5]
            a, b, c = planes[p, h, w:], planes[p, h + 1, w:], planes[p, h + 2, w:]
            a2, b2, c2 = a[2:], b[2:], c[2:]  # loads two and two vectorise with a stride of 2
            values, places = out[p, i, left:right], place[p, i, left:right]
            base = h * width + w
            for j in range(values.shape[0]):
                q = len(steps) * j
                best, at = a[q], 0
                v = a[q + 1]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (1 if larger else at)
                v = a2[q]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (2 if larger else at)
                v = b[q]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (width if larger else at)
                v = b[q + 1]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (width + 1 if larger else at)
                v = b2[q]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (width + 2 if larger else at)
                v = c[q]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (2 * width if larger else at)
                v = c[q + 1]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (2 * width + 1 if larger else at)
                v = c2[q]
                larger = (v > best) | (v != v)
                best, at = (v if larger else best), (2 * width + 2 if larger else at)
                values[j] = best
                places[j] = base + q + at


@njit(cache=True, nogil=True)
def _spread(given, place, out, low, high):
    """`out[p, place[p, i]] += given[p, i]`, plane by plane; -1 is no place."""
    n = np.uint64(out.shape[1])
    for p in range(low, high):
        for i in range(given.shape[1]):
            at = np.uint64(place[p, i])
            if at < n:
                out[p, at] += given[p, i]


def run_planes(kernel, size, planes, *arguments):
    """Run a kernel on all planes, shared among threads from a certain size on."""
    run_items(kernel, arguments, planes, size >= threads.minimum)


def dense_planes(array):
    """The last two dimensions of an array as planes, one behind the other in dense memory."""
    count = math.prod(array.shape[:-2])
    return np.ascontiguousarray(array).reshape(count, *array.shape[-2:])


@lru_cache(maxsize=64)
def _lowest(dtype):
    return dtype.type(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


def max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode):
    if input.dtype == bool:
        raise NotImplementedError("\"max_pool2d\" not implemented for 'Bool'")
    windows = Pooling("max_pool2d", input.shape, kernel_size, stride, padding, dilation, ceil_mode)
    planes = dense_planes(input)
    out = np.empty((len(planes), *windows.output), input.dtype)
    place = np.empty(out.shape, np.int64)
    lowest = _lowest(input.dtype)
    size = out.size * windows.kernel[0] * windows.kernel[1]
    (kh, kw), (sh, sw) = windows.kernel, windows.stride
    if kh == kw and kh in (2, 3) and sh == sw and sh <= 3 and windows.dilation == (1, 1):
        kernel = _pool_2 if kh == 2 else _pool_3
        special = (0,) * sh, windows.inner
    else:
        kernel = _pool_any
        special = ((0,) * sw if sw <= 3 else (),)
    run_planes(kernel, size, len(planes), planes, out, place, windows.sizes, *special, lowest)
    shape = (*input.shape[:-2], *windows.output)
    return out.reshape(shape), place.reshape(shape)


def pool_scatter(self, size, indices):
    """Elements added to the places of their planes that `indices` names; planes of `size`."""
    size = tuple(size)
    *others, height, width = self.shape
    planes, many = math.prod(others), height * width
    given = np.ascontiguousarray(self).reshape(planes, many)
    place = np.ascontiguousarray(indices).reshape(planes, many)
    out = np.zeros((planes, size[-2] * size[-1]), self.dtype)
    run_planes(_spread, out.size, planes, given, place, out)
    return out.reshape(size)


def pool_gather(self, indices):
    """The elements of each plane that `indices` names: the adjoint of `pool_scatter`."""
    rows = dense_planes(self).reshape(-1, math.prod(self.shape[-2:]))
    place = np.ascontiguousarray(indices).reshape(len(rows), math.prod(indices.shape[-2:]))
    found = np.take_along_axis(rows, np.maximum(place, 0), 1)
    return np.where(place < 0, found.dtype.type(0), found).reshape(indices.shape)
