"""Small conventions of PyTorch's operators that programs rely on."""

import numpy as np
import pytest
import rederive as rd
from rederive.autograd import gradcheck

F = rd.nn.functional


@pytest.mark.parametrize("name", ["var", "std"])
def test_biased_variances(name):
    array = np.random.default_rng(1).standard_normal((3, 4))
    x = rd.from_numpy(array)
    plain, expected = getattr(x, name), getattr(np, name)
    np.testing.assert_allclose(plain(0, False).numpy(), expected(array, 0), rtol=1e-12)
    np.testing.assert_allclose(plain(unbiased=False).item(), expected(array), rtol=1e-12)
    np.testing.assert_allclose(plain(1, True, True).numpy(), expected(array, 1, ddof=1)[:, None])
    np.testing.assert_allclose(plain(dim=1, correction=2).numpy(), expected(array, 1, ddof=2))
    assert gradcheck(lambda t: getattr(t, name)(0, unbiased=False), x.requires_grad_())


def test_bits_of_numbers():
    x = rd.arange(6)
    assert (x & 1).tolist() == [0, 1, 0, 1, 0, 1]
    assert (4 | x).tolist() == [4, 5, 6, 7, 4, 5]
    assert (x ^ True).tolist() == [1, 0, 3, 2, 5, 4]
    assert ((x > 2) & True).dtype is rd.bool
    y = x.clone()
    y &= 3
    assert y.tolist() == [0, 1, 2, 3, 0, 1]
    assert rd.bitwise_or(x.to(rd.int8), 1).dtype is rd.int8
    with pytest.raises(RuntimeError):
        x.float() & 1


def test_any_and_all_of_bytes_are_bytes():
    x = rd.tensor([[0, 2], [3, 4]], dtype=rd.uint8)
    assert (x.any().dtype, x.all(1).tolist(), x.all(1).dtype) == (rd.uint8, [0, 1], rd.uint8)
    assert x.int().any().dtype is rd.bool


def test_softmax_of_integers_is_not_implemented():
    with pytest.raises(NotImplementedError, match="softmax"):
        F.softmax(rd.arange(3), 0)
    assert F.softmax(rd.arange(3), 0, dtype=rd.float64).dtype is rd.float64


def test_what_is_refused():
    for empty in (rd.ones(0), rd.ones(0, 3)):
        for call in (rd.max, rd.min, rd.amax):
            with pytest.raises(RuntimeError, match="Expected reduction dim to be specified"):
                call(empty)
    with pytest.raises(IndexError, match="Expected reduction dim 0 to have non-zero size"):
        rd.ones(0, 3).amax(0)
    with pytest.raises(RuntimeError, match="either none or tanh"):
        F.gelu(rd.ones(2), approximate="erf")
    with pytest.raises(RuntimeError, match="on a bool tensor"):
        +rd.tensor([True])
    x = rd.ones(2)
    assert +x is x
