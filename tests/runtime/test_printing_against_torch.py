"""The printed form equals PyTorch's over many random tensors and options."""

import numpy as np
import pytest
import rederive
from rederive import dtypes, printing

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")

DTYPES = ["float32", "float64", "int64", "int32", "bool", "uint8"]
SHAPES = [(), (1,), (3,), (40,), (0,), (0, 3), (2, 0, 4), (1, 1), (4, 3), (3, 30), (2, 3, 4)]
LARGE = [(1001,), (7, 200), (40, 40), (12, 11, 10), (2, 1000), (9, 9, 4, 8), (5, 7, 2, 3, 8)]
PALETTES = {
    "unit": lambda rng, n: rng.standard_normal(n),
    "wide": lambda rng, n: rng.standard_normal(n) * 10.0 ** rng.integers(-8, 9, n),
    "whole": lambda rng, n: rng.integers(-100, 100, n).astype(float),
    "huge": lambda rng, n: rng.integers(-5, 5, n) * 1e7 * 10.0 ** rng.integers(0, 4),
    "tiny": lambda rng, n: rng.standard_normal(n) * 1e-5,
    "special": lambda rng, n: rng.choice([0.0, -0.0, 1.5, np.inf, -np.inf, np.nan, 3.0], n),
    "special_whole": lambda rng, n: rng.choice([0.0, 2.0, np.inf, np.nan], n),
    "zeros": lambda rng, n: np.zeros(n),
    "nans": lambda rng, n: np.full(n, np.nan),
    "signed": lambda rng, n: rng.choice([-0.00012, 12.0, -99.99995, 0.5], n),
}


@pytest.fixture(autouse=True)
def names_of_equal_length(monkeypatch):
    """Lines break by their length, so a dtype must be called as in PyTorch here."""
    monkeypatch.setattr(dtypes.dtype, "__repr__", lambda self: "torch." + self.name)


def both(array, dtype):
    with np.errstate(invalid="ignore", over="ignore"):
        array = array.astype(dtype)
    theirs = torch.from_numpy(array.copy())
    return rederive.from_numpy(array), theirs


def assert_same(array, dtype):
    ours, theirs = both(array, dtype)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_tensors_print_as_in_torch(dtype, palette):
    if dtype not in ("float32", "float64") and palette in ("special", "special_whole", "nans"):
        palette = "whole"
    rng = np.random.default_rng(len(palette) * 100 + len(dtype))
    for shape in SHAPES + LARGE:
        values = PALETTES[palette](rng, int(np.prod(shape))).reshape(shape)
        if dtype == "uint8":
            values = np.abs(values) % 256
        assert_same(np.array(values), dtype)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"precision": 8, "linewidth": 60},
        {"threshold": 5, "edgeitems": 1},
        {"threshold": 5, "edgeitems": 2, "linewidth": 30},
        {"sci_mode": True},
        {"sci_mode": False},
        {"profile": "short"},
        {"profile": "full"},
    ],
)
def test_options_print_as_in_torch(options):
    rng = np.random.default_rng(5)
    before = printing.get_printoptions()
    torch.set_printoptions(**options)
    try:
        with printing.printoptions(**options):
            for shape in [*SHAPES, (7, 8, 9)]:
                for palette in PALETTES.values():
                    values = palette(rng, int(np.prod(shape))).reshape(shape)
                    assert_same(np.array(values), "float32")
                    assert_same(np.array(values), "float64")
    finally:
        torch.set_printoptions(profile="default")
    assert printing.get_printoptions() == before


def test_the_default_dtype_is_not_printed():
    rederive.set_default_dtype(rederive.float64)
    torch.set_default_dtype(torch.float64)
    try:
        assert_same(np.ones(2), "float64")
        assert_same(np.ones(2), "float32")
        assert_same(np.ones((0, 2)), "float64")
    finally:
        rederive.set_default_dtype(rederive.float32)
        torch.set_default_dtype(torch.float32)


def test_strided_and_requires_grad():
    ours, theirs = both(np.arange(12.0).reshape(3, 4), "float32")
    assert repr(ours.t()) == repr(theirs.t())
    assert repr(ours.requires_grad_()) == repr(theirs.requires_grad_())
