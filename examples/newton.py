"""Newton's method: steps by the exact Hessian converge quadratically, gradient descent does not.

The functions are Rosenbrock's valley in two dimensions and a logistic regression in five; the
Hessian is `func.hessian`, and each step solves H p = -g.
"""

import argparse
from itertools import pairwise

import numpy as np
import rederive as torch
from rederive import func


def valley(x):
    """Rosenbrock's function; its least value is 0 at (1, 1)."""
    return (1.0 - x[0]) ** 2.0 + 100.0 * (x[1] - x[0] ** 2.0) ** 2.0


def regression():
    """The loss of a logistic regression with a penalty, as a function of the weights."""
    torch.manual_seed(0)
    inputs = torch.randn(200, 5, dtype=torch.float64)
    labels = (inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0, 1.5], dtype=torch.float64) > 0).double()

    def loss(weights):
        score = inputs @ weights
        fit = torch.nn.functional.softplus(score) - labels * score
        return fit.mean() + 0.01 * weights.square().sum()

    return loss


def minimize(function, start, steps):
    """Newton's method; the norm of the gradient before each step."""
    gradient, hessian = func.grad(function), func.hessian(function)
    x, norms = start, []
    for _ in range(steps):
        g, h = gradient(x), hessian(x)
        norms.append(g.square().sum().sqrt().item())
        step = np.linalg.solve(h.numpy(), -g.numpy())
        x = x + torch.from_numpy(step)
    return x, norms


def main():
    """Minimize both functions and show how the gradient falls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8)
    steps = parser.parse_args().steps
    point, norms = minimize(valley, torch.tensor([-1.2, 1.0], dtype=torch.float64), steps)
    print("Rosenbrock, |gradient|: ", " ".join(f"{n:.0e}" for n in norms))
    assert torch.allclose(point, torch.ones(2, dtype=torch.float64), atol=1e-8), point
    loss = regression()
    weights, norms = minimize(loss, torch.zeros(5, dtype=torch.float64), steps)
    print("logistic regression, |gradient|: ", " ".join(f"{n:.0e}" for n in norms))
    assert func.grad(loss)(weights).abs().max() < 1e-12
    # quadratic: once it is small, each norm is about the square of the one before
    small = [n for n in norms if 1e-9 < n < 1e-1]
    ratios = [after / before**2 for before, after in pairwise(small)]
    print("norm over the square of the norm before: ", " ".join(f"{r:.1f}" for r in ratios))
    assert ratios
    assert max(ratios) < 100.0


if __name__ == "__main__":
    main()
