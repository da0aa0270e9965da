"""allclose and equal: comparisons that give one Python bool."""

import pytest
import rederive as rd


def test_allclose():
    x = rd.tensor([1.0, float("inf"), -2.0])
    assert rd.allclose(x, x + rd.tensor([1e-9, 0.0, 1e-7])) is True
    assert not x.allclose(x + 1e-3)
    assert not x.allclose(-x)
    assert x.allclose(x + 0.5, rtol=1.0)
    nan = rd.tensor([float("nan")])
    assert not rd.allclose(nan, nan)
    assert rd.allclose(nan, nan, equal_nan=True)
    assert rd.allclose(rd.ones(2, 3), rd.ones(3))
    with pytest.raises(RuntimeError, match=r"rederive.float32 did not match rederive.float64"):
        rd.allclose(x, x.double())


def test_equal():
    x = rd.tensor([[1, 2], [3, 4]])
    assert rd.equal(x, x.clone()) is True
    assert not x.equal(x.t())
    assert not rd.equal(x, x[0])
    assert rd.equal(x.t(), rd.tensor([[1, 3], [2, 4]]))
    with pytest.raises(TypeError, match=r"equal\(\): argument 'other' must be Tensor, not int"):
        rd.equal(x, 3)
