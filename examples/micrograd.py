"""A scalar reverse-mode engine in sixty lines, beside rederive on the same computations.

Each line of the small engine has its counterpart in the large one: a `Value` is a tensor of one
number, `parents` are the edges of a node with the local derivative to each, and `backward` walks
the nodes in falling order of creation, as rederive's engine does. What the large one has more:
arrays instead of numbers, kernels instead of closures, gradients of gradients, hooks, in-place
operations, memory released on the way.

The program compares the gradients of an expression, then trains the same small network in both.
"""

import argparse
import itertools
import math
import random

import rederive as torch


class Value:
    """A number that remembers what it was computed from.    (rederive: Tensor and its node)"""

    count = itertools.count()

    def __init__(self, data, parents=()):
        self.data = data
        self.grad = 0.0
        self.parents = parents  # (Value, local derivative): an edge of the graph
        self.order = next(Value.count)  # grows with creation: node.sequence

    def __add__(self, other):
        other = value(other)
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = value(other)
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, power):
        return Value(self.data**power, ((self, power * self.data ** (power - 1)),))

    def tanh(self):
        result = math.tanh(self.data)
        return Value(result, ((self, 1.0 - result * result),))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -value(other)

    def __truediv__(self, other):
        return self * value(other) ** -1.0

    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        """Add the derivatives of this number to the `grad` of all it was computed from."""
        found, stack = {}, [self]
        while stack:
            node = stack.pop()
            if node.order not in found:
                found[node.order] = node
                stack += [parent for parent, _ in node.parents]
        self.grad = 1.0
        for order in sorted(found, reverse=True):  # rederive: a heap, by falling sequence
            node = found[order]
            for parent, slope in node.parents:
                parent.grad += slope * node.grad


def value(x):
    """A Value of a plain number."""
    return x if isinstance(x, Value) else Value(x)


def expression(a, b):
    """Something of every operator, written once for both engines."""
    c = a * b + a**3.0
    d = (c - b / a).tanh() * 2.0 + 1.0
    return d * c - a / (b * b + 1.0)


def compare_expression():
    """The gradients of the expression in both engines."""
    a, b = Value(0.7), Value(-1.3)
    expression(a, b).backward()
    x, y = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, -1.3))
    expression(x, y).backward()
    for small, large in ((a.grad, x.grad.item()), (b.grad, y.grad.item())):
        assert math.isclose(small, large, rel_tol=1e-12), (small, large)
    return a.grad, b.grad


def network(weights, inputs):
    """Two hidden units with tanh, one output; weights is a flat list of nine numbers."""
    w = iter(weights)
    hidden = [(next(w) * inputs[0] + next(w) * inputs[1] + next(w)).tanh() for _ in range(2)]
    return hidden[0] * next(w) + hidden[1] * next(w) + next(w)


def train(make, steps):
    """Learn exclusive or by gradient descent on numbers made by `make`; the losses."""
    random.seed(4)
    weights = [make(random.uniform(-1, 1)) for _ in range(9)]
    points = [((-1.0, -1.0), -1.0), ((-1.0, 1.0), 1.0), ((1.0, -1.0), 1.0), ((1.0, 1.0), -1.0)]
    losses = []
    for _ in range(steps):
        loss = sum(((network(weights, point) - wanted) ** 2.0 for point, wanted in points), 0.0)
        loss.backward()
        losses.append(float(loss.data))
        weights = [make(float(w.data) - 0.1 * float(w.grad)) for w in weights]
    return losses


def main():
    """Compare both engines on an expression and on a training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    print(
        "gradients of the expression, in both engines: {:.6f} {:.6f}".format(*compare_expression())
    )
    small = train(Value, steps)
    large = train(lambda v: torch.tensor(v, dtype=torch.float64, requires_grad=True), steps)
    worst = max(abs(a - b) / b for a, b in zip(small, large, strict=True))
    assert worst < 1e-6, worst
    assert small[-1] < 0.7 * small[0], small[-1]
    print(f"loss of the network: {small[0]:.4f} -> {small[-1]:.4f}")
    print(f"largest relative difference between the engines in {steps} steps: {worst:.1e}")


if __name__ == "__main__":
    main()
