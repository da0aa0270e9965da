"""Something else where an operator takes a tensor: a TypeError that names the argument."""

import numpy as np
import pytest
import rederive as rd
from rederive.generated.registry import OPERATORS
from rederive.register import functions
from rederive.tools import samples


def given(value):
    """The tensors that stand for arrays of a sample."""
    if samples.is_arrays(value):
        return [rd.from_numpy(item.copy()) for item in value]
    return rd.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def public(name):
    return "input" if name == "self" else name


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_what_is_no_tensor_is_named(operator):
    values = {n: given(v) for n, v in samples.draw(operator)[0].values.items()}
    values = {n: getattr(rd, v) if n == "dtype" and v else v for n, v in values.items()}
    for argument in operator.arguments:
        if argument.type != "Tensor" or argument.variadic:
            continue
        for wrong in ("text", [1.0]) if argument.optional or argument.many else (None, [1.0]):
            call = {public(n): v for n, v in (values | {argument.name: wrong}).items()}
            if argument.many and wrong == [1.0] and argument.name not in operator.differentiable:
                continue  # lists of indices, which only indexing makes
            text = rf"'{public(argument.name)}'|invalid combination of arguments"
            with pytest.raises(TypeError, match=text):
                functions[operator.name](**call)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: rd.nn.functional.linear(x, None), "weight"),
        (lambda x: rd.matmul(x, None), "other"),
        (lambda x: rd.cat(x), "tensors"),
        (lambda x: rd.bernoulli(None), "input"),
        (lambda x: rd.multinomial(None, 1), "input"),
        (lambda x: rd.allclose(x, None), "other"),
        (lambda x: x.copy_(None), "other"),
    ],
)
def test_functions_name_it(call, name):
    with pytest.raises(TypeError, match=rf"argument '{name}' must be .*, not (NoneType|Tensor)"):
        call(rd.ones(2, 2))


def test_sizes_and_dimensions_go_by_name_too():
    x = rd.arange(6.0).reshape(2, 3)
    assert rd.permute(x, dims=(1, 0)).shape == (3, 2)
    assert rd.flip(x, dims=[0]).tolist() == [[3, 4, 5], [0, 1, 2]]
    assert rd.reshape(x, shape=(3, 2)).shape == x.view(shape=(3, 2)).shape == (3, 2)
    assert rd.broadcast_to(x, size=(2, 2, 3)).shape == x.expand(size=(2, 2, 3)).shape
    assert x.repeat(repeats=(2, 1)).shape == (4, 3)
    out = rd.empty(2, 3)
    assert rd.flip(x, [1], out=out) is out
    assert out.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert rd.randn(size=(2, 3)).shape == rd.rand(size=(2, 3)).shape == (2, 3)
