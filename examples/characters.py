"""Learns to continue Python source, character by character, with a small transformer.

The text is the standard library of the Python that runs it: some modules to learn from, others
held back. The script prints bits for each character held back, beside what counting sequences of
characters (n-grams) reaches from the same text, writes a few lines of its own, draws the losses
into out/characters.png and saves the weights beside it. `--torch` runs the same on PyTorch.
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
from rich.progress import track

LEARNT = ["argparse", "inspect", "typing", "subprocess", "tarfile", "doctest", "dataclasses"]
HELD_BACK = ["heapq", "textwrap", "shelve", "bisect", "contextlib"]
# the end of a line and the printed characters of ASCII, numbered from 0
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
SIZE, LAYERS, HEADS, LENGTH = 64, 2, 4, 64
BATCH = 16
RATE = 4e-3
STEPS = 3500
CURVE_POINTS = 25
CURVE_SHARE = 10  # a point of the curve takes one of so many windows


def encode(text: str) -> np.ndarray:
    """The numbers of the characters; what the alphabet lacks becomes a space."""
    codes = np.array([ord(character) for character in text])
    printed = (codes >= 32) & (codes < 127)
    return np.where(codes == 10, 0, np.where(printed, codes - 31, 1))


def source(modules: list[str]) -> np.ndarray:
    """The text of some modules, one after another."""
    folder = Path(sysconfig.get_path("stdlib"))
    return encode("\n".join((folder / f"{name}.py").read_text("utf-8") for name in modules))


def counted(learnt: np.ndarray, text: np.ndarray, longest: int = 5) -> list[float]:
    """Bits for each character of a text by counts of sequences of 1 to `longest` characters.

    What followed a context is mixed with what the context shorter by one says, which weighs as much
    as there were different characters (Witten and Bell, 1991); unseen contexts leave it to that.
    """

    def keys(codes: np.ndarray, length: int) -> np.ndarray:
        padded = np.concatenate([np.zeros(length, np.int64), codes])
        parts = [padded[i : len(codes) + i] * base ** (length - i) for i in range(length + 1)]
        return np.asarray(sum(parts))

    def looked_up(known: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[places] == wanted, values[places], 0)

    base = len(ALPHABET)
    share, bits = np.full(len(text), 1 / base), []
    for length in range(longest):
        sequences, times = np.unique(keys(learnt, length), return_counts=True)
        contexts, first, kinds = np.unique(sequences // base, return_index=True, return_counts=True)
        asked = keys(text, length)
        both = looked_up(sequences, times, asked)
        seen = looked_up(contexts, np.add.reduceat(times, first), asked // base)
        different = looked_up(contexts, kinds, asked // base)
        mixed = (both + different * share) / np.maximum(seen + different, 1)
        share = np.where(seen > 0, mixed, share)
        bits.append(float(-np.log2(share).mean()))
    return bits


def network(torch: ModuleType, seed: int, size: int, layers: int) -> Any:
    """Characters and places, layers that see only what came before, and a score for each character.

    NumPy draws the weights, the same for either library.
    """
    nn = torch.nn

    class Writer(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.characters = nn.Embedding(len(ALPHABET), size)
            self.places = nn.Embedding(LENGTH, size)
            layer = nn.TransformerEncoderLayer(
                size, HEADS, 4 * size, dropout=0.0, batch_first=True, norm_first=True
            )
            self.layers = nn.TransformerEncoder(
                layer, layers, nn.LayerNorm(size), enable_nested_tensor=False
            )
            self.scores = nn.Linear(size, len(ALPHABET))
            self.later = torch.full((LENGTH, LENGTH), -math.inf).triu(1)

        def forward(self, text: Any) -> Any:
            length = text.shape[1]
            values = self.characters(text) + self.places.weight[:length]
            later = self.later[:length, :length]
            return self.scores(self.layers(values, mask=later, is_causal=True))

    model = Writer()
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                shape = tuple(parameter.shape)
                drawn = generator.standard_normal(shape, np.float32) / math.sqrt(shape[-1])
                parameter.copy_(torch.from_numpy(drawn))
            elif name.endswith("bias"):
                parameter.zero_()
    return model


def loss_of(torch: ModuleType, model: Any, windows: np.ndarray, skipped: int = 0) -> Any:
    """The mean cross entropy of each window's characters after its first, or after more of them."""
    scores = model(torch.from_numpy(windows[:, :-1]))[:, skipped:]
    wanted = torch.from_numpy(np.ascontiguousarray(windows[:, 1 + skipped :]))
    return torch.nn.functional.cross_entropy(scores.reshape(-1, len(ALPHABET)), wanted.reshape(-1))


def measured(torch: ModuleType, model: Any, text: np.ndarray, share: int = 1) -> float:
    """Bits for each character, which the network guesses from at least half a window.

    The first half window of the text has less before it and is left out. `share` takes one of so
    many windows, evenly.
    """
    half = LENGTH // 2
    starts = np.arange(0, len(text) - LENGTH, half)[::share]
    windows = text[starts[:, None] + np.arange(LENGTH + 1)]
    total = 0.0
    with torch.no_grad():
        for i in range(0, len(windows), 64):
            batch = windows[i : i + 64]
            total += loss_of(torch, model, batch, half).item() * len(batch)
    return total / len(windows) / math.log(2)


def fit(
    torch: ModuleType, model: Any, steps: int, seed: int, quiet: bool = False
) -> tuple[list[float], list[tuple[int, float]], float]:
    """(bits of each step, (step, bits held back) now and then, seconds of a middling step)."""
    learnt, held_back = source(LEARNT), source(HELD_BACK)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99))
    warming = max(1, steps // 20)

    def height(step: int) -> float:
        return min((step + 1) / warming, (1 + math.cos(math.pi * step / steps)) / 2)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, height)
    generator = np.random.default_rng(seed + 1)
    bits, curve, seconds = [], [], []
    every = max(1, steps // CURVE_POINTS)
    hidden = quiet or not sys.stdout.isatty()
    for step in track(range(1, steps + 1), "training", transient=True, disable=hidden):
        starts = generator.integers(0, len(learnt) - LENGTH, BATCH)
        windows = learnt[starts[:, None] + np.arange(LENGTH + 1)]
        begun = time.perf_counter()
        loss = loss_of(torch, model, windows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bits.append(loss.item() / math.log(2))
        seconds.append(time.perf_counter() - begun)
        schedule.step()
        if step % every == 0 and step < steps and not quiet:
            curve.append((step, measured(torch, model, held_back, CURVE_SHARE)))
    return bits, curve, float(np.median(seconds))


def train(steps: int, seed: int = 0, library: str = "rederive", size: int = SIZE) -> float:
    """Train quietly; returns the mean bits for each character of the last ten batches."""
    torch = importlib.import_module(library)
    bits, _, _ = fit(torch, network(torch, seed, size, LAYERS), steps, seed, quiet=True)
    return float(np.mean(bits[-10:]))


def written(torch: ModuleType, model: Any, count: int, seed: int) -> str:
    """What the network writes after "def ", a little surer than its scores are."""
    generator = np.random.default_rng(seed)
    codes = list(encode("def "))
    with torch.no_grad():
        for _ in range(count):
            scores = model(torch.from_numpy(np.array([codes[-LENGTH:]])))[0, -1].numpy()
            shares = np.exp((scores - scores.max()) / 0.7, dtype=np.float64)
            codes.append(generator.choice(len(shares), p=shares / shares.sum()))
    return "".join(ALPHABET[code] for code in codes)


def draw(
    path: Path, bits: list[float], curve: list[tuple[int, float]], counts: list[float]
) -> None:
    """Save the bits of the batches, of the text held back, and of the n-grams."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(range(1, len(bits) + 1), bits, linewidth=0.4, alpha=0.6, label="batches")
    axes.plot(*zip(*curve, strict=True), "o-", color="tab:red", ms=3, label="modules held back")
    label = f"the same, best of 1- to {len(counts)}-grams"
    axes.axhline(min(counts), color="gray", linestyle=":", label=label)
    axes.set(xlabel="step", ylabel="bits for each character", ylim=(1.2, 5))
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of AdamW ({STEPS})")
    parser.add_argument("--size", type=int, default=SIZE, help=f"of a character's vector ({SIZE})")
    parser.add_argument("--layers", type=int, default=LAYERS, help=f"of the encoder ({LAYERS})")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of what is saved")
    parser.add_argument("--torch", action="store_true", help="run on PyTorch, for comparison")
    options = parser.parse_args()
    if options.steps < 1 or options.layers < 1:
        parser.error("--steps, --layers: at least 1")
    if options.size < HEADS or options.size % HEADS:
        parser.error(f"--size: a multiple of {HEADS}")
    library = "torch" if options.torch else "rederive"
    torch = importlib.import_module(library)
    held_back = source(HELD_BACK)
    model = network(torch, options.seed, options.size, options.layers)
    bits, curve, seconds = fit(torch, model, options.steps, options.seed)
    reached = measured(torch, model, held_back)
    counts = counted(source(LEARNT), held_back)
    picture = options.out / "characters.png"
    draw(picture, bits, [*curve, (options.steps, reached)], counts)
    weights = picture.with_suffix(".pt" if options.torch else ".safetensors")
    torch.save(model.state_dict(), weights)
    print(f"{library}: {reached:.3f} bits for each character held back, ", end="")
    print(f"{seconds * 1e3:.1f} ms a step")
    shown = ", ".join(f"{n}: {value:.3f}" for n, value in enumerate(counts, 1))
    print(f"n-grams of the same text: {shown}")
    print(written(torch, model, 400, options.seed))
    print(f"{picture} drawn, {weights} saved")


if __name__ == "__main__":
    main()
