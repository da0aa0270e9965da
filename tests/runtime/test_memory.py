"""Bytes that a training step holds: after forward, at most during backward, and afterwards.

NumPy reports its arrays to tracemalloc. The bounds are what PyTorch 2.13 holds for the same step
(the sum of the allocations that its profiler reports), in KiB, with an allowance for the objects of
Python, which PyTorch's figures leave out.
"""

import tracemalloc

import numpy as np
import pytest
import rederive as rd

F = rd.nn.functional
OBJECTS = 64  # KiB


def perceptron(x, y, w1, b1, w2, b2):
    return F.cross_entropy(F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), y)


def convolutions(x, y, c1, d1, c2, d2, w1, b1, w2, b2):
    hidden = F.max_pool2d(F.relu(F.conv2d(x, c1, d1, padding=2)), 2)
    hidden = F.max_pool2d(F.relu(F.conv2d(hidden, c2, d2)), 2).flatten(1)
    return F.cross_entropy(F.linear(F.relu(F.linear(hidden, w1, b1)), w2, b2), y)


def encoder(x, y, wi, bi, wo, bo, w1, b1, w2, b2, g1, h1, g2, h2):
    batch, length, size = x.shape
    parts = F.linear(x, wi, bi).chunk(3, -1)
    q, k, v = (t.reshape(batch, length, 4, size // 4).transpose(1, 2) for t in parts)
    seen = F.softmax(q @ k.transpose(-1, -2) * (size // 4) ** -0.5, -1) @ v
    seen = F.linear(seen.transpose(1, 2).reshape(batch, length, size), wo, bo)
    x = F.layer_norm(x + seen, (size,), g1, h1)
    x = F.layer_norm(x + F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), (size,), g2, h2)
    return (x * x).mean()


STEPS = {
    # model, shape of the input, shapes of the parameters, KiB: after forward, peak, afterwards
    "perceptron": (
        perceptron,
        (128, 784),
        [(512, 784), (512,), (10, 512), (10,)],
        (261, 1846, 1590),
    ),
    "convolutions": (
        convolutions,
        (128, 1, 28, 28),
        [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (84, 400), (84,), (10, 84), (10,)],
        (5563, 8791, 144),
    ),
    "encoder": (
        encoder,
        (16, 64, 128),
        [(384, 128), (384,), (128, 128), (128,), (512, 128), (512,), (128, 512), *[(128,)] * 5],
        (7184, 11017, 774),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_holds_no_more_than_that_of_pytorch(name):
    model, shape, shapes, bounds = STEPS[name]
    draw = np.random.default_rng(0)
    x = rd.from_numpy(draw.standard_normal(shape).astype("float32"))
    y = rd.from_numpy(draw.integers(0, 10, shape[0]))
    arrays = [draw.standard_normal(s).astype("float32") / s[-1] ** 0.5 for s in shapes]
    parameters = [rd.from_numpy(a).requires_grad_() for a in arrays]
    model(x, y, *parameters).backward()
    for parameter in parameters:
        parameter.grad = None
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    loss = model(x, y, *parameters)
    forward, first = tracemalloc.get_traced_memory()
    loss.backward()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    found = [(number - before) / 1024 for number in (forward, max(first, peak), after)]
    assert all(f <= b + OBJECTS for f, b in zip(found, bounds, strict=True)), found
