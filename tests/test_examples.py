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


def test_digits_are_shifted_by_one_pixel_at_most():
    images = np.zeros((200, 1, 8, 8), np.float32)
    images[:, 0, 3, 4] = 1
    moved = load("digits").shifted(images, np.random.default_rng(0))
    assert moved.shape == images.shape and moved.sum() == 200
    places = {tuple(place) for place in np.argwhere(moved)[:, 2:].tolist()}
    assert places == {(row, column) for row in (2, 3, 4) for column in (3, 4, 5)}


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
