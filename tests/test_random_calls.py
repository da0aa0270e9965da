"""Every declared operator on random shapes, strides and arguments, drawn by hypothesis.

What an operator gives for tensors however they lie in memory is what it gives for dense copies of
them: values, gradients, or the same error. Its reference agrees, and forward mode with reverse.
"""

import random
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from random_calls import Drawing
from rederive import autograd, from_numpy
from rederive.generated.registry import OPERATORS
from rederive.tools import checks
from rederive.tools.binding import Bound, to_numpy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of operators, about unusual calls
EXAMPLES = 10  # of each operator
# what a refused call may raise; multi-head attention asserts, as PyTorch's does
ERRORS = (RuntimeError, IndexError, ValueError, TypeError, AssertionError)

NOT_ADJOINT = {
    "scale_grad_by_freq": "asks for another gradient than the adjoint of the derivative",
}
"""Flags with which forward mode and reverse mode do not belong together, and why."""


class AsLaid(Bound):
    """A call whose tensors share the memory of the sample's arrays, strides and all."""

    def _memory(self, name, array):
        return array


def attempt(bound):
    """The outputs and gradients, each with what it is, or the error that comes instead."""
    try:
        return outcome(bound), None
    except ERRORS as error:
        return None, error


def outcome(bound):
    """The outputs, and the gradients for a random cotangent."""
    outputs = [output for output in bound.outputs(*bound.leaves) if output is not None]
    found = [("output", to_numpy(output)) for output in outputs]
    kept = tuple(output for output in outputs if output.requires_grad)
    if kept:
        rows = autograd.grad(kept, bound.leaves, bound.cotangents(kept), allow_unused=True)
        named = zip(bound.owners, rows, strict=True)
        found += [(f"gradient of {n}", to_numpy(g)) for n, g in named if g is not None]
    return found


def check(operator, sample, dtype):
    """Check one call; whether the operator took it."""
    laid = AsLaid(operator, sample, dtype)
    (found, refused), (wanted, also) = attempt(laid), attempt(Bound(operator, sample, dtype))
    if refused and operator.family == "view" and not also:
        return False  # a view copies nothing, so it cannot take every layout
    if refused or also:
        assert (type(refused), str(refused)) == (type(also), str(also))
        return False
    for (what, one), (_, other) in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        scale = 10 * max(1.0, checks.scale_of(operator, other))
        checks.compare(one, other, dtype, what, scale)
    if operator.reference:
        forward(laid)
    finite = all(np.isfinite(array).all() for _, array in found)
    if finite and dtype == "float64" and has_adjoint(laid):
        checks.forward_mode(laid)
    return True


def has_adjoint(bound):
    """Whether forward mode and reverse mode belong together in this call."""
    if not bound.leaves or any(bound.sample.values.get(name) for name in NOT_ADJOINT):
        return False
    return all(output.requires_grad for output in bound.differentiable(*bound.leaves))


def forward(bound):
    """The outputs are those of the reference, where that has any."""
    try:
        checks.forward(bound)
    except ValueError:  # NumPy has no maximum over nothing, and a number has no dimension 0 there
        if not (bound.sample.empty or any(array.ndim == 0 for array in bound.sample.arrays())):
            raise


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(draw=st.randoms(use_true_random=False), dtype=st.sampled_from(["float64", "float32"]))
def test_operator(operator, draw, dtype):
    check(operator, Drawing(operator, draw).sample(), dtype)


def test_most_of_the_drawn_calls_are_taken():
    shares = {}
    for operator in OPERATORS:
        drawing = Drawing(operator, random.Random(zlib.crc32(operator.name.encode())))
        bounds = [AsLaid(operator, drawing.sample(), "float64") for _ in range(12)]
        shares[operator.name] = np.mean([attempt(bound)[1] is None for bound in bounds])
    assert min(shares.values()) > 0.15, min(shares, key=shares.get)
    assert np.mean(list(shares.values())) > 0.8


def test_calls_are_drawn_in_every_layout_and_shape():
    add = next(operator for operator in OPERATORS if operator.name == "add")
    drawing = Drawing(add, random.Random(1))
    arrays = [a for _ in range(200) for a in drawing.sample().arrays()]
    assert {array.ndim for array in arrays} >= {0, 1, 2, 3}
    assert any(array.size == 0 for array in arrays)
    assert any(0 in array.strides and array.size > 1 for array in arrays)
    assert any(array.flags.f_contiguous and not array.flags.c_contiguous for array in arrays)
    assert any(not array.flags.forc for array in arrays)


def test_a_kernel_that_misreads_strides_is_found(monkeypatch):
    flip = next(operator for operator in OPERATORS if operator.name == "flip")
    right = type(flip).function.fget(flip)

    def wrong(input, dims):
        array = input.detach().numpy()
        strides = sorted(array.strides, reverse=True)
        return right(from_numpy(as_strided(array, array.shape, strides)), dims)

    monkeypatch.setattr(type(flip), "function", property(lambda self: wrong))
    drawing = Drawing(flip, random.Random(1))
    found = 0
    for _ in range(30):
        try:
            check(flip, drawing.sample(), "float64")
        except (AssertionError, checks.Failed):
            found += 1
    assert found > 3
