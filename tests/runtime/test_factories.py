"""Making tensors: sizes, dtypes, memory and errors."""

import numpy as np
import pytest
import rederive
from rederive import factories
from rederive.geometry import Size


@pytest.mark.parametrize("make", [rederive.zeros, rederive.ones, rederive.empty])
def test_sizes_as_varargs_or_sequence(make):
    for size in ((2, 3), ([2, 3],), ((2, 3),), (Size([2, 3]),)):
        t = make(*size)
        assert t.shape == (2, 3) and type(t.shape) is Size and t.dtype is rederive.float32
    assert make(()).shape == () and make(0, 3).shape == (0, 3) and make(size=(2,)).shape == (2,)
    assert make(2, dtype=rederive.int64).dtype is rederive.int64
    assert make(2, requires_grad=True).requires_grad and make(2, device="cpu").shape == (2,)
    with pytest.raises(RuntimeError, match=r"negative dimension -3: \[2, -3\]"):
        make(2, -3)
    with pytest.raises(TypeError, match="must be tuple of ints"):
        make(2.5)
    with pytest.raises(TypeError, match='missing 1 required positional arguments: "size"'):
        make()
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require"):
        make(2, dtype=rederive.int64, requires_grad=True)


def test_tensor_infers_the_dtype():
    cases = [
        (1.5, "float32"),
        (1, "int64"),
        (True, "bool"),
        ([1, True], "int64"),
        ([True, 1.5], "float32"),
        ([], "float32"),
        ([[], []], "float32"),
        (np.float64(1), "float64"),
        ([np.float64(1)], "float64"),
        ([np.int32(1), 2], "int64"),
        (np.zeros(2, "int32"), "int32"),
        (range(3), "int64"),
        ([rederive.tensor(1.0), rederive.tensor(2)], "float32"),
        ([np.zeros(2), np.ones(2)], "float64"),
    ]
    for data, expected in cases:
        assert rederive.tensor(data).dtype.name == expected, data


def test_tensor_copies_and_converts():
    array = np.arange(6.0).reshape(2, 3).T
    t = rederive.tensor(array)
    array[:] = 9
    assert t.tolist() == [[0, 3], [1, 4], [2, 5]] and t.is_contiguous()
    assert rederive.tensor([1.7, -1.7], dtype=rederive.int64).tolist() == [1, -1]
    assert rederive.tensor(-1, dtype=factories.dtypes.uint8).item() == 255
    assert rederive.tensor(2**40).item() == 2**40
    assert rederive.tensor(1e40).item() == float("inf")
    assert rederive.tensor([[True], [False]], dtype=rederive.float64).tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([[1], 2], TypeError, "not a sequence"),
        ([1, [2]], TypeError, "'list' object cannot be interpreted as a number"),
        ("a", TypeError, r"new\(\): invalid data type 'str'"),
        (["a"], TypeError, r"new\(\): invalid data type 'str'"),
        ([None], RuntimeError, "Could not infer dtype of NoneType"),
        (None, RuntimeError, "Could not infer dtype of NoneType"),
        ({1: 2}, RuntimeError, "Could not infer dtype of dict"),
        (2**64, ValueError, "Overflow when unpacking long long"),
        (np.array(["a"]), TypeError, r"can't convert np.ndarray of type numpy.str_"),
    ],
)
def test_tensor_errors(data, error, message):
    with pytest.raises(error, match=message):
        rederive.tensor(data)


def test_integers_that_do_not_fit():
    for value, dtype in [(2**31, "int32"), (float("nan"), "int64"), (256, "uint8")]:
        with pytest.raises(RuntimeError, match=f"converted to type {dtype} without overflow"):
            rederive.tensor(value, dtype=factories.dtypes.by_name(dtype))


def test_tensor_of_a_tensor_warns():
    t = rederive.zeros(2, requires_grad=True)
    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        u = rederive.tensor(t)
    assert not u.requires_grad and u._data is not t._data
    with pytest.warns(UserWarning, match=r"rather than tensor.new_tensor\(sourceTensor\)"):
        t.new_tensor(t)


def test_as_tensor_shares_when_it_can():
    t = rederive.zeros(2)
    array = np.zeros(2, "f4")
    assert rederive.as_tensor(t) is t
    assert np.shares_memory(rederive.as_tensor(array)._data, array)
    assert rederive.as_tensor(array, dtype=rederive.float64).dtype is rederive.float64
    assert rederive.as_tensor([1, 2]).tolist() == [1, 2]


def test_from_numpy():
    array = np.zeros((3, 4))
    t = rederive.from_numpy(array)
    array[0, 0] = 3
    assert t[0, 0].item() == 3 and rederive.from_numpy(array[:, ::2]).stride() == (4, 2)
    with pytest.raises(TypeError, match=r"expected np.ndarray \(got list\)"):
        rederive.from_numpy([1])
    with pytest.raises(ValueError, match="one stride in the given numpy array is negative"):
        rederive.from_numpy(array[::-1])
    record = np.zeros(3, dtype=[("a", "f8"), ("b", "i4")])
    with pytest.raises(ValueError, match="not a multiple of the element byte size"):
        rederive.from_numpy(record["a"])
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="read-only"):
        copied = rederive.from_numpy(array)
    assert copied._data.flags.writeable and not np.shares_memory(copied._data, array)


def test_full():
    assert rederive.full((2,), 1).dtype is rederive.int64
    assert rederive.full((2,), True).dtype is rederive.bool
    assert rederive.full([2, 1], 1.5).tolist() == [[1.5], [1.5]]
    assert rederive.full((2,), 1.5, dtype=rederive.int64).tolist() == [1, 1]
    assert rederive.full((), rederive.tensor(2)).dtype is rederive.int64
    with pytest.raises(TypeError, match="must be tuple of ints, not int"):
        rederive.full(2, 1.0)
    with pytest.raises(TypeError, match="must be Number, not str"):
        rederive.full((2,), "a")


def test_like_keeps_the_memory_order():
    t = rederive.zeros(2, 3).t()
    for make in (rederive.zeros_like, rederive.ones_like, rederive.empty_like):
        assert make(t).stride() == (1, 3) and make(t).shape == (3, 2)
        assert make(t, dtype=rederive.int64).dtype is rederive.int64
    assert rederive.ones_like(t).tolist() == [[1, 1]] * 3
    assert rederive.full_like(rederive.zeros(2), True).tolist() == [1.0, 1.0]
    assert rederive.zeros_like(t[::2]).stride() == (1, 2)
    assert rederive.zeros_like(rederive.zeros(3, 1).expand(3, 4)).is_contiguous() is False
    assert rederive.zeros_like(t, requires_grad=True).requires_grad
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        rederive.zeros_like([1])


def test_new():
    t = rederive.zeros(2, dtype=rederive.float64)
    assert t.new_zeros(2, 3).dtype is rederive.float64 and t.new_zeros(2, 3).shape == (2, 3)
    assert t.new_ones((2,)).tolist() == [1, 1] and t.new_full((2,), 3).tolist() == [3, 3]
    assert t.new_empty(2, dtype=rederive.int64).dtype is rederive.int64
    assert rederive.tensor([1]).new_tensor([1.5]).tolist() == [1]


def test_arange_errors():
    with pytest.raises(RuntimeError, match="upper bound and lower bound inconsistent with step"):
        rederive.arange(5, 1)
    with pytest.raises(RuntimeError, match="step must be nonzero"):
        rederive.arange(0, 1, 0)
    with pytest.raises(RuntimeError, match="unsupported range: 0 -> inf"):
        rederive.arange(float("inf"))
    with pytest.raises(NotImplementedError, match="arange: not implemented for dtype"):
        rederive.arange(2, dtype=rederive.bool)
    with pytest.raises(TypeError, match="must be numbers"):
        rederive.arange("a")


def test_spaced_errors():
    with pytest.raises(RuntimeError, match="number of steps must be non-negative"):
        rederive.linspace(0, 1, -1)
    with pytest.raises(TypeError, match="argument 'steps' must be tuple of ints"):
        rederive.linspace(0, 1, 2.5)
    with pytest.raises(RuntimeError, match="only supports 0-dimensional start and end tensors"):
        rederive.linspace(rederive.zeros(2), 1, 3)
    with pytest.raises(RuntimeError, match="n must be greater or equal to 0, got -1"):
        rederive.eye(-1)


def test_empty_strided():
    t = factories.empty_strided((2, 3), (1, 2))
    assert t.stride() == (1, 2) and t.shape == (2, 3) and t._base is None
