"""Runs one function on both libraries and compares what comes out. Used by tests only."""

import numpy as np
import pytest
import rederive
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from rederive.tools.samples import lay_out

drawn = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@st.composite
def arrays(draw, shape, dtype=np.float64, distinct=True):
    """An array of the shape, all elements distinct unless repetitions are wanted."""
    count = int(np.prod(shape))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    values = (
        rng.permutation(count) / max(count, 1) * 4 - 2 if distinct else rng.integers(-2, 3, count)
    )
    return np.asarray(values, dtype).reshape(shape)


def outcome(function, library, tensors, wants, cotangents):
    """(values, gradients) as arrays, or the error that was raised."""
    try:
        result = function(library, *tensors)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        return error
    results = list(result) if isinstance(result, tuple | list) else [result]
    floating = [r for r in results if r.requires_grad]
    gradients = []
    if floating:
        fixed = [
            library.from_numpy(
                cotangents.normal(size=tuple(r.shape)).astype(r.detach().numpy().dtype)
            )
            for r in floating
        ]
        leaves = [t for t, wanted in zip(tensors, wants, strict=True) if wanted]
        gradients = library.autograd.grad(floating, leaves, fixed, allow_unused=True)
    values = [np.array(r.detach().numpy()) for r in results]
    return values, [None if g is None else np.array(g.detach().numpy()) for g in gradients]


def same(function, *given, strided=(), rtol=1e-10, seed=0, errors=True):
    """Compare `function(library, *tensors)`: values, dtypes, gradients, or the kind of error.

    given: arrays; floating ones get gradients. strided: positions that lie with gaps on our side.
    """
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")
    wants = [array.dtype.kind == "f" for array in given]
    mine = [rederive.from_numpy(lay_out(a, i in strided)) for i, a in enumerate(given)]
    theirs = [torch.from_numpy(a.copy()) for a in given]
    for tensors in (mine, theirs):
        for tensor, wanted in zip(tensors, wants, strict=True):
            tensor.requires_grad_(wanted)
    wanted = outcome(function, torch, theirs, wants, np.random.default_rng(seed))
    found = outcome(function, rederive, mine, wants, np.random.default_rng(seed))
    if isinstance(wanted, Exception):
        assert errors, wanted
        assert isinstance(found, type(wanted)), f"{wanted!r} there, here {found!r}"
        return
    if isinstance(found, Exception):
        raise found
    for kind, ours, others in zip(("value", "gradient"), found, wanted, strict=True):
        assert len(ours) == len(others), kind
        for one, other in zip(ours, others, strict=True):
            assert (one is None) == (other is None), kind
            if one is None:
                continue
            assert one.shape == other.shape, (kind, one.shape, other.shape)
            assert one.dtype == other.dtype, (kind, one.dtype, other.dtype)
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol, err_msg=kind)
