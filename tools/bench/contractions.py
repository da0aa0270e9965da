"""Products, convolutions, pooling, and moving by index, at the sizes of real networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from rederive.tools.bench.cases import Case, indexed

Function = Callable[..., Any]


def listing() -> list[Case]:
    """Every case: leaves are what gradients are taken of."""
    return [*_products(), *_attention(), *_convolutions(), *_pooling(), *_images(), *_indexing()]


def _products() -> list[Case]:
    linear = _functional("linear")
    return [
        Case("matmul 64", [(64, 64)] * 2, lambda lib, a, b: a @ b),
        Case("matmul 512", [(512, 512)] * 2, lambda lib, a, b: a @ b),
        Case("matrix @ vector 1024", [(1024, 1024), (1024,)], lambda lib, a, b: a @ b),
        Case("bmm 512 of 16", [(512, 16, 16)] * 2, lambda lib, a, b: lib.bmm(a, b)),
        Case("bmm 64 of 64", [(64, 64, 64)] * 2, lambda lib, a, b: lib.bmm(a, b)),
        Case("bmm 8 of 256", [(8, 256, 256)] * 2, lambda lib, a, b: lib.bmm(a, b)),
        Case("linear 128x784 to 512", [(128, 784), (512, 784), (512,)], linear),
        Case("linear 16x64x128 to 512", [(16, 64, 128), (512, 128), (512,)], linear),
        _einsum("bij,bjk->bik", (64, 64, 32), (64, 32, 64)),
        _einsum("bqhd,bkhd->bhqk", (16, 64, 4, 32), (16, 64, 4, 32)),
        _einsum("nij,nj->ni", (256, 32, 64), (256, 64)),
        _einsum("i,j->ij", (1024,), (1024,)),
    ]


def _einsum(equation: str, *shapes: tuple[int, ...]) -> Case:
    return Case(f"einsum {equation}", shapes, lambda lib, a, b: lib.einsum(equation, a, b))


def _attention() -> list[Case]:
    attention = _functional("scaled_dot_product_attention")
    causal = _functional("scaled_dot_product_attention", is_causal=True)
    return [
        Case("attention 16x4x64x32", [(16, 4, 64, 32)] * 3, attention),
        Case("attention 2x4x512x64", [(2, 4, 512, 64)] * 3, attention),
        Case("attention 2x4x512x64, causal", [(2, 4, 512, 64)] * 3, causal),
    ]


def _convolutions() -> list[Case]:
    conv2d = partial(_functional, "conv2d")
    return [
        Case("conv2d 128x1x28x28 to 6, 5x5", [(128, 1, 28, 28), (6, 1, 5, 5)], conv2d(padding=2)),
        Case("conv2d 128x6x14x14 to 16, 5x5", [(128, 6, 14, 14), (16, 6, 5, 5)], conv2d()),
        Case("conv2d 32x16x28x28 to 32", [(32, 16, 28, 28), (32, 16, 3, 3)], conv2d(padding=1)),
        Case("conv2d 8x64x56x56 to 64", [(8, 64, 56, 56), (64, 64, 3, 3)], conv2d(padding=1)),
        Case(
            "conv2d 8x64x56x56 to 64, stride 2",
            [(8, 64, 56, 56), (64, 64, 3, 3)],
            conv2d(padding=1, stride=2),
        ),
        Case("conv2d 8x64x28x28 to 64, 1x1", [(8, 64, 28, 28), (64, 64, 1, 1)], conv2d()),
        Case(
            "conv2d 8x64x28x28, depthwise",
            [(8, 64, 28, 28), (64, 1, 3, 3)],
            conv2d(padding=1, groups=64),
        ),
        Case(
            "conv2d 32x512x7x7, depthwise",
            [(32, 512, 7, 7), (512, 1, 3, 3)],
            conv2d(padding=1, groups=512),
        ),
        Case(
            "conv2d 8x96x56x56, depthwise, stride 2",
            [(8, 96, 56, 56), (96, 1, 3, 3)],
            conv2d(padding=1, stride=2, groups=96),
        ),
        Case(
            "conv2d 16x128x14x14 to 128", [(16, 128, 14, 14), (128, 128, 3, 3)], conv2d(padding=1)
        ),
        Case("conv2d 8x512x7x7 to 512", [(8, 512, 7, 7), (512, 512, 3, 3)], conv2d(padding=1)),
        Case("conv2d 8x256x14x14 to 1024, 1x1", [(8, 256, 14, 14), (1024, 256, 1, 1)], conv2d()),
        Case("conv1d 16x32x256 to 64", [(16, 32, 256), (64, 32, 3)], _functional("conv1d")),
    ]


def _pooling() -> list[Case]:
    small, large = (128, 6, 28, 28), (32, 64, 56, 56)
    thirds = {"stride": 2, "padding": 1}
    return [
        Case("max_pool2d 128x6x28x28, 2x2", [small], _functional("max_pool2d", 2)),
        Case("max_pool2d 32x64x56x56, 3x3", [large], _functional("max_pool2d", 3, **thirds)),
        Case("avg_pool2d 32x64x56x56, 2x2", [large], _functional("avg_pool2d", 2)),
        Case("adaptive_avg_pool2d 32x64x56x56", [large], _functional("adaptive_avg_pool2d", 1)),
        Case("max_pool1d 64x32x512, 2", [(64, 32, 512)], _functional("max_pool1d", 2)),
        Case("avg_pool1d 64x32x512, 2", [(64, 32, 512)], _functional("avg_pool1d", 2)),
    ]


def _images() -> list[Case]:
    """Normalisation of images, whose lanes are neither first nor last."""
    shapes = [(32, 64, 28, 28), (64,), (64,)]
    return [
        Case("batch_norm 32x64x28x28", shapes, _batch_norm_trained),
        Case("batch_norm 32x64x28x28, evaluated", shapes, _batch_norm_evaluated),
        Case("group_norm 32x64x28x28", shapes, _group_norm),
    ]


def _batch_norm_trained(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return library.nn.functional.batch_norm(a, None, None, weight, bias, True)


def _batch_norm_evaluated(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    mean, var = library.ones(64), library.full((64,), 2.0)
    return library.nn.functional.batch_norm(a, mean, var, weight, bias)


def _group_norm(library: ModuleType, a: Any, weight: Any, bias: Any) -> Any:
    return library.nn.functional.group_norm(a, 8, weight, bias)


def _indexing() -> list[Case]:
    draw = np.random.default_rng(0)
    tall, flat = (4096, 1024), (256, 1024)
    rows, columns = draw.integers(0, 4096, 1024), draw.integers(0, 1024, 512)
    along, across = draw.integers(0, 1024, (4096, 64)), draw.integers(0, 4096, (64, 1024))
    mask = draw.random(tall) < 0.5
    apart = draw.permuted(np.tile(np.arange(1024), (4096, 1)), axis=1)[:, :64].copy()
    return [
        indexed("embedding 1024 of 4096x128", [(4096, 128)], _embedding, rows),
        indexed("x[rows]", [tall], lambda lib, i, a: a[i], rows),
        indexed("x[:, columns]", [tall], lambda lib, i, a: a[:, i], columns),
        indexed("x[mask]", [tall], lambda lib, i, a: a[i], mask),
        indexed("index_select(0)", [tall], lambda lib, i, a: a.index_select(0, i), rows),
        indexed("index_add(0)", [tall, (1024, 1024)], _index_add, rows),
        indexed("gather(1), 4096x64", [tall], lambda lib, i, a: a.gather(1, i), along),
        indexed("gather(0), 64x1024", [tall], lambda lib, i, a: a.gather(0, i), across),
        indexed("scatter(1), 4096x64", [tall, (4096, 64)], _scatter, apart),
        indexed("scatter_add(1), 4096x64", [tall, (4096, 64)], _scatter_add(1), along),
        indexed("scatter_add(0), 64x1024", [tall, (64, 1024)], _scatter_add(0), across),
        Case("sort(1), 256x1024", [flat], lambda lib, a: _sorted(a, 1)),
        Case("sort(0), 1024x256", [(1024, 256)], lambda lib, a: _sorted(a, 0)),
        Case("topk(100), 1000000", [(1000000,)], lambda lib, a: a.topk(100)[0]),
        Case("topk(10, 1), 256x1024", [flat], lambda lib, a: a.topk(10, 1)[0]),
        Case("cat(1), two of 256x1024", [flat, flat], lambda lib, a, b: lib.cat([a, b], 1)),
        Case("stack, two of 256x1024", [flat, flat], lambda lib, a, b: lib.stack([a, b])),
    ]


def _sorted(a: Any, dim: int) -> Any:
    """Stable, so that equal elements send their gradients to the same places on both sides."""
    return a.sort(dim=dim, stable=True)[0]


def _embedding(library: ModuleType, index: Any, weight: Any) -> Any:
    return library.nn.functional.embedding(index, weight)


def _index_add(library: ModuleType, index: Any, a: Any, source: Any) -> Any:
    return a.index_add(0, index, source)


def _scatter(library: ModuleType, index: Any, a: Any, source: Any) -> Any:
    return a.scatter(1, index, source)


def _scatter_add(dim: int) -> Function:
    return lambda library, index, a, source: a.scatter_add(dim, index, source)


def _functional(name: str, *more: Any, **options: Any) -> Function:
    """A function of `nn.functional`, given further arguments after the leaves."""

    def call(library: ModuleType, *leaves: Any) -> Any:
        return getattr(library.nn.functional, name)(*leaves, *more, **options)

    return call
