"""Transformations of functions; programs/function_transforms.py compares them with PyTorch."""

import dataclasses
import gc
import itertools
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import rederive as rd
from rederive import func
from rederive.graph import Node

Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Weights:
    w: rd.Tensor
    b: list


X = rd.tensor([0.4, -1.1, 0.8], dtype=rd.float64)
V = rd.tensor([0.3, -0.7, 0.5], dtype=rd.float64)


def same(found, wanted):
    wanted = wanted.detach().numpy() if isinstance(wanted, rd.Tensor) else np.asarray(wanted)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-7, atol=1e-9)


def smooth(x):
    return (rd.sin(x) * x.cumsum(0) + x**3).tanh()


# --- composition ---------------------------------------------------------------------------------

# each makes a function R^3 -> R^3 of one such function, and of its Jacobian as NumPy gives it
DERIVATIVES = {
    "grad": (lambda f: lambda x: func.grad(lambda y: (f(y) * V).sum())(x), "transposed"),
    "vjp": (lambda f: lambda x: func.vjp(f, x)[1](V)[0], "transposed"),
    "jvp": (lambda f: lambda x: func.jvp(f, (x,), (V,))[1], "straight"),
    "jacrev": (lambda f: lambda x: func.jacrev(f)(x) @ V, "straight"),
    "jacfwd": (lambda f: lambda x: func.jacfwd(f)(x) @ V, "straight"),
    "linearize": (lambda f: lambda x: func.linearize(f, x)[1](V), "straight"),
}


def differences(f, kind):
    """The same product by central differences."""

    def derivative(x):
        base, h = x.detach(), 1e-4
        columns = []
        for i in range(3):
            step = rd.zeros(3, dtype=rd.float64)
            step[i] = h
            columns.append((f(base + step).detach() - f(base - step).detach()) / (2 * h))
        jacobian = rd.stack(columns, 1)
        return jacobian.t() @ V if kind == "transposed" else jacobian @ V

    return derivative


@pytest.mark.parametrize(("first", "second"), list(itertools.product(DERIVATIVES, repeat=2)))
def test_two_transformations_compose(first, second):
    inner, _ = DERIVATIVES[second]
    outer, kind = DERIVATIVES[first]
    wanted = differences(inner(smooth), kind)(X)
    for x in (X, X.clone().requires_grad_()):
        found = outer(inner(smooth))(x)
        np.testing.assert_allclose(found.detach().numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
        assert found.requires_grad == x.requires_grad
    with rd.no_grad():
        assert not outer(inner(smooth))(x).requires_grad


@pytest.mark.parametrize("names", list(itertools.product(["grad", "jvp", "jacrev"], repeat=3)))
def test_three_transformations_and_a_backward_pass(names):
    f = smooth
    for name in names[1:]:
        f = DERIVATIVES[name][0](f)
    derivative, kind = DERIVATIVES[names[0]]
    x = X.clone().requires_grad_()
    found = derivative(f)(x)
    np.testing.assert_allclose(
        found.detach().numpy(), differences(f, kind)(X).numpy(), rtol=1e-4, atol=1e-5
    )
    (gradient,) = rd.autograd.grad((found * V).sum(), x)
    wanted = differences(derivative(f), "transposed")(X)
    np.testing.assert_allclose(gradient.numpy(), wanted.numpy(), rtol=1e-3, atol=1e-4)


def test_hessian_is_the_same_by_all_ways():
    def scalar(x):
        return (smooth(x) * V).sum()

    wanted = func.hessian(scalar)(X)
    same(wanted, wanted.t())
    for outer, inner in itertools.product((func.jacrev, func.jacfwd), repeat=2):
        same(outer(inner(scalar))(X), wanted)
    same(rd.autograd.functional.hessian(scalar, X), wanted)


def test_fourth_derivative():
    f = rd.sin
    for _ in range(2):
        f = func.grad(f)
        f = (lambda g: lambda x: func.jvp(g, (x,), (rd.ones((), dtype=rd.float64),))[1])(f)
    same(f(rd.tensor(0.3, dtype=rd.float64)), np.sin(0.3))


# --- perturbation confusion ----------------------------------------------------------------------


def scalar(value):
    return rd.tensor(value, dtype=rd.float64)


def by_grad(f, x):
    return func.grad(f)(x)


def by_jvp(f, x):
    return func.jvp(f, (x,), (rd.ones_like(x),))[1]


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product((by_grad, by_jvp), repeat=2)))
def test_levels_are_not_confused(outer, inner):
    # d/dx [x * d/dy (x + y)] = 1, and not 2
    same(outer(lambda x: x * inner(lambda y: x + y, scalar(1.0)), scalar(3.0)), 1.0)
    # d/dx [x * d/dy (x * y)] = 2 x
    same(outer(lambda x: x * inner(lambda y: x * y, scalar(2.0)), scalar(3.0)), 6.0)
    # d/dx [d/dy (x * y^2) at y = x] = 4 x: the value of y depends on x
    same(outer(lambda x: inner(lambda y: x * y * y, x), scalar(3.0)), 12.0)
    # d/dx [d/dy (x^2) ] = 0
    same(outer(lambda x: inner(lambda y: x * x, x), scalar(3.0)), 0.0)
    # the inner function may return the outer variable itself
    same(outer(lambda x: inner(lambda y: y, x) * x, scalar(3.0)), 1.0)


def test_a_tangent_that_depends_on_the_outer_variable():
    def along(x):
        return func.jvp(lambda y: y**3, (scalar(2.0),), (x * x,))[1]

    same(func.grad(along)(scalar(3.0)), 12 * 6.0)
    same(func.jvp(along, (scalar(3.0),), (scalar(1.0),))[1], 12 * 6.0)
    same(func.grad(lambda x: func.grad(along)(x) * 1)(scalar(3.0)), 24.0)

    def under_a_gradient(x):
        return func.jvp(func.grad(lambda y: y**3), (scalar(2.0),), (x * x,))[1]

    same(func.grad(under_a_gradient)(scalar(3.0)), 12 * 6.0)


def test_cotangents_are_differentiable():
    pull = func.vjp(lambda t: t**2, X)[1]
    same(func.grad(lambda u: (pull(u)[0] * V).sum())(V), 2 * X * V)
    u = V.clone().requires_grad_()
    pull(u)[0].sum().backward()
    same(u.grad, 2 * X)


# --- structures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "parts"),
    [
        ({"a": X, "b": [V]}, lambda p: (p["a"], p["b"][0])),
        ([X, (V,)], lambda p: (p[0], p[1][0])),
        (Pair(X, {"v": V}), lambda p: (p.a, p.b["v"])),
        (OrderedDict(a=X, b=V), lambda p: (p["a"], p["b"])),
        (Weights(X, [V]), lambda p: (p.w, p.b[0])),
    ],
    ids=["dict", "list", "named tuple", "ordered dict", "dataclass"],
)
def test_arguments_and_results_are_trees(tree, parts):
    def product(p):
        a, b = parts(p)
        return (a * a * b).sum()

    gradient = func.grad(product)(tree)
    assert type(gradient) is type(tree)
    for found, wanted in zip(parts(gradient), (2 * X * V, X * X), strict=True):
        same(found, wanted)
    (pulled,) = func.vjp(product, tree)[1](scalar(2.0))
    same(parts(pulled)[1], 2 * X * X)
    value, moved = func.jvp(product, (tree,), (tree,))
    same(moved, 3 * value)
    for jacobian in (func.jacrev, func.jacfwd):
        rows = jacobian(lambda p: {"all": p, "one": product(p)})(tree)
        same(parts(parts(rows["all"])[0])[0], np.eye(3))
        same(parts(parts(rows["all"])[0])[1], np.zeros((3, 3)))
        same(parts(rows["one"])[0], 2 * X * V)
    blocks = func.hessian(product)(tree)
    same(parts(parts(blocks)[0])[1], rd.eye(3, dtype=rd.float64) * (2 * X))


def test_argnums_choose_and_order_the_results():
    def product(a, b, c):
        return (a * b * c).sum()

    ones = rd.ones(3, dtype=rd.float64)
    third, first = func.grad(product, argnums=(2, 0))(X, V, ones)
    same(third, X * V)
    same(first, V)
    same(func.grad(product, argnums=-2)(X, V, ones), X)
    same(func.grad(product)(X, c=ones, b=V), V)


def test_wrapped_functions_keep_their_names():
    def named(x):
        "Its text."
        return x.sum()

    for transform in (func.grad, func.grad_and_value, func.jacrev, func.jacfwd, func.hessian):
        assert transform(named).__name__ == "named"
        assert transform(named).__doc__ == "Its text."


# --- the graph outside ---------------------------------------------------------------------------


def test_nothing_is_recorded_where_nobody_asks():
    gradient, value = func.grad_and_value(lambda t: (t**2).sum())(X)
    assert not gradient.requires_grad and not value.requires_grad
    value, pull = func.vjp(lambda t: t**2, X)
    assert not value.requires_grad and not pull(V)[0].requires_grad
    assert not func.jacrev(lambda t: t**2)(X).requires_grad
    _, aux = func.grad(lambda t: (t.sum(), {"t": t * 2}), has_aux=True)(X)
    assert not aux["t"].requires_grad


def test_closed_over_tensors_get_gradients():
    w = V.clone().requires_grad_()
    for gradient in (
        func.grad(lambda t: (t * t * w).sum())(X),
        func.vjp(lambda t: t * t * w, X)[1](rd.ones(3, dtype=rd.float64))[0],
        func.jvp(lambda t: t * t * w, (X,), (rd.ones(3, dtype=rd.float64),))[1],
        func.jacrev(lambda t: (t * t * w).sum())(X),
        func.jacfwd(lambda t: (t * t * w).sum())(X),
        func.grad(lambda t: func.grad(lambda s: (s**3 * w).sum() / 3)(t).sum())(X),
    ):
        w.grad = None
        gradient.sum().backward()
        same(w.grad, 2 * X)
        with rd.no_grad():
            w.grad = None


def test_the_value_leads_outside_but_not_to_the_inputs_of_the_level():
    w = V.clone().requires_grad_()
    gradient, value = func.grad_and_value(lambda t: (t * w).sum())(X)
    assert gradient.requires_grad and value.requires_grad
    value.backward()
    same(w.grad, X)
    _, aux = func.grad(lambda t: ((t * w).sum(), (t * 2, w * 2)), has_aux=True)(X)
    assert not aux[0].requires_grad and aux[1].requires_grad


def test_a_backward_pass_leaves_the_product_usable():
    w = V.clone().requires_grad_()
    value, pull = func.vjp(lambda t: rd.exp(t).tanh() * w, w)
    first = pull(X)[0].detach()
    value.sum().backward()
    same(pull(X)[0], first)
    pull(X)[0].sum().backward()


def test_no_grad_outside_is_not_for_the_function():
    w = V.clone().requires_grad_()
    with rd.no_grad():
        gradient = func.grad(lambda t: (t * t * w).sum())(w)
        assert not rd.is_grad_enabled()
    same(gradient, 3 * V * V - V * V)
    assert not gradient.requires_grad


def test_no_grad_inside_is_for_reverse_mode_only():
    def half(t):
        with rd.no_grad():
            still = t * t
        return (t - still).sum()

    same(func.grad(half)(X), np.ones(3))
    same(func.jvp(half, (X,), (V,))[1], (V - 2 * X * V).sum())


def test_writing_to_an_input_is_refused_and_to_fresh_tensors_allowed():
    for x in (X, X.clone().requires_grad_(), X.clone().requires_grad_() * 1):
        before = x.detach().clone()
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            func.grad(lambda t: t.add_(1).sum())(x)
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            func.grad(lambda t: t[0].add_(1).sum())(x)
        same(x, before)

    def fresh(t):
        y = t * 1
        y.mul_(2)
        y[0] = t[1]
        return (y * t).sum()

    same(func.grad(fresh)(X), [X[1].item(), (4 * X[1] + X[0]).item(), (4 * X[2]).item()])


def test_the_input_keeps_its_version_and_gradient():
    x = X.clone().requires_grad_()
    func.grad(lambda t: (t**2).sum())(x)
    assert x.grad is None and x._version == 0


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DERIVATIVES)
def test_no_graph_and_no_level_stays_behind(name):
    derivative = DERIVATIVES[name][0](smooth)
    w = X.clone().requires_grad_()
    derivative(X), derivative(w)

    def living():
        # not isinstance: it asks objects of other libraries for their class, and some warn
        return sum(issubclass(type(o), Node | rd.Tensor) for o in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = living()
        for _ in range(3):
            derivative(X)
            derivative(w)
        assert living() == before
    finally:
        gc.enable()
    assert rd.autograd.forward_ad.tangents_of(X) in ({}, None)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_an_error_in_the_function_closes_the_level(name):
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        DERIVATIVES[name][0](fails)(X)
    assert rd.is_grad_enabled()
    with rd.autograd.forward_ad.dual_level():
        pass


# --- errors --------------------------------------------------------------------------------------


def test_random_numbers_in_jacfwd():
    def noisy(t):
        return t * rd.rand(3, dtype=rd.float64)

    with pytest.raises(RuntimeError, match="random operation"):
        func.jacfwd(noisy)(X)
    rd.manual_seed(1)
    wanted = rd.rand(3, dtype=rd.float64)
    rd.manual_seed(1)
    same(func.jacfwd(noisy, randomness="same")(X), np.diag(wanted.numpy()))
    different = func.jacfwd(lambda t: t.sum() * rd.rand(()), randomness="different")(X)
    assert len(set(different.tolist())) == 3


def test_linearize_checks_its_tangents():
    value, push = func.linearize(lambda a, b: {"o": a * b, "c": V}, X, V)
    same(value["o"], X * V)
    same(push(V, X)["o"], V * V + X * X)
    same(push(V, X)["c"], np.zeros(3))
    with pytest.raises(RuntimeError, match="same argspec"):
        push(V)
    with pytest.raises(RuntimeError, match="tangent:1 with shape"):
        push(V, rd.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: func.grad(smooth)(X), RuntimeError, "got tensor with 1 dims"),
        (lambda: func.grad(lambda t: 3.0)(X), RuntimeError, "Expected .* to return a Tensor"),
        (lambda: func.grad(smooth)(3.0), ValueError, "must be Tensor, got <class 'float'>"),
        (lambda: func.grad(smooth)(rd.tensor([1])), RuntimeError, "floating point"),
        (lambda: func.jacfwd(smooth)(rd.tensor([1])), ValueError, "floating point"),
        (lambda: func.jacfwd(smooth)(3.0), ValueError, "must be Tensor"),
        (lambda: func.vjp(smooth, X)[1](rd.ones(2)), RuntimeError, "Mismatch in shape"),
        (lambda: func.jvp(smooth, (X,), (rd.ones(2),)), RuntimeError, "different size"),
        (lambda: func.jvp(smooth, (X,), (X, X)), RuntimeError, r"structure \(\*, \*\)"),
        (lambda: func.jacrev(lambda t: t.long())(X), RuntimeError, "must be floating-point"),
    ],
)
def test_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- against PyTorch -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("seed", range(8))
def test_random_compositions_agree_with_pytorch(seed):
    torch = pytest.importorskip("torch")
    order = np.random.default_rng(seed).choice(["grad", "vjp", "jvp", "jacrev", "jacfwd"], 3)

    def derived(module):
        transforms, v = module.func, module.tensor(V.tolist(), dtype=module.float64)

        def smooth(x):
            return (module.sin(x) * x.cumsum(0) + x**3).tanh()

        def derivative(name, f):
            return {
                "grad": lambda x: transforms.grad(lambda y: (f(y * x) * v).sum())(x),
                "vjp": lambda x: transforms.vjp(f, x)[1](v * x)[0],
                "jvp": lambda x: transforms.jvp(lambda y: f(y * x), (x,), (v * x,))[1],
                "jacrev": lambda x: transforms.jacrev(f)(x) @ v,
                "jacfwd": lambda x: transforms.jacfwd(f)(x) @ v,
            }[name]

        f = smooth
        for name in order:
            f = derivative(name, f)
        x = module.tensor(X.tolist(), dtype=module.float64, requires_grad=True)
        value = f(x)
        value.sum().backward()
        return value.detach().numpy(), x.grad.numpy()

    for found, wanted in zip(derived(rd), derived(torch), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)
