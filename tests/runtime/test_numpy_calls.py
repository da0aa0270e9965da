"""NumPy's functions and operators over tensors: values, graphs, and what is refused."""

import numpy as np
import pytest
import rederive
from rederive import nn

SQUARE = np.array([[3.0, 1.0], [1.0, 2.0]])
CUBE = np.arange(24.0).reshape(2, 3, 4) / 7 + 0.5
VECTOR = np.array([0.5, -1.0, 2.0])

# Calls over a matrix m, a vector v, three dimensions c; each keeps the graph.
CALLS = """
np.sin(v) | np.exp(v) | np.tanh(v) | np.abs(v) | np.negative(v) | np.square(v) | np.reciprocal(v)
np.sqrt(c) | np.log(c) | np.log1p(c) | np.floor(v) | np.sign(v) | np.round(v) | np.trunc(v)
np.add(v, a) | np.add(a, v) | np.subtract(a, v) | np.multiply(2, v) | np.true_divide(a, v)
np.power(c, 2) | np.maximum(v, 0) | np.minimum(0.25, v) | np.remainder(a, v) | np.divide(v, 3)
np.clip(v, -0.5, 1) | np.clip(v, a_min=0.25, a_max=None) | np.clip(v, min=0.25)
np.where(a > 0, v, 0.0) | np.where(v > 0, 1.0, v) | np.concatenate([v, a]) | np.stack([a, v])
np.concatenate((m, m), 1) | np.concatenate([m, m], axis=-1) | np.stack([v, v], axis=-1)
np.sum(c) | np.sum(c, axis=1) | np.sum(c, (0, 2), keepdims=True) | np.sum(v, dtype=np.float32)
np.mean(c) | np.mean(c, 0) | np.prod(v) | np.prod(c, axis=2) | np.cumsum(c, axis=1)
np.var(c) | np.std(c, axis=1) | np.var(c, axis=(0, 1), ddof=1) | np.cumprod(c, axis=0)
np.max(c) | np.max(c, axis=2) | np.amax(c, 0) | np.min(c, axis=-1, keepdims=True) | np.amin(c)
np.matmul(m, m) | np.matmul(v, a) | np.dot(m, m) | np.dot(m, v[:2]) | np.dot(v, v)
np.outer(v, v) | np.einsum("ij,jk->ik", m, m) | np.einsum("ijk->k", c, optimize=True)
np.transpose(m) | np.transpose(c, (2, 0, 1)) | np.swapaxes(c, 0, 2) | np.reshape(c, (4, -1))
np.expand_dims(v, 0) | np.squeeze(c[:1]) | np.broadcast_to(v, (2, 3)) | np.flip(c, 1)
np.tril(m) | np.triu(m, 1) | np.trace(m) | np.take(c, 1, axis=0) | np.take(c, [2, 0], axis=1)
np.copy(v) | np.tile(v, (2, 2)) | np.linalg.inv(m) | np.linalg.det(m) | np.linalg.solve(m, m)
np.linalg.cholesky(m) | np.linalg.norm(v) | np.linalg.norm(c, axis=1) | np.linalg.norm(m)
np.add.reduce(c) | np.add.reduce(c, axis=None) | np.add.accumulate(v) | np.maximum.reduce(c, 1)
a + v | a - v | a * v | a / v | a @ v | v @ a | np.abs(a) ** v.abs() | np.float64(2) * v | v + a
"""


def calls():
    return [call.strip() for call in CALLS.replace("\n", "|").split("|") if call.strip()]


def given(make):
    return {"np": np, "a": np.array([1.5, 0.25, -2.0]), "m": make(SQUARE), "v": make(VECTOR)} | {
        "c": make(CUBE)
    }


@pytest.mark.parametrize("call", calls())
def test_calls_keep_the_graph(call):
    wanted = eval(call.replace("v.abs()", "np.abs(v)"), given(np.copy))
    got = eval(call, given(lambda array: rederive.tensor(array, requires_grad=True)))
    assert type(got) is rederive.Tensor and got.grad_fn is not None
    assert got.shape == wanted.shape and got.dtype.numpy == wanted.dtype
    np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-6, atol=1e-12)


def test_several_results():
    m = rederive.tensor(SQUARE, requires_grad=True)
    for function in (np.linalg.qr, np.linalg.svd, np.linalg.eigh, np.linalg.slogdet):
        got, wanted = function(m), function(SQUARE)
        assert len(got) == len(wanted)
        for ours, theirs in zip(got, wanted, strict=True):
            assert ours.requires_grad and np.allclose(np.abs(ours.detach()), np.abs(theirs))


def test_gradients_flow_through_numpy():
    t = rederive.tensor(VECTOR, requires_grad=True)
    weights = np.array([1.0, 2.0, 3.0])
    np.sum(np.sin(t) * weights + np.concatenate([t[:1], weights[:2] * t[1:]])).backward()
    assert np.allclose(t.grad, np.cos(VECTOR) * weights + [1, 1, 2])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_arrays_beside_parameters_give_tensors(dtype):
    p = nn.Parameter(rederive.ones(3))
    a = np.ones(3, dtype)
    kind = getattr(rederive, np.dtype(dtype).name)
    for got in (a * p, p * a, a + p, p - a, a / p, p**a, a @ p.to(kind), p.to(kind) @ a):
        assert type(got) is rederive.Tensor and got.dtype is kind and got.requires_grad
    for got in (a < p, p < a, a == p, a != p, a >= p):
        assert type(got) is rederive.Tensor and got.dtype is rederive.bool


def test_numbers_of_numpy_do_not_decide_the_dtype():
    t, i = rederive.ones(3), rederive.arange(3)
    for got in (np.float64(2) * t, t * np.float64(2), np.add(2.5, t), np.maximum(np.float64(2), t)):
        assert got.dtype is rederive.float32
    assert (np.float64(2) + i).dtype is (i + 2.0).dtype is rederive.float32
    assert (np.int64(2) + i).dtype is np.add(2, i).dtype is rederive.int64
    assert np.maximum(0.1, t.double() * 0)[0].item() == 0.1


def test_integers_and_truth_values():
    i = rederive.tensor([6, 3, 5])
    n = i.numpy()
    for got, wanted in ((n & i, n), (i & n, n), (n | i, n), (i ^ n, n ^ n), (n // i, n // n)):
        assert type(got) is rederive.Tensor and got.tolist() == wanted.tolist()
    assert np.argmax(i) == 0 and np.argmin(i, axis=0) == 1 and np.all(i > 2) and np.any(i == 5)
    assert np.logical_and(i > 3, n < 6).tolist() == [False, False, True]
    assert np.isnan(rederive.tensor([1.0, float("nan")])).tolist() == [False, True]


# --- what has no counterpart ---------------------------------------------------------------------


def test_without_gradients_numpy_computes():
    t = rederive.tensor(VECTOR)
    assert type(np.cbrt(t)) is rederive.Tensor and np.allclose(np.cbrt(t), np.cbrt(VECTOR))
    for function in (np.sort, np.diff, np.median, np.zeros_like):
        got = function(t)
        assert not isinstance(got, rederive.Tensor)
        assert np.array_equal(got, function(VECTOR))
    whole, part = np.divmod(t, 2)
    assert whole.tolist() == [0, -1, 1] and part.tolist() == [0.5, 1, 0]
    with pytest.raises(ValueError, match="must have same number of dimensions"):
        np.concatenate([t, rederive.ones(2, 2)])


def test_a_gradient_is_not_lost_in_silence():
    t = rederive.tensor(VECTOR, requires_grad=True)
    for call in (
        lambda: np.percentile(t, 5),
        lambda: np.cbrt(t),
        lambda: np.sort(t),
        lambda: np.round(t, 2),
        lambda: np.add(t, 1, where=VECTOR > 0),
        lambda: np.add.outer(t, t),
        lambda: np.copyto(np.ones(3), t),
    ):
        with pytest.raises(TypeError, match=r"has no counterpart among .* or use t\.detach\(\)"):
            call()
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.asarray(t)
    with rederive.autograd.forward_ad.dual_level():
        dual = rederive.autograd.forward_ad.make_dual(t.detach(), rederive.ones(3).double())
        with pytest.raises(TypeError, match="has no counterpart"):
            np.cbrt(dual)


def test_what_has_no_gradient_is_answered():
    t = rederive.tensor(VECTOR, requires_grad=True)
    assert np.shape(t) == (3,) and np.ndim(t) == 1 and np.size(t) == 3
    assert np.argsort(t).tolist() == [1, 0, 2] and np.allclose(t, VECTOR)
    assert np.array_equal(t, VECTOR) and np.count_nonzero(t) == 3


def test_errors_of_the_operator_reach_the_caller():
    t = rederive.zeros(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="singular"):
        np.linalg.inv(t)
    with pytest.raises(IndexError, match="Dimension out of range"):
        np.sum(t, axis=5)


# --- out -----------------------------------------------------------------------------------------


def test_results_are_written_where_they_are_wanted():
    a, t = np.ones(3), rederive.tensor(VECTOR)
    same = a
    a += t
    assert a is same and a.tolist() == (VECTOR + 1).tolist()
    assert np.add(a, t, out=a) is a
    assert np.sum(t, out=np.zeros(())) == VECTOR.sum()
    out = rederive.zeros(3).double()
    assert np.multiply(t, 2, out=out) is out and out.tolist() == (VECTOR * 2).tolist()
    assert np.cbrt(VECTOR, out=out) is out and out._version == 2
    with pytest.raises(ValueError, match=r"result is .*\[3\].*, out .*\[2\]"):
        np.add(t, 1, out=rederive.zeros(2).double())
    with pytest.raises(TypeError, match=r"result is rederive\.float64 and out is rederive\.int64"):
        np.add(t, 1, out=rederive.arange(3))


def test_results_with_a_gradient_do_not_go_into_arrays():
    a, t = np.ones(3), rederive.tensor(VECTOR, requires_grad=True)
    for call in (lambda: a.__iadd__(t), lambda: np.sin(t, out=a), lambda: np.sum(t, out=a[0:1])):
        with pytest.raises(TypeError, match="requires grad and cannot be written into a numpy"):
            call()
    assert a.tolist() == [1, 1, 1]
    out = rederive.zeros(3).double()
    np.sin(t, out=out).sum().backward()
    assert np.allclose(t.grad, np.cos(VECTOR))


def test_numpy_does_not_write_behind_the_graph():
    t = rederive.ones(3)
    with pytest.raises(
        TypeError, match=r"numpy\.copyto would change the tensor unseen by autograd"
    ):
        np.copyto(t, VECTOR)
    with pytest.raises(TypeError, match="use index_add"):
        np.add.at(t, [0], 1)
    assert t.tolist() == [1, 1, 1]


# --- beside others -------------------------------------------------------------------------------


def test_other_classes_decide_for_themselves():
    class Unit:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "mine"

    class Mine:
        def __array_ufunc__(self, *args, **kwargs):
            return "ufunc"

        def __array_function__(self, *args, **kwargs):
            return "function"

    t = rederive.ones(2)
    assert t + Unit() == "mine" and np.add(t, Mine()) == "ufunc"
    assert np.concatenate([t, Mine()]) == "function"
    masked = np.ma.array([1.0, 2.0]) * rederive.ones(2).double()
    assert isinstance(masked, np.ma.MaskedArray)


def test_plain_arrays_are_numpys_own():
    a = np.arange(3.0)
    assert type(np.sin(a)) is np.ndarray and type(a + a) is np.ndarray
    assert type(np.sum(a)) is np.float64 and type(np.concatenate([a, a])) is np.ndarray


def test_arrays_of_tensors():
    t = rederive.tensor(VECTOR)
    assert np.array([t, t]).shape == (2, 3) and np.asarray(t).dtype == np.float64
    assert np.array(t, dtype="f4").dtype == np.float32
    assert np.shares_memory(np.asarray(t), t._data)
    assert not np.shares_memory(np.array(t, copy=True), t._data)
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        np.array(t, dtype="f4", copy=False)
    assert np.array(t, copy=False).tolist() == VECTOR.tolist()
