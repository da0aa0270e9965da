"""A straight-through estimator: training through a rounding, whose true gradient is zero.

Weights that are -1 or +1 are used in the forward pass, while the gradient passes to the real
numbers behind them as if nothing had been rounded (Bengio, Leonard & Courville 2013). Two ways to
write it: a custom Function, and `x + (rounded - x).detach()`; they are compared, then used for a
training that finds the signs of a hidden vector.
"""

import argparse

import rederive as torch


class Sign(torch.autograd.Function):
    """-1 or +1; the gradient passes where |x| <= 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1.0)


def by_detach(x):
    """The same by arithmetic."""
    clipped = x.clamp(-1.0, 1.0)
    return clipped + (torch.where(x >= 0, 1.0, -1.0).to(x.dtype) - clipped).detach()


def train(binarize, steps):
    """Learn signs from products with random inputs; the loss at the end, and the signs."""
    torch.manual_seed(0)
    hidden = torch.where(torch.rand(24) < 0.5, torch.ones(24), -torch.ones(24))
    weights = (torch.randn(24) / 10).requires_grad_()
    for _ in range(steps):
        inputs = torch.randn(32, 24)
        loss = (inputs @ (binarize(weights) - hidden)).square().mean()
        loss.backward()
        with torch.no_grad():
            weights -= 0.01 * weights.grad
            weights.clamp_(-1.0, 1.0)
            weights.grad = None
    return loss.item(), (torch.sign(weights.detach()) == hidden).float().mean().item()


def main():
    """Compare the two ways, and train with each and without."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    x = torch.tensor([-1.5, -0.5, 0.0, 0.7, 2.0], requires_grad=True)
    slope = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    ways = [torch.autograd.grad(way(x), x, slope)[0] for way in (Sign.apply, by_detach)]
    assert ways[0].tolist() == ways[1].tolist() == [0.0, 2.0, 3.0, 4.0, 0.0]
    print("gradient through the sign:", ways[0].tolist())
    for name, way in (("Function", Sign.apply), ("detach", by_detach)):
        loss, right = train(way, steps)
        print(f"{name}: loss {loss:.3f}, {right:.0%} of the signs found")
        assert right == 1.0
    _, right = train(torch.sign, steps)
    print(f"with the true gradient, which is zero: {right:.0%} of the signs")
    assert right < 0.9


if __name__ == "__main__":
    main()
