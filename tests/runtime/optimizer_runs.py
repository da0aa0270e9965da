"""A small problem, and each optimizer with each of its options on it. Used by tests only.

`python tools/record_optimizers.py` runs the same with PyTorch and writes where that arrives into
tests/data/optimizers.npz.
"""

from pathlib import Path

import numpy as np

RECORDED = Path(__file__).resolve().parents[1] / "data" / "optimizers.npz"
STEPS = (1, 10, 100)

_SGD = {"lr": 0.05}
_RMSPROP = {"lr": 0.002}

RUNS = {
    "sgd": ("SGD", _SGD),
    "sgd weight_decay": ("SGD", {**_SGD, "weight_decay": 0.1}),
    "sgd momentum": ("SGD", {**_SGD, "momentum": 0.9}),
    "sgd momentum dampening": ("SGD", {**_SGD, "momentum": 0.9, "dampening": 0.5}),
    "sgd nesterov": ("SGD", {**_SGD, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "sgd maximize": ("SGD", {"lr": 0.001, "momentum": 0.5, "maximize": True}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam amsgrad": ("Adam", {"lr": 0.02, "amsgrad": True}),
    "adam weight_decay": ("Adam", {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-3}),
    "adam betas": ("Adam", {"lr": 0.01, "betas": (0.8, 0.95)}),
    "adam maximize": ("Adam", {"lr": 0.001, "maximize": True, "weight_decay": 0.1}),
    "adam decoupled": ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw amsgrad": ("AdamW", {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True}),
    "adamw maximize": ("AdamW", {"lr": 0.001, "maximize": True}),
    "rmsprop": ("RMSprop", _RMSPROP),
    "rmsprop momentum": ("RMSprop", {"lr": 0.001, "momentum": 0.9, "alpha": 0.9}),
    "rmsprop centered": ("RMSprop", {**_RMSPROP, "centered": True, "eps": 1e-3}),
    "rmsprop both": ("RMSprop", {"lr": 0.001, "centered": True, "momentum": 0.5, "eps": 1e-3}),
    "rmsprop weight_decay": ("RMSprop", {"lr": 0.001, "weight_decay": 0.1, "maximize": True}),
    "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad lr_decay": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    "adagrad initial": ("Adagrad", {"initial_accumulator_value": 0.5, "maximize": True}),
}

# Each step has iterations of its own. Many more would take the paths apart: the method multiplies
# the rounding of a loss by a hundred in a step or two.
MINIMISERS = {
    "lbfgs": ("LBFGS", {"lr": 0.1, "history_size": 3, "max_iter": 6}),
    "lbfgs strong_wolfe": ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 6}),
    "lbfgs few evaluations": ("LBFGS", {"line_search_fn": "strong_wolfe", "max_eval": 4}),
}
MINIMISER_STEPS = (1, 2, 3)


def wave(*shape, step=0.7):
    """Numbers between -1 and 1 that no generator has to agree on."""
    count = int(np.prod(shape))
    return np.sin(step * np.arange(1, count + 1) ** 1.3).reshape(shape)


class Problem:
    """tanh(x @ w1 + b1) @ w2 + b2 fitted to a curve; `params` are its tensors."""

    def __init__(self, library, dtype):
        self.library = library
        start = wave(3, 5), wave(5, step=0.3), wave(5, 2, step=1.1), np.zeros(2)
        self.params = [library.tensor(a, dtype=getattr(library, dtype)) for a in start]
        for param in self.params:
            param.requires_grad_()
        x = wave(20, 3, step=0.37)
        y = np.stack([x[:, 0] * x[:, 1], np.cos(x[:, 2])], 1)
        self.x, self.y = (library.tensor(a, dtype=getattr(library, dtype)) for a in (x, y))

    def loss(self):
        w1, b1, w2, b2 = self.params
        error = self.library.tanh(self.x @ w1 + b1) @ w2 + b2 - self.y
        return (error * error).mean()


def places(library, dtype, name, options, steps):
    """All parameters in one row for each number of steps asked for."""
    problem = Problem(library, dtype)
    optimizer = getattr(library.optim, name)(problem.params, **options)

    def closure():
        optimizer.zero_grad()
        loss = problem.loss()
        loss.backward()
        return loss

    found = []
    for step in range(1, max(steps) + 1):
        optimizer.step(closure)
        if step in steps:
            found.append(np.concatenate([p.detach().numpy().ravel() for p in problem.params]))
    return np.stack(found)


def all_places(library):
    """What tests/data/optimizers.npz holds: `places` by name and dtype."""
    found = {}
    for runs, steps in ((RUNS, STEPS), (MINIMISERS, MINIMISER_STEPS)):
        for key, (name, options) in runs.items():
            for dtype in ("float32", "float64"):
                found[f"{key}, {dtype}"] = places(library, dtype, name, options, steps)
    return found
