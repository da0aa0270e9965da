"""A gradient penalty: the loss contains a gradient, so training takes a gradient of a gradient.

A critic f is trained to be large on samples of one distribution and small on those of another. The
penalty mean((|grad f(x)| - 1)^2) at points between them keeps its slope at 1 (Gulrajani et al.
2017). For two distributions a distance d apart the difference of such a critic's means is d.
"""

import argparse

import rederive as torch

DISTANCE = 2.0


def critic(x, weights):
    """A network with one hidden layer."""
    w1, b1, w2 = weights
    return (torch.tanh(x @ w1 + b1) @ w2).squeeze(1)


def penalty(x, weights):
    """Mean of (|gradient of the critic at x| - 1)^2, as part of the graph."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x, weights).sum(), x, create_graph=True)
    return ((slope.square().sum(1).sqrt() - 1.0) ** 2).mean()


def check(weights):
    """The gradient of the penalty against central differences of it; the largest difference."""
    x = torch.randn(5, 2, dtype=torch.float64)
    gradients = torch.autograd.grad(penalty(x, weights), weights)
    worst = 0.0
    for weight, gradient in zip(weights, gradients, strict=True):
        flat, slope = weight.detach().view(-1), gradient.contiguous().view(-1)
        for i in range(0, flat.numel(), 7):
            kept, sides = flat[i].item(), []
            for step in (1e-6, -1e-6):
                flat[i] = kept + step
                sides.append(penalty(x, weights).item())
            flat[i] = kept
            worst = max(worst, abs((sides[0] - sides[1]) / 2e-6 - slope[i].item()))
    return worst


def main():
    """Check the second-order gradient, then train the critic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    options = {"dtype": torch.float64}
    weights = [
        torch.randn(2, 16, **options),
        torch.zeros(16, **options),
        torch.randn(16, 1, **options),
    ]
    weights = [(w / 2).requires_grad_() for w in weights]
    error = check(weights)
    assert error < 1e-7, error
    print(f"gradient of the penalty, largest difference from finite differences: {error:.1e}")
    shift = torch.tensor([DISTANCE, 0.0], **options)
    velocity = [torch.zeros_like(w) for w in weights]
    for _ in range(steps):
        near, far = torch.randn(64, 2, **options) / 4, torch.randn(64, 2, **options) / 4 + shift
        mix = torch.rand(64, 1, **options)
        gap = critic(far, weights).mean() - critic(near, weights).mean()
        loss = 10.0 * penalty(mix * near + (1.0 - mix) * far, weights) - gap
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, v, g in zip(weights, velocity, gradients, strict=True):
                v.mul_(0.9).add_(g)
                w.sub_(0.01 * v)
    print(f"distance found: {gap.item():.3f}, true: {DISTANCE}")
    assert abs(gap.item() - DISTANCE) < 0.25, gap.item()


if __name__ == "__main__":
    main()
