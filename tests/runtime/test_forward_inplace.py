"""In-place operations under forward mode: tangents change with the values, those of views too."""

import numpy as np
import pytest
import rederive as rd
from rederive.autograd import forward_ad, grad


@pytest.fixture(autouse=True)
def level():
    with forward_ad.dual_level():
        yield


def dual(values=(1.0, 2.0, 3.0), tangent=(1.0, 10.0, 100.0)):
    """A fresh dual tensor, not a view."""
    made = forward_ad.make_dual(
        rd.tensor(values, dtype=rd.float64), rd.tensor(tangent, dtype=rd.float64)
    )
    return made * 1


def tangent(t):
    found = forward_ad.unpack_dual(t).tangent
    return None if found is None else found.tolist()


CHANGES = {
    "mul_": (lambda t: t.mul_(3), [3.0, 30.0, 300.0]),
    "exp_": (lambda t: t.exp_(), (np.exp([1.0, 2.0, 3.0]) * [1, 10, 100]).tolist()),
    "mul_ itself": (lambda t: t.mul_(t), [2.0, 40.0, 600.0]),
    "add_ a dual": (lambda t: t.add_(dual((0, 0, 0), (5, 6, 7))), [6.0, 16.0, 107.0]),
    "zero_": (lambda t: t.zero_(), [0.0, 0.0, 0.0]),
    "fill_": (lambda t: t.fill_(2), [0.0, 0.0, 0.0]),
    "fill_ a dual": (lambda t: t.fill_(dual((4,), (9,))[0]), [9.0, 9.0, 9.0]),
    "copy_": (lambda t: t.copy_(rd.ones(3)), [0.0, 0.0, 0.0]),
    "copy_ a dual": (lambda t: t.copy_(dual((4,), (9,))), [9.0, 9.0, 9.0]),
    "uniform_": (lambda t: t.uniform_(), [0.0, 0.0, 0.0]),
    "[0] =": (lambda t: t.__setitem__(0, 5), [0.0, 10.0, 100.0]),
    "[1:] = a dual": (
        lambda t: t.__setitem__(slice(1, None), dual((4,), (9,))),
        [1.0, 9.0, 9.0],
    ),
    "[[0, 2]] =": (lambda t: t.__setitem__([0, 2], 5.0), [0.0, 10.0, 0.0]),
    "a view": (lambda t: t[1:].mul_(2), [1.0, 20.0, 200.0]),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("recorded", [False, True])
def test_tangent_after_an_inplace_operation(name, recorded):
    change, expected = CHANGES[name]
    t = dual()
    if recorded:
        t = t * rd.ones(3, dtype=rd.float64, requires_grad=True)
    beside = t[:2]
    change(t)
    np.testing.assert_allclose(tangent(t), expected, rtol=1e-12)
    np.testing.assert_allclose(tangent(beside), expected[:2], rtol=1e-12)


def test_tensor_without_tangent_gets_one_with_what_is_written():
    t = rd.ones(3, dtype=rd.float64)
    view, other = t[1:], t[:2]
    view.mul_(dual()[1:])
    assert tangent(t) == [0.0, 10.0, 100.0]
    assert tangent(view) == [10.0, 100.0] and tangent(other) == [0.0, 10.0]
    u = rd.ones(3, dtype=rd.float64)
    u.add_(1)
    u[0] = 3
    assert tangent(u) is None


def test_geometry_in_place():
    t = dual().view(1, 3).clone()
    t.t_()
    assert tangent(t) == [[1.0], [10.0], [100.0]]


def test_gradient_of_a_tangent_through_an_inplace_operation():
    v = rd.tensor([1.0, 2.0], dtype=rd.float64, requires_grad=True)
    t = forward_ad.make_dual(rd.tensor([3.0, 4.0], dtype=rd.float64), v)
    t = t * 1
    t[:1].square_()
    found = forward_ad.unpack_dual(t).tangent
    assert found.tolist() == [6.0, 2.0]
    (g,) = grad(found.sum(), v)
    assert g.tolist() == [6.0, 1.0]


@pytest.mark.parametrize(
    "square",
    [lambda t: t.mul_(t), lambda t: t.copy_(t * t), lambda t: t.__setitem__(0, t[0] * t[0])],
)
def test_nested_levels(square):
    outer = forward_ad.make_dual(rd.tensor([3.0]), rd.tensor([1.0]))
    forward_ad.open_level()
    try:
        t = forward_ad.make_dual(outer, rd.tensor([1.0])) * 1
        square(t)
        primal, inner = forward_ad.unpack_dual(t)
    finally:
        forward_ad.close_level()
    assert primal.tolist() == [9.0] and tangent(primal) == [6.0]
    assert inner.tolist() == [6.0] and tangent(inner) == [2.0]
