"""Measures the scalar functions of kernels and writes docs/accuracy.md.

Run as `python -m rederive.tools.accuracy [name ...]`; with names it prints and writes nothing.
Errors are in units in the last place of the exact result: float32 against NumPy and SciPy in
float64, over a sweep of all exponents; float64 against mpmath. Needs mpmath.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import scipy.special
from numba import njit
from rederive.codegen.scalars import PREAMBLE, SCALARS, emit

OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
PRECISION = 160


@dataclass(frozen=True)
class Reference:
    """What a function is compared with, and where: `intervals` has one pair for each argument.

    The unit of error is the last place of the exact value or, if that is larger, of `least`.
    """

    array: Callable[..., Any]
    exact: Callable[..., Any]
    intervals: tuple[tuple[float, float], ...]
    least: float = 0.0


def _sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


def _one(array: Any, exact: Any, low: float, high: float) -> Reference:
    return Reference(array, exact, ((low, high),))


def _two(array: Any, exact: Any, first: tuple[float, float], second: Any = None) -> Reference:
    return Reference(array, exact, (first, second or first))


mp = mpmath.mp
REFERENCES: dict[str, Reference] = {
    "exp": _one(np.exp, mp.exp, -745, 709.7),
    "exp2": _one(np.exp2, lambda x: mp.mpf(2) ** x, -1074, 1023.9),
    "expm1": _one(np.expm1, mp.expm1, -40, 709.7),
    "log": _one(np.log, mp.log, 0, 10),
    "log1p": _one(np.log1p, mp.log1p, -1, 10),
    "log2": _one(np.log2, lambda x: mp.log(x) / mp.log(2), 0, 10),
    "log10": _one(np.log10, lambda x: mp.log(x) / mp.log(10), 0, 10),
    "sqrt": _one(np.sqrt, mp.sqrt, 0, 10),
    "rsqrt": _one(lambda x: 1 / np.sqrt(x), lambda x: 1 / mp.sqrt(x), 0, 10),
    "reciprocal": _one(np.reciprocal, lambda x: 1 / x, -10, 10),
    "square": _one(np.square, lambda x: x * x, -10, 10),
    "tanh": _one(np.tanh, mp.tanh, -20, 20),
    "sigmoid": _one(_sigmoid, lambda x: 1 / (1 + mp.exp(-x)), -740, 40),
    "sinh": _one(np.sinh, mp.sinh, -710, 710),
    "cosh": _one(np.cosh, mp.cosh, -710, 710),
    "asinh": _one(np.arcsinh, mp.asinh, -100, 100),
    "acosh": _one(np.arccosh, mp.acosh, 1, 100),
    "atanh": _one(np.arctanh, mp.atanh, -1, 1),
    "sin": _one(np.sin, mp.sin, -1e5, 1e5),
    "cos": _one(np.cos, mp.cos, -1e5, 1e5),
    "tan": _one(np.tan, mp.tan, -1e5, 1e5),
    "asin": _one(np.arcsin, mp.asin, -1, 1),
    "acos": _one(np.arccos, mp.acos, -1, 1),
    "atan": _one(np.arctan, mp.atan, -10, 10),
    "atan2": _two(np.arctan2, mp.atan2, (-10, 10)),
    "erf": _one(scipy.special.erf, mp.erf, -6, 6),
    "erfc": _one(scipy.special.erfc, mp.erfc, -6, 27.2),
    "pow": _two(np.power, mp.power, (0, 30), (-200, 200)),
    "hypot": _two(np.hypot, mp.hypot, (-10, 10)),
    "xlogy": _two(scipy.special.xlogy, lambda x, y: x * mp.log(y), (-10, 10), (0, 10)),
    "logaddexp": Reference(
        np.logaddexp, lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), ((-30, 30), (-30, 30)), 0.5
    ),
    "fmod": _two(np.fmod, mp.fmod, (0, 1e6), (0, 10)),
}


def loops(names: list[str]) -> dict[str, Any]:
    """A compiled loop over arrays for each function, as a kernel would have it."""
    space: dict[str, Any] = {}
    exec(compile(PREAMBLE + "\n" + emit(names), "scalars", "exec"), space)
    found = {}
    for name in names:
        letters = ("x", "y", "z")[: SCALARS[name].arity]
        arguments = ", ".join(f"{letter}[i]" for letter in letters)
        text = f"def loop_{name}({', '.join(letters)}, out):\n"
        text += f"    for i in range(out.shape[0]):\n        out[i] = {name}({arguments})\n"
        exec(compile(text, f"loop_{name}", "exec"), space)
        found[name] = njit(**OPTIONS)(space[f"loop_{name}"])
    return found


def ulps(got: Any, high: Any, low: Any | None = None, least: float = 0.0) -> Any:
    """|got - exact| in units in the last place of the exact value high + low (float64 arrays).

    An infinity is right where the exact value is beyond the largest number.
    """
    digits, smallest = (23, -149) if got.dtype == np.float32 else (52, -1074)
    largest = float(np.finfo(got.dtype).max)
    with np.errstate(all="ignore"):
        unit = np.maximum(np.abs(high), least)
        exponent = np.maximum(np.frexp(unit)[1] - 1 - digits, smallest)
        wide = got.astype(np.float64)
        difference = wide - high - (0.0 if low is None else low)
        error = np.abs(np.ldexp(difference, -np.maximum(exponent, -900)))
        error = np.where(exponent < -900, np.ldexp(error, -900 - np.minimum(exponent, -900)), error)
    error = np.where((wide == high) & np.isinf(high) | np.isnan(wide) & np.isnan(high), 0.0, error)
    over = np.isinf(wide) & (np.abs(high) >= largest) & (np.sign(wide) == np.sign(high))
    return np.where(over, 0.0, np.where(np.isnan(error), np.inf, error))


def arguments(name: str, kind: Any, count: int) -> list[Any]:
    """`count` arguments over all exponents, as many over the interval where the function lives."""
    width = np.uint32 if kind == np.float32 else np.uint64
    generator = np.random.default_rng(list(name.encode()))
    result = []
    for low, high in REFERENCES[name].intervals:
        step = (int(np.iinfo(width).max) + 1) // count
        bits = np.arange(count, dtype=width) * width(step)
        bits += generator.integers(0, step, count, dtype=width)
        everywhere = bits.view(kind)
        if result:
            everywhere = generator.permutation(everywhere)
        if kind == np.float32 and max(-low, high) > 150 and name not in ("sin", "cos", "tan"):
            low, high = max(low, -150), min(high, 150)
        inside = generator.uniform(low, high, count - count // 2)
        near_one = 1 + generator.uniform(-0.2, 0.2, count // 4)
        small = generator.uniform(-1, 1, count // 2 - count // 4)
        result.append(
            np.concatenate([everywhere, *(p.astype(kind) for p in (inside, near_one, small))])
        )
    return result


def errors_float32(name: str, loop: Any, count: int) -> tuple[float, list[float]]:
    """(largest error in ulp, where)."""
    given = arguments(name, np.float32, count)
    got = np.empty_like(given[0])
    loop(*given, got)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name].array(*(x.astype(np.float64) for x in given))
    return _largest(ulps(got, exact, least=REFERENCES[name].least), given)


def errors_float64(name: str, loop: Any, count: int) -> tuple[float, list[float]]:
    """(largest error in ulp, where); points where mpmath has no real value are left out."""
    given = arguments(name, np.float64, count)
    keep = np.ones(given[0].shape, bool)
    for x, (low, high) in zip(given, REFERENCES[name].intervals, strict=True):
        wide = name in (
            "sin",
            "cos",
            "tan",
            "log",
            "log2",
            "log10",
            "log1p",
            "sqrt",
            "rsqrt",
            "atan",
        )
        keep &= np.isfinite(x) & (x > low if low >= -1 else x == x)
        keep &= (np.abs(x) < 1e300) if wide else (x < high) & (x > low)
    given = [x[keep] for x in given]
    got = np.empty_like(given[0])
    loop(*given, got)
    high, low = np.empty_like(got), np.empty_like(got)
    with mp.workprec(PRECISION):
        for i, point in enumerate(zip(*given, strict=True)):
            value = REFERENCES[name].exact(*(mp.mpf(float(x)) for x in point))
            high[i] = float(value)
            low[i] = float(value - mp.mpf(high[i])) if np.isfinite(high[i]) else 0.0
    return _largest(ulps(got, high, low, REFERENCES[name].least), given)


def _largest(errors: Any, given: list[Any]) -> tuple[float, list[float]]:
    i = int(np.argmax(errors))
    return float(errors[i]), [float(x[i]) for x in given]


def speed(name: str, loop: Any, kind: Any) -> float:
    """Time of NumPy or SciPy over that of the loop, for a million numbers."""
    generator = np.random.default_rng(0)
    given = []
    for low, high in REFERENCES[name].intervals:
        given.append(generator.uniform(max(low, -10), min(high, 10), 1_000_000).astype(kind))
    out = np.empty_like(given[0])
    with np.errstate(all="ignore"):
        other = _best(lambda: REFERENCES[name].array(*given))
    return other / _best(lambda: loop(*given, out))


def _best(action: Callable[[], Any]) -> float:
    times = []
    for _ in range(15):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


HEADER = """# Accuracy and speed of the scalar functions

Written by `python -m rederive.tools.accuracy`. Errors are the largest found, in units in the last
place of the exact result (0.5 is the best possible), with what is promised in brackets: in float32
over a sweep of {sweep:,} numbers of all exponents and as many where the function is neither 0 nor
infinite, in float64 at {points:,} points against mpmath. Speed is the time of NumPy (SciPy for erf,
erfc and xlogy) for a million numbers, one thread, over ours: larger is better; it depends on the
machine.

Functions that are not listed (abs, floor, maximum, where and the like) are exact. The unit for
logaddexp is that of 1/2 at least: where exp(x) + exp(y) is almost 1 its logarithm is almost 0.
Beyond 2**42 in float64 and 2**16 in float32 (tan: 2**48), sin, cos and tan ask the C library, and
so does fmod if the quotient is above 2**51, in float32 2**22: correct, but slow. A processor
without a fused multiply-add (x86 before 2013) emulates it, very slowly.

| function | float32, ulp | float64, ulp | speed, float32 | speed, float64 |
| --- | --- | --- | --- | --- |
"""


def main(names: list[str]) -> None:
    """Measure `names`, or everything, and then write the page."""
    sweep, points = 2**23, 4000
    chosen = names or sorted(REFERENCES)
    rows = []
    for name, loop in loops(chosen).items():
        first, where32 = errors_float32(name, loop, sweep)
        second, where64 = errors_float64(name, loop, points)
        ratios = [speed(name, loop, kind) for kind in (np.float32, np.float64)]
        scalar = SCALARS[name]
        cells = [name, f"{first:.2f} ({scalar.bound32:g})", f"{second:.2f} ({scalar.bound64:g})"]
        rows.append("| " + " | ".join(cells + [f"{r:.1f}x" for r in ratios]) + " |\n")
        print(rows[-1].strip(), where32, where64, flush=True)
    if not names:
        page = Path(__file__).parent.parent / "docs" / "accuracy.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(HEADER.format(sweep=sweep, points=points) + "".join(rows), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
