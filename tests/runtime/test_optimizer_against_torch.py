"""Optimizers beside PyTorch's: what they print, what they raise, and states that change sides."""

import numpy as np
import optimizer_runs
import pytest
import rederive

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")

KINDS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "LBFGS"]


def leaf(library):
    return library.tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize("kind", KINDS)
def test_optimizers_print_alike(kind):
    ours, theirs = (getattr(library.optim, kind)([leaf(library)]) for library in (rederive, torch))
    assert repr(ours) == repr(theirs)
    assert ours.defaults == theirs.defaults


WRONG = [
    ("SGD", lambda t: ([leaf(t)], {"momentum": 0.5, "nesterov": True, "dampening": 0.1})),
    ("SGD", lambda t: ([leaf(t), "a"], {})),
    ("SGD", lambda t: ([leaf(t), [leaf(t)]], {})),
    ("SGD", lambda t: ([("a", leaf(t)), leaf(t)], {})),
    ("SGD", lambda t: ({leaf(t)}, {})),
    ("Adam", lambda t: ([leaf(t)], {"betas": (1, 0.9)})),
    ("Adam", lambda t: ([leaf(t)], {"betas": (0, 0.9)})),
    ("Adam", lambda t: ([leaf(t)], {"lr": t.tensor(0.1), "foreach": True})),
    ("Adam", lambda t: ([leaf(t)], {"betas": (t.tensor(0.1), t.tensor(0.1)), "foreach": True})),
    ("AdamW", lambda t: ([leaf(t)], {"lr": float("nan")})),
    ("RMSprop", lambda t: ([leaf(t)], {"eps": -1})),
    ("Adagrad", lambda t: ([leaf(t)], {"eps": -1})),
    ("LBFGS", lambda t: ([{"params": leaf(t)}, {"params": leaf(t)}], {})),
]


@pytest.mark.parametrize(("kind", "given"), WRONG)
def test_mistakes_raise_the_same_errors(kind, given):
    found = []
    for library in (rederive, torch):
        params, options = given(library)
        try:
            getattr(library.optim, kind)(params, **options)
            found.append(None)
        except (ValueError, TypeError, RuntimeError) as error:
            found.append((type(error), str(error).replace("torch.", "rederive.")))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "key", ["sgd nesterov", "adam amsgrad", "rmsprop both", "adagrad lr_decay"]
)
@pytest.mark.parametrize("direction", ["here", "there"])
def test_state_changes_sides_in_the_middle(key, direction):
    """Five steps with one library and five with the other are ten steps."""
    name, options = optimizer_runs.RUNS[key]
    sides = (torch, rederive) if direction == "here" else (rederive, torch)
    first, second = (optimizer_runs.Problem(library, "float64") for library in sides)
    old = getattr(sides[0].optim, name)(first.params, **options)
    new = getattr(sides[1].optim, name)(second.params, **options)
    walk(first, old, 5)
    with sides[1].no_grad():
        for mine, other in zip(second.params, first.params, strict=True):
            mine.copy_(sides[1].from_numpy(other.detach().numpy().copy()))
    state = old.state_dict()
    if sides[1] is torch:
        state["state"] = {
            number: {k: torch.tensor(v.numpy()) for k, v in values.items()}
            for number, values in state["state"].items()
        }
    new.load_state_dict(state)
    walk(second, new, 5)
    expected = np.load(optimizer_runs.RECORDED)[f"{key}, float64"][1]
    found = np.concatenate([p.detach().numpy().ravel() for p in second.params])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def walk(problem, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        problem.loss().backward()
        optimizer.step()
