"""Calls on a handful of elements, whose cost is what Python does around the kernel."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from rederive.tools.bench.cases import Case, indexed


def small_calls() -> list[Case]:
    """What a call costs outside of the pointwise operators of equal shapes."""
    pair, row = (2, 4), (4,)
    two, along = np.array([1, 3]), np.array([[1, 3], [2, 0]])
    return [
        Case("row + column", [row, (2, 1)], lambda lib, a, b: a + b),
        Case("matrix * 0-d tensor", [pair, ()], lambda lib, a, b: a * b),
        Case("3 - x", [pair], lambda lib, a: 3 - a),
        Case("x / 2", [pair], lambda lib, a: a / 2),
        Case("x ** 2", [pair], lambda lib, a: a**2),
        Case("x.t() * y", [pair, (4, 2)], lambda lib, a, b: a.t() * b),
        Case("x[:, 1:3] * 2", [pair], lambda lib, a: a[:, 1:3] * 2),
        Case("where(x > 0, x, 0)", [pair], lambda lib, a: lib.where(a > 0, a, 0.0)),
        Case("masked_fill(x > 0, 1)", [pair], lambda lib, a: a.masked_fill(a > 0, 1.0)),
        Case("sum()", [pair], lambda lib, a: a.sum()),
        Case("sum(0)", [pair], lambda lib, a: a.sum(0)),
        Case("mean()", [pair], lambda lib, a: a.mean()),
        Case("amax(1)", [pair], lambda lib, a: a.amax(1)),
        Case("softmax(1)", [pair], lambda lib, a: lib.softmax(a, 1)),
        Case("layer_norm", [pair, row, row], _layer_norm),
        Case("matmul", [pair, (4, 2)], lambda lib, a, b: a @ b),
        Case("linear", [pair, (3, 4), (3,)], lambda lib, a, w, b: _functional(lib).linear(a, w, b)),
        Case("bmm", [(2, 2, 4), (2, 4, 2)], lambda lib, a, b: lib.bmm(a, b)),
        Case("matrix @ vector", [pair, row], lambda lib, a, b: a @ b),
        Case("log_softmax(1)", [pair], lambda lib, a: lib.log_softmax(a, 1)),
        Case("var(1)", [pair], lambda lib, a: a.var(1)),
        Case("mse_loss", [pair, pair], lambda lib, a, b: _functional(lib).mse_loss(a, b)),
        indexed("cross_entropy", [pair], _cross_entropy, two),
        indexed("cross_entropy, smoothed", [pair], _smoothed, two),
        indexed("embedding", [(5, 4)], _embedding, two),
        Case("conv2d", [(1, 1, 4, 4), (2, 1, 3, 3), (2,)], _conv2d),
        Case("stack", [row, row], lambda lib, a, b: lib.stack([a, b])),
        Case("x[1]", [pair], lambda lib, a: a[1]),
        Case("x[:, 1:3]", [pair], lambda lib, a: a[:, 1:3]),
        Case("permute", [(2, 3, 4)], lambda lib, a: a.permute(2, 0, 1)),
        Case("unsqueeze", [pair], lambda lib, a: a.unsqueeze(1)),
        Case("expand", [(2, 1)], lambda lib, a: a.expand(2, 4)),
        Case("reshape", [pair], lambda lib, a: a.reshape(4, 2)),
        Case("cumsum(1)", [pair], lambda lib, a: a.cumsum(1)),
        Case("cat", [pair, pair], lambda lib, a, b: lib.cat([a, b])),
        indexed("x[rows]", [(5, 4)], lambda lib, i, a: a[i], two),
        indexed("gather(1)", [pair], lambda lib, i, a: a.gather(1, i), along),
        indexed("scatter_add(1)", [pair, (2, 2)], _scatter_add, along),
        Case("sort(1)", [pair], lambda lib, a: a.sort(1)[0]),
        Case("topk(2)", [pair], lambda lib, a: a.topk(2)[0]),
        Case("max_pool2d", [(1, 1, 4, 4)], lambda lib, a: _functional(lib).max_pool2d(a, 2)),
        Case("einsum ij,jk->ik", [pair, (4, 2)], _einsum),
        Case("group_norm", [(2, 4), (4,), (4,)], _group_norm),
    ]


def _functional(library: ModuleType) -> Any:
    return library.nn.functional


def _layer_norm(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return _functional(library).layer_norm(a, a.shape[1:], weight, bias)


def _group_norm(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return _functional(library).group_norm(a, 2, weight, bias)


def _cross_entropy(library: ModuleType, target: Any, a: Any) -> Any:
    return _functional(library).cross_entropy(a, target)


def _smoothed(library: ModuleType, target: Any, a: Any) -> Any:
    return _functional(library).cross_entropy(a, target, label_smoothing=0.1)


def _embedding(library: ModuleType, index: Any, weight: Any) -> Any:
    return _functional(library).embedding(index, weight)


def _conv2d(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return _functional(library).conv2d(a, weight, bias)


def _scatter_add(library: ModuleType, index: Any, a: Any, source: Any) -> Any:
    return a.scatter_add(1, index, source)


def _einsum(library: ModuleType, a: Any, b: Any) -> Any:
    return library.einsum("ij,jk->ik", a, b)
