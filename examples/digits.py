"""Trains a two-layer perceptron on scikit-learn's handwritten digits with plain tensors.

Run it with `python examples/digits.py`; it prints the loss and the accuracy on digits that it did
not train on, and draws both, with a few predictions, into out/digits.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rederive as torch
from rich.progress import track
from sklearn.datasets import load_digits

BATCH = 64
HIDDEN = 128
RATE = 2e-3
WEIGHT_DECAY = 2e-4
TEST_DIGITS = 360
SPLIT_SEED = 0


class Digits:
    """The 1797 images of 8x8 pixels, standardised, with 360 of them held back for the test."""

    def __init__(self) -> None:
        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
        test, train = order[:TEST_DIGITS], order[TEST_DIGITS:]
        mean, deviation = (
            images[train].mean(0),
            images[train].std(0) + 1.0,
        )  # some pixels are constant
        standard = ((images - mean) / deviation).astype(np.float32)
        self.train_images, self.train_labels = standard[train], labels[train]
        self.test_images, self.test_labels = standard[test], labels[test]
        self.test_pixels = images[test].reshape(-1, 8, 8)


class Perceptron:
    """relu(x @ w1 + b1) @ w2 + b2."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        self.parameters = [
            torch.randn(inputs, hidden) * (2 / inputs) ** 0.5,
            torch.zeros(hidden),
            torch.randn(hidden, outputs) * (1 / hidden) ** 0.5,
            torch.zeros(outputs),
        ]
        for parameter in self.parameters:
            parameter.requires_grad_()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        w1, b1, w2, b2 = self.parameters
        return torch.relu(images @ w1 + b1) @ w2 + b2


def predict(model: Perceptron, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(images)).argmax(1).numpy())


def fit(
    model: Perceptron,
    digits: Digits,
    epochs: int,
    seed: int,
    report: Callable[[int, float, float], None] | None = None,
    quiet: bool = False,
) -> list[float]:
    """Train for some epochs; returns the loss of each batch."""
    optimizer = torch.optim.AdamW(model.parameters, lr=RATE, weight_decay=WEIGHT_DECAY)
    generator = np.random.default_rng(seed)
    count = len(digits.train_images)
    losses: list[float] = []
    for epoch in track(
        range(epochs), "training", transient=True, disable=quiet or not sys.stdout.isatty()
    ):
        order = generator.permutation(count)
        batches = [order[i : i + BATCH] for i in range(0, count, BATCH)]
        for batch in batches:
            images = torch.from_numpy(digits.train_images[batch])
            labels = torch.from_numpy(digits.train_labels[batch])
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if report is not None:
            mean = float(np.mean(losses[-len(batches) :]))
            report(epoch + 1, mean, accuracy_of(model, digits))
    return losses


def accuracy_of(model: Perceptron, digits: Digits) -> float:
    return float(np.mean(predict(model, digits.test_images) == digits.test_labels))


def train(epochs: int = 20, seed: int = 0) -> float:
    """Train quietly; returns the accuracy on the test digits."""
    torch.manual_seed(seed)
    digits = Digits()
    model = Perceptron(64, HIDDEN, 10)
    fit(model, digits, epochs, seed, quiet=True)
    return accuracy_of(model, digits)


def draw(path: Path, losses: list[float], digits: Digits, predicted: np.ndarray) -> None:
    """Save the loss curve above a row of test digits titled with their predictions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 12
    figure = pyplot.figure(figsize=(9, 4.5), layout="constrained")
    grid = figure.add_gridspec(2, columns, height_ratios=(3, 1))
    curve = figure.add_subplot(grid[0, :])
    curve.plot(losses, color="tab:blue", linewidth=0.8)
    curve.set(yscale="log", xlabel="batch", ylabel="cross entropy", title="training loss")
    for column in range(columns):
        digit = figure.add_subplot(grid[1, column])
        digit.imshow(digits.test_pixels[column], cmap="gray_r")
        digit.set_axis_off()
        right = predicted[column] == digits.test_labels[column]
        digit.set_title(str(predicted[column]), color="black" if right else "red")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20, help="passes over the digits (20)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the picture")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs: at least 1")

    torch.manual_seed(options.seed)
    digits = Digits()
    model = Perceptron(64, HIDDEN, 10)

    def report(epoch: int, loss: float, accuracy: float) -> None:
        if epoch == 1 or epoch % 5 == 0 or epoch == options.epochs:
            print(f"epoch {epoch:3}  loss {loss:.4f}  test accuracy {accuracy:.2%}")

    losses = fit(model, digits, options.epochs, options.seed, report)
    predicted = predict(model, digits.test_images)
    picture = options.out / "digits.png"
    draw(picture, losses, digits, predicted)
    print(f"test accuracy {accuracy_of(model, digits):.2%}, {picture} drawn")


if __name__ == "__main__":
    main()
