"""In-place forms where no graph is recorded: kernels that write over their first operand."""

import numpy as np
import pytest
import rederive as rd
from rederive.generated.registry import OPERATORS
from test_inplace import INPLACE, operands

LARGE = (3, 300_000)
PARAMETERS = {
    "add": {"alpha": -0.5},
    "addcmul": {"value": 3},
    "leaky_relu": {"negative_slope": 0.3},
}


@pytest.mark.parametrize("op", INPLACE, ids=lambda op: op.name)
def test_the_result_is_that_out_of_place(op):
    arrays = operands(op)
    target, *others = [rd.tensor(a) for a in arrays]
    expected = getattr(rd.tensor(arrays[0]), op.name)(*others)
    assert getattr(target, f"{op.name}_")(*others) is target
    np.testing.assert_array_equal(target.numpy(), expected.numpy())


@pytest.mark.parametrize("op", [op for op in INPLACE if op.name in PARAMETERS], ids=str)
def test_parameters_count(op):
    arrays, options = operands(op), PARAMETERS[op.name]
    target, *others = [rd.tensor(a) for a in arrays]
    expected = getattr(rd.tensor(arrays[0]), op.name)(*others, **options)
    getattr(target, f"{op.name}_")(*others, **options)
    np.testing.assert_array_equal(target.numpy(), expected.numpy())


@pytest.mark.parametrize("name", ["mul", "exp", "addcdiv", "lerp"])
def test_several_threads_write_the_same(name):
    op = next(op for op in OPERATORS if op.name == name)
    target, *others = [rd.tensor(a) for a in operands(op, LARGE)]
    expected = getattr(target.clone(), name)(*others)
    getattr(target, f"{name}_")(*others)
    np.testing.assert_array_equal(target.numpy(), expected.numpy())


def test_numbers_take_the_place_of_the_last_operand():
    given = np.linspace(0.5, 1.5, 6)
    t, end = rd.tensor(given), rd.tensor(given[::-1].copy())
    np.testing.assert_array_equal(t.clone().div_(3), rd.div(t, 3))
    np.testing.assert_array_equal(t.clone().lerp_(end, 0.25), rd.lerp(t, end, 0.25))
    np.testing.assert_array_equal(t.clone().masked_fill_(t > 1, -1.0), rd.masked_fill(t, t > 1, -1))


def test_an_operand_may_be_the_target():
    t = rd.arange(6.0)
    t.mul_(t)
    assert t.tolist() == [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]


def test_an_operand_that_overlaps_the_target_is_read_before():
    base = rd.arange(6.0)
    base[1:].add_(base[:-1])
    assert base.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 9.0]


def test_a_leaf_changes_under_no_grad_and_keeps_its_history():
    leaf = rd.ones(3, requires_grad=True)
    saved = leaf * leaf
    with rd.no_grad():
        leaf -= 0.5 * leaf
    assert leaf.tolist() == [0.5] * 3
    assert leaf.is_leaf
    assert leaf._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        saved.sum().backward()


def test_a_leaf_does_not_change_where_gradients_are_recorded():
    leaf = rd.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        leaf.mul_(2)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        leaf.mul_(rd.ones(3))
    assert leaf.tolist() == [1.0] * 3


def test_an_operand_that_requires_grad_is_recorded():
    target, other = rd.ones(3), rd.full((3,), 2.0, requires_grad=True)
    target.mul_(other)
    target.sum().backward()
    assert other.grad.tolist() == [1.0] * 3


def test_views_that_were_made_before_see_the_change():
    base = rd.ones(4)
    view = base[1:3]
    base.mul_(3)
    view.add_(1)
    assert base.tolist() == [3.0, 4.0, 4.0, 3.0]
    assert base._version == view._version == 2


@pytest.mark.parametrize("shape", [(3, 1), (1, 4), (4,), ()])
def test_operands_are_broadcast(shape):
    target, other = rd.ones(3, 4), rd.full(shape, 2.0)
    target.mul_(other)
    assert target.tolist() == [[2.0] * 4] * 3


def test_a_wider_operand_is_rounded_to_the_target():
    target = rd.ones(2, dtype=rd.float32)
    target.add_(rd.full((2,), 1 / 3, dtype=rd.float64))
    assert target.dtype is rd.float32
    np.testing.assert_array_equal(target, np.ones(2, "f") + np.float32(1 / 3))
