"""Trains a transformer to write Python, one character after another.

It reads the modules of the standard library of the Python that runs it, of which every tenth is
held back. What it reaches is printed in bits for each character of those, beside what counting
sequences of characters (n-grams) reaches on the same text; then it writes a few lines of its own.
The losses are drawn into out/characters.png. `--torch` runs the same program on PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import sysconfig
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import Progress

# Every character that may occur: the ASCII ones that are printed, and the end of a line.
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
LENGTH = 64  # characters that it sees at most
WIDTH, HEADS, LAYERS = 64, 4, 3
BATCH = 32
RATE = 3e-3
WARMING = 100
STEPS = 1500
ORDERS = (1, 2, 3, 5)
CHECKED = 200  # windows of the held back text for a point of the curve
MEASURED = 2000  # and for the final figure


def encode(text: str) -> np.ndarray:
    """Places in the alphabet; characters outside it are left away."""
    place = np.full(128, -1)
    place[[ord(character) for character in ALPHABET]] = np.arange(len(ALPHABET))
    codes = place[np.frombuffer(text.encode("ascii", "ignore"), np.uint8)]
    return codes[codes >= 0]


class Source:
    """The standard library's own modules as numbers: a text to learn, and one held back."""

    def __init__(self, most: int | None = None) -> None:
        files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:most]
        texts = [encode(file.read_text("utf-8")) for file in files]
        self.held_back = np.concatenate(texts[::10])
        self.learnt = np.concatenate([text for i, text in enumerate(texts) if i % 10])
        self.files = len(files)

    def windows(self, count: int) -> np.ndarray:
        """Windows evenly over the text that is held back, each with the character after it."""
        starts = np.linspace(0, len(self.held_back) - LENGTH - 1, count).astype(int)
        return self.held_back[starts[:, None] + np.arange(LENGTH + 1)]


def counted_bits(learnt: np.ndarray, windows: np.ndarray, order: int) -> float:
    """Bits for each character in the second half of windows, by counts of `order` characters.

    The shares seen after a context are mixed with those after a context shorter by one, which
    weighs as much as there were different characters (Witten and Bell, 1991).
    """
    size = len(ALPHABET)
    wanted = windows[:, LENGTH // 2 + 1 :]
    likely = np.full(wanted.shape, 1 / size)
    for length in range(order):
        context = np.zeros(len(learnt) - length, np.int64)
        asked = np.zeros(wanted.shape, np.int64)
        for back in range(length, 0, -1):
            context = context * size + learnt[length - back : len(learnt) - back]
            asked = asked * size + windows[:, LENGTH // 2 + 1 - back : LENGTH + 1 - back]
        pairs, times = np.unique(context * size + learnt[length:], return_counts=True)
        contexts, first, kinds = np.unique(pairs // size, return_index=True, return_counts=True)
        total = np.add.reduceat(times, first)

        def looked_up(keys: np.ndarray, values: np.ndarray, key: np.ndarray) -> np.ndarray:
            place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            return np.where(keys[place] == key, values[place], 0)

        seen, different = (looked_up(contexts, values, asked) for values in (total, kinds))
        both = looked_up(pairs, times, asked * size + wanted)
        mixed = (both + different * likely) / np.maximum(seen + different, 1)
        likely = np.where(seen > 0, mixed, likely)
    return float(-np.log2(likely).mean())


def network(torch: ModuleType) -> Any:
    """Characters and their places, encoder layers that see only what came before, and scores."""
    nn = torch.nn

    class Writer(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.characters = nn.Embedding(len(ALPHABET), WIDTH)
            self.places = nn.Embedding(LENGTH, WIDTH)
            for embedding in (self.characters, self.places):
                nn.init.normal_(embedding.weight, std=0.02)
            layer = nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
            )
            self.layers = nn.TransformerEncoder(
                layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False
            )
            self.scores = nn.Linear(WIDTH, len(ALPHABET))
            hidden = torch.full((LENGTH, LENGTH), -math.inf).triu(1)
            self.register_buffer("hidden", hidden, persistent=False)

        def forward(self, text: Any) -> Any:
            length = text.shape[1]
            values = self.characters(text) + self.places(torch.arange(length))
            hidden = self.hidden[:length, :length]
            return self.scores(self.layers(values, mask=hidden, is_causal=True))

    return Writer()


def loss_of(torch: ModuleType, model: Any, windows: np.ndarray, first: int = 0) -> Any:
    """The cross entropy of what follows each character, from the place `first` on."""
    scores = model(torch.from_numpy(windows[:, :-1].copy()))[:, first:]
    wanted = torch.from_numpy(windows[:, first + 1 :].copy())
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten())


def bits(torch: ModuleType, model: Any, windows: np.ndarray) -> float:
    """Bits for each character in the second half of windows."""
    with torch.no_grad():
        parts = [
            loss_of(torch, model, part, LENGTH // 2).item() * len(part)
            for part in np.array_split(windows, -(-len(windows) // 100))
        ]
    return sum(parts) / len(windows) / math.log(2)


def fit(
    torch: ModuleType, source: Source, steps: int, seed: int, quiet: bool = False
) -> tuple[Any, list[float], list[tuple[int, float]]]:
    """(the trained network, bits of each batch, (step, bits of text held back) now and then)."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    model = network(torch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)

    def share(step: int) -> float:
        warm = min(1.0, (step + 1) / WARMING)
        return warm * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    checked = source.windows(CHECKED)
    curve: list[float] = []
    points: list[tuple[int, float]] = []
    with Progress(transient=True, disable=quiet or not sys.stdout.isatty()) as progress:
        task = progress.add_task("training", total=steps)
        for step in range(steps):
            starts = generator.integers(0, len(source.learnt) - LENGTH, BATCH)
            loss = loss_of(torch, model, source.learnt[starts[:, None] + np.arange(LENGTH + 1)])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            curve.append(loss.item() / math.log(2))
            if (step + 1) % 100 == 0 or step + 1 == steps:
                points.append((step + 1, bits(torch, model, checked)))
            progress.update(task, advance=1, description=f"{curve[-1]:.2f} bits")
    return model, curve, points


def write(torch: ModuleType, model: Any, start: str, count: int, seed: int) -> str:
    """The start, continued by characters drawn as the network expects them."""
    generator = np.random.default_rng(seed)
    codes = encode(start).tolist()
    with torch.no_grad():
        for _ in range(count):
            scores = model(torch.tensor([codes[-LENGTH:]]))[0, -1]
            chances = (scores / 0.7).softmax(0).numpy().astype(np.float64)
            codes.append(int(generator.choice(len(chances), p=chances / chances.sum())))
    return "".join(ALPHABET[code] for code in codes)


def train(steps: int, seed: int = 0, library: str = "rederive", files: int = 30) -> float:
    """Train quietly on the first files; returns bits of the text held back for each character."""
    torch = importlib.import_module(library)
    source = Source(files)
    return fit(torch, source, steps, seed, quiet=True)[2][-1][1]


def draw(
    path: Path, curve: list[float], points: list[tuple[int, float]], counted: dict[int, float]
) -> None:
    """Save the bits of batches and of text held back over the steps, beside those of counts."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, place = pyplot.subplots(figsize=(9, 5), layout="constrained")
    place.plot(curve, linewidth=0.5, color="tab:blue", alpha=0.6, label="batches learnt from")
    place.plot(*zip(*points, strict=True), "o-", color="tab:red", ms=3, label="text held back")
    for order, value in counted.items():
        place.axhline(value, color="gray", linestyle=":", linewidth=0.8)
        place.text(
            1.01, value, f"{order}-grams", va="center", transform=place.get_yaxis_transform()
        )
    place.set(xlabel="step", ylabel="bits for each character", title="a transformer reads Python")
    place.set_ylim(1.5, max(7.0, curve[0]))
    place.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of training ({STEPS})")
    parser.add_argument("--files", type=int, help="how many modules to read (all)")
    parser.add_argument("--write", type=int, default=300, help="characters to write (300)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the picture")
    parser.add_argument("--torch", action="store_true", help="run on PyTorch, for comparison")
    options = parser.parse_args()
    if options.steps < 1 or (options.files or 2) < 2:
        parser.error("--steps: at least 1; --files: at least 2")
    library = "torch" if options.torch else "rederive"
    torch = importlib.import_module(library)
    source = Source(options.files)
    measured = source.windows(MEASURED)
    print(f"{source.files} modules: {len(source.learnt):,} characters to learn from")
    counted = {order: counted_bits(source.learnt, measured, order) for order in ORDERS}
    print("n-grams, bits for each character held back:", end=" ")
    print(", ".join(f"{order}: {value:.3f}" for order, value in counted.items()))
    started = time.perf_counter()
    model, curve, points = fit(torch, source, options.steps, options.seed)
    seconds = time.perf_counter() - started
    picture = options.out / "characters.png"
    draw(picture, curve, points, counted)
    reached = bits(torch, model, measured)
    print(f"{library}: {reached:.3f} bits for each character held back, ", end="")
    print(f"after {options.steps} steps and {seconds:.0f} s; {picture} drawn")
    if options.write:
        print(write(torch, model, "def ", options.write, options.seed))


if __name__ == "__main__":
    main()
