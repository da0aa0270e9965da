"""Solves the heat equation with a network that is told only the equation and its edges.

u_t = a u_xx for 0 < x < 1 and 0 < t < 1, with u(x, 0) = sin(pi x) + sin(3 pi x) / 2 and u = 0 at
both ends. The loss holds second derivatives of the network, so that training differentiates three
times. The script compares with the known solution and draws both into out/heat.png; `--torch`
runs the same program on PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import track

DIFFUSIVITY = 0.05
HIDDEN = 24
INSIDE = 256
EDGE = 64
RATE = 8e-3
STEPS = 3000


def solution(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The temperature: each wave decays at its own rate."""
    waves = [(1.0, 1), (0.5, 3)]
    parts = [
        height * np.sin(k * np.pi * x) * np.exp(-DIFFUSIVITY * (k * np.pi) ** 2 * t)
        for height, k in waves
    ]
    return np.asarray(sum(parts))


class Network:
    """u(x, t): two layers of tanh. NumPy draws the weights, the same for either library."""

    def __init__(self, torch: ModuleType, seed: int) -> None:
        self.torch = torch
        generator = np.random.default_rng(seed)
        self.parameters = []
        for inputs, outputs in ((2, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)):
            drawn = generator.standard_normal((inputs, outputs)) / math.sqrt(inputs)
            for array in (drawn, np.zeros(outputs)):
                self.parameters.append(torch.from_numpy(array).requires_grad_())

    def __call__(self, x: Any, t: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = self.parameters
        # both coordinates around 0, where tanh bends
        values = self.torch.stack([4 * x - 2, 4 * t - 2], 1)
        values = self.torch.tanh(values @ w1 + b1)
        values = self.torch.tanh(values @ w2 + b2)
        return (values @ w3 + b3).squeeze(1)


def residual(torch: ModuleType, model: Network, x: Any, t: Any) -> Any:
    """u_t - a u_xx at some points: zero where the equation holds."""

    def slope(value: Any, along: Any) -> Any:
        return torch.autograd.grad(value.sum(), along, create_graph=True)[0]

    x, t = x.requires_grad_(), t.requires_grad_()
    u = model(x, t)
    return slope(u, t) - DIFFUSIVITY * slope(slope(u, x), x)


def loss_of(torch: ModuleType, model: Network, generator: np.random.Generator) -> Any:
    """Squares of what is wrong inside, at the start and at the ends, at random points."""

    def points(count: int) -> Any:
        return torch.from_numpy(generator.random(count))

    inside = residual(torch, model, points(INSIDE), points(INSIDE))
    x, t = points(EDGE), points(EDGE)
    start = torch.sin(math.pi * x) + torch.sin(3 * math.pi * x) / 2
    beginning = model(x, torch.zeros_like(x)) - start
    ends = model(torch.zeros_like(t), t), model(torch.ones_like(t), t)
    edges = sum((end * end).mean() for end in ends)
    return (inside * inside).mean() + 10 * ((beginning * beginning).mean() + edges)


def fit(
    torch: ModuleType, steps: int, seed: int, quiet: bool = False
) -> tuple[Network, list[float]]:
    """The trained network and the loss of each step."""
    model = Network(torch, seed)
    adam = torch.optim.Adam(model.parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    generator = np.random.default_rng(seed + 1)
    losses = []
    quiet = quiet or not sys.stdout.isatty()
    for _ in track(range(steps), "training", transient=True, disable=quiet):
        loss = loss_of(torch, model, generator)
        adam.zero_grad()
        loss.backward(inputs=model.parameters)
        adam.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses


def on_a_grid(model: Network) -> tuple[np.ndarray, np.ndarray]:
    """(what the network says, the solution) over 101 places and 51 times."""
    x, t = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 51))
    torch = model.torch
    with torch.no_grad():
        found = model(torch.from_numpy(x.ravel()), torch.from_numpy(t.ravel())).numpy()
    return found.reshape(x.shape), solution(x, t)


def error_of(model: Network) -> float:
    """The relative error on the grid, in the square norm."""
    found, known = on_a_grid(model)
    return float(np.linalg.norm(found - known) / np.linalg.norm(known))


def train(steps: int = STEPS, seed: int = 0, library: str = "rederive") -> float:
    """Train quietly; returns the relative error."""
    model, _ = fit(importlib.import_module(library), steps, seed, quiet=True)
    return error_of(model)


def draw(path: Path, model: Network, losses: list[float]) -> None:
    """Save the network's solution, its error, some moments beside the truth, and the loss."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found, known = on_a_grid(model)
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for place, values, title, colours in (
        (axes[0, 0], found, "the network's u(x, t)", "inferno"),
        (axes[0, 1], found - known, "network - solution", "coolwarm"),
    ):
        limit = (
            {} if colours == "inferno" else {"vmax": abs(values).max(), "vmin": -abs(values).max()}
        )
        shown = place.imshow(
            values, origin="lower", extent=(0, 1, 0, 1), aspect="auto", cmap=colours, **limit
        )
        place.set(title=title, xlabel="x", ylabel="t")
        figure.colorbar(shown, ax=place)
    x = np.linspace(0, 1, 101)
    for row, colour in ((0, "tab:red"), (10, "tab:orange"), (25, "tab:green"), (50, "tab:blue")):
        axes[1, 0].plot(x, known[row], color=colour, linewidth=0.8)
        axes[1, 0].plot(x[::5], found[row][::5], "o", color=colour, ms=3, label=f"t = {row / 50}")
    axes[1, 0].set(title="network (dots) and solution (lines)", xlabel="x", ylabel="u")
    axes[1, 0].legend()
    axes[1, 1].plot(losses, linewidth=0.6)
    axes[1, 1].set(yscale="log", title="loss", xlabel="step")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of Adam ({STEPS})")
    parser.add_argument("--seed", type=int, default=0, help="of weights and points (0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the picture")
    parser.add_argument("--torch", action="store_true", help="run on PyTorch, for comparison")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps: at least 1")
    library = "torch" if options.torch else "rederive"
    model, losses = fit(importlib.import_module(library), options.steps, options.seed)
    picture = options.out / "heat.png"
    draw(picture, model, losses)
    print(f"{library}: loss {losses[-1]:.3e}, relative error {error_of(model):.4%}, ", end="")
    print(f"{picture} drawn")


if __name__ == "__main__":
    main()
