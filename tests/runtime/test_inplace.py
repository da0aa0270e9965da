"""In-place forms: same values and gradients as out of place, counted, checked, seen by views."""

import numpy as np
import pytest
import rederive as rd
from rederive.generated.registry import OPERATORS

INPLACE = [op for op in OPERATORS if op.family == "pointwise" and hasattr(rd.Tensor, f"{op.name}_")]
MASKS = ("mask", "condition")


def operands(op, shape=(3, 4), seed=0):
    """float64 arrays for the tensor arguments of an operator, drawn where it declares."""
    rng = np.random.default_rng(seed)
    drawn = []
    for argument in op.arguments:
        if argument.type != "Tensor":
            continue
        if argument.name in MASKS:
            drawn.append(rng.random(shape) < 0.5)
        else:
            low, high = op.samples.get(argument.name, (-2.0, 2.0))
            drawn.append(rng.uniform(low, high, shape))
    return drawn


def run(op, name, arrays):
    """(result, gradients) of a method called on a clone of the first operand."""
    leaves = [rd.tensor(a) for a in arrays]
    for leaf in leaves:
        if leaf.dtype.is_floating_point:
            leaf.requires_grad_()
    target = leaves[0].clone()
    result = getattr(target, name)(*leaves[1:])
    if result.dtype is rd.bool:  # a comparison out of place; in place it stays floating
        result = result.to(rd.float64)
    weight = rd.tensor(np.random.default_rng(1).normal(size=result.shape))
    if result.requires_grad:
        (result * weight).sum().backward()
    return result, target, leaves


def test_there_are_inplace_forms_to_test():
    assert len(INPLACE) > 40


@pytest.mark.parametrize("op", INPLACE, ids=lambda op: op.name)
def test_inplace_equals_out_of_place_in_value_and_gradient(op):
    arrays = operands(op)
    expected, _, wanted = run(op, op.name, arrays)
    result, target, leaves = run(op, f"{op.name}_", arrays)
    assert result is target
    assert result.dtype is rd.float64
    np.testing.assert_array_equal(result.detach().numpy(), expected.detach().numpy())
    for mine, its in zip(leaves, wanted, strict=True):
        if its.grad is None:
            assert mine.grad is None or not mine.grad.numpy().any()
        else:
            np.testing.assert_allclose(mine.grad.numpy(), its.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("op", INPLACE, ids=lambda op: op.name)
def test_inplace_counts_one_version_and_keeps_the_memory(op):
    target, *others = [rd.tensor(a) for a in operands(op)]
    address, version = target.data_ptr(), target._version
    assert getattr(target, f"{op.name}_")(*others) is target
    assert target._version == version + 1
    assert target.data_ptr() == address


@pytest.mark.parametrize("op", INPLACE, ids=lambda op: op.name)
def test_inplace_on_a_strided_view_writes_into_its_base(op):
    arrays = operands(op, (4, 3))
    base = rd.tensor(np.zeros((3, 8)))
    view = base[:, ::2].t()
    base[:, ::2] = rd.tensor(arrays[0].T.copy())
    expected = getattr(rd.tensor(arrays[0]), op.name)(*(rd.tensor(a) for a in arrays[1:]))
    version = base._version
    getattr(view, f"{op.name}_")(*(rd.tensor(a) for a in arrays[1:]))
    np.testing.assert_array_equal(base[:, ::2].numpy().T, expected.numpy())
    assert not base[:, 1::2].numpy().any()
    assert base._version == version + 1


# --- values that a node saved --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "sqrt"])
def test_inplace_on_a_saved_result_raises(name):
    x = rd.tensor([0.5, 1.5], requires_grad=True)
    y = getattr(x, name)()
    y.add_(1)
    with pytest.raises(
        RuntimeError,
        match=r"one of the variables needed for gradient computation has been modified by an "
        r"inplace operation: \[rederive.float32 \[2\]\].*is at version 1; expected version 0",
    ):
        y.sum().backward()


@pytest.mark.parametrize("other", ["same shape", "broadcast"])
def test_inplace_on_a_saved_operand_raises(other):
    x = rd.ones(2, 3, requires_grad=True)
    w = rd.ones(2, 3) if other == "same shape" else rd.ones(3)
    y = x * w
    w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    assert x.grad is None


def test_inplace_on_a_saved_operand_through_a_view_raises():
    x = rd.ones(4, requires_grad=True)
    w = rd.ones(4)
    y = x * w
    w[1:3].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_inplace_with_itself_raises_as_pytorch_does():
    y = rd.tensor([2.0, 3.0], requires_grad=True).clone()
    y.mul_(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_inplace_on_what_no_node_needs_is_allowed():
    x = rd.tensor([1.0, 2.0], requires_grad=True)
    y = x + 1
    y.mul_(3)
    y.add_(1)
    y.neg_()
    y.exp_()
    y.sum().backward()
    expected = -3 * np.exp(-3 * (np.array([1.0, 2.0]) + 1) - 1)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-5)


def test_inplace_with_a_graph_only_in_the_other_operand():
    x = rd.tensor([1.0, 2.0], requires_grad=True)
    total = rd.zeros(2)
    total += x * x
    total *= x
    total.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [3.0, 12.0])


# --- leaves, shapes, dtypes ----------------------------------------------------------------------


def test_inplace_on_a_leaf_raises_and_changes_nothing():
    x = rd.ones(2, requires_grad=True)
    message = "a leaf Variable that requires grad is being used in an in-place operation."
    for change in (lambda: x.add_(1), lambda: x.exp_(), lambda: x.zero_(), lambda: x.fill_(3)):
        with pytest.raises(RuntimeError) as error:
            change()
        assert str(error.value) == message
    with pytest.raises(RuntimeError) as error:
        x += 1
    assert str(error.value) == message
    assert x.tolist() == [1.0, 1.0] and x._version == 0


def test_inplace_on_a_view_of_a_leaf_raises():
    x = rd.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError) as error:
        x[:1].add_(1)
    assert str(error.value) == (
        "a view of a leaf Variable that requires grad is being used in an in-place operation."
    )
    assert x.tolist() == [1.0, 1.0]


def test_a_leaf_is_changed_without_grad_and_stays_a_leaf():
    x = rd.ones(3, requires_grad=True)
    with rd.no_grad():
        x -= 0.5
        x[0] = 7
        x[1:].mul_(2)
    assert x.tolist() == [7.0, 1.0, 1.0]
    assert x.is_leaf and x.requires_grad and x._version == 3


def test_inplace_refuses_a_larger_result():
    x = rd.ones(2)
    with pytest.raises(RuntimeError) as error:
        x.add_(rd.ones(3, 2))
    assert str(error.value) == ("output with shape [2] doesn't match the broadcast shape [3, 2]")
    assert x.tolist() == [1.0, 1.0] and x._version == 0


@pytest.mark.parametrize(
    ("dtype", "change", "kind"),
    [
        ("int64", lambda x: x.add_(1.5), "float32"),
        ("int32", lambda x: x.div_(2), "float32"),
        ("bool", lambda x: x.add_(1), "int64"),
    ],
)
def test_inplace_refuses_a_result_of_a_higher_kind(dtype, change, kind):
    x = rd.ones(2, dtype=getattr(rd, dtype))
    with pytest.raises(RuntimeError) as error:
        change(x)
    assert str(error.value) == (
        f"result type rederive.{kind} can't be cast to the desired output type rederive.{dtype}"
    )
    assert x.tolist() == [1, 1] and x._version == 0


def test_augmented_assignment_keeps_the_object():
    x = y = rd.tensor([1.0, 2.0, 3.0])
    x += 1
    x *= rd.tensor([2.0, 2.0, 2.0])
    x -= rd.tensor(1)
    x /= 3
    x **= 2
    x //= 2
    x %= 3
    assert x is y
    expected = ((np.array([1.0, 2.0, 3.0]) + 1) * 2 - 1) / 3
    np.testing.assert_allclose(y.numpy(), (expected**2 // 2) % 3)


def test_inplace_keeps_the_dtype():
    x = rd.ones(2)
    x += rd.ones(2, dtype=rd.float64)
    assert x.dtype is rd.float32
    n = rd.ones(2, dtype=rd.int32)
    n *= rd.full((2,), 3, dtype=rd.int64)
    assert n.dtype is rd.int32 and n.tolist() == [3, 3]


def test_inplace_where_memory_overlaps():
    x = rd.arange(9.0).reshape(3, 3)
    x += x.t()
    assert x.tolist() == [[0, 4, 8], [4, 8, 12], [8, 12, 16]]


# --- copy_, fill_, zero_, setitem ----------------------------------------------------------------


def test_copy_broadcasts_and_converts():
    x = rd.zeros(2, 3, dtype=rd.int64)
    assert x.copy_(rd.tensor([1.7, -1.7, 3.0])) is x
    assert x.tolist() == [[1, -1, 3], [1, -1, 3]] and x._version == 1


def test_copy_passes_the_gradient_on():
    x = rd.tensor([1.0, 2.0], dtype=rd.float64, requires_grad=True)
    y = rd.zeros(3, 2)
    y.copy_(x * 2)
    (y * rd.arange(6.0).reshape(3, 2)).sum().backward()
    assert x.grad.tolist() == [12.0, 18.0] and x.grad.dtype is rd.float64


def test_copy_cuts_the_history_of_what_it_overwrites():
    x = rd.ones(2, requires_grad=True)
    y = x * 3
    y.copy_(rd.zeros(2))
    (y + x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_copy_refuses_another_shape():
    x = rd.ones(2)
    with pytest.raises(RuntimeError, match=r"size of tensor a \(2\) must match .* b \(3\)"):
        x.copy_(rd.ones(3))
    with pytest.raises(RuntimeError, match=r"output with shape \[2\] doesn't match .* \[3, 2\]"):
        x.copy_(rd.ones(3, 2))
    with pytest.raises(TypeError, match=r"copy_\(\): argument 'other' must be Tensor, not list"):
        x.copy_([1, 2])
    assert x._version == 0


def test_copy_into_its_own_transpose():
    x = rd.arange(4.0).reshape(2, 2)
    x.copy_(x.t())
    assert x.tolist() == [[0.0, 2.0], [1.0, 3.0]]


def test_fill_and_zero():
    x = rd.ones(2, 4)
    assert x[:, ::2].fill_(5) is not None
    assert x.tolist() == [[5, 1, 5, 1], [5, 1, 5, 1]]
    x.fill_(rd.tensor(2.0))
    assert x.sum().item() == 16.0
    assert x.zero_() is x and not x.numpy().any()
    assert rd.ones(2, dtype=rd.int32).fill_(2.9).tolist() == [2, 2]
    assert rd.zeros(2, dtype=rd.bool).fill_(0.5).tolist() == [True, True]
    with pytest.raises(RuntimeError, match="fill_ only supports 0-dimension value tensor"):
        x.fill_(rd.ones(2))
    with pytest.raises(TypeError, match=r"fill_\(\): argument 'value' must be Number, not str"):
        x.fill_("a")


def test_zeroed_gradients_accumulate_anew():
    x = rd.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    held = x.grad
    x.grad.zero_()
    (x * 3).sum().backward()
    assert held is x.grad and held.tolist() == [3.0, 3.0]


def test_setitem_without_grad_writes_and_counts():
    x = rd.zeros(3, 3, requires_grad=True)
    with rd.no_grad():
        x[1] = 2.0
        x[:, 0] = rd.tensor([1.0, 2.0, 3.0])
        x[x > 2] = -1
    assert x.tolist() == [[1, 0, 0], [2, 2, 2], [-1, 0, 0]]
    assert x._version == 3 and x.is_leaf
