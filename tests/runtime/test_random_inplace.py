"""Random numbers written in place: their distributions, their errors, and the graph."""

import numpy as np
import pytest
import rederive as rd

N = 20_000


def big(dtype=rd.float64):
    return rd.empty(N, dtype=dtype)


METHODS = {
    "uniform_": lambda t: t.uniform_(),
    "normal_": lambda t: t.normal_(),
    "random_": lambda t: t.random_(),
    "bernoulli_": lambda t: t.bernoulli_(),
    "exponential_": lambda t: t.exponential_(),
    "geometric_": lambda t: t.geometric_(0.5),
    "cauchy_": lambda t: t.cauchy_(),
    "log_normal_": lambda t: t.log_normal_(),
}


@pytest.fixture(autouse=True)
def seeded():
    rd.manual_seed(5)


@pytest.mark.parametrize("name", METHODS)
def test_method_writes_into_the_tensor_and_counts(name):
    x = rd.zeros(3, 40)
    view = x[:, ::2]
    assert METHODS[name](view) is view
    assert x._version == 1 and not x[:, 1::2].any()
    assert x[:, ::2].numpy().std() > 0 and np.isfinite(x.numpy()).all()


@pytest.mark.parametrize("name", METHODS)
def test_seed_and_generator_decide(name):
    rd.manual_seed(3)
    first = METHODS[name](rd.empty(20)).tolist()
    rd.manual_seed(3)
    assert METHODS[name](rd.empty(20)).tolist() == first
    generator = rd.Generator().manual_seed(3)
    method = getattr(rd.empty(20), name)
    arguments = (0.5,) if name == "geometric_" else ()
    assert method(*arguments, generator=generator).tolist() == first


@pytest.mark.parametrize("name", METHODS)
def test_what_was_in_the_tensor_gets_zeros_as_gradient(name):
    x = rd.ones(4, requires_grad=True)
    y = x * 2
    METHODS[name](y)
    kind = "".join(part.capitalize() for part in name.split("_"))
    assert y.requires_grad and y.grad_fn.name() == f"{kind}Backward0"
    y.sum().backward()
    assert x.grad.tolist() == [0.0] * 4
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        METHODS[name](x)
    with rd.no_grad():
        METHODS[name](x)
    assert x.is_leaf and x.requires_grad


def test_uniform():
    x = big().uniform_(2, 5)
    assert x.min() >= 2 and x.max() < 5 and abs(x.mean().item() - 3.5) < 0.03
    y = big().uniform_(**{"from": -1, "to": 0})
    assert y.min() >= -1 and y.max() < 0
    assert rd.empty(3).uniform_(2, 2).tolist() == [2.0] * 3


def test_normal():
    x = big().normal_(3, 2)
    assert abs(x.mean().item() - 3) < 0.06 and abs(x.std().item() - 2) < 0.06
    assert big().normal_(mean=1, std=0).eq(1).all()


def test_bernoulli():
    assert abs(big().bernoulli_(0.3).mean().item() - 0.3) < 0.02
    assert abs(big(rd.int64).bernoulli_().to(rd.float64).mean().item() - 0.5) < 0.02
    p = rd.tensor([0.0, 1.0, 0.0])
    assert rd.empty(2, 3).bernoulli_(p).tolist() == [[0.0, 1.0, 0.0]] * 2
    assert rd.empty(2, dtype=rd.bool).bernoulli_(1.0).all()


def test_exponential_and_geometric():
    x = big().exponential_(4)
    assert x.min() > 0 and abs(x.mean().item() - 0.25) < 0.01
    y = big(rd.int64).geometric_(0.25)
    assert y.min() == 1 and abs(y.to(rd.float64).mean().item() - 4) < 0.15


def test_cauchy_and_log_normal():
    assert abs(np.median(big().cauchy_(2, 3).numpy()) - 2) < 0.15
    assert abs(np.median(big().log_normal_(1, 0.5).numpy()) - np.e) < 0.06


def test_random_integers():
    x = big(rd.int64).random_(2, 5)
    assert sorted(set(x.tolist())) == [2, 3, 4]
    assert sorted(set(big().random_(3).tolist())) == [0.0, 1.0, 2.0]
    assert sorted(set(big(rd.bool).random_().tolist())) == [False, True]
    assert big(rd.uint8).random_().max() == 255 and big(rd.int8).random_().min() == 0
    assert big(rd.uint8).random_(250, None).min() == 250
    assert big(rd.float32).random_().max() <= 2**24 and big(rd.int64).random_().max() > 2**60


ERRORS = {
    "uniform order": (lambda: rd.ones(2).uniform_(1, 0), RuntimeError, "found from=1 > to=0"),
    "uniform int": (lambda: rd.ones(2, dtype=rd.int64).uniform_(), NotImplementedError, "int64"),
    "uniform range": (lambda: rd.ones(2).uniform_(0, float("inf")), RuntimeError, "out of bounds"),
    "uniform three": (lambda: rd.ones(2).uniform_(0, 1, 2), TypeError, "from 0 to 2 positional"),
    "uniform name": (lambda: rd.ones(2).uniform_(low=1), TypeError, "unexpected keyword"),
    "normal std": (lambda: rd.ones(2).normal_(0, -1), RuntimeError, "normal expects std >= 0.0"),
    "normal int": (lambda: rd.ones(2, dtype=rd.int64).normal_(), NotImplementedError, "int64"),
    "random order": (lambda: rd.ones(2).random_(5, 2), RuntimeError, "found|got from=5 >= to=2"),
    "random to": (
        lambda: rd.ones(2, dtype=rd.int8).random_(300),
        RuntimeError,
        "to - 1 is out of bounds",
    ),
    "random from": (
        lambda: rd.ones(2, dtype=rd.int8).random_(-200, 5),
        RuntimeError,
        "from is out of bounds",
    ),
    "bernoulli p": (lambda: rd.ones(2).bernoulli_(2.0), RuntimeError, r"to be in \[0, 1\]"),
    "bernoulli tensor": (
        lambda: rd.ones(2).bernoulli_(rd.tensor([2.0, 0.0])),
        RuntimeError,
        "Expected p_in >= 0",
    ),
    "bernoulli int": (
        lambda: rd.ones(2).bernoulli_(rd.tensor([1, 0])),
        NotImplementedError,
        "int64",
    ),
    "bernoulli shape": (
        lambda: rd.ones(2).bernoulli_(rd.ones(3, 2)),
        RuntimeError,
        "number of sizes",
    ),
    "exponential rate": (lambda: rd.ones(2).exponential_(0), RuntimeError, "expects lambda > 0.0"),
    "exponential int": (
        lambda: rd.ones(2, dtype=rd.int64).exponential_(),
        RuntimeError,
        "continuous",
    ),
    "geometric p": (lambda: rd.ones(2).geometric_(1.0), RuntimeError, r"to be in \(0, 1\)"),
    "cauchy width": (lambda: rd.ones(2).cauchy_(0, -1), RuntimeError, "expects sigma > 0.0"),
    "log-normal std": (lambda: rd.ones(2).log_normal_(0, 0), RuntimeError, "expects std > 0.0"),
    "generator": (lambda: rd.ones(2).normal_(generator=3), TypeError, "Generator"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call()
