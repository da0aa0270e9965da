"""Whole training steps against PyTorch: gradients cleared, forward, backward, optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from rederive.tools import progress
from rederive.tools.bench.timing import Comparison, Work, compare

# Loose, because only a different computation is to be found out; tests judge the numbers.
AGREE = 1e-3


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron with relu between its layers, and how it is trained."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    optimizer: str
    options: dict[str, Any]
    loss: str


NETWORKS = (
    Network(
        name="MLP 8-16-16-1, batch 16, SGD with momentum",
        sizes=(8, 16, 16, 1),
        batch=16,
        optimizer="SGD",
        options={"lr": 0.01, "momentum": 0.9},
        loss="mse_loss",
    ),
    Network(
        name="MLP 784-512-10, batch 128, Adam",
        sizes=(784, 512, 10),
        batch=128,
        optimizer="Adam",
        options={"lr": 1e-3},
        loss="cross_entropy",
    ),
)


class Trained:
    """A network of one library, with the data and the optimizer. `step` trains it once."""

    def __init__(self, network: Network, library: ModuleType) -> None:
        generator = np.random.default_rng(0)
        self.functional = library.nn.functional
        self.loss_of = getattr(self.functional, network.loss)
        self.layers = []
        for inputs, outputs in zip(network.sizes, network.sizes[1:], strict=False):
            layer = library.nn.Linear(inputs, outputs)
            weight = generator.normal(size=(outputs, inputs)).astype(np.float32) / inputs**0.5
            with library.no_grad():
                layer.weight.copy_(library.from_numpy(weight))
                layer.bias.zero_()
            self.layers.append(layer)
        params = [param for layer in self.layers for param in layer.parameters()]
        self.optimizer = getattr(library.optim, network.optimizer)(params, **network.options)
        shape = (network.batch, network.sizes[0])
        self.x = library.from_numpy(generator.normal(size=shape).astype(np.float32))
        self.y = library.from_numpy(_targets(network, generator))

    def forward(self) -> Any:
        hidden = self.x
        for layer in self.layers[:-1]:
            hidden = self.functional.relu(layer(hidden))
        return self.loss_of(self.layers[-1](hidden), self.y)

    def step(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.forward()
        loss.backward()
        self.optimizer.step()
        return loss


def _targets(network: Network, generator: np.random.Generator) -> np.ndarray:
    if network.loss == "cross_entropy":
        return generator.integers(0, network.sizes[-1], network.batch)
    return generator.normal(size=(network.batch, network.sizes[-1])).astype(np.float32)


# The parts of a step, each repeatable without the others.
PARTS: dict[str, Callable[[Trained], Work]] = {
    "step": lambda trained: trained.step,
    "zero_grad": lambda trained: trained.optimizer.zero_grad,
    "forward": lambda trained: trained.forward,
    "backward": lambda trained: partial(trained.forward().backward, retain_graph=True),
    "optimizer": lambda trained: _with_gradients(trained).optimizer.step,
}


def _with_gradients(trained: Trained) -> Trained:
    trained.forward().backward()
    return trained


def measure(
    ours: ModuleType, theirs: ModuleType, rounds: int, at_least: float
) -> Iterator[Comparison]:
    """Compare the whole step of each network, then its parts."""
    for network in progress.steps(NETWORKS, "training", lambda network: network.name):
        sides = [Trained(network, library) for library in (ours, theirs)]
        losses = [[side.step().item() for _ in range(3)] for side in sides]
        if not np.allclose(*losses, rtol=AGREE, atol=AGREE):
            raise RuntimeError(f"{network.name}: the losses differ: {losses}")
        for part, work in PARTS.items():
            one, other = (partial(_work, work, network, library) for library in (ours, theirs))
            name = network.name if part == "step" else f"  {part}"
            yield compare(name, one, other, rounds, at_least)


def _work(work: Callable[[Trained], Work], network: Network, library: ModuleType) -> Work:
    return work(Trained(network, library))
