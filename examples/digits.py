"""Trains a convolutional network on scikit-learn's handwritten digits.

Run it with `python examples/digits.py`; it prints the loss and the accuracy on digits that it did
not train on, and draws both, with the digits that it takes for others, into out/digits.png.
`--torch` runs the same program on PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

BATCH = 64
EPOCHS = 30
RATE = 3e-3
WEIGHT_DECAY = 1e-2
SMOOTHING = 0.05
TEST_DIGITS = 360
SPLIT_SEED = 0


class Digits:
    """The 1797 images of 8x8 pixels from 0 to 1, with 360 of them held back for the test."""

    def __init__(self) -> None:
        pixels, labels = load_digits(return_X_y=True)
        images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
        test, train = order[:TEST_DIGITS], order[TEST_DIGITS:]
        self.train_images, self.train_labels = images[train], labels[train]
        self.test_images, self.test_labels = images[test], labels[test]


def moved(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each image turned by up to 11 degrees, scaled by up to 10 % and shifted by up to a pixel."""
    count = len(images)
    angle = generator.uniform(-0.2, 0.2, (count, 1, 1))
    scale = generator.uniform(0.9, 1.1, (count, 1, 1))
    shift = generator.uniform(-1, 1, (2, count, 1, 1))
    rows, columns = np.mgrid[:8, :8] - 3.5
    # where the colour of each pixel comes from, between four pixels of the padded image
    row = scale * (np.cos(angle) * rows - np.sin(angle) * columns) + shift[0] + 6.5
    column = scale * (np.sin(angle) * rows + np.cos(angle) * columns) + shift[1] + 6.5
    top, left = row.astype(int), column.astype(int)
    down, right = row - top, column - left
    padded = np.pad(images[:, 0], ((0, 0), (3, 3), (3, 3)))
    image = np.arange(count)[:, None, None]
    above = padded[image, top, left] * (1 - right) + padded[image, top, left + 1] * right
    below = padded[image, top + 1, left] * (1 - right) + padded[image, top + 1, left + 1] * right
    return (above * (1 - down) + below * down)[:, None].astype(np.float32)


def network(torch: ModuleType) -> Any:
    """Three convolutions of 3x3, and a linear layer on the 4x4 places that are left."""
    nn = torch.nn

    def block(inputs: int, outputs: int) -> list[Any]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(1, 24),
        *block(24, 48),
        nn.MaxPool2d(2),
        *block(48, 48),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(48 * 4 * 4, 10),
    )


def predict(torch: ModuleType, model: Any, images: np.ndarray) -> np.ndarray:
    """The digits that are likeliest on average over the image and its shifts in four directions."""
    model.eval()
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    likely = np.zeros((len(images), 10))
    with torch.no_grad():
        for row, column in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)):
            image = np.ascontiguousarray(padded[:, :, row : row + 8, column : column + 8])
            likely += model(torch.from_numpy(image)).softmax(1).numpy()
    return likely.argmax(1)


def accuracy_of(torch: ModuleType, model: Any, digits: Digits) -> float:
    return float(np.mean(predict(torch, model, digits.test_images) == digits.test_labels))


def fit(
    torch: ModuleType,
    digits: Digits,
    epochs: int,
    seed: int,
    report: Callable[[int, float, float], None] | None = None,
) -> tuple[Any, list[float]]:
    """The trained network and the loss of each batch; without `report` nothing is shown."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    model = network(torch)
    count = len(digits.train_images)
    batches = -(-count // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    losses: list[float] = []
    hidden = report is None or not sys.stdout.isatty()
    for epoch in track(range(epochs), "training", transient=True, disable=hidden):
        model.train()
        for batch in np.array_split(generator.permutation(count), batches):
            images = torch.from_numpy(moved(digits.train_images[batch], generator))
            loss = loss_of(model(images), torch.from_numpy(digits.train_labels[batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if report is not None:
            mean = float(np.mean(losses[-batches:]))
            report(epoch + 1, mean, accuracy_of(torch, model, digits))
    return model, losses


def train(epochs: int = EPOCHS, seed: int = 0, library: str = "rederive") -> float:
    """Train quietly; returns the accuracy on the test digits."""
    torch = importlib.import_module(library)
    digits = Digits()
    model, _ = fit(torch, digits, epochs, seed)
    return accuracy_of(torch, model, digits)


def draw(path: Path, losses: list[float], digits: Digits, predicted: np.ndarray) -> None:
    """Save the loss beside test digits under their predictions, the wrong ones first, in red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows, columns = 4, 7
    figure = pyplot.figure(figsize=(11, 4.5), layout="constrained")
    grid = figure.add_gridspec(rows, 2 * columns)
    curve = figure.add_subplot(grid[:, :columns])
    curve.plot(losses, color="tab:blue", linewidth=0.8)
    curve.set(yscale="log", xlabel="batch", ylabel="cross entropy", title="training loss")
    wrong = predicted != digits.test_labels
    shown = np.argsort(~wrong, kind="stable")[: rows * columns]
    for place, number in enumerate(shown):
        digit = figure.add_subplot(grid[place // columns, columns + place % columns])
        digit.imshow(digits.test_images[number, 0], cmap="gray_r")
        digit.set_axis_off()
        title = f"{predicted[number]}"
        if wrong[number]:
            title += f", is {digits.test_labels[number]}"
        digit.set_title(title, color="red" if wrong[number] else "black", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"of training ({EPOCHS})")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the picture")
    parser.add_argument("--torch", action="store_true", help="run on PyTorch, for comparison")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs: at least 1")
    library = "torch" if options.torch else "rederive"
    torch = importlib.import_module(library)
    digits = Digits()

    def report(epoch: int, loss: float, accuracy: float) -> None:
        if epoch == 1 or epoch % 5 == 0 or epoch == options.epochs:
            print(f"epoch {epoch:3}  loss {loss:.4f}  test accuracy {accuracy:.2%}")

    started = time.perf_counter()
    model, losses = fit(torch, digits, options.epochs, options.seed, report)
    seconds = time.perf_counter() - started
    predicted = predict(torch, model, digits.test_images)
    picture = options.out / "digits.png"
    draw(picture, losses, digits, predicted)
    wrong = int(np.sum(predicted != digits.test_labels))
    print(
        f"{library}: test accuracy {1 - wrong / TEST_DIGITS:.2%} ({wrong} of {TEST_DIGITS} wrong) "
        f"after {seconds:.1f} s, {picture} drawn"
    )


if __name__ == "__main__":
    main()
