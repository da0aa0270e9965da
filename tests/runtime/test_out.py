"""`out=`: where results are written, what is converted, and what is refused."""

import inspect
import warnings

import numpy as np
import pytest
import rederive as rd
from rederive.generated.registry import OPERATORS

RESIZED = r"An output with one or more elements was resized since it had shape \[{}\], which does "
GRAPH = "functions with out=... arguments don't support automatic differentiation"


def offered(op):
    """The function that programs find, for an operator of the top-level namespace."""
    return getattr(rd, op.public)


WITH_OUT = [
    op
    for op in OPERATORS
    if "torch" in op.namespace
    and op.family in ("pointwise", "rowwise")
    and len(op.outputs) == 1
    and not any(a.name == "inplace" for a in op.arguments)
    and all(a.type == "Tensor" or a.has_default for a in op.arguments)
    and not op.overload
]


def test_there_are_functions_to_test():
    assert len(WITH_OUT) > 60


@pytest.mark.parametrize("op", WITH_OUT, ids=lambda op: op.name)
def test_result_is_written_into_out(op):
    generator = np.random.default_rng(0)
    values = []
    for argument in op.arguments:
        if argument.type == "Tensor":
            low, high = op.samples.get(argument.name, (0.2, 0.8))
            drawn = generator.uniform(low, high, (3, 4))
            mask = argument.name in ("mask", "condition")
            values.append(rd.tensor(drawn > 0.5 if mask else drawn))
    if op.name in ("logsumexp", "softmax", "log_softmax", "cumsum"):
        values.append(0)
    expected = offered(op)(*values)
    out = rd.empty(expected.shape, dtype=expected.dtype)
    address = out.data_ptr()
    assert offered(op)(*values, out=out) is out
    assert out.data_ptr() == address and out._version == 1 and not out.requires_grad
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


def test_what_the_signature_says():
    assert "out" in inspect.signature(rd.add).parameters
    assert rd.add.__name__ == "add" and rd.add.__doc__
    a = rd.ones(2)
    assert rd.add(a, a, out=None).tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match="unexpected keyword argument 'out'"):
        a.add(a, out=rd.empty(2))
    for view in (rd.transpose, rd.reshape, rd.nn.functional.relu):
        assert "out" not in inspect.signature(view).parameters


def test_keyword_arguments_and_broadcasting():
    out = rd.empty(2, 3)
    rd.add(rd.ones(2, 1), rd.arange(3.0), alpha=2, out=out)
    assert out.tolist() == [[1.0, 3.0, 5.0]] * 2
    rd.sum(rd.ones(2, 3, 4), 2, out=out)
    assert out.tolist() == [[4.0] * 3] * 2
    rd.matmul(rd.ones(2, 5), rd.ones(5, 3), out=out)
    assert out.tolist() == [[5.0] * 3] * 2
    rd.clamp(out, max=1.5, out=out)
    assert out.tolist() == [[1.5] * 3] * 2
    rd.div(rd.full((2, 3), 7.0), 2, rounding_mode="floor", out=out)
    assert out.tolist() == [[3.0] * 3] * 2


def test_out_may_be_an_argument_and_a_strided_view():
    whole = rd.zeros(2, 6)
    out = whole[:, ::2]
    assert rd.add(rd.ones(2, 3), 1, out=out) is out
    assert whole.tolist() == [[2.0, 0.0] * 3] * 2 and whole._version == 1
    rd.mul(out, out, out=out)
    assert whole.tolist() == [[4.0, 0.0] * 3] * 2


def test_several_results():
    a = rd.tensor([[1.0, 5.0], [7.0, 2.0]])
    values, indices = rd.empty(2), rd.empty(2, dtype=rd.int64)
    result = rd.max(a, 1, out=(values, indices))
    assert result.values is values and result.indices is indices
    assert values.tolist() == [5.0, 7.0] and indices.tolist() == [1, 0]
    with pytest.raises(RuntimeError, match=r"dtype rederive.int64, but got rederive.float32"):
        rd.max(a, 1, out=(values, rd.empty(2)))
    with pytest.raises(TypeError, match="argument 'out' must be 2 Tensors, not Tensor"):
        rd.max(a, 1, out=values)


@pytest.mark.parametrize(
    ("argument", "out"),
    [("float32", "float64"), ("float64", "float32"), ("int64", "float32"), ("int64", "int32")],
)
def test_result_is_converted_within_a_kind(argument, out):
    a = rd.tensor([1, 2], dtype=getattr(rd, argument))
    target = rd.empty(2, dtype=getattr(rd, out))
    assert rd.add(a, a, out=target).tolist() == [2, 4] and target.dtype is getattr(rd, out)


@pytest.mark.parametrize(
    ("argument", "out"), [("float32", "int64"), ("int64", "bool"), ("float64", "bool")]
)
def test_result_of_a_higher_kind_is_refused(argument, out):
    a, target = rd.ones(2, dtype=getattr(rd, argument)), rd.zeros(2, dtype=getattr(rd, out))
    with pytest.raises(RuntimeError) as error:
        rd.add(a, a, out=target)
    assert str(error.value) == (
        f"result type rederive.{argument} can't be cast to the desired output type rederive.{out}"
    )
    assert target.tolist() == [0, 0] and target._version == 0


def test_library_calls_write_their_own_dtype_only():
    with pytest.raises(RuntimeError, match=r"Expected out tensor to have dtype rederive\.float32"):
        rd.mm(rd.ones(2, 3), rd.ones(3, 2), out=rd.empty(2, 2, dtype=rd.float64))


@pytest.mark.parametrize("out", [[1], "a", 3, ()])
def test_out_must_be_a_tensor(out):
    with pytest.raises(TypeError, match=r"add\(\): argument 'out' must be Tensor, not"):
        rd.add(rd.ones(2), 1, out=out)


def test_graphs_are_refused():
    x, a = rd.ones(2, requires_grad=True), rd.ones(2)
    for call in (
        lambda: rd.add(x, a, out=rd.empty(2)),
        lambda: rd.add(a, x, out=rd.empty(2)),
        lambda: rd.add(a, a, out=rd.ones(2, requires_grad=True)),
        lambda: rd.add(a, a, out=x * 1),
        lambda: rd.cat([a, x], out=rd.empty(4)),
    ):
        with pytest.raises(RuntimeError, match=GRAPH):
            call()
    with rd.no_grad():
        assert rd.add(x, a, out=x) is x
    assert x.requires_grad and x.is_leaf and x.tolist() == [2.0, 2.0]


def test_write_into_a_saved_tensor_is_noticed():
    x, w = rd.ones(2, requires_grad=True), rd.ones(2)
    y = x * w
    rd.add(rd.ones(2), 1, out=w)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 2), (9,)])
def test_out_of_another_shape_is_resized_with_a_warning(shape):
    out = rd.empty(shape)
    with pytest.warns(UserWarning, match=RESIZED.format(", ".join(map(str, shape)))):
        assert rd.add(rd.ones(4), 1, out=out) is out
    assert out.shape == (4,) and out.tolist() == [2.0] * 4 and out.is_contiguous()


def test_empty_out_is_resized_without_a_warning():
    out = rd.empty(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rd.add(rd.ones(2, 2), 1, out=out)
    assert out.tolist() == [[2.0, 2.0]] * 2


def test_resize_keeps_what_it_can():
    x = rd.arange(6.0)
    assert x.resize_(2, 2) is x and x.tolist() == [[0.0, 1.0], [2.0, 3.0]] and x._version == 1
    assert x.resize_((6,)).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert x.resize_(8).tolist()[:6] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert x.resize_as_(rd.ones(1, 3)).tolist() == [[0.0, 1.0, 2.0]]
    assert x.resize_(0).numel() == 0


def test_resize_of_a_view_shows_more_of_the_same_memory():
    x = rd.arange(5.0)
    view = x[1:3]
    view.resize_(3)
    assert view.tolist() == [1.0, 2.0, 3.0] and x.shape == (5,)
    view.zero_()
    assert x.tolist() == [0.0, 0.0, 0.0, 0.0, 4.0]


def test_resize_refuses():
    for x in (rd.ones(2, requires_grad=True), rd.ones(2, requires_grad=True) * 1):
        with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
            x.resize_(3)
    with pytest.raises(RuntimeError, match="negative"):
        rd.ones(2).resize_(-1)
