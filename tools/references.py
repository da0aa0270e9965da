"""Forward passes written out in NumPy, element by element, for what no short expression can say.

An entry names one as `references.name(arguments)`. They are written to be obviously right, and
independently of the kernels; speed does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "adaptive_avg_pool2d",
    "attention",
    "avg_pool2d",
    "axes",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "channel_affine",
    "cofactor",
    "convolution",
    "convolution_input",
    "convolution_weight",
    "einsum",
    "gather",
    "huber_loss",
    "kl_div",
    "logsumexp",
    "loss",
    "max_pool2d",
    "nonzero",
    "norm",
    "one_hot",
    "pad",
    "product_over_rows",
    "rms_norm",
    "scatter",
    "smooth_l1_loss",
    "solve",
    "solve_triangular",
    "sort",
    "squeeze",
    "svd",
    "topk",
    "vector_norm",
]


def axes(dim: Any) -> Any:
    """Dimensions as NumPy counts them, for which no dimensions are not all of them."""
    return None if dim in ((), []) else dim


def logsumexp(self: np.ndarray, dim: Any, keepdim: bool) -> Any:
    return np.log(np.sum(np.exp(np.atleast_1d(self)), axis=dim, keepdims=self.ndim > 0 and keepdim))


def gather(self: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    result = np.empty(index.shape, self.dtype)
    for place in np.ndindex(index.shape):
        result[place] = self[_moved(place, dim, index[place])] if self.ndim else self
    return result


def scatter(
    self: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray, reduce: str | None
) -> np.ndarray:
    result = self.copy()
    if self.ndim == 1:  # a number counts as a vector of one
        index, src = np.atleast_1d(index), np.atleast_1d(src)
    for place in np.ndindex(index.shape):
        target = _moved(place, dim, index[place])
        if reduce == "add":
            result[target] += src[place]
        elif reduce == "multiply":
            result[target] *= src[place]
        else:
            result[target] = src[place]
    return result


def _moved(place: tuple[int, ...], dim: int, to: Any) -> tuple[int, ...]:
    if not place:
        return ()
    moved = list(place)
    moved[dim] = int(to)
    return tuple(moved)


def sort(self: np.ndarray, dim: int, descending: bool) -> tuple[np.ndarray, np.ndarray]:
    if self.ndim == 0:
        return self.copy(), np.zeros((), np.int64)
    order = np.argsort(-self if descending else self, axis=dim, kind="stable")
    return np.take_along_axis(self, order, dim), order


def topk(self: np.ndarray, k: int, dim: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    values, indices = sort(self, dim, largest)
    if self.ndim == 0:
        return values, indices
    return np.take(values, range(k), dim), np.take(indices, range(k), dim)


def nonzero(self: np.ndarray, as_tuple: bool) -> Any:
    return np.nonzero(np.atleast_1d(self)) if as_tuple else np.argwhere(self)


def one_hot(self: np.ndarray, num_classes: int) -> np.ndarray:
    count = num_classes if num_classes > 0 else int(self.max()) + 1
    return (self[..., None] == np.arange(count)).astype(np.int64)


def pad(self: np.ndarray, pad: tuple[int, ...], mode: str, value: float | None) -> np.ndarray:
    """Dimension by dimension; with reflect and replicate, cutting off comes last."""
    result = self
    for number in range(len(pad) // 2):
        dim = self.ndim - 1 - number
        before, after = pad[2 * number], pad[2 * number + 1]
        widths = [(0, 0)] * self.ndim
        widths[dim] = max(before, 0), max(after, 0)
        if mode in ("reflect", "replicate"):
            result = np.pad(result, widths, "edge" if mode == "replicate" else mode)
            result = _cut(result, dim, before, after)
            continue
        result = _cut(result, dim, before, after)
        if mode == "constant":
            result = np.pad(result, widths, constant_values=value or 0)
        else:
            result = np.pad(result, widths, "wrap")
    return result


def _cut(array: np.ndarray, dim: int, before: int, after: int) -> np.ndarray:
    kept = np.arange(max(-before, 0), array.shape[dim] - max(-after, 0))
    return np.take(array, kept, dim)


# --- pooling ---------------------------------------------------------------------------------


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return first, second


def _starts(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> list[int]:
    """Where windows start, counted from the first element that is not padding."""
    reach = dilation * (kernel - 1) + 1
    starts = range(-padding, n + padding, stride)
    if ceil:
        # windows up to the first that reaches the end, but none that starts in the padding there
        kept = [s for s in starts if s < n and s - stride + reach < n + padding]
    else:
        kept = [s for s in starts if s + reach <= n + padding]
    return kept


def _windows(
    shape: tuple[int, ...], kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> list[list[list[int]]]:
    """For both dimensions the windows, each a list of places, some of them outside."""
    found = []
    kernels, strides = _pair(kernel), _pair(kernel if stride is None else stride)
    paddings, dilations = _pair(padding), _pair(dilation)
    for d in range(2):
        starts = _starts(shape[d - 2], kernels[d], strides[d], paddings[d], dilations[d], ceil)
        found.append([[s + t * dilations[d] for t in range(kernels[d])] for s in starts])
    return found


def _inside(places: list[int], n: int) -> list[int]:
    return [place for place in places if 0 <= place < n]


def max_pool2d(
    input: np.ndarray,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil: bool,
    with_indices: bool = True,
) -> Any:
    height, width = input.shape[-2:]
    rows, columns = _windows(input.shape, kernel, stride, padding, dilation, ceil)
    shape = (*input.shape[:-2], len(rows), len(columns))
    values, indices = np.empty(shape, input.dtype), np.empty(shape, np.int64)
    for i, j in np.ndindex(len(rows), len(columns)):
        places = np.array(
            [h * width + w for h in _inside(rows[i], height) for w in _inside(columns[j], width)]
        )
        if not places.size:  # dilation steps over the whole image
            values[..., i, j], indices[..., i, j] = -np.inf, -1
            continue
        flat = input.reshape(*input.shape[:-2], height * width)[..., places]
        values[..., i, j] = flat.max(-1)
        indices[..., i, j] = places[flat.argmax(-1)]
    return (values, indices) if with_indices else values


def avg_pool2d(
    input: np.ndarray,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil: bool,
    padded: bool,
    divisor: int | None,
) -> np.ndarray:
    height, width = input.shape[-2:]
    rows, columns = _windows(input.shape, kernel, stride, padding, 1, ceil)
    ends = height + _pair(padding)[0], width + _pair(padding)[1]
    result = np.empty((*input.shape[:-2], len(rows), len(columns)), input.dtype)
    for i, j in np.ndindex(len(rows), len(columns)):
        hs, ws = _inside(rows[i], height), _inside(columns[j], width)
        total = input[..., hs, :][..., ws].sum((-2, -1))
        if padded:
            hs = [h for h in rows[i] if h < ends[0]]
            ws = [w for w in columns[j] if w < ends[1]]
        result[..., i, j] = total / (divisor or len(hs) * len(ws))
    return result


def adaptive_avg_pool2d(input: np.ndarray, output_size: Any) -> np.ndarray:
    result = input
    for dim, count in zip((-2, -1), _pair(output_size), strict=True):
        n = input.shape[dim]
        cuts = [(int(i * n / count), int(np.ceil((i + 1) * n / count))) for i in range(count)]
        parts = [np.take(result, range(*cut), dim).mean(dim) for cut in cuts]
        result = np.stack(parts, dim)
    return result


# --- convolution -----------------------------------------------------------------------------


def convolution(
    input: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> np.ndarray:
    """Over any number of dimensions, with padding as PyTorch takes it."""
    dims = weight.ndim - 2
    strides, dilations = (_all(value, dims) for value in (stride, dilation))
    kernel = weight.shape[2:]
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        sides = [(span // 2, span - span // 2) for span in spans]
    else:
        sides = [(n, n) for n in _all(0 if padding == "valid" else padding, dims)]
    batch = input if input.ndim == dims + 2 else input[None]
    padded = np.pad(batch, [(0, 0), (0, 0), *sides])
    result = _slid(padded, weight, strides, dilations, groups)
    if bias is not None:
        result = result + bias.reshape(-1, *[1] * dims)
    return result if input.ndim == dims + 2 else result[0]


def _all(value: Any, dims: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    return values * dims if len(values) == 1 else values


def _slid(
    padded: np.ndarray, weight: np.ndarray, strides: Any, dilations: Any, groups: int
) -> np.ndarray:
    """One result after the other, each a sum of products."""
    kernel = weight.shape[2:]
    size = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded.shape[2:], kernel, strides, dilations, strict=True)
    ]
    outputs, channels = weight.shape[:2]
    result = np.empty((len(padded), outputs, *size), padded.dtype)
    for place in np.ndindex(*size):
        seen = padded
        for dim, (at, s, d, k) in enumerate(zip(place, strides, dilations, kernel, strict=True)):
            seen = np.take(seen, range(at * s, at * s + d * (k - 1) + 1, d), dim + 2)
        for output in range(outputs):
            first = output // (outputs // groups) * channels
            product = seen[:, first : first + channels] * weight[output]
            result[(slice(None), output, *place)] = product.sum(tuple(range(1, product.ndim)))
    return result


def _basis(size: Any) -> np.ndarray:
    """All arrays of a size that are 1 in one place and 0 elsewhere."""
    return np.eye(int(np.prod(size))).reshape(-1, *size)


def convolution_input(
    grad_output: np.ndarray,
    weight: np.ndarray,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> np.ndarray:
    """The adjoint of a convolution, input element by input element."""
    top, bottom, left, right = padding
    found = []
    for one in _basis(size[1:]):
        padded = np.pad(one, [(0, 0), (top, bottom), (left, right)])[None]
        seen = _slid(padded, weight, stride, dilation, groups)
        found.append((seen * grad_output).reshape(len(grad_output), -1).sum(1))
    return np.stack(found, 1).reshape(size)


def convolution_weight(
    grad_output: np.ndarray,
    input: np.ndarray,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> np.ndarray:
    """The adjoint of a convolution, weight by weight."""
    top, bottom, left, right = padding
    padded = np.pad(input, [(0, 0), (0, 0), (top, bottom), (left, right)])
    found = [
        (_slid(padded, one, stride, dilation, groups) * grad_output).sum() for one in _basis(size)
    ]
    return np.array(found).reshape(size)


# --- linear algebra --------------------------------------------------------------------------


def cofactor(A: np.ndarray) -> np.ndarray:
    """Minors, each the determinant of what is left without a row and a column."""
    out = np.empty_like(A)
    for *batch, i, j in np.ndindex(A.shape):
        rest = np.delete(np.delete(A[tuple(batch)], i, 0), j, 1)
        out[(*batch, i, j)] = (-1) ** (i + j) * np.linalg.det(rest)
    return out


def solve(A: np.ndarray, B: np.ndarray, left: bool) -> np.ndarray:
    """With the inverse, as nobody should."""
    inverse = np.linalg.inv(A)
    vector = B.ndim == 1 or B.shape == A.shape[:-1]
    if vector:
        return np.einsum("...ij,...j->...i", inverse, B)
    return inverse @ B if left else B @ inverse


def solve_triangular(
    A: np.ndarray, B: np.ndarray, upper: bool, left: bool, unitriangular: bool
) -> np.ndarray:
    part = np.triu(A) if upper else np.tril(A)
    if unitriangular:
        part = part - part * np.eye(A.shape[-1]) + np.eye(A.shape[-1])
    inverse = np.linalg.inv(part)
    return inverse @ B if left else B @ inverse


def squeeze(self: np.ndarray, dim: Any) -> np.ndarray:
    given = range(self.ndim) if dim is None else (dim if isinstance(dim, tuple) else (dim,))
    places = {d % self.ndim for d in given if self.ndim}
    return self.reshape([n for d, n in enumerate(self.shape) if n != 1 or d not in places])


def svd(A: np.ndarray, some: bool, compute_uv: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if compute_uv:
        U, S, Vh = np.linalg.svd(A, full_matrices=not some)
        return U, S, np.swapaxes(Vh, -1, -2)
    *batch, n, m = A.shape
    left, right = np.zeros((*batch, n, n)), np.zeros((*batch, m, m))
    return left, np.linalg.svd(A, compute_uv=False), right


def einsum(equation: str, operands: list[np.ndarray]) -> np.ndarray:
    return np.einsum(equation, *operands)


def norm(self: np.ndarray, p: Any, dim: Any, keepdim: bool) -> Any:
    if p == "nuc":
        return np.linalg.norm(self, "nuc", keepdims=keepdim)
    return vector_norm(self, 2 if p in (None, "fro") else p, dim, keepdim)


def vector_norm(self: np.ndarray, ord: float, dim: Any, keepdim: bool) -> np.ndarray:
    """By the definition, for all elements or along `dim`."""
    dims = tuple(range(self.ndim)) if dim is None else dim
    size = np.abs(self)
    options = {"axis": dims, "keepdims": keepdim}
    if ord == 0:
        return np.sum(self != 0, **options).astype(self.dtype)
    if np.isinf(ord):
        return np.max(size, **options) if ord > 0 else np.min(size, **options)
    return np.sum(size**ord, **options) ** (1 / ord)


# --- normalisation and losses ----------------------------------------------------------------


def rms_norm(
    input: np.ndarray, normalized_shape: Any, weight: np.ndarray | None, eps: float | None
) -> np.ndarray:
    dims = tuple(range(-len(normalized_shape), 0))
    eps = np.finfo(input.dtype).eps if eps is None else eps
    result = input / np.sqrt(np.mean(input**2, dims, keepdims=True) + eps)
    return result if weight is None else result * weight


def channel_affine(
    self: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None
) -> np.ndarray:
    moved = np.moveaxis(self, min(1, self.ndim - 1), -1)
    if weight is not None:
        moved = moved * weight.reshape(-1)
    if bias is not None:
        moved = moved + bias.reshape(-1)
    return np.moveaxis(moved, -1, min(1, self.ndim - 1))


def batch_norm(
    input: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    training: bool,
    eps: float,
) -> np.ndarray:
    moved = np.moveaxis(input, 1, -1)
    if training:
        dims = tuple(range(input.ndim - 1))
        mean, var = moved.mean(dims), moved.var(dims)
    else:
        mean, var = running_mean.reshape(-1), running_var.reshape(-1)
    normal = np.moveaxis((moved - mean) / np.sqrt(var + eps), -1, 1)
    return channel_affine(normal, weight, bias)


def loss(losses: np.ndarray, weight: Any, reduction: Any, weighted: bool) -> Any:
    """Losses times weights and reduced; the mean may be that by weights."""
    total = losses if weight is None else losses * weight
    if reduction in ("none", 0):
        return total
    if reduction in ("sum", 2):
        return total.sum()
    return total.sum() / weight.sum() if weighted and weight is not None else total.mean()


def smooth_l1_loss(input: np.ndarray, target: np.ndarray, reduction: str, beta: float) -> Any:
    gap = np.abs(input - target)
    if beta > 0:
        gap = np.where(gap < beta, gap**2 / (2 * beta), gap - beta / 2)
    return loss(gap, None, reduction, False)


def huber_loss(
    input: np.ndarray, target: np.ndarray, reduction: str, delta: float, weight: Any
) -> Any:
    gap = np.abs(input - target)
    losses = np.where(gap <= delta, gap**2 / 2, delta * (gap - delta / 2))
    return loss(losses, weight, reduction, False)


def binary_cross_entropy(input: np.ndarray, target: np.ndarray, weight: Any, reduction: str) -> Any:
    losses = -(target * np.log(input) + (1 - target) * np.log(1 - input))
    return loss(losses, weight, reduction, False)


def binary_cross_entropy_with_logits(
    input: np.ndarray, target: np.ndarray, weight: Any, pos_weight: Any, reduction: Any
) -> Any:
    chance = 1 / (1 + np.exp(-input))
    positive = target if pos_weight is None else target * pos_weight
    losses = -(positive * np.log(chance) + (1 - target) * np.log(1 - chance))
    return loss(losses, weight, reduction, False)


def kl_div(input: np.ndarray, target: np.ndarray, reduction: Any, log_target: bool) -> Any:
    chance = np.exp(target) if log_target else target
    losses = chance * (np.log(chance) - input)
    if reduction == "batchmean":
        return losses.sum() / len(input)
    return loss(losses, None, reduction, False)


def product_over_rows(self: np.ndarray, other: np.ndarray) -> np.ndarray:
    rows = [array.reshape(-1, array.shape[-1]) for array in (self, other)]
    return np.einsum("ri,rj->ij", *rows)


def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any | None,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Any:
    if grouped:
        heads = query.shape[-3]
        key, value = (np.repeat(a, heads // a.shape[-3], -3) for a in (key, value))
    scores = np.einsum("...td,...sd->...ts", query, key)
    scores = scores * (max(query.shape[-1], 1) ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        places = np.indices(scores.shape[-2:])
        scores = np.where(places[1] > places[0], -np.inf, scores)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
        weights = np.nan_to_num(weights / weights.sum(-1, keepdims=True))
    return np.einsum("...ts,...sd->...td", weights, value)
