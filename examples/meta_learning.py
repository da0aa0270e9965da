"""Meta-learning: a start from which one step of gradient descent learns a new task well.

The loss after the step is differentiated with respect to the start, through the step: a gradient of
a gradient (Finn, Abbeel & Levine 2017). The tasks are sine curves of random phase; the model is the
hyperbolic tangent of a few features, so that the second order matters.
"""

import argparse
import math

import rederive as torch

RATE = 0.1


def features(x):
    """Sines and cosines of a few frequencies, and their products with x."""
    waves = [f(x * k) for k in (0.5, 1.0, 1.5) for f in (torch.sin, torch.cos)]
    return torch.stack([*waves, torch.tanh(x), torch.ones_like(x)], 1)


def task(phase, count=20):
    """Points of one curve."""
    x = torch.rand(count, dtype=torch.float64) * 6.0 - 3.0
    return features(x), torch.sin(x + phase)


def loss(weights, data):
    """Mean squared error of a tanh model; not quadratic, so that second order matters."""
    inputs, wanted = data
    return (torch.tanh(inputs @ weights) * 1.5 - wanted).square().mean()


def adapted(weights, data, second_order=True):
    """The weights after one step of gradient descent on the data of a task."""
    (gradient,) = torch.autograd.grad(loss(weights, data), weights, create_graph=second_order)
    return weights - RATE * gradient


def meta_loss(weights, tasks, second_order=True):
    """The loss on new points of each task, after the step on the first ones."""
    losses = [loss(adapted(weights, support, second_order), query) for support, query in tasks]
    return torch.stack(losses).mean()


def main():
    """Check the meta-gradient against differences, then train the start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    torch.manual_seed(1)
    weights = torch.randn(8, dtype=torch.float64).requires_grad_()

    def tasks(count):
        phases = [torch.rand(()).item() * 2.0 * math.pi for _ in range(count)]
        return [(task(phase), task(phase)) for phase in phases]

    some = tasks(3)
    (exact,) = torch.autograd.grad(meta_loss(weights, some), weights)
    (first,) = torch.autograd.grad(meta_loss(weights, some, second_order=False), weights)
    numeric = torch.zeros_like(exact)
    for i in range(len(exact)):
        step = torch.zeros_like(exact)
        step[i] = 1e-6
        sides = [meta_loss((weights.detach() + s * step).requires_grad_(), some) for s in (1, -1)]
        numeric[i] = ((sides[0] - sides[1]) / 2e-6).item()
    error, simpler = (exact - numeric).abs().max().item(), (first - numeric).abs().max().item()
    print(f"meta-gradient against differences: {error:.1e}; without second order: {simpler:.1e}")
    assert error < 1e-7 < 1e-3 < simpler

    held_out = tasks(30)
    before = meta_loss(weights, held_out).item()
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(meta_loss(weights, tasks(8)), weights)
        with torch.no_grad():
            weights.sub_(0.3 * gradient)
    after = meta_loss(weights, held_out).item()
    print(f"loss on new tasks after one step of learning: {before:.3f} -> {after:.3f}")
    assert after < 0.3 * before, (before, after)


if __name__ == "__main__":
    main()
