"""Pointwise operators on many elements, one operand broadcast: kernels that go row by row."""

import numpy as np
import pytest
import rederive as rd
from rederive.tools import specification

OPERATORS = {
    operator.name: operator
    for operator in specification.operators_of(specification.BUILT_IN)
    if operator.family == "pointwise" and sum(a.type == "Tensor" for a in operator.arguments) == 2
}
NUMBERS = {"smooth_absolute_error": (0.5,), "huber_error": (0.5,)}  # they have no default
SHAPE = (70, 1024)
BROADCAST = {"row": (1024,), "column": (70, 1), "0-d": ()}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operand_that_is_broadcast_is_what_it_would_be_written_out(name):
    draw = np.random.default_rng(1)
    full = rd.from_numpy(draw.uniform(0.1, 0.9, SHAPE).astype(np.float32))
    for shape in BROADCAST.values():
        part = rd.from_numpy(np.array(draw.uniform(0.1, 0.9, shape), np.float32))
        written = part.expand(SHAPE).contiguous()
        for given, dense in (((full, part), (full, written)), ((part, full), (written, full))):
            try:
                expected = OPERATORS[name].function(*dense, *NUMBERS.get(name, ()))
            except (RuntimeError, NotImplementedError) as error:
                pytest.skip(f"not for floats: {error}")
            found = OPERATORS[name].function(*given, *NUMBERS.get(name, ()))
            np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_two_operands_may_both_be_constant_along_rows():
    column = rd.linspace(1, 2, 70).reshape(70, 1).expand(SHAPE)
    result = column * column
    np.testing.assert_array_equal(result.numpy(), column.numpy() * column.numpy())


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :100],
        lambda x: x[:, 100:],
        lambda x: x[3:-1, ::2],
        lambda x: x[5],
        lambda x: x[None, :, 7:9],
        lambda x: x.t()[1:],
        lambda x: x.chunk(3, 1)[1],
        lambda x: x.reshape(2, 250, 600)[:, 3:, 5:],
        lambda x: x.flip(0)[:, 1:],
        lambda x: x[:, :0],
        lambda x: x[1::7, 2::3],
        lambda x: x[:, 100:300:2],
        lambda x: x.reshape(-1)[7:-9],
        lambda x: x.reshape(-1)[3::2],
        lambda x: x.reshape(-1)[5:-2:5],
        lambda x: x.reshape(2, 250, 600)[:, ::2, 2:500:4],
        lambda x: x.reshape(500, 200, 3)[:, :100],
        lambda x: x.reshape(3, 100_000)[1:],
        lambda x: x.reshape(20, 15_000)[:, :3],
        lambda x: x.expand(2, 500, 600)[1],
    ],
)
def test_the_gradient_of_a_view_of_many_elements_is_zero_elsewhere(view):
    array = np.arange(500 * 600, dtype=np.float64).reshape(500, 600)
    x = rd.from_numpy(array).requires_grad_()
    seen = view(x)
    flow = rd.linspace(1, 2, seen.numel(), dtype=rd.float64).reshape(seen.shape)
    seen.backward(flow)
    expected = np.zeros(array.size)
    places = view(rd.from_numpy(array)).numpy().astype(int)
    expected[places.ravel()] = flow.numpy().ravel()
    np.testing.assert_array_equal(x.grad.numpy(), expected.reshape(array.shape))


def test_the_parts_of_a_tensor_of_many_elements_give_it_one_gradient():
    x = rd.zeros(400, 900, requires_grad=True)
    first, _, third = x.chunk(3, 1)
    (first * 2 + third * 3).sum().backward()
    expected = np.repeat([[2.0, 0.0, 3.0]], 400, 0).repeat(300, 1)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_parts_of_unlike_sizes_give_one_gradient(dim):
    x = rd.zeros(200, 70, 90, dtype=rd.float64, requires_grad=True)
    sizes = [10, 25, x.shape[dim] - 40, 5]
    parts = x.split(sizes, dim)
    expected = np.zeros(x.shape)
    seen = np.split(expected, np.cumsum(sizes)[:-1], dim)
    total = 0
    for number in (3, 0, 2):
        flow = np.random.default_rng(number).standard_normal(seen[number].shape)
        seen[number][...] = flow
        total = total + (parts[number] * rd.from_numpy(flow)).sum()
    total.backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected)
