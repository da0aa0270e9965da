"""Generators and random factories: reproducible, of the right distribution and dtype."""

import numpy as np
import pytest
import rederive
from rederive import random

DRAWS = [
    lambda g: rederive.rand(3, 4, generator=g),
    lambda g: rederive.randn(12, generator=g, dtype=rederive.float64),
    lambda g: rederive.randint(2, 9, (12,), generator=g),
    lambda g: rederive.randperm(12, generator=g),
    lambda g: rederive.normal(0.0, 1.0, (12,), generator=g),
    lambda g: rederive.rand_like(rederive.zeros(12), generator=g),
    lambda g: random.bernoulli(rederive.full((12,), 0.5), generator=g),
    lambda g: random.multinomial(rederive.ones(12), 5, generator=g),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_seed_or_a_state_repeats_the_draw(draw):
    g = rederive.Generator().manual_seed(3)
    first = draw(g).tolist()
    state = g.get_state()
    second = draw(g).tolist()
    assert first != second
    assert draw(g.set_state(state)).tolist() == second
    assert draw(rederive.Generator().manual_seed(3)).tolist() == first
    assert draw(rederive.Generator().manual_seed(4)).tolist() != first


def test_the_state_survives_half_drawn_words():
    g = rederive.Generator().manual_seed(1)
    rederive.rand(3, generator=g)
    state = g.get_state()
    first = rederive.rand(5, generator=g).tolist()
    assert rederive.rand(5, generator=g.set_state(state)).tolist() == first


def test_the_default_generator():
    assert rederive.manual_seed(7) is rederive.default_generator
    assert rederive.initial_seed() == 7
    a = rederive.rand(3).tolist()
    state = rederive.get_rng_state()
    b = rederive.rand(3).tolist()
    rederive.set_rng_state(state)
    assert rederive.rand(3).tolist() == b
    rederive.manual_seed(7)
    assert rederive.rand(3).tolist() == a
    assert rederive.seed() == rederive.initial_seed()
    rederive.manual_seed(-1)
    assert rederive.initial_seed() == 2**64 - 1


def test_generators_check_what_they_get():
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        rederive.manual_seed(2**64)
    with pytest.raises(TypeError, match=r"uint8 Tensor"):
        rederive.set_rng_state(rederive.zeros(3))
    with pytest.raises(RuntimeError, match="set_state: got 3 bytes"):
        rederive.set_rng_state(rederive.zeros(3, dtype=random.dtypes.uint8))
    with pytest.raises(TypeError, match=r"must be rederive\.Generator, not int"):
        rederive.rand(2, generator=3)
    with pytest.raises(RuntimeError, match="cpu is the only device"):
        rederive.Generator("cuda")


def test_distributions():
    rederive.manual_seed(0)
    n = 100_000
    uniform, gauss = rederive.rand(n).numpy(), rederive.randn(n).numpy()
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(gauss.mean()) < 0.02 and abs(gauss.std() - 1) < 0.02
    scaled = rederive.normal(rederive.tensor([10.0, -10.0]), 2.0).shape
    assert scaled == (2,)
    wide = rederive.normal(3.0, 2.0, (n,)).numpy()
    assert abs(wide.mean() - 3) < 0.05 and abs(wide.std() - 2) < 0.05
    whole = rederive.randint(2, 5, (n,)).numpy()
    assert set(whole.tolist()) == {2, 3, 4}
    ones = random.bernoulli(rederive.full((n,), 0.3)).numpy()
    assert abs(ones.mean() - 0.3) < 0.01
    assert sorted(rederive.randperm(50).tolist()) == list(range(50))


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_follows_the_weights(replacement):
    rederive.manual_seed(0)
    weights = rederive.tensor([[1.0, 0.0, 3.0]]).expand(20_000, 3)
    first = random.multinomial(weights, 1, replacement).numpy()
    assert abs((first == 2).mean() - 0.75) < 0.02 and not (first == 1).any()
    drawn = random.multinomial(rederive.tensor([1.0, 2.0, 3.0]), 3, replacement)
    assert drawn.shape == (3,) and drawn.dtype is rederive.int64
    if not replacement:
        assert sorted(drawn.tolist()) == [0, 1, 2]


def test_dtypes_and_flags():
    assert rederive.rand(2).dtype is rederive.float32
    assert rederive.randint(5, (2,)).dtype is rederive.int64
    assert rederive.randint(5, (2,), dtype=rederive.float32).dtype is rederive.float32
    assert rederive.randint(low=1, high=3, size=(2,)).shape == (2,)
    assert rederive.randn(2, requires_grad=True).requires_grad
    assert rederive.randn_like(rederive.zeros(2, 3, dtype=rederive.float64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: rederive.rand(2, dtype=rederive.int64), NotImplementedError, "rand: got dtype"),
        (lambda: rederive.randint(5, 5, (2,)), RuntimeError, "from=5 >= to=5"),
        (lambda: rederive.randint(5), TypeError, "argument 'size' must be tuple of ints"),
        (lambda: rederive.normal(0.0, 1.0), TypeError, "normal: .*; size is required"),
        (lambda: rederive.normal(0.0, -1.0, (2,)), RuntimeError, "expects std >= 0.0, but found"),
        (lambda: rederive.randperm(-1), RuntimeError, "negative dimension -1"),
        (
            lambda: rederive.normal(rederive.zeros(2), rederive.ones(3)),
            RuntimeError,
            "The size of tensor a",
        ),
        (lambda: random.bernoulli(rederive.tensor([2.0])), RuntimeError, "Expected p_in >= 0"),
        (lambda: random.multinomial(rederive.ones(2), 3), RuntimeError, "without replacement"),
    ],
)
def test_errors(ask, error, message):
    with pytest.raises(error, match=message):
        ask()


def test_normal_broadcasts():
    rederive.manual_seed(0)
    t = rederive.normal(rederive.zeros(3, 1), rederive.zeros(4))
    assert t.shape == (3, 4) and np.all(t.numpy() == 0)
