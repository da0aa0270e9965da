"""The text of errors: the operator, what was given, what is required. Nothing is changed."""

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional


def ones(*shape, **options):
    return rd.ones(*shape, **options)


def integers(*shape):
    return rd.ones(*shape, dtype=rd.int64)


RANGE_1D = "Dimension out of range (expected to be in range of [-1, 0], but got {})"
RANGE_2D = "Dimension out of range (expected to be in range of [-2, 1], but got {})"
MISMATCH = (
    "The size of tensor a ({}) must match the size of tensor b ({}) at non-singleton dimension {}"
)
NO_FLOAT = (
    "{}(): could not infer output dtype. Input dtype must be either a floating point or complex "
    "dtype. Got: rederive.int64"
)

CASES = {
    # shapes that do not broadcast
    "mul": (lambda: ones(2, 3) * ones(4, 5), RuntimeError, MISMATCH.format(3, 5, 1)),
    "add": (lambda: ones(2, 3) + ones(4), RuntimeError, MISMATCH.format(3, 4, 1)),
    "lerp": (
        lambda: rd.lerp(ones(2), ones(2), ones(3)),
        RuntimeError,
        MISMATCH.format(2, 3, 0),
    ),
    "mse_loss": (
        lambda: F.mse_loss(ones(2, 3), ones(3, 2)),
        RuntimeError,
        MISMATCH.format(3, 2, 1),
    ),
    "expand": (
        lambda: ones(2, 3).expand(4, 3),
        RuntimeError,
        "The expanded size of the tensor (4) must match the existing size (2) at non-singleton "
        "dimension 0.  Target sizes: [4, 3].  Tensor sizes: [2, 3]",
    ),
    # products
    "mm": (
        lambda: rd.mm(ones(2, 3), ones(4, 5)),
        RuntimeError,
        "mm: input is (2, 3) and mat2 is (4, 5); inner sizes 3 and 4 must be equal",
    ),
    "mm of a vector": (
        lambda: rd.mm(ones(2, 3), ones(3)),
        RuntimeError,
        "mm: mat2 is (3,); it must have 2 dimensions",
    ),
    "bmm": (
        lambda: rd.bmm(ones(2, 3, 4), ones(2, 3, 4)),
        RuntimeError,
        "bmm: input is (2, 3, 4) and mat2 is (2, 3, 4); inner sizes 4 and 3 must be equal",
    ),
    "bmm of matrices": (
        lambda: rd.bmm(ones(2, 3), ones(2, 3)),
        RuntimeError,
        "bmm: input is (2, 3); it must have 3 dimensions",
    ),
    "mv": (
        lambda: rd.mv(ones(2, 3), ones(2)),
        RuntimeError,
        "mv: input is (2, 3) and vec is (2,); inner sizes 3 and 2 must be equal",
    ),
    "dot": (
        lambda: rd.dot(ones(2), ones(3)),
        RuntimeError,
        "dot: input is (2,) and tensor is (3,); inner sizes 2 and 3 must be equal",
    ),
    "linear": (
        lambda: F.linear(ones(2, 3), ones(4, 5)),
        RuntimeError,
        "linear: input is (2, 3) and weight is (4, 5); inner sizes 3 and 5 must be equal",
    ),
    "linear's bias": (
        lambda: F.linear(ones(2, 3), ones(4, 3), ones(5)),
        RuntimeError,
        "linear: weight is (4, 3) and bias is (5,); inner sizes 4 and 5 must be equal",
    ),
    "addmm": (
        lambda: rd.addmm(ones(2, 2), ones(2, 3), ones(2, 3)),
        RuntimeError,
        "addmm: mat1 is (2, 3) and mat2 is (2, 3); inner sizes 3 and 2 must be equal",
    ),
    "mv of two dtypes": (
        lambda: ones(2, 3) @ ones(3, dtype=rd.float64),
        RuntimeError,
        "mv: input is rederive.float32 and vec is rederive.float64; both must have the same "
        "dtype, convert one with .to()",
    ),
    # joining
    "cat of two ranks": (
        lambda: rd.cat([ones(2, 3), ones(3)]),
        RuntimeError,
        "cat: tensors are (2, 3), (3,); Tensors must have same number of dimensions: got 2 and 1",
    ),
    "cat of two sizes": (
        lambda: rd.cat([ones(2, 3), ones(2, 4)]),
        RuntimeError,
        "cat: tensors are (2, 3), (2, 4); Sizes of tensors must match except in dimension 0. "
        "Expected size 3 but got size 4 for tensor number 1 in the list.",
    ),
    "cat of numbers": (
        lambda: rd.cat([rd.tensor(1.0)]),
        RuntimeError,
        "cat: tensors are (); zero-dimensional tensors cannot be concatenated",
    ),
    "cat of nothing": (
        lambda: rd.cat([]),
        ValueError,
        "cat(): expected a non-empty list of Tensors",
    ),
    "stack of two shapes": (
        lambda: rd.stack([ones(2), ones(3)]),
        RuntimeError,
        "stack: tensors are (2,), (3,); stack expects each tensor to be equal size, but got [2] "
        "at entry 0 and [3] at entry 1",
    ),
    "cat of a list": (
        lambda: rd.cat([ones(2), 3]),
        TypeError,
        "cat(): expected Tensor as element 1 in argument 'tensors', but got int",
    ),
    # types
    "mul by text": (
        lambda: rd.mul(ones(2), "a"),
        TypeError,
        "mul(): argument 'other' must be Tensor or Number, not str",
    ),
    "mul by None with the operator": (
        lambda: ones(2) * None,
        TypeError,
        "unsupported operand type(s) for *: 'Tensor' and 'NoneType'",
    ),
    "mul by None": (
        lambda: rd.mul(ones(2), None),
        TypeError,
        "mul(): argument 'other' must be Tensor or Number, not NoneType",
    ),
    "softmax of a number": (
        lambda: rd.softmax(3, 0),
        TypeError,
        "softmax(): argument 'input' must be Tensor, not int",
    ),
    "exp of text": (
        lambda: rd.exp("a"),
        TypeError,
        "exp(): argument 'input' must be Tensor or Number, not str",
    ),
    "matmul by a number": (
        lambda: ones(3, 3) @ 2,
        TypeError,
        "matmul(): argument 'other' must be Tensor, not int",
    ),
    "where with text": (
        lambda: rd.where(ones(2) > 0, "a", 1),
        TypeError,
        "where(): argument 'input' must be Tensor or Number, not str",
    ),
    "where with a float condition": (
        lambda: rd.where(ones(2), 1.0, 2.0),
        RuntimeError,
        "where: condition is rederive.float32; it must be rederive.bool",
    ),
    "sum over text": (
        lambda: ones(2).sum("a"),
        TypeError,
        "sum(): argument 'dim' must be int or tuple of ints, not str",
    ),
    # dimensions
    "sum": (lambda: ones(2, 3).sum(5), IndexError, RANGE_2D.format(5)),
    "mean": (lambda: ones(2, 3).mean(-3), IndexError, RANGE_2D.format(-3)),
    "max": (lambda: ones(2, 3).max(2), IndexError, RANGE_2D.format(2)),
    "softmax": (lambda: F.softmax(ones(2), 3), IndexError, RANGE_1D.format(3)),
    "transpose": (lambda: ones(2, 3).transpose(0, 4), IndexError, RANGE_2D.format(4)),
    "cumsum": (
        lambda: ones(2).cumsum(4),
        IndexError,
        "cumsum: input is (2,); " + RANGE_1D.format(4),
    ),
    "cat": (
        lambda: rd.cat([ones(2)], dim=3),
        IndexError,
        "cat: tensors are (2,); " + RANGE_1D.format(3),
    ),
    "gather's dim": (
        lambda: rd.gather(ones(2, 3), 5, rd.tensor([[1]])),
        IndexError,
        "gather: input is (2, 3) and index is (1, 1); " + RANGE_2D.format(5),
    ),
    "sum twice": (
        lambda: ones(2, 3).sum((0, 0)),
        RuntimeError,
        "dim 0 appears multiple times in the list of dims",
    ),
    "max of nothing": (
        lambda: ones(0, 3).max(0),
        IndexError,
        "max(): Expected reduction dim 0 to have non-zero size; input has shape (0, 3)",
    ),
    # dtypes
    "mean of integers": (lambda: integers(2).mean(), RuntimeError, NO_FLOAT.format("mean")),
    "softmax of integers": (
        lambda: integers(2).softmax(0),
        NotImplementedError,
        '"softmax" not implemented for rederive.int64; use a floating dtype',
    ),
    "integers that require grad": (
        lambda: rd.ones(2, dtype=rd.int64, requires_grad=True),
        RuntimeError,
        "only Tensors of floating point dtype can require gradients",
    ),
    "requires_grad_ of integers": (
        lambda: integers(2).requires_grad_(),
        RuntimeError,
        "only Tensors of floating point dtype can require gradients",
    ),
    # indices
    "gather": (
        lambda: rd.gather(ones(2, 3), 1, rd.tensor([[5]])),
        RuntimeError,
        "gather: input is (2, 3) and index is (1, 1); index 5 is out of bounds for dimension 1 "
        "with size 3",
    ),
    "gather by a vector": (
        lambda: rd.gather(ones(2, 3), 1, rd.tensor([1])),
        RuntimeError,
        "gather: input is (2, 3) and index is (1,); index must have as many dimensions as input",
    ),
    "gather by floats": (
        lambda: rd.gather(ones(2, 3), 1, rd.tensor([[1.0]])),
        RuntimeError,
        "gather: input is (2, 3) and index is (1, 1); index must be an integer tensor, got float32",
    ),
    "index_select": (
        lambda: rd.index_select(ones(2, 3), 1, rd.tensor([7])),
        IndexError,
        "index_select: input is (2, 3) and index is (1,); index 7 is out of bounds for dimension "
        "1 with size 3",
    ),
    "scatter_add": (
        lambda: rd.scatter_add(ones(2, 3), 1, rd.tensor([[-1]]), ones(1, 1)),
        RuntimeError,
        "scatter_add: input is (2, 3) and index is (1, 1) and src is (1, 1); index -1 is out of "
        "bounds for dimension 1 with size 3",
    ),
    "select": (
        lambda: ones(2, 3)[2],
        IndexError,
        "index 2 is out of bounds for dimension 0 with size 2",
    ),
    # geometry
    "reshape": (
        lambda: ones(2, 3).reshape(4, 2),
        RuntimeError,
        "shape '[4, 2]' is invalid for input of size 6",
    ),
    "reshape of two unknowns": (
        lambda: ones(2, 3).reshape(-1, -1),
        RuntimeError,
        "only one dimension can be inferred",
    ),
    "view of strided memory": (
        lambda: ones(2, 3).t().view(6),
        RuntimeError,
        "view size is not compatible with input tensor's size and stride (at least one dimension "
        "spans across two contiguous subspaces). Use .reshape(...) instead.",
    ),
    "layer_norm": (
        lambda: F.layer_norm(ones(2, 3), (4,)),
        RuntimeError,
        "layer_norm(): normalized_shape is [4], but input has size [2, 3]; the input's last "
        "dimensions must be normalized_shape",
    ),
    "repeat": (
        lambda: ones(2, 2).repeat(2),
        RuntimeError,
        "repeat: input is (2, 2); repeats [2] has fewer entries than the input has dimensions; "
        "give one for each, and more in front to add dimensions",
    ),
    "clamp without bounds": (
        lambda: ones(2).clamp(),
        RuntimeError,
        "clamp needs min or max, but both are None",
    ),
    "reduction": (
        lambda: F.mse_loss(ones(2), ones(2), reduction="men"),
        ValueError,
        "'men' is not a valid value for reduction; it must be mean, sum or none",
    ),
    # the graph
    "backward of a constant": (
        lambda: ones(1).sum().backward(),
        RuntimeError,
        "element 0 of tensors does not require grad and does not have a grad_fn",
    ),
    "backward of several elements": (
        lambda: (ones(2, requires_grad=True) * 2).backward(),
        RuntimeError,
        "grad can be implicitly created only for scalar outputs",
    ),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", CASES)
def test_the_text_of_an_error(name):
    call, kind, text = CASES[name]
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind
    assert str(error.value) == text


def test_an_error_leaves_operands_and_modes_as_they_were():
    x = rd.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    index = rd.tensor([[5]])
    calls = (
        lambda: x + rd.ones(4),
        lambda: x @ rd.ones(2, 2),
        lambda: x.gather(1, index),
        lambda: x.sum(3),
        lambda: x.clone().add_(rd.ones(2, 3)),
    )
    for call in calls:
        with pytest.raises((RuntimeError, IndexError)):
            call()
    assert x.tolist() == [[1.0, 2.0, 3.0]] and x._version == 0 and x.grad is None
    assert index.tolist() == [[5]] and x.is_leaf and rd.is_grad_enabled()
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[2.0, 2.0, 2.0]])


@pytest.mark.parametrize("name", ["pow", "floor_divide", "remainder", "sub"])
def test_arithmetic_on_bool_says_that_it_is_not_implemented(name):
    mask = rd.tensor([True, False])
    with pytest.raises(NotImplementedError, match=f"\"{name}\" not implemented for 'Bool'"):
        getattr(rd, name)(mask, mask)
    assert mask.tolist() == [True, False]
