"""Reading and writing with random keys gives what PyTorch gives, or an error where it does."""

import random

import numpy as np
import pytest
import rederive
from rederive import indexing

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")

SHAPES = [(), (3,), (2, 3), (3, 1, 4), (2, 3, 4), (4, 0, 2), (2, 2, 3, 2)]


class TorchOperators:
    """The operators that a plan names, on PyTorch's tensors."""

    select = staticmethod(torch.select)
    unsqueeze = staticmethod(torch.unsqueeze)
    slice = staticmethod(torch.ops.aten.slice)

    @staticmethod
    def index(t, indices):
        return torch.ops.aten.index(t, indices)


def read(t, key):
    """`t[key]` for a PyTorch tensor by our plan."""
    for name, *arguments in indexing.plan(ours(key), t.shape):
        if name == "index":
            arguments = [[None if a is None else torch.from_numpy(a.copy()) for a in arguments[0]]]
        t = getattr(TorchOperators, name)(t, *arguments)
    return t


def ours(key):
    """A key with PyTorch's tensors replaced by ours."""
    if isinstance(key, tuple):
        return tuple(map(ours, key))
    return rederive.from_numpy(key.numpy()) if isinstance(key, torch.Tensor) else key


def random_part(rng, size):
    size = max(size, 1)
    bound = size + (rng.random() < 0.03)
    kind = rng.randrange(12)
    if kind < 3:
        return rng.randrange(-bound, bound)
    if kind < 6:
        ends = [rng.choice([None, *range(-size - 1, size + 2)]) for _ in range(2)]
        return slice(*ends, rng.choice([None, 1, 2, 3]))
    if kind == 6:
        return None
    if kind == 7:
        return [rng.randrange(-size, bound) for _ in range(rng.choice([1, 2, 2]))]
    if kind == 8:
        shape = rng.choice([(), (2,), (1,), (2, 2), (2, 1)])
        draws = np.random.default_rng(rng.randrange(100))
        return torch.tensor(np.array(draws.integers(0, size, shape)))
    if kind == 9:
        return torch.tensor([rng.random() < 0.5 for _ in range(size)])
    if kind == 10:
        return rng.choice([True, False, torch.tensor(True), torch.tensor(1)])
    return np.array([rng.randrange(size) for _ in range(2)])


def random_key(rng, shape):
    parts = [random_part(rng, size) for size in shape[: rng.randrange(len(shape) + 1)]]
    if rng.random() < 0.4:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice([None, ..., None, True]))
    if rng.random() < 0.1 and len(shape) > 1:
        mask = [[rng.random() < 0.5 for _ in range(shape[1])] for _ in range(shape[0])]
        parts = [torch.tensor(mask).reshape(shape[:2]), *parts[2:]]
    if len(parts) == 1 and not isinstance(parts[0], list) and rng.random() < 0.5:
        return parts[0]
    return tuple(parts)


@pytest.mark.parametrize("seed", range(20))
def test_random_keys_read_as_in_torch(seed):
    rng = random.Random(seed)
    for _ in range(300):
        shape = rng.choice(SHAPES)
        t = torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape)
        key = random_key(rng, shape)
        try:
            expected = t[key]
        except IndexError:
            with pytest.raises(IndexError):
                indexing.plan(ours(key), shape)
            continue
        try:
            got = read(t, key)
        except IndexError:
            assert not expected.numel()  # PyTorch checks no bounds where nothing is read
            continue
        assert got.shape == expected.shape and torch.equal(got, expected), (seed, shape, key)


@pytest.mark.parametrize("seed", range(20))
def test_random_keys_write_as_in_torch(seed):
    rng = random.Random(seed + 1000)
    for _ in range(200):
        shape = rng.choice(SHAPES)
        theirs = torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape)
        if len(shape) > 1 and rng.random() < 0.5:
            theirs = theirs.transpose(0, 1)
        mine = rederive.from_numpy(theirs.clone().numpy())
        key = random_key(rng, theirs.shape)
        try:
            target = theirs[key].shape
            value = torch.randn([rng.choice([1, n]) for n in target[rng.randrange(2) :]])
            if rng.random() < 0.3:
                value = torch.tensor(7.5)
            if indexed_twice(key):
                value = torch.tensor(3.0)
            theirs[key] = value
        except (IndexError, RuntimeError) as error:
            with pytest.raises(type(error)):
                mine[ours(key)] = 1.0
            continue
        try:
            mine[ours(key)] = rederive.from_numpy(value.numpy())
        except IndexError:
            assert not target.numel()
            continue
        assert np.array_equal(mine.numpy(), theirs.numpy()), (seed, shape, key)


def indexed_twice(key):
    """Whether a place may be written twice, in an order that nobody promises."""
    return any(isinstance(part, (list, np.ndarray, torch.Tensor)) for part in np_tuple(key))


def np_tuple(key):
    return key if isinstance(key, tuple) else (key,)
