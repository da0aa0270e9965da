"""Random programs of views and in-place operations, against the same without, and PyTorch."""

import random
import warnings

import numpy as np
import pytest
import rederive as rd
from hypothesis import given, settings
from hypothesis import strategies as st
from inplace_programs import KINDS, InPlace, OutOfPlace

SMALL = st.integers(0, 11)
ALL = st.lists(st.tuples(st.integers(0, len(KINDS) - 1), SMALL, SMALL, SMALL), max_size=14)
PURE = st.lists(
    st.tuples(st.sampled_from([KINDS.index(k) for k in OutOfPlace.PURE]), SMALL, SMALL, SMALL),
    max_size=14,
)


def random_steps(seed, kinds, longest):
    """A program from a seed, for long runs that hypothesis would spend on short ones."""
    choose = random.Random(seed)
    count = choose.randrange(2, longest)
    return [(choose.choice(kinds), *(choose.randrange(12) for _ in range(3))) for _ in range(count)]


def gradients(program, loss):
    """What a backward pass leaves; the error's name if it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # from looking at a gradient that is not kept
        try:
            loss.backward()
        except RuntimeError as error:
            return type(error).__name__
        return [program.x.grad, program.w.grad, *(t.grad for t in program.retained)]


def assert_same_gradients(ours, theirs, steps):
    assert isinstance(ours, str) == isinstance(theirs, str), (ours, theirs, steps)
    if isinstance(ours, str):
        return
    for mine, wanted in zip(ours, theirs, strict=True):
        assert (mine is None) == (wanted is None), steps
        if mine is not None:
            np.testing.assert_allclose(
                mine.numpy(), wanted.numpy(), rtol=1e-8, atol=1e-10, err_msg=f"{steps}"
            )


# --- the same program written out of place -------------------------------------------------------


def compare_with_out_of_place(steps):
    ours, pure = InPlace(rd), OutOfPlace(rd)
    for step in steps:
        target = ours.tensors[step[1] % len(ours.tensors)]
        if KINDS[step[0]] == "retain" and target._is_view():
            continue  # what is retained of a view depends on what is computed from which
        if ours.step(*step) is None:
            pure.step(*step)
    for t, shown in zip(ours.tensors, pure.tensors, strict=True):
        np.testing.assert_allclose(
            t.detach().numpy(), pure.read(shown).detach().numpy(), rtol=1e-12, err_msg=f"{steps}"
        )
    loss, wanted = ours.loss(), pure.loss(ours.readable())
    assert loss.requires_grad == wanted.requires_grad, steps
    if not loss.requires_grad:
        return
    for t in pure.retained:
        pure.memories[t.memory].retain_grad()
    mine = gradients(ours, loss)
    if isinstance(mine, str):
        return  # a saved value was overwritten: out of place there is no such thing
    wanted.backward()
    theirs = [pure.x.grad, pure.w.grad]
    for t in pure.retained:
        flat = pure.memories[t.memory].grad
        theirs.append(None if flat is None else flat[rd.tensor(t.places)])
    assert_same_gradients(with_zeros(mine), with_zeros(theirs), steps)


def with_zeros(values):
    """Gradients in which None stands for zeros: what was overwritten gets those, not nothing."""
    return [rd.zeros(()) if g is None or not g.numpy().any() else g for g in values]


@settings(deadline=None, max_examples=150)
@given(PURE)
def test_programs_agree_with_the_same_written_out_of_place(steps):
    compare_with_out_of_place(steps)


def test_long_programs_agree_with_the_same_written_out_of_place():
    kinds = [KINDS.index(kind) for kind in OutOfPlace.PURE]
    for seed in range(150):
        compare_with_out_of_place(random_steps(seed, kinds, 30))


# --- PyTorch --------------------------------------------------------------------------------------


def state(program):
    """What the tensors of a program say of themselves."""
    found = []
    for t in program.tensors:
        try:
            leaf = t.is_leaf, t.retains_grad
        except RuntimeError:
            leaf = "out of date"
        found.append((tuple(t.shape), t.requires_grad, leaf, t._version))
    return found


def compare_with_pytorch(steps):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = InPlace(rd), InPlace(torch)
    for step in steps:
        mine, its = ours.step(*step), theirs.step(*step)
        assert (mine is None) == (its is None), (mine, its, step, steps)
        assert state(ours) == state(theirs), (step, steps)
    for t, wanted in zip(ours.tensors, theirs.tensors, strict=True):
        np.testing.assert_allclose(
            t.detach().numpy(), wanted.detach().numpy(), rtol=1e-12, err_msg=f"{steps}"
        )
    losses = ours.loss(), theirs.loss()
    assert losses[0].requires_grad == losses[1].requires_grad, steps
    if losses[0].requires_grad:
        mine, its = gradients(ours, losses[0]), gradients(theirs, losses[1])
        assert_same_gradients(mine, its, steps)


@settings(deadline=None, max_examples=150)
@given(ALL)
def test_programs_agree_with_pytorch(steps):
    compare_with_pytorch(steps)


def test_long_programs_agree_with_pytorch():
    for seed in range(150):
        compare_with_pytorch(random_steps(seed, range(len(KINDS)), 40))
