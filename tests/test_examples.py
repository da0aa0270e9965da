"""The examples run, and learn what they are meant to learn."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits_are_learnt():
    assert load("digits").train(epochs=2, seed=0) >= 0.93


def test_digits_are_moved_a_little():
    images = np.zeros((200, 1, 8, 8), np.float32)
    images[:, 0, 2:6, 2:6] = 1
    moved = load("digits").moved(images, np.random.default_rng(0))
    assert moved.shape == images.shape and moved.dtype == np.float32
    assert moved.min() >= 0 and moved.max() <= 1 and 13 <= moved.sum() / 200 <= 19
    middle = np.einsum("nchw,h->n", moved, np.arange(8.0)) / moved.sum((1, 2, 3))
    assert -1.2 < (middle - 3.5).min() < -0.8 and 0.8 < (middle - 3.5).max() < 1.2


def test_characters_are_learnt():
    example = load("characters")
    example.BATCH, example.CHECKED, example.WARMING = 8, 40, 20
    assert example.train(steps=20, files=10) <= 5.5


def test_counts_of_characters_give_the_bits_that_they_should():
    example = load("characters")
    generator = np.random.default_rng(0)
    # each of four characters with the same chance: two bits, whatever came before
    learnt, held_back = generator.integers(0, 4, 200_000), generator.integers(0, 4, (500, 65))
    for order in (1, 2, 3):
        assert abs(example.counted_bits(learnt, held_back, order) - 2) < 0.01
    # each character is settled by the one before
    learnt = np.arange(100_000) % 7
    held_back = np.arange(65)[None] % 7
    assert example.counted_bits(learnt, held_back, 1) > 2.8
    assert example.counted_bits(learnt, held_back, 2) < 0.01


def test_diabetes_is_predicted():
    assert load("diabetes").train(epochs=100) >= 0.45


def test_heat_equation_is_solved():
    assert load("heat").train(steps=400) <= 0.1


@pytest.mark.parametrize(
    ("name", "option", "printed"),
    [
        ("digits", "--epochs", "epoch   1"),
        ("diabetes", "--epochs", "rederive: R squared on 110 patients"),
        ("heat", "--steps", "rederive: loss"),
    ],
)
def test_script_prints_and_draws(name, option, printed, tmp_path):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), option, "2"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(printed)
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_characters_script_prints_writes_and_draws(tmp_path):
    command = [sys.executable, "-W", "error", str(EXAMPLES / "characters.py"), "--steps", "2"]
    command += ["--files", "4", "--write", "10", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "n-grams, bits" in done.stdout and "rederive: " in done.stdout
    assert "\ndef " in done.stdout
    assert (tmp_path / "characters.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["diabetes", "heat"])
def test_example_learns_the_same_on_pytorch(name):
    pytest.importorskip("torch")
    train = load(name).train
    assert train(20, library="torch") == pytest.approx(train(20), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("micrograd", "largest relative difference between the engines in 100 steps"),
        ("gradient_penalty", "distance found"),
        ("meta_learning", "loss on new tasks after one step of learning"),
        ("newton", "norm over the square of the norm before"),
        ("straight_through", "Function: loss 0.000, 100% of the signs found"),
    ],
)
def test_example_checks_its_own_numbers(name, printed):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert printed in done.stdout
