"""Attention without an array of all scores: what the kernels of attending.py are told."""

from __future__ import annotations

import math

import numpy as np

from ..geometry import contiguous_strides, storage_span
from ..threads import threads
from . import attending
from .sharing import run_items
from .tiles import LANES, VECTORS

LEAST = 4  # items that the gradients of few heads are made of, with sums of their own


def blocked_attention(query, key, value, causal, scale):
    """The result, and for each query the logarithm of the sum that its weights are divided by."""
    attending.ready()
    heads, queries, features = math.prod(query.shape[:-2]), *query.shape[-2:]
    sources, values = value.shape[-2:]
    result = _like(query, (*query.shape[:-1], values))
    levels = np.full((*query.shape[:-1], 1), -math.inf, query.dtype)
    if not sources:
        result[...] = 0
        return result, levels
    *flat, starts, steps = _laid((query, key, value, result), heads)
    lanes = LANES[query.itemsize]
    blocks = -(-queries // (len(VECTORS) * lanes))
    sizes = (queries, sources, features, values, lanes, blocks)
    work = heads * queries * sources * (features + values)
    number = query.dtype.type(scale)
    given = *flat, levels.reshape(-1), starts, steps, sizes, number, causal, VECTORS
    run_items(attending.attend, given, heads * blocks, work >= 16 * threads.minimum)
    return result, levels


def attention_backward(flow, query, key, value, attended, levels, causal, scale):
    """The gradients of query, key and value; `attended` and `levels` are the results above."""
    if attended is None or levels is None:
        attended, levels = blocked_attention(query, key, value, causal, scale)
    attending.ready()
    heads, queries, features = math.prod(query.shape[:-2]), *query.shape[-2:]
    sources, values = value.shape[-2:]
    lanes = LANES[query.itemsize]
    blocks = -(-queries // (len(VECTORS) * lanes))
    parts = max(1, min(blocks, -(-LEAST // max(heads, 1))))
    flows = [_like(query, query.shape)]
    for array in (key, value):
        several = parts > 1
        made = (
            np.empty((parts, *array.shape), array.dtype) if several else _like(array, array.shape)
        )
        flows.append(made)
    for array in flows:
        array[...] = 0
    *flat, starts, steps = _laid((query, key, value, flow, attended, *flows), heads * parts)
    sizes = (queries, sources, features, values, lanes, parts)
    work = heads * queries * sources * (3 * features + 2 * values)
    flat.insert(5, np.ascontiguousarray(levels).reshape(-1))
    given = *flat, starts, steps, sizes, query.dtype.type(scale), causal, VECTORS
    run_items(attending.spread, given, heads * parts, work >= 16 * threads.minimum)
    return flows[0], *(f if parts == 1 else f.sum(0) for f in flows[1:])


def _like(array, shape):
    """Room for a result of the shape, its dimensions in the order of those of `array` in memory."""
    made = np.empty_like(array, shape=shape)
    return made if made.strides[-1] == made.itemsize else np.empty(shape, array.dtype)


def _laid(operands, most):
    """Flat arrays, where their matrices begin (`most` of them), and the steps within these."""
    flat = []
    starts, steps = (
        np.zeros((len(operands), most), np.int64),
        np.empty((len(operands), 2), np.int64),
    )
    for n, array in enumerate(operands):
        array, strides = _flat(array)
        flat.append(array)
        *outer, row, column = strides
        steps[n] = row, column
        places = np.zeros(1, np.int64)
        for size, stride in zip(operands[n].shape, outer, strict=False):
            places = np.add.outer(places, np.arange(size) * stride)
        starts[n, : places.size] = places.reshape(-1)
    return *flat, starts, steps


def _flat(array):
    """The memory that an array reaches, and its strides in elements."""
    size, shape = array.itemsize, array.shape
    if not array.flags.c_contiguous:
        if array.size and min(array.strides) >= 0 and not any(s % size for s in array.strides):
            strides = [stride // size for stride in array.strides]
            span = storage_span(shape, strides)
            return np.lib.stride_tricks.as_strided(array, (span,), (size,)), strides
        array = np.ascontiguousarray(array)
    return array.reshape(-1), contiguous_strides(shape)
