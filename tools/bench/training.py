"""Whole training steps against PyTorch: gradients cleared, forward, backward, optimizer."""

from __future__ import annotations

import itertools
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
    """A model, what it is trained on, and how.

    model: makes the module, given a library. The targets are class numbers for cross entropy,
    else numbers of the shape of the outputs.
    """

    name: str
    model: Callable[[ModuleType], Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    optimizer: str
    options: dict[str, Any]
    loss: str


def perceptron(*sizes: int) -> Callable[[ModuleType], Any]:
    """A multilayer perceptron with relu between its layers."""

    def make(library: ModuleType) -> Any:
        layers: list[Any] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [library.nn.Linear(inputs, outputs), library.nn.ReLU()]
        return library.nn.Sequential(*layers[:-1])

    return make


def lenet(library: ModuleType) -> Any:
    nn = library.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def encoder_layer(library: ModuleType) -> Any:
    return library.nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)


NETWORKS = (
    Network(
        name="MLP 8-16-16-1, batch 16, SGD with momentum",
        model=perceptron(8, 16, 16, 1),
        inputs=(16, 8),
        outputs=(16, 1),
        optimizer="SGD",
        options={"lr": 0.01, "momentum": 0.9},
        loss="mse_loss",
    ),
    Network(
        name="MLP 784-512-10, batch 128, Adam",
        model=perceptron(784, 512, 10),
        inputs=(128, 784),
        outputs=(128, 10),
        optimizer="Adam",
        options={"lr": 1e-3},
        loss="cross_entropy",
    ),
    Network(
        name="LeNet, batch 128, Adam",
        model=lenet,
        inputs=(128, 1, 28, 28),
        outputs=(128, 10),
        optimizer="Adam",
        options={"lr": 1e-3},
        loss="cross_entropy",
    ),
    Network(
        name="encoder layer, d 128, 4 heads, 16 x 64 tokens, AdamW",
        model=encoder_layer,
        inputs=(16, 64, 128),
        outputs=(16, 64, 128),
        optimizer="AdamW",
        options={"lr": 1e-4},
        loss="mse_loss",
    ),
)


class Trained:
    """A network of one library, with the data and the optimizer. `step` trains it once."""

    def __init__(self, network: Network, library: ModuleType) -> None:
        generator = np.random.default_rng(0)
        self.loss_of = getattr(library.nn.functional, network.loss)
        self.model = network.model(library)
        with library.no_grad():
            for param in self.model.parameters():
                values = generator.normal(size=tuple(param.shape)) / param.shape[-1] ** 0.5
                param.copy_(library.from_numpy(values.astype(np.float32)))
        params = self.model.parameters()
        self.optimizer = getattr(library.optim, network.optimizer)(params, **network.options)
        self.x = library.from_numpy(generator.normal(size=network.inputs).astype(np.float32))
        self.y = library.from_numpy(_targets(network, generator))

    def forward(self) -> Any:
        return self.loss_of(self.model(self.x), self.y)

    def step(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.forward()
        loss.backward()
        self.optimizer.step()
        return loss


def _targets(network: Network, generator: np.random.Generator) -> np.ndarray:
    if network.loss == "cross_entropy":
        return generator.integers(0, network.outputs[-1], network.outputs[0])
    return generator.normal(size=network.outputs).astype(np.float32)


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
