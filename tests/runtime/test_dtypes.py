"""The dtype objects, promotion, limits and the default dtype."""

import copy
import pickle

import numpy as np
import pytest
import rederive
from rederive import dtypes


@pytest.fixture
def keep_default():
    yield
    rederive.set_default_dtype(rederive.float32)


def test_attributes_and_repr():
    assert repr(dtypes.float32) == "rederive.float32"
    assert dtypes.float is dtypes.float32 and dtypes.long is dtypes.int64
    assert dtypes.float64.itemsize == 8 and dtypes.float64.is_floating_point
    assert dtypes.int32.is_signed and not dtypes.bool.is_signed and not dtypes.uint8.is_signed
    assert dtypes.float32.numpy == np.dtype("float32") and not dtypes.float32.is_complex


def test_copies_are_the_same_object():
    assert copy.deepcopy(dtypes.int64) is dtypes.int64
    assert pickle.loads(pickle.dumps(dtypes.int64)) is dtypes.int64


def test_from_numpy_dtype():
    assert dtypes.from_numpy_dtype(np.dtype("int32")) is dtypes.int32
    with pytest.raises(TypeError, match=r"numpy.complex64. The only supported types are: float64"):
        dtypes.from_numpy_dtype(np.dtype("complex64"))
    swapped = np.dtype("float32").newbyteorder()
    with pytest.raises(TypeError, match="byte order"):
        dtypes.from_numpy_dtype(swapped)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("int64", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("uint8", "int8", "int16"),
        ("uint8", "int32", "int32"),
        ("bool", "uint8", "uint8"),
        ("int32", "int64", "int64"),
    ],
)
def test_promote_types(a, b, expected):
    for pair in ((a, b), (b, a)):
        assert rederive.promote_types(*map(dtypes.by_name, pair)).name == expected


def test_python_types_stand_for_dtypes():
    assert rederive.promote_types(int, float) is dtypes.float64
    assert rederive.zeros(1, dtype=float).dtype is dtypes.float64
    with pytest.raises(TypeError, match=r"zeros\(\): argument 'dtype' must be rederive.dtype"):
        rederive.zeros(1, dtype="float32")


def test_result_type_counts_categories():
    ints, floats = rederive.tensor([1]), rederive.tensor([1.0])
    double0 = rederive.tensor(1.0, dtype=rederive.float64)
    assert rederive.result_type(ints, 1.5) is dtypes.float32
    assert rederive.result_type(floats, double0) is dtypes.float32
    assert rederive.result_type(ints, double0) is dtypes.float64
    assert rederive.result_type(ints, floats) is dtypes.float32
    assert rederive.result_type(rederive.tensor([True]), 2) is dtypes.int64
    assert rederive.result_type(rederive.tensor(1, dtype=rederive.int32), 2) is dtypes.int32
    assert rederive.result_type(1, 2.0) is dtypes.float32
    with pytest.raises(TypeError, match="got str"):
        rederive.result_type("a", 1)
    with pytest.raises(TypeError, match="at least one"):
        rederive.result_type()


def test_can_cast():
    assert rederive.can_cast(rederive.int64, rederive.float32)
    assert not rederive.can_cast(rederive.float32, rederive.int64)
    assert not rederive.can_cast(rederive.int64, rederive.bool)
    assert not rederive.can_cast(dtypes.int8, dtypes.uint8)


def test_default_dtype(keep_default):
    rederive.set_default_dtype(rederive.float64)
    assert rederive.get_default_dtype() is dtypes.float64
    assert rederive.tensor(1.0).dtype is dtypes.float64
    with pytest.raises(TypeError, match="only floating-point types are supported"):
        rederive.set_default_dtype(rederive.int64)
    with pytest.raises(TypeError, match="invalid dtype object"):
        rederive.set_default_dtype("float32")


def test_limits():
    assert rederive.finfo(rederive.float32).eps == np.finfo(np.float32).eps
    assert rederive.finfo().max == float(np.finfo(np.float32).max)
    assert rederive.finfo(rederive.float64).tiny == np.finfo(np.float64).tiny
    assert rederive.iinfo(rederive.int32).max == 2**31 - 1
    assert repr(rederive.finfo(rederive.float32)) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, "
        "smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=float32)"
    )
    assert repr(rederive.iinfo(rederive.int32)) == (
        "iinfo(min=-2147483648, max=2147483647, dtype=int32)"
    )
    with pytest.raises(TypeError, match="requires a floating point input type"):
        rederive.finfo(rederive.int32)
    with pytest.raises(TypeError, match="requires an integer input type"):
        rederive.iinfo(rederive.float32)
    with pytest.raises(TypeError, match=r"not supported by rederive\.iinfo"):
        rederive.iinfo(rederive.bool)


def test_complex_is_refused_clearly():
    with pytest.raises(AttributeError, match="rederive has no complex dtypes yet, so there is no"):
        rederive.complex64  # noqa: B018
    with pytest.raises(RuntimeError, match="Could not infer dtype of complex"):
        rederive.tensor([1j])
