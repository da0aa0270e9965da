"""Sorting, scattering and tables: ties, nan, places named twice, errors, in-place forms."""

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional
NAN = float("nan")


def tensor(values, grad=False):
    return rd.tensor(values, dtype=rd.float64, requires_grad=grad)


# --- sorting -------------------------------------------------------------------------------------


def test_nan_is_the_largest_and_equal_elements_keep_their_order():
    x = rd.tensor([3.0, NAN, -0.0, 0.0, NAN, -float("inf"), float("inf")])
    assert x.sort().indices.tolist() == [5, 2, 3, 0, 6, 1, 4]
    assert x.sort(descending=True).indices.tolist() == [1, 4, 6, 0, 2, 3, 5]
    assert rd.argsort(x, 0, True).tolist() == [1, 4, 6, 0, 2, 3, 5]
    assert x.topk(3).indices.tolist() == [1, 4, 6]
    assert x.topk(2, largest=False).indices.tolist() == [5, 2]


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8"])
@pytest.mark.parametrize("n", [20, 300])
def test_long_and_short_lanes_of_every_dtype(kind, n):
    x = np.random.default_rng(0).integers(0, 100, (3, n)).astype(kind)
    if np.dtype(kind).kind != "u":
        x -= 50
    values, indices = rd.sort(rd.from_numpy(x), dim=1)
    np.testing.assert_array_equal(indices.numpy(), np.argsort(x, 1, kind="stable"))
    np.testing.assert_array_equal(values.numpy(), np.sort(x, 1))
    assert values.dtype == rd.from_numpy(x).dtype


def test_many_lanes_on_several_threads_sort_as_on_one():
    x = rd.from_numpy(np.random.default_rng(0).normal(size=(400, 300)))
    before = rd.get_num_threads()
    found = rd.sort(x), rd.topk(x, 7)
    try:
        rd.set_num_threads(1)
        alone = rd.sort(x), rd.topk(x, 7)
    finally:
        rd.set_num_threads(before)
    for one, other in zip(found, alone, strict=True):
        assert (one.indices == other.indices).all()


@pytest.mark.parametrize("n, k", [(700, 64), (2000, 70), (30000, 65), (30000, 3750)])
def test_topk_takes_the_first_of_equal_elements_of_any_order(n, k):
    x = np.random.default_rng(0).normal(size=(2, n)).astype(np.float32)
    few = np.random.default_rng(0).integers(0, 5, (2, n)).astype(np.float32)
    for rows in (x, few, np.sort(x, 1), np.sort(x, 1)[:, ::-1].copy()):
        wanted = np.argsort(rows, 1, kind="stable")[:, :k]
        last = rd.from_numpy(rows).topk(k, 1, largest=False).indices
        np.testing.assert_array_equal(last.numpy(), wanted)
        first = rd.from_numpy(np.ascontiguousarray(rows.T)).topk(k, 0, largest=False).indices
        np.testing.assert_array_equal(first.numpy().T, wanted)


def test_sort_names_its_results():
    result = rd.tensor([2.0, 1.0]).sort()
    assert repr(result) == (
        "rederive.return_types.sort(\nvalues=tensor([1., 2.]),\nindices=tensor([1, 0]))"
    )
    assert rd.topk(rd.tensor([2, 1]), 1)._fields == ("values", "indices")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: rd.sort(rd.ones(3), 2), IndexError, "Dimension out of range"),
        (lambda: rd.topk(rd.ones(3), 4), RuntimeError, "selected index k out of range"),
        (lambda: rd.topk(rd.ones(3), -1), RuntimeError, "selected index k out of range"),
        (lambda: rd.topk(rd.ones(3) > 0, 1), RuntimeError, "topk does not support bool dtypes"),
    ],
)
def test_errors_of_sorting(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_nonzero():
    x = rd.tensor([[1.0, 0.0], [NAN, 2.0]])
    assert x.nonzero().tolist() == [[0, 0], [1, 0], [1, 1]]
    rows, columns = x.nonzero(as_tuple=True)
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 1], [0, 0, 1])
    assert rd.nonzero(rd.tensor(2.0)).shape == (1, 0)
    assert [t.tolist() for t in rd.nonzero(rd.tensor(2.0), as_tuple=True)] == [[0]]


# --- scattering ----------------------------------------------------------------------------------


def test_of_several_elements_for_one_place_the_last_gets_the_gradient():
    x, src = tensor([1.0, 2.0], True), tensor([5.0, 6.0, 7.0], True)
    y = x.scatter(0, rd.tensor([1, 1, 1]), src)
    assert y.tolist() == [1.0, 7.0]
    y.backward(tensor([10.0, 20.0]))
    assert x.grad.tolist() == [10.0, 0.0]
    assert src.grad.tolist() == [0.0, 0.0, 20.0]


def test_a_source_larger_than_the_index():
    src = tensor([[1.0, 2.0], [3.0, 4.0]], True)
    y = rd.zeros(1, 3, dtype=rd.float64).scatter(1, rd.tensor([[2]]), src)
    assert y.tolist() == [[0.0, 0.0, 1.0]]
    y.sum().backward()
    assert src.grad.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_factors_of_zero_have_exact_gradients():
    src = tensor([0.0, 3.0, 0.0, 2.0], True)
    y = tensor([5.0, 7.0]).scatter(0, rd.tensor([0, 0, 1, 1]), src, reduce="multiply")
    assert y.tolist() == [0.0, 0.0]
    y.sum().backward()
    assert src.grad.tolist() == [15.0, 0.0, 14.0, 0.0]


def test_scatter_in_place_takes_numbers_and_tensors():
    x = rd.zeros(3)
    version = x._version
    assert x.scatter_(0, rd.tensor([0]), 2.0) is x
    x.scatter_(0, rd.tensor([1]), rd.tensor([3.0]))
    x.scatter_(0, rd.tensor([1]), rd.tensor([3.0]), reduce="add")
    assert x.tolist() == [2.0, 6.0, 0.0]
    assert x._version == version + 3


@pytest.mark.parametrize(
    ("index", "src", "text"),
    [
        ([[3]], [[1.0]], "index 3 is out of bounds for dimension 0 with size 3"),
        ([0], [1.0], "index must have as many dimensions as input"),
        ([[0, 0, 0, 0]], [[1.0] * 4], r"no larger than self \[3, 3\] apart from dimension 0"),
        ([[0, 0]], [[1.0]], r"Expected index \[1, 2\] to be no larger than src \[1, 1\]"),
    ],
)
def test_errors_of_scatter(index, src, text):
    with pytest.raises(RuntimeError, match=text):
        rd.scatter(rd.zeros(3, 3), 0, rd.tensor(index), rd.tensor(src))


def test_scatter_knows_two_reductions():
    with pytest.raises(RuntimeError, match="reduce argument must be either add or multiply"):
        rd.zeros(3).scatter(0, rd.tensor([0]), 1.0, reduce="min")


def test_scatter_does_not_mix_dtypes():
    with pytest.raises(RuntimeError, match=r"both must have the same dtype"):
        rd.zeros(3).scatter(0, rd.tensor([0]), rd.tensor([1]))
    assert rd.tensor([1, 2]).scatter(0, rd.tensor([0]), 3.7).tolist() == [3, 2]


# --- tables --------------------------------------------------------------------------------------


def test_embedding_gradients():
    index = rd.tensor([[1, 3], [3, 0]])
    grad = rd.arange(1.0, 5.0).reshape(2, 2, 1) * rd.ones(2, 2, 3)

    def gradient(**options):
        weight = rd.ones(4, 3, requires_grad=True)
        F.embedding(index, weight, **options).backward(grad)
        return weight.grad[:, 0].tolist()

    assert gradient() == [4.0, 1.0, 0.0, 5.0]
    assert gradient(padding_idx=3) == gradient(padding_idx=-1) == [4.0, 1.0, 0.0, 0.0]
    assert gradient(scale_grad_by_freq=True) == [4.0, 1.0, 0.0, 2.5]
    assert gradient(sparse=True) == gradient()


def test_embedding_of_many_rows_adds_in_one_order():
    rng = np.random.default_rng(0)
    index = rd.from_numpy(rng.integers(0, 50, 3000))
    grad = rd.from_numpy(rng.normal(size=(3000, 64)).astype(np.float32))
    before = rd.get_num_threads()
    found = []
    try:
        for threads in (before, 1):
            rd.set_num_threads(threads)
            weight = rd.ones(50, 64, requires_grad=True)
            F.embedding(index, weight).backward(grad)
            found.append(weight.grad)
    finally:
        rd.set_num_threads(before)
    assert (found[0] == found[1]).all()
    wanted = np.zeros((50, 64))
    np.add.at(wanted, index.numpy(), grad.numpy().astype(np.float64))
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-4)


def test_max_norm_shortens_rows_in_place():
    weight = rd.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    out = F.embedding(rd.tensor([0, 1]), weight, max_norm=1.0)
    np.testing.assert_allclose(out.detach().numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(weight.detach().numpy()[2], [6.0, 8.0])
    assert weight._version == 1
    assert weight.is_leaf
    out.sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


def test_the_weight_comes_first_at_the_top_level():
    weight = rd.arange(6.0).reshape(3, 2)
    assert rd.embedding(weight, rd.tensor([2])).tolist() == [[4.0, 5.0]]
    assert F.embedding(rd.tensor([2]), weight).tolist() == [[4.0, 5.0]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda w: F.embedding(rd.tensor([3]), w), IndexError, "index out of range in self"),
        (lambda w: F.embedding(rd.tensor([-1]), w), IndexError, "index out of range in self"),
        (
            lambda w: F.embedding(rd.tensor([-1]), w, max_norm=1.0),
            IndexError,
            "index out of range in self",
        ),
        (lambda w: F.embedding(rd.tensor([0.0]), w), RuntimeError, "scalar types: Long, Int"),
        (lambda w: F.embedding(rd.tensor([0]), w[0]), RuntimeError, "'weight' must be 2-D"),
        (
            lambda w: F.embedding(rd.tensor([0]), w, padding_idx=3),
            AssertionError,
            "Padding_idx must be within num_embeddings",
        ),
        (lambda w: F.one_hot(rd.tensor([-1])), RuntimeError, "Class values must be non-negative"),
        (lambda w: F.one_hot(rd.tensor([2]), 2), RuntimeError, "smaller than num_classes"),
        (lambda w: F.one_hot(rd.tensor([2.0])), RuntimeError, "index tensor of type LongTensor"),
        (lambda w: F.one_hot(rd.zeros(0, dtype=rd.int64)), RuntimeError, "from empty tensor"),
    ],
)
def test_errors_of_tables(call, error, text):
    with pytest.raises(error, match=text):
        call(rd.ones(3, 2))


# --- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1],), RuntimeError, "Padding length must be divisible by 2"),
        (([1] * 6,), RuntimeError, "less than or equal to two times the input dimension"),
        (([-3, -1],), RuntimeError, "length must be non-negative"),
        (([1, 1], "edge"), NotImplementedError, "Unrecognised padding mode edge"),
        (([1, 1], "reflect", 1.0), RuntimeError, "doesn't take in value argument"),
        (([3, 0], "reflect"), RuntimeError, r"got: padding \(3, 0\) at dimension 1 of input"),
        (([4, 0], "circular"), RuntimeError, "wrapping around more than once"),
        (([-2, -1], "replicate"), RuntimeError, "is too small"),
        (([1, 1, 1, 1], "reflect"), NotImplementedError, "Padding size 4 is not supported for 2D"),
    ],
)
def test_errors_of_padding(arguments, error, text):
    with pytest.raises(error, match=text):
        F.pad(rd.ones(2, 3), *arguments)
