"""Functions that are methods, too, methods that are functions, and the arguments of both."""

import numpy as np
import pytest
import rederive as rd
from rederive.autograd import gradcheck
from rederive.generated.registry import OPERATORS


@pytest.fixture
def x():
    return rd.arange(6.0).reshape(2, 3)


def test_where_as_a_method(x):
    assert x.where(x > 2, 0.5).tolist() == [[0.5, 0.5, 0.5], [3, 4, 5]]
    assert gradcheck(lambda t, o: t.where(t > 2.5, o), (x.double().requires_grad_(), rd.ones(3)))


def test_functions_of_what_are_methods(x):
    leaf = x.clone().requires_grad_()
    assert not rd.detach(leaf * 2).requires_grad
    assert rd.detach_(leaf * 2).is_leaf
    assert rd.numel(x) == 6
    assert rd.is_floating_point(x)
    assert not rd.is_complex(x)
    assert rd.is_signed(x)
    assert rd.get_device(x) == -1
    assert rd.fill(x, 2).tolist() == [[2] * 3] * 2
    assert x[0, 1] == 1
    assert rd.zero_(x) is x
    assert rd.fill_(x, 3).tolist() == [[3] * 3] * 2
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        rd.numel([1])


def test_random_methods(x):
    rd.manual_seed(1)
    drawn = rd.tensor([0.0, 1.0, 0.0]).multinomial(5, replacement=True)
    assert drawn.tolist() == [1] * 5
    assert set(x.bernoulli(0.5).reshape(-1).tolist()) <= {0.0, 1.0}
    assert rd.bernoulli(x, 1.0).tolist() == [[1.0] * 3] * 2
    assert rd.tensor([0.0, 1.0]).bernoulli().tolist() == [0.0, 1.0]


def test_index_put(x):
    rows = rd.tensor([0, 0])
    added = x.index_put((rows,), rd.tensor([1.0, 2.0, 3.0]), accumulate=True)
    assert added.tolist() == [[2, 5, 8], [3, 4, 5]]
    assert x.index_put((rows,), rd.tensor(7.0)).tolist() == [[7, 7, 7], [3, 4, 5]]
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.index_put_((x > 3,), rd.tensor(-1.0)) is x
    assert x.tolist() == [[0, 1, 2], [3, -1, -1]]
    columns = rd.tensor([2, 0, 2])
    given = (rd.ones(2, 3, dtype=rd.float64, requires_grad=True),)
    given += (rd.arange(3.0, dtype=rd.float64).requires_grad_(),)
    for accumulate in (False, True):
        place = (rd.tensor([0, 1, 0]), columns) if accumulate else (rd.tensor([0, 1, 1]), columns)
        assert gradcheck(
            lambda t, v, place=place, a=accumulate: rd.index_put(t, place, v, accumulate=a), given
        )


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda t: t.index_put((0,), rd.ones(3)), TypeError, "expected Tensor as element 0"),
        (lambda t: t.index_put((rd.tensor([0]),), 5.0), TypeError, "'values'"),
        (
            lambda t: t.index_put((rd.tensor([0]),), rd.ones(3).double()),
            RuntimeError,
            "source and destination dtypes match",
        ),
        (lambda t: t.type("foo"), ValueError, "invalid type: 'foo'"),
        (lambda t: t.clone(memory_format=rd.channels_last), NotImplementedError, "channels_last"),
        (lambda t: rd.norm(t, "abc"), RuntimeError, "no such order"),
    ],
)
def test_refused(x, call, error, text):
    before = x.tolist()
    with pytest.raises(error, match=text):
        call(x)
    assert x.tolist() == before


def test_types_by_name(x):
    assert x.type() == "rederive.FloatTensor"
    assert x.type(rd.int64).dtype is rd.int64
    assert x.type("torch.DoubleTensor").dtype is rd.float64
    assert (x.byte().dtype, x.char().dtype, x.short().dtype) == (rd.uint8, rd.int8, rd.int16)


def test_norm_by_name_and_in_another_dtype(x):
    np.testing.assert_allclose(rd.norm(x, "fro").item(), np.linalg.norm(x.numpy()), rtol=1e-6)
    np.testing.assert_allclose(
        x.norm("nuc").item(), np.linalg.norm(x.numpy(), ord="nuc"), rtol=1e-6
    )
    assert x.norm(None, dim=1, dtype=rd.float64).dtype is rd.float64


def test_memory_formats(x):
    assert repr(rd.preserve_format) == "rederive.preserve_format"
    assert x.T.clone(memory_format=rd.contiguous_format).is_contiguous()
    assert x.contiguous(memory_format=rd.contiguous_format) is x
    assert rd.zeros_like(x, memory_format=rd.preserve_format).shape == x.shape
    assert x.to(rd.float64, memory_format=rd.preserve_format).dtype is rd.float64


def test_gradients_are_dense_where_pytorch_has_sparse_ones(x):
    table = x.clone().requires_grad_()
    rd.nn.functional.embedding(rd.tensor([1, 1]), table, sparse=True).sum().backward()
    assert table.grad.tolist() == [[0, 0, 0], [2, 2, 2]]
    table.grad = None
    rd.gather(table, 1, rd.tensor([[0, 0], [1, 2]]), sparse_grad=True).sum().backward()
    assert table.grad.tolist() == [[2, 0, 0], [0, 1, 1]]


def test_of_several_values_scattered_to_one_place_the_one_that_stays_has_the_gradient():
    source = rd.tensor([1.0, 2.0, 3.0], requires_grad=True)
    result = rd.zeros(2).scatter(0, rd.tensor([1, 1, 0]), source)
    assert result.tolist() == [3, 2]
    (result * rd.tensor([5.0, 7.0])).sum().backward()
    assert source.grad.tolist() == [0, 7, 5]


ABSENT = {
    "resize": "deprecated, and without a gradient of its own",
    "resize_as": "as above",
    "solve": "removed from PyTorch but for an error",
    "group_norm": "PyTorch's own form of the function of nn.functional",
}
"""Names that PyTorch has where it has others of ours, and why we do not."""


def test_what_pytorch_has_as_method_function_or_in_place_is_here_too():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    public = {o.public for o in OPERATORS if "internal" not in o.namespace}
    functions = {n for n in vars(rd) if callable(getattr(rd, n)) and n[0].islower()}
    methods = {n for n in dir(rd.Tensor) if not n.startswith("_")}
    missing = []
    for name in sorted({n.rstrip("_") for n in (*public, *functions, *methods)} - set(ABSENT)):
        for form in (name, f"{name}_"):
            for ours, theirs in ((rd, torch), (rd.Tensor, torch.Tensor)):
                there = getattr(theirs, form, None)
                if callable(there) and not hasattr(ours, form):
                    missing.append(f"{ours.__name__}.{form}")
    assert not missing
