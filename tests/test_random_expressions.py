"""Random expressions: reverse mode against forward mode, finite differences, and PyTorch."""

import numpy as np
import pytest
import rederive as rd
from expression_programs import CHOICES, Program
from hypothesis import event, given, settings
from hypothesis import strategies as st
from random_calls import counterpart
from rederive import autograd
from rederive.autograd import forward_ad

NUMBER = st.integers(0, 10_000)
STEPS = st.lists(
    st.tuples(NUMBER, NUMBER, st.lists(NUMBER, min_size=3, max_size=3)), min_size=1, max_size=12
)
PROGRAMS = 60  # of random_steps
STEP = 1e-4  # of the finite differences


def program_of(seed, steps):
    program = Program(seed)
    for choice, call, sources in steps:
        program.extend(choice, call, sources)
    return program


def random_steps(seed):
    """The steps of a program from a seed, for more than hypothesis has time for."""
    draw = np.random.default_rng(seed).integers
    return [
        (int(draw(10**6)), int(draw(10**6)), draw(10**6, size=3).tolist())
        for _ in range(int(draw(4, 16)))
    ]


class Derivatives:
    """What a program's derivatives are at its leaves, in both modes, along random directions."""

    def __init__(self, program, seed):
        self.program = program
        normal = np.random.default_rng(seed).standard_normal
        self.leaves = [rd.from_numpy(a.copy()).requires_grad_() for a in program.leaves]
        outputs = program.run(rd, self.leaves)
        chosen = [o for o in outputs if o.requires_grad]
        self.kept = [i for i, o in enumerate(outputs) if o.requires_grad]
        self.directions = [np.asarray(normal(a.shape)) for a in program.leaves]
        self.cotangents = [rd.from_numpy(np.asarray(normal(tuple(o.shape)))) for o in chosen]
        options = {"allow_unused": True, "materialize_grads": True}
        self.gradients = autograd.grad(
            chosen, self.leaves, self.cotangents, retain_graph=True, **options
        )
        self.recorded = autograd.grad(
            chosen, self.leaves, self.cotangents, create_graph=True, **options
        )

    def reverse(self):
        """<J'g, v>, and the sum of the sizes of its terms."""
        terms = [g.numpy() * v for g, v in zip(self.gradients, self.directions, strict=True)]
        return sum(t.sum() for t in terms), sum(np.abs(t).sum() for t in terms)

    def forward(self):
        """<g, Jv>, and the sum of the sizes of its terms."""
        with forward_ad.dual_level():
            duals = [
                forward_ad.make_dual(leaf.detach(), rd.from_numpy(v))
                for leaf, v in zip(self.leaves, self.directions, strict=True)
            ]
            outputs = self.program.run(rd, duals)
            tangents = [forward_ad.unpack_dual(outputs[i]).tangent for i in self.kept]
        pairs = zip(self.cotangents, tangents, strict=True)
        terms = [g.numpy() * t.numpy() for g, t in pairs if t is not None]
        return sum(t.sum() for t in terms), sum(np.abs(t).sum() for t in terms)

    def along(self, step):
        """<g, f> with the leaves moved by `step` in their directions."""
        leaves = [
            rd.from_numpy(np.asarray(a + step * v))
            for a, v in zip(self.program.leaves, self.directions, strict=True)
        ]
        outputs = self.program.run(rd, leaves)
        pairs = zip(self.cotangents, [outputs[i] for i in self.kept], strict=True)
        return sum((g.numpy() * o.numpy()).sum() for g, o in pairs)

    def differences(self):
        """The derivative of <g, f> by differences of fourth order, and how far to trust it."""

        def slope(step):
            near = self.along(step) - self.along(-step)
            far = self.along(2 * step) - self.along(-2 * step)
            return (8 * near - far) / (12 * step)

        fine, coarse = slope(STEP), slope(2 * STEP)
        return fine, abs(fine - coarse)


def compare(seed, steps):
    """Check one program; whether its function is smooth enough there for finite differences."""
    program = program_of(seed, steps)
    derivatives = Derivatives(program, seed + 1)
    if not derivatives.kept:
        return False
    reverse, size = derivatives.reverse()
    for plain, recorded in zip(derivatives.gradients, derivatives.recorded, strict=True):
        np.testing.assert_allclose(
            plain.numpy(), recorded.detach().numpy(), rtol=1e-9, atol=1e-11 * (1 + size)
        )
    forward, other_size = derivatives.forward()
    scale = 1 + size + other_size
    assert abs(reverse - forward) <= 1e-10 * scale, (reverse, forward, program)
    numeric, doubt = derivatives.differences()
    if not doubt <= 1e-4 * scale:
        return False
    assert abs(reverse - numeric) <= 1e-7 * scale + 10 * doubt, (reverse, numeric, program)
    return True


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(seed=NUMBER, steps=STEPS)
def test_reverse_mode_agrees_with_forward_mode_and_differences(seed, steps):
    event("with differences" if compare(seed, steps) else "without")


def test_long_programs_and_that_differences_are_mostly_possible():
    smooth = [compare(seed, random_steps(seed)) for seed in range(PROGRAMS)]
    assert sum(smooth) >= 0.75 * PROGRAMS


def test_programs_use_the_declared_operators():
    names = {operator.name for operator, _ in CHOICES}
    assert {"add", "log", "maximum", "softmax", "var", "matmul", "transpose", "cumsum"} <= names
    assert len(names) >= 80
    seen = set()
    for seed in range(PROGRAMS):
        seen |= {step.operator.name for step in program_of(seed, random_steps(seed)).steps}
    assert len(seen) >= 0.8 * len(names)


def test_a_wrong_gradient_would_be_found(monkeypatch):
    from rederive import operators

    right = operators.sigmoid
    monkeypatch.setattr(rd, "sigmoid", lambda x: right(x) if not x.requires_grad else Slanted(x))
    found = 0
    for seed in range(12):
        try:
            compare(seed, random_steps(seed))
        except AssertionError:
            found += 1
    assert found >= 6


def test_programs_give_what_pytorch_gives():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    compared = 0
    for seed in range(PROGRAMS):
        program = program_of(seed, random_steps(seed))
        known = {step.operator.name: counterpart(step.operator, torch) for step in program.steps}
        if None in known.values():
            continue
        try:
            wanted = results(torch, program, lambda operator, known=known: known[operator.name])
        except (RuntimeError, TypeError):
            continue  # PyTorch lacks some derivatives, and takes fewer kinds of arguments
        compared += 1
        found = results(rd, program, lambda operator: operator.function)
        for one, other in zip(found, wanted, strict=True):
            scale = 1 + np.abs(other).max(initial=0)
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10 * scale)
    assert compared >= 0.5 * PROGRAMS


def results(library, program, function_of):
    """The outputs of a program and the gradients of its leaves, by a library."""
    leaves = [library.from_numpy(a.copy()).requires_grad_() for a in program.leaves]
    outputs = program.run(library, leaves, function_of)
    chosen = [o for o in outputs if o.requires_grad]
    normal = np.random.default_rng(1).standard_normal
    cotangents = [library.from_numpy(np.asarray(normal(tuple(o.shape)))) for o in chosen]
    found = []
    if chosen:
        found = library.autograd.grad(chosen, leaves, cotangents, allow_unused=True)
    pairs = zip(leaves, found, strict=bool(chosen))
    gradients = [library.zeros_like(x) if g is None else g for x, g in pairs]
    return [t.detach().numpy() for t in (*outputs, *gradients)]


class Off(autograd.Function):
    """The logistic function with a gradient that is off by a thousandth."""

    @staticmethod
    def forward(ctx, x):
        y = rd.special.expit(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y * (1 - y) * 1.001


Slanted = Off.apply
