"""Sequences and data give PyTorch's values and dtypes."""

import itertools

import numpy as np
import pytest
import rederive

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")


def assert_same(ours, theirs, ulp=0):
    assert str(ours.dtype) == str(theirs.dtype).replace("torch.", "rederive.")
    assert tuple(ours.shape) == tuple(theirs.shape)
    ours, theirs = ours.numpy(), theirs.numpy()
    if ulp and ours.size and ours.dtype.kind == "f":
        np.testing.assert_array_max_ulp(ours, theirs, ulp)
    else:
        np.testing.assert_array_equal(ours, theirs)


NUMBERS = [0, 1, 5, -3, 2.5, -0.3, 10.0]
NAMES = [None, "float32", "float64", "int64", "int32"]


def kinds(name):
    if name is None:
        return {}, {}
    return {"dtype": getattr(rederive, name)}, {"dtype": getattr(torch, name)}


@pytest.mark.parametrize("name", NAMES)
def test_arange(name):
    ours, theirs = kinds(name)
    for start, end, step in itertools.product(NUMBERS, NUMBERS, [1, 2, 0.5, -1, -0.3, 0.1]):
        if (
            name
            and name.startswith("int")
            and not all(float(value).is_integer() for value in (start, end, step))
        ):
            continue
        try:
            expected = torch.arange(start, end, step, **theirs)
        except RuntimeError:
            with pytest.raises(RuntimeError):
                rederive.arange(start, end, step, **ours)
            continue
        # PyTorch steps in the dtype of the result: a rounding apart in float32
        got = rederive.arange(start, end, step, **ours)
        assert got.shape == tuple(expected.shape) and got.dtype.name == str(expected.dtype)[6:]
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=3e-7, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_linspace_and_logspace(name):
    ours, theirs = kinds(name)
    for start, end, steps in itertools.product(NUMBERS, NUMBERS, [0, 1, 2, 5, 10]):
        expected = torch.linspace(start, end, steps, **theirs)
        got = rederive.linspace(start, end, steps, **ours)
        assert got.shape == tuple(expected.shape) and got.dtype.name == str(expected.dtype)[6:]
        if name is None or name.startswith("float"):
            np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=3e-7, atol=1e-6)
            if -4 < start < 4 and -4 < end < 4:
                powers = rederive.logspace(start, end, steps, **ours)
                their = torch.logspace(start, end, steps, **theirs)
                np.testing.assert_allclose(powers.numpy(), their.numpy(), rtol=3e-6)
        elif isinstance(start, int) and isinstance(end, int):
            np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_eye_and_full():
    for n, m in itertools.product(range(4), range(4)):
        assert_same(rederive.eye(n, m), torch.eye(n, m))
    for value in (1, 2.5, True):
        assert_same(rederive.full((2, 3), value), torch.full((2, 3), value))


DATA = [
    3, 2.5, True, [], [1, 2], [1, 2.5], [True, 2], [[1.0, 2], [3, 4]], [[[1]], [[2]]], (1, (2)),
    ((1, 2), [3, 4]), [[], []], [float("nan"), float("inf")], [2**40, 1], range(4),
    np.arange(3), np.float32(2), np.ones((2, 0)), [np.float32(1), 2.0], [np.int32(1), np.int64(2)],
]  # fmt: skip


@pytest.mark.parametrize("data", DATA, ids=lambda data: repr(data).replace("\n", ""))
def test_tensor(data):
    assert_same(rederive.tensor(data), torch.tensor(data))
    for name in ("float32", "float64", "bool"):
        if name == "bool" and "np.float32" in repr(data):
            continue  # PyTorch refuses this
        ours, theirs = kinds(name)
        assert_same(rederive.tensor(data, **ours), torch.tensor(data, **theirs))


def test_like_strides():
    for shape in [(2, 3), (2, 3, 4), (1, 2, 1), (2, 2, 2, 2)]:
        for order in itertools.permutations(range(len(shape))):
            theirs = torch.zeros(shape).permute(order)
            ours = rederive.zeros(shape).permute(*order)
            for part in [(...,), (slice(None, None, 2),), (..., slice(1))]:
                got, expected = rederive.zeros_like(ours[part]), torch.zeros_like(theirs[part])
                strides = zip(got.shape, got.stride(), expected.stride(), strict=True)
                assert all(a == b for size, a, b in strides if size > 1)
