"""The examples run, and learn what they are meant to learn."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rederive

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
    threads = rederive.get_num_threads()
    rederive.set_num_threads(1)  # threads that wait for a busy core would take the longest
    try:
        # counts of single characters reach 4.5
        assert load("characters").train(steps=100, size=32) <= 4.2
    finally:
        rederive.set_num_threads(threads)


def test_characters_are_written_and_drawn(tmp_path):
    characters = load("characters")
    model = characters.network(rederive, seed=0, size=8, layers=1)
    text = characters.written(rederive, model, count=5, seed=0)
    assert text.startswith("def ") and len(text) == 9
    characters.draw(tmp_path / "out" / "drawn.png", [6.0, 5.0], [(2, 5.0)], [4.0])
    assert (tmp_path / "out" / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_characters_do_not_see_what_follows():
    characters = load("characters")
    model = characters.network(rederive, seed=0, size=8, layers=2)
    text = np.arange(16).reshape(1, 16)
    changed = np.where(text < 9, text, 50)
    before, after = (
        model(rederive.from_numpy(codes)).detach().numpy() for codes in (text, changed)
    )
    assert np.array_equal(before[:, :9], after[:, :9])
    assert not np.allclose(before[:, 9], after[:, 9])


def test_counts_of_characters_are_mixed():
    counted, encode = (getattr(load("characters"), name) for name in ("counted", "encode"))
    single, pairs = counted(encode("abab"), encode("ab"), longest=2)
    # of 4 characters 2 were a, and the 2 kinds bring 1/96 each; "b" always followed "a"
    share = (2 + 2 / 96) / 6
    assert single == pytest.approx(-math.log2(share))
    # nothing stood before the first: 1 of 1 was an a
    after = ((1 + share) / 2, (2 + share) / 3)
    assert pairs == pytest.approx(-sum(map(math.log2, after)) / 2)


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
