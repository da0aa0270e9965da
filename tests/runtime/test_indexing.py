"""`tensor[key]`: the plan, its errors, and writing."""

import numpy as np
import pytest
import rederive
from rederive.indexing import checked_index, plan


def test_plans_of_basic_keys():
    shape = (4, 5, 6)
    assert plan(1, shape) == [("select", 0, 1)]
    assert plan(-1, shape) == [("select", 0, 3)]
    assert plan(slice(None), shape) == [] == plan(..., shape) == plan((), shape)
    assert plan((slice(1, 9, 2), None, 2), shape) == [
        ("slice", 0, 1, 4, 2),
        ("unsqueeze", 1),
        ("select", 2, 2),
    ]
    assert plan((..., -1), shape) == [("select", 2, 5)]
    assert plan((0, ..., slice(3, 1)), shape) == [("select", 0, 0), ("slice", 1, 3, 3, 1)]


def test_plans_of_arrays_and_masks():
    (step,) = plan((slice(None), [0, -1]), (4, 5))
    assert step[0] == "index" and step[1][0] is None and step[1][1].tolist() == [0, 4]
    mask = np.array([[True, False], [False, True], [True, True]])
    ((_, arrays),) = plan(mask, (3, 2, 7))
    assert [array.tolist() for array in arrays] == [[0, 1, 2, 2], [0, 1, 0, 1]]
    steps = plan(True, (3,))
    assert steps[0] == ("unsqueeze", 0) and steps[1][1][0].tolist() == [0]
    assert plan(rederive.tensor(2), (3,)) == plan(np.int64(2), (3,)) == [("select", 0, 2)]


@pytest.mark.parametrize(
    ("key", "shape", "error", "message"),
    [
        (2, (2, 3), IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
        ((0, -4), (2, 3), IndexError, "index -4 is out of bounds for dimension 1 with size 3"),
        ((0, 0, 0), (2, 3), IndexError, "too many indices for tensor of dimension 2"),
        (0, (), IndexError, "invalid index of a 0-dim tensor"),
        (slice(None, None, -1), (2,), ValueError, "step must be greater than zero"),
        (1.5, (2,), IndexError, r"are valid indices \(got float\)"),
        ("a", (2,), IndexError, r"are valid indices \(got str\)"),
        ({0}, (2,), IndexError, r"are valid indices \(got set\)"),
        ([[0, 1], [0]], (2,), IndexError, "is not rectangular"),
        ([5], (3,), IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
        ([0], (0,), IndexError, "index is out of bounds for dimension with size 0"),
        (
            np.zeros(2),
            (2,),
            IndexError,
            "tensors used as indices must be long, int, byte or bool tensors",
        ),
        (
            [True, False],
            (3,),
            IndexError,
            r"The shape of the mask \[2\] at index 0 does not match the shape of the indexed "
            r"tensor \[3\] at index 0",
        ),
        (
            ([0, 1], [0, 1, 2]),
            (3, 3),
            IndexError,
            r"could not be broadcast together with shapes \[2\], \[3\]",
        ),
    ],
)
def test_errors(key, shape, error, message):
    with pytest.raises(error, match=message):
        plan(key, shape)


def test_uint8_masks_warn():
    with pytest.warns(UserWarning, match=r"indexing with dtype rederive\.uint8 is now deprecated"):
        ((_, (array,)),) = plan(np.array([1, 0, 1], np.uint8), (3,))
    assert array.tolist() == [0, 2]


def test_checked_index_counts_from_the_end():
    assert checked_index(np.array([0, -1]), 3, 0).tolist() == [0, 2]


def test_reading_records_the_graph():
    t = rederive.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], requires_grad=True)
    assert t[1, 2].item() == 5 and t[1, 2].requires_grad and t[:, 1:].requires_grad
    assert t[...]._base is t and t[0]._base is t
    t[1, 1:].sum().backward()
    assert t.grad.tolist() == [[0, 0, 0], [0, 1, 1]]


def test_iterating_reads_rows():
    assert [row.tolist() for row in rederive.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]


def test_writing():
    t = rederive.zeros(3, 4)
    t[0] = 1
    t[1:, ::2] = rederive.tensor([5.0, 6.0])
    t[[1, 2], [1, 3]] = np.array([7.0, 8.0])
    t[t == 0] = -1
    assert t.tolist() == [[1, 1, 1, 1], [5, 7, 6, -1], [5, -1, 6, 8]]
    assert t._version == 4
    t[:, 1:] = t[:, :-1]
    assert t.tolist() == [[1, 1, 1, 1], [5, 5, 7, 6], [5, 5, -1, 6]]
    whole = rederive.zeros(2, dtype=rederive.int64)
    whole[0] = 2.7
    assert whole.tolist() == [2, 0]
    scalar = rederive.tensor(1.0)
    scalar[...] = 3
    assert scalar.item() == 3


def test_writing_through_a_view_changes_its_base():
    t = rederive.zeros(2, 3)
    t.t()[1] = 4
    assert t.tolist() == [[0, 4, 0], [0, 4, 0]] and t._version == 1


def test_writing_errors():
    t = rederive.zeros(2, 3)
    with pytest.raises(RuntimeError, match=r"The expanded size of the tensor \(3\) must match"):
        t[0] = rederive.zeros(2)
    with pytest.raises(RuntimeError, match=r"value tensor of shape \[2\] cannot be broadcast to"):
        t[[0, 1, 1]] = rederive.zeros(2)
    with pytest.raises(TypeError, match="can't assign a str"):
        t[0] = "a"


WRITES = [
    (0, (3,)),
    ((slice(None), 1), ()),
    (([0, 1, 0], [2, 1, 2]), (3,)),
    ((slice(None), [0, 2]), (1, 2, 2)),
    (np.array([[True, False, True], [False, False, True]]), (3,)),
    ((slice(0, 0),), (3,)),
]


@pytest.mark.parametrize(("key", "shape"), WRITES)
@pytest.mark.parametrize("target_requires_grad", [False, True])
def test_writing_is_recorded(key, shape, target_requires_grad):
    rederive.manual_seed(0)
    a = rederive.randn(2, 3, requires_grad=target_requires_grad)
    value = rederive.randn(shape)
    value.requires_grad_()
    cotangent = rederive.randn(2, 3)
    out = a * 1
    out[key] = value
    expected = a.detach().numpy().copy()
    plain = tuple(key) if isinstance(key, tuple) else key
    expected[plain] = value.detach().numpy()
    assert np.array_equal(out.detach().numpy(), expected) and out.requires_grad
    (out * cotangent).sum().backward()
    kept = cotangent.numpy().copy()
    kept[plain] = 0
    if target_requires_grad:
        np.testing.assert_array_equal(a.grad.numpy(), kept)
    step = 0.5 * rederive.randn(value.shape).numpy()
    moved = a.detach().numpy().copy()
    moved[plain] = value.detach().numpy() + step
    change = ((moved - expected) * cotangent.numpy()).sum()
    assert np.isclose((value.grad.numpy() * step).sum(), change, atol=1e-5)


def test_writing_into_a_leaf_of_a_graph_raises():
    leaf = rederive.zeros(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad is being"):
        leaf[0] = 1.0
    with rederive.no_grad():
        leaf[0] = 1.0
    assert leaf.tolist() == [1, 0]


def test_an_index_tensor_counts_from_the_end_and_says_what_it_misses():
    x = rederive.arange(6.0).reshape(3, 2).requires_grad_()
    taken = x[rederive.tensor([[0, -1], [2, -3]])]
    assert taken.tolist() == [[[0, 1], [4, 5]], [[4, 5], [0, 1]]]
    taken.sum().backward()
    assert x.grad.tolist() == [[2, 2], [0, 0], [2, 2]]
    for wrong in (3, -4):
        with pytest.raises(IndexError, match=f"index {wrong} is out of bounds for dimension 0"):
            x[rederive.tensor([0, wrong])]
    with pytest.raises(IndexError, match="index is out of bounds for dimension with size 0"):
        rederive.zeros(0, 2)[rederive.tensor([0])]


def test_an_index_tensor_must_not_change_before_the_gradient():
    x, rows = rederive.ones(3, 2, requires_grad=True), rederive.tensor([0, 1])
    taken = x[rows]
    assert taken.grad_fn.name() == "IndexBackward0"
    rows += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        taken.sum().backward()
