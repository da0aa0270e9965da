"""nn.utils; programs/clipping.py compares with PyTorch."""

import math

import pytest
import rederive as rd
from rederive import nn


def two():
    first, second = nn.Parameter(rd.ones(1)), nn.Parameter(rd.ones(2))
    first.grad, second.grad = rd.tensor([3.0]), rd.tensor([0.0, 4.0])
    return first, second


@pytest.mark.parametrize(
    ("norm_type", "total"), [(2, 5), (1, 7), (math.inf, 4), (0, 2), (3, 91 ** (1 / 3))]
)
def test_the_norm_is_that_of_all_gradients_together(norm_type, total):
    first, second = two()
    assert nn.utils.clip_grad_norm_([first, second], 1.0, norm_type).item() == pytest.approx(total)
    assert first.grad.item() == pytest.approx(3 / total, rel=1e-5)
    assert second.grad.tolist() == pytest.approx([0, 4 / total], rel=1e-5)


def test_short_gradients_stay():
    first, second = two()
    nn.utils.clip_grad_norm_(nn.ParameterList([first, second]).parameters(), 5.1)
    assert first.grad.item() == 3 and second.grad.tolist() == [0, 4]


def test_norms_that_are_not_finite():
    first, second = two()
    first.grad[0] = math.inf
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_([first, second], 1.0, error_if_nonfinite=True)
    assert second.grad.tolist() == [0, 4]
    assert nn.utils.clip_grad_norm_([first, second], 1.0).item() == math.inf
    assert math.isnan(first.grad.item()) and second.grad.tolist() == [0, 0]


def test_an_empty_generator_warns():
    with pytest.warns(UserWarning, match="empty generator"):
        assert nn.utils.clip_grad_norm_((p for p in ()), 1.0).item() == 0


def test_limits_of_each_element():
    first, second = two()
    second.grad[0] = -9.0
    nn.utils.clip_grad_value_([first, second, nn.Parameter(rd.ones(1))], 3.5)
    assert first.grad.item() == 3 and second.grad.tolist() == [-3.5, 3.5]


def test_parameters_as_a_vector_and_back():
    net = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,) and vector.requires_grad
    vector.sum().backward()
    assert net.weight.grad.tolist() == [[1, 1]] * 3
    nn.utils.vector_to_parameters(rd.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and net.bias.tolist() == [6, 7, 8]
    with pytest.raises(TypeError, match=r"expected rederive.Tensor, but got: list"):
        nn.utils.vector_to_parameters([1.0], net.parameters())
