"""Predicts the progression of diabetes from ten measurements, with a small network of tanh units.

The data are scikit-learn's: 442 patients, a quarter of whom are held back. The script prints how
much of the variance among those the network explains (R squared), for several draws of its weights
because with so few patients these matter, beside linear regression, and draws the first into
out/diabetes.png. `--torch` runs the same program on PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import track
from sklearn.datasets import load_diabetes

HIDDEN = 16
RATE = 6e-3
# With the number of epochs, chosen by cross-validation among the training patients.
WEIGHT_DECAY = 3.0
TEST_PATIENTS = 110
SPLIT_SEED = 0
EPOCHS = 200
RUNS = 5


class Patients:
    """Measurements and progression, both standardised by what the training patients show."""

    def __init__(self) -> None:
        measured, progression = load_diabetes(return_X_y=True)
        order = np.random.default_rng(SPLIT_SEED).permutation(len(measured))
        test, train = order[:TEST_PATIENTS], order[TEST_PATIENTS:]
        measured = (measured - measured[train].mean(0)) / measured[train].std(0)
        self.mean, self.deviation = progression[train].mean(), progression[train].std()
        standard = (progression - self.mean) / self.deviation
        self.train, self.train_target = measured[train], standard[train]
        self.test, self.test_target = measured[test], standard[test]


def explained(target: np.ndarray, predicted: np.ndarray) -> float:
    """R squared: 1 is perfect, 0 is no better than the mean."""
    return float(1 - np.sum((target - predicted) ** 2) / np.sum((target - target.mean()) ** 2))


def linear_regression(patients: Patients) -> np.ndarray:
    """What least squares predicts for the test patients."""
    ones = np.ones((len(patients.train), 1))
    design = np.hstack([patients.train, ones])
    weights, *_ = np.linalg.lstsq(design, patients.train_target, rcond=None)
    return np.asarray(patients.test @ weights[:-1] + weights[-1])


def network(torch: ModuleType, seed: int) -> Any:
    """Ten inputs, tanh units and a linear way past them; NumPy draws the weights, for both."""

    class Network(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(10, HIDDEN)
            self.second = torch.nn.Linear(HIDDEN, 1)
            self.past = torch.nn.Linear(10, 1)

        def forward(self, measured: Any) -> Any:
            bent = self.second(torch.tanh(self.first(measured)))
            return (bent + self.past(measured)).squeeze(1)

    model = Network().double()
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = generator.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(0.2 * drawn))
    return model


def fit(
    torch: ModuleType, patients: Patients, epochs: int, seed: int, quiet: bool = False
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """(predictions for the test patients, (train, test) mean squared error of each epoch)."""
    model = network(torch, seed)
    measured, target = torch.from_numpy(patients.train), torch.from_numpy(patients.train_target)
    test, test_target = torch.from_numpy(patients.test), torch.from_numpy(patients.test_target)
    adam = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    errors = []
    quiet = quiet or not sys.stdout.isatty()
    for _ in track(range(epochs), "training", transient=True, disable=quiet):
        loss = torch.nn.functional.mse_loss(model(measured), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        with torch.no_grad():
            held_back = torch.nn.functional.mse_loss(model(test), test_target)
        errors.append((loss.item(), held_back.item()))
    with torch.no_grad():
        return model(test).numpy(), errors


def train(epochs: int = EPOCHS, seed: int = 0, library: str = "rederive") -> float:
    """Train quietly; returns R squared on the test patients."""
    patients = Patients()
    predicted, _ = fit(importlib.import_module(library), patients, epochs, seed, quiet=True)
    return explained(patients.test_target, predicted)


def draw(
    path: Path, patients: Patients, predicted: np.ndarray, errors: list[tuple[float, float]]
) -> None:
    """Save the errors over the epochs, and the predictions beside what came to be."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (curve, scatter) = pyplot.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    for values, name in zip(zip(*errors, strict=True), ("training", "test"), strict=True):
        curve.plot(values, label=f"{name} patients")
    linear = linear_regression(patients)
    least = float(np.mean((linear - patients.test_target) ** 2))
    curve.axhline(least, color="gray", linestyle=":", label="test, linear regression")
    curve.set(yscale="log", xlabel="epoch", ylabel="mean squared error (standardised)")
    curve.legend()
    true = patients.test_target * patients.deviation + patients.mean
    for values, name, marker in ((linear, "linear regression", "x"), (predicted, "network", "o")):
        shown = values * patients.deviation + patients.mean
        label = f"{name}, R² {explained(patients.test_target, values):.3f}"
        scatter.scatter(true, shown, s=14, marker=marker, label=label)
    scatter.axline((150, 150), slope=1, color="gray", linewidth=0.8)
    scatter.set(xlabel="progression after a year", ylabel="predicted", title="test patients")
    scatter.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"steps ({EPOCHS})")
    parser.add_argument("--seed", type=int, default=0, help="of the first run's weights (0)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"draws of the weights ({RUNS})")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the picture")
    parser.add_argument("--torch", action="store_true", help="run on PyTorch, for comparison")
    options = parser.parse_args()
    if options.epochs < 1 or options.runs < 1:
        parser.error("--epochs, --runs: at least 1")
    library = "torch" if options.torch else "rederive"
    torch = importlib.import_module(library)
    patients = Patients()
    seeds = range(options.seed, options.seed + options.runs)
    runs = [fit(torch, patients, options.epochs, seed) for seed in seeds]
    picture = options.out / "diabetes.png"
    draw(picture, patients, *runs[0])
    scores = [explained(patients.test_target, predicted) for predicted, _ in runs]
    linear = explained(patients.test_target, linear_regression(patients))
    spread = f"mean {np.mean(scores):.4f}, from {min(scores):.4f} to {max(scores):.4f}"
    print(f"{library}: R squared on {TEST_PATIENTS} patients held back")
    print(f"{len(scores)} networks: {spread}")
    print(f"linear regression: {linear:.4f}; {picture} drawn")


if __name__ == "__main__":
    main()
