"""autograd.functional; programs/functional.py compares it with PyTorch besides."""

import numpy as np
import pytest
import rederive as rd
from rederive.autograd import functional as F

X = rd.tensor([1.0, 2.0])
Y = rd.tensor([3.0, 4.0, 5.0])
STRATEGIES = [
    {},
    {"vectorize": True},
    {"vectorize": True, "strategy": "forward-mode"},
]


def outer(a, b):
    return a[:, None] * b * b


def cubes(a, b):
    return (a**3).sum() * (b**2).sum()


def same(found, wanted):
    np.testing.assert_allclose(found.detach().numpy(), np.asarray(wanted), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
def test_jacobian_of_two_inputs(options):
    by_a, by_b = F.jacobian(outer, (X, Y), **options)
    assert by_a.shape == (2, 3, 2) and by_b.shape == (2, 3, 3)
    same(by_a, np.einsum("ik,j->ijk", np.eye(2), Y.numpy() ** 2))
    same(by_b, np.einsum("i,jk->ijk", X.numpy(), np.diag(2 * Y.numpy())))


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
def test_jacobian_has_the_structure_of_outputs_and_inputs(options):
    assert isinstance(F.jacobian(lambda a: a * a, X, **options), rd.Tensor)
    (row,) = F.jacobian(lambda a: a * a, (X,), **options)
    assert row.shape == (2, 2)
    rows = F.jacobian(lambda a, b: (a * a, b.sum()), (X, Y), **options)
    assert [[block.shape for block in row] for row in rows] == [[(2, 2), (2, 3)], [(2,), (3,)]]
    same(rows[0][1], np.zeros((2, 3)))


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
def test_jacobian_of_nothing_has_a_shape(options):
    assert F.jacobian(lambda a: a * 2, rd.ones(0), **options).shape == (0, 0)
    assert F.jacobian(lambda a: a.sum(), rd.ones(0), **options).shape == (0,)
    assert F.jacobian(lambda a: a[:0], X, **options).shape == (0, 2)


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_hessian_by_both_strategies(strategy):
    blocks = F.hessian(cubes, (X, Y), vectorize=True, outer_jacobian_strategy=strategy)
    x, y = X.numpy(), Y.numpy()
    same(blocks[0][0], np.diag(6 * x) * (y**2).sum())
    same(blocks[0][1], np.outer(3 * x**2, 2 * y))
    same(blocks[1][0], np.outer(2 * y, 3 * x**2))
    same(blocks[1][1], 2 * np.eye(3) * (x**3).sum())
    assert not any(block.requires_grad for row in blocks for block in row)


def test_products_agree_with_the_matrices():
    va, vb = rd.tensor([0.5, -1.0]), rd.tensor([2.0, 0.0, 1.0])
    blocks = F.hessian(cubes, (X, Y))
    for product in (F.vhp, F.hvp):
        value, (pa, pb) = product(cubes, (X, Y), (va, vb))
        same(value, cubes(X, Y).item())
        same(pa, (blocks[0][0] @ va + blocks[0][1] @ vb).numpy())
        same(pb, (blocks[1][0] @ va + blocks[1][1] @ vb).numpy())
    by_a, by_b = F.jacobian(outer, (X, Y))
    _, pushed = F.jvp(outer, (X, Y), (va, vb))
    same(pushed, (by_a @ va + by_b @ vb).numpy())
    u = rd.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.5]])
    _, (ga, gb) = F.vjp(outer, (X, Y), u)
    same(ga, np.einsum("ij,ijk->k", u.numpy(), by_a.numpy()))
    same(gb, np.einsum("ij,ijk->k", u.numpy(), by_b.numpy()))


@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
def test_results_are_part_of_a_graph_only_when_asked_for(name):
    function = getattr(F, name)
    w = rd.tensor([1.0, 2.0], requires_grad=True)
    v = () if name in ("jacobian", "hessian") else (rd.ones(()) if name == "vjp" else rd.ones(2),)
    v = (rd.ones(()),) if name == "vjp" else v

    def cube(t):
        return (t**3).sum()

    plain = function(cube, w, *v)
    recorded = function(cube, w, *v, create_graph=True)
    plain = plain if isinstance(plain, tuple) else (plain,)
    recorded = recorded if isinstance(recorded, tuple) else (recorded,)
    assert not any(t.requires_grad for t in plain)
    assert all(t.requires_grad for t in recorded)
    (gradient,) = rd.autograd.grad(recorded[-1].sum(), w)
    wanted = {"hessian": 6, "vhp": 6, "hvp": 6}.get(name, 6 * w.detach().numpy())
    same(gradient, wanted * np.ones(2))
    assert w.grad is None


def test_inputs_are_left_as_they_were():
    x = rd.tensor([1.0, 2.0])
    for strategy in ("reverse-mode", "forward-mode"):
        F.hessian(lambda t: (t**3).sum(), x, vectorize=True, outer_jacobian_strategy=strategy)
    assert not x.requires_grad and x._version == 0 and x.grad is None


def test_grad_mode_outside_does_not_matter():
    with rd.no_grad():
        same(F.jacobian(lambda t: t * t, X), np.diag([2.0, 4.0]))
        assert not rd.is_grad_enabled()


def test_an_output_without_gradient_gives_zeros():
    same(F.jvp(lambda a: a.long(), X, rd.ones(2))[1], [0.0, 0.0])
    same(F.vjp(lambda a: (a * a, a.long()), X, (rd.ones(2), rd.ones(2)))[1], [2.0, 4.0])
    same(F.jacobian(lambda a: a.long(), X), np.zeros((2, 2)))


def test_strict_names_the_output_and_the_input():
    def second_only(a, b):
        return (a * b[:2], b)

    with pytest.raises(RuntimeError, match=r"Output 1 .* is independent of input 0"):
        F.jacobian(second_only, (X, Y), strict=True)
    with pytest.raises(RuntimeError, match="hessian of the user-provided function is independent"):
        w = rd.ones(2, requires_grad=True)
        F.vhp(lambda t: (t * t).sum(), w, rd.ones(2), create_graph=True, strict=True)


def test_an_integer_input_is_refused():
    with pytest.raises(RuntimeError, match="floating point"):
        F.jacobian(lambda t: t * t, rd.tensor([1, 2]))
    with pytest.raises(ValueError, match="floating point"):
        F.jacobian(lambda t: t, rd.tensor([1]), vectorize=True, strategy="forward-mode")
