"""Arithmetic of integers that has no result, or one that does not fit: errors as PyTorch's."""

import operator

import pytest
import rederive as rd

DIVISIONS = {
    "//": operator.floordiv,
    "%": operator.mod,
    "floor_divide": rd.floor_divide,
    "remainder": rd.remainder,
    "fmod": rd.fmod,
    "floor": lambda a, b: rd.div(a, b, rounding_mode="floor"),
    "trunc": lambda a, b: rd.div(a, b, rounding_mode="trunc"),
}
IN_PLACE = {
    "//=": operator.ifloordiv,
    "%=": operator.imod,
    "remainder_": rd.Tensor.remainder_,
    "fmod_": rd.Tensor.fmod_,
    "div_": lambda a, b: a.div_(b, rounding_mode="trunc"),
}
KINDS = ["int64", "int32", "int16", "int8", "uint8"]
ZEROS = [0, False, rd.tensor(0), rd.tensor([2, 0, 1]), rd.tensor([[1], [0]])]


@pytest.mark.parametrize("zero", ZEROS, ids=repr)
@pytest.mark.parametrize("name", DIVISIONS)
def test_integers_divided_by_zero(name, zero):
    for kind in KINDS:
        x = rd.tensor([5, 7, 3], dtype=getattr(rd, kind))
        with pytest.raises(RuntimeError, match=r"^ZeroDivisionError$"):
            DIVISIONS[name](x, zero)
    assert DIVISIONS[name](x[:0], rd.tensor([0])).tolist() == []


@pytest.mark.parametrize("name", DIVISIONS)
def test_strided_many_and_left_numbers_divided_by_zero(name):
    zeros = rd.zeros(600, 300, dtype=rd.int64)[:, ::2]
    for left in (rd.ones(600, 1, dtype=rd.int64), rd.tensor(True)):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            DIVISIONS[name](left, zeros)
    if name not in ("fmod", "remainder"):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            DIVISIONS[name](4, rd.tensor([1, 0]))


@pytest.mark.parametrize("name", IN_PLACE)
def test_nothing_is_written_by_a_division_by_zero(name):
    x = rd.tensor([5, 7, 3])
    version = x._version
    for zero in (0, rd.tensor([1, 0, 2])):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            IN_PLACE[name](x, zero)
    assert (x.tolist(), x._version) == ([5, 7, 3], version)


def test_floats_divide_by_zero():
    x = rd.tensor([5, -7, 0])
    inf = float("inf")
    for zero in (0.0, rd.tensor(0.0)):
        assert (x // zero).tolist()[:2] == [inf, -inf]
        assert rd.div(x, zero, rounding_mode="trunc").tolist()[:2] == [inf, -inf]
        assert (x % zero).isnan().all()
        assert rd.fmod(x, zero).isnan().all()
    assert (rd.ones(2) // 0).tolist() == [inf, inf]


def test_whole_quotients_are_integers():
    x = rd.tensor([7, -7, 2**62 + 1], dtype=rd.int64)
    assert rd.div(x, 2, rounding_mode="trunc").tolist() == [3, -3, 2**61]
    assert rd.div(x, -2, rounding_mode="floor").tolist() == [-4, 3, -(2**61) - 1]
    assert rd.div(x.int(), 2, rounding_mode="trunc").dtype is rd.int32
    assert rd.fmod(x, -4).tolist() == [3, -3, 1]
    assert rd.remainder(x, -4).tolist() == [-1, -3, -3]
    assert rd.div(7, rd.tensor([2]), rounding_mode="floor").tolist() == [3]
    assert rd.div(1, rd.tensor([2.0])).tolist() == [0.5]
    with pytest.raises(RuntimeError, match="rounding_mode"):
        rd.div(x, 2, rounding_mode="ceil")


def test_integers_to_negative_powers():
    x = rd.tensor([1, -1, 2])
    for call in (lambda: x**-1, lambda: rd.pow(x, -2), lambda: x.pow_(-1), lambda: (x > 0) ** -1):
        with pytest.raises(RuntimeError, match="Integers to negative integer powers are not allo"):
            call()
    assert x.tolist() == [1, -1, 2]
    # exponents in a tensor may be negative: the result is rounded to 0, if it is not 1 or -1
    assert (x ** rd.tensor([-3, -3, -3])).tolist() == [1, -1, 0]
    assert (2 ** rd.tensor([-1, 1])).tolist() == [0, 2]
    assert (x**-1.0).tolist() == [1, -1, 0.5]
    assert (x.double() ** -1).tolist() == [1, -1, 0.5]


def test_numbers_that_a_small_dtype_does_not_hold_lose_their_upper_bits():
    x = rd.tensor([255, 1], dtype=rd.uint8)
    assert (x * -1).tolist() == [1, 255]
    assert (x + 300).tolist() == [43, 45]
    assert (x == -1).tolist() == [True, False]
    assert (rd.tensor([1]) + 2**63).tolist() == [1 - 2**63]
    with pytest.raises(RuntimeError, match="without overflow"):
        x.clamp(-1, 200)
    with pytest.raises(RuntimeError, match="without overflow"):
        x.fill_(300)
    assert x.clamp(2, 200).tolist() == [200, 2]
