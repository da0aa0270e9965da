"""Padding with a constant, or with elements that an index map names, and its adjoint."""

from __future__ import annotations

import numpy as np

SUPPORTED = (
    "Supported combinations for non-constant padding:\n"
    "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
    "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
    "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
)


def _pairs(pad, ndim):
    """(before, after) of each dimension, from the first on; `pad` names the last one first."""
    pad = tuple(pad)
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but "
            f"got padding length {len(pad)} and input of dimension {ndim}"
        )
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


def constant_pad_nd(self, pad, value):
    """Negative sizes cut elements off."""
    pairs = _pairs(pad, self.ndim)
    shape = [n + before + after for n, (before, after) in zip(self.shape, pairs, strict=True)]
    for n, (before, after) in zip(self.shape, pairs, strict=True):
        if n + before + after < 0 or n + min(before, 0) + min(after, 0) < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
    if any(before > 0 or after > 0 for before, after in pairs):
        result = np.full(shape, np.asarray(value).astype(self.dtype), self.dtype)
    else:
        result = np.empty(shape, self.dtype)
    kept = tuple(slice(max(b, 0), n - max(a, 0)) for n, (b, a) in zip(shape, pairs, strict=True))
    given = tuple(
        slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(self.shape, pairs, strict=True)
    )
    result[kept] = self[given]
    return result


def _check(shape, pad, mode):
    pairs = _pairs(pad, len(shape))
    if len(pad) not in (2, 4, 6) or len(shape) - len(pad) // 2 not in (1, 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {len(shape)}D input tensor.\n{SUPPORTED}"
        )
    for dim, (before, after) in enumerate(pairs):
        n = shape[dim]
        if mode == "reflect" and max(before, after) >= max(n, 1):
            raise RuntimeError(
                f"Argument #{2 * (len(shape) - dim) + 2}: Padding size should be less than the "
                f"corresponding input dimension, but got: padding ({before}, {after}) at "
                f"dimension {dim} of input {list(shape)}"
            )
        if mode == "circular" and max(before, after) > n:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if mode == "circular" and n + min(before, 0) + min(after, 0) < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
        if mode != "circular" and (before or after) and (n == 0 or n + before + after < 1):
            raise RuntimeError(
                f"input (size {n} in dimension {dim}) is too small. "
                f"Calculated output size: {n + before + after}"
            )


def _sources(n, before, after, mode):
    """For each place of the padded dimension the place that its element comes from."""
    at = np.arange(-before, n + after)
    if mode == "replicate":
        return np.clip(at, 0, n - 1)
    if mode == "reflect":
        at = np.abs(at)
        return np.where(at > n - 1, 2 * (n - 1) - at, at)
    first, kept = max(-before, 0), n + min(before, 0) + min(after, 0)
    return first + (at - first) % max(kept, 1)


def _plan(size, pad, mode):
    """(dimension, sources, first and last place that are not padding) where something changes."""
    for dim, (before, after) in enumerate(_pairs(pad, len(size))):
        if before or after:
            n = size[dim]
            sources = _sources(n, before, after, mode)
            yield dim, sources, max(before, 0), len(sources) - max(after, 0)


def extend(self, pad, mode):
    _check(self.shape, pad, mode)
    result = self
    for dim, sources, low, high in _plan(self.shape, pad, mode):
        source = np.moveaxis(result, dim, 0)
        result = np.empty(
            [len(sources) if d == dim else n for d, n in enumerate(result.shape)], self.dtype
        )
        target = np.moveaxis(result, dim, 0)
        if low < high:
            target[low:high] = source[sources[low] : sources[low] + high - low]
        for place in (*range(low), *range(max(low, high), len(sources))):
            target[place] = source[sources[place]]
    return np.array(result, order="C") if result is self else result


def fold_padding(self, size, pad, mode):
    """The adjoint of `extend`: each padded element added to the one it is a copy of."""
    result = self
    for dim, sources, low, high in reversed(list(_plan(size, pad, mode))):
        source = np.moveaxis(result, dim, 0)
        shape = [size[dim] if d == dim else n for d, n in enumerate(result.shape)]
        result = np.zeros(shape, self.dtype)
        target = np.moveaxis(result, dim, 0)
        if low < high:
            target[sources[low] : sources[low] + high - low] = source[low:high]
        for place in (*range(low), *range(max(low, high), len(sources))):
            target[sources[place]] += source[place]
    return np.array(result, order="C") if result is self else result
