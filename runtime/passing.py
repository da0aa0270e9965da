"""Gradients that are the incoming one: handed on, or added up for an input that was broadcast.

A leaf keeps its gradient. Where somebody else has the incoming one, as the caller of `backward`,
it needs a copy, which is made in the pass over memory that adds up for another input.
"""

from __future__ import annotations

from sys import getrefcount

import numpy as np

from .blocks import BLOCK, sum_to, summed
from .graph import Node
from .operator import as_tensor
from .operator_nodes import fit
from .tensor import Tensor

ndarray = np.ndarray


class Spare:
    """A copy of the incoming gradient for a leaf, made by whoever reads all of it first."""

    __slots__ = ("copy", "index")

    def __init__(self, node, groups, grad):
        self.copy = None
        self.index = next((i for g in groups for i in g.passed if _kept(node, i, grad)), None)

    def take(self, grad):
        """Memory to copy the gradient to, the first time; None if no leaf wants it."""
        if self.index is None or self.copy is not None:
            return None
        self.copy = np.empty_like(grad)
        return self.copy


def _kept(node, index, grad):
    """Whether an input is a leaf that will keep the incoming gradient as it is."""
    leaf, general = node.edges[2 * index], node.general
    return (
        not isinstance(leaf, Node)
        and getattr(leaf, "_grad", None) is None
        and general.input_shapes[index] == node.shape
        and general.input_dtypes[index].numpy is grad.dtype
    )


def total_of(grad, shape, to, spare=None):
    """A gradient of one shape, an array or a tensor, added up to another."""
    tensor = as_tensor(grad, shape) if type(grad) is ndarray else grad
    return sum_to(tensor, to, copy=spare.take(grad) if spare else None)


def passed(grad, node, index, spare=None):
    """The incoming gradient, unchanged but for the shape and dtype of the input."""
    general = node.general
    shape, dtype = general.input_shapes[index], general.input_dtypes[index]
    if shape == node.shape:
        own = dtype if isinstance(grad, Tensor) else dtype.numpy
        if grad.dtype is own:
            return grad
        return fit(as_tensor(grad, shape) if type(grad) is ndarray else grad, shape, dtype)
    total = None
    if type(grad) is ndarray and len(grad) <= BLOCK:
        total = summed(grad.reshape(tuple(node.shape)), shape)
    if total is None:
        total = total_of(grad, node.shape, shape, spare)
    return total if total.dtype == dtype.numpy else total.astype(dtype.numpy)


class _Stage:
    """What the engine calls, and what its `apply` calls, as nodes of the general path do."""

    def apply(self, grad):
        return _count(self, grad)


def _count(node, grad):
    return getrefcount(grad)


def _measure():
    grad = np.empty(1)
    return _Stage().apply(grad)


# What `getrefcount(grad)` says in `backward` of a gradient that only the engine holds.
REFERENCES = _measure()
