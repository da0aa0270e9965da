"""Methods that fill a tensor with random numbers: uniform_, normal_, random_, bernoulli_, ...

In a graph they are constants: what was in the tensor before gets a gradient of zeros.
"""

from __future__ import annotations

import functools

import numpy as np

from . import dtypes, inplace, overwriting
from .dispatch import profiled, profiling
from .namespace import ops
from .random import source
from .tensor import Tensor

_LARGEST_INT64 = 2**63 - 1


def uniform_(self, *bounds, generator=None, **named):
    """Fill with numbers uniform over [from, to), by default [0, 1)."""
    low, high = _two("uniform_", bounds, named, ("from", 0.0), ("to", 1.0))
    recorded = inplace.check(self)
    _need_floating("check_uniform_bounds", self.dtype)
    limits = np.finfo(self.dtype.numpy)
    for name, value in (("from", low), ("to", high)):
        if not limits.min <= value <= limits.max:
            raise RuntimeError(f"{name} is out of bounds for {self.dtype}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > limits.max:
        raise RuntimeError(
            f"uniform_ expects to-from <= the largest {self.dtype}, but found to={high:g} and "
            f"from={low:g} which result in to-from to exceed the limit"
        )
    drawn = source(generator).random(self.numel(), self.dtype.numpy)
    return _fill("uniform", self, recorded, drawn * (high - low) + low)


def normal_(self, mean=0.0, std=1.0, *, generator=None):
    """Fill with numbers of the normal distribution of this mean and standard deviation."""
    recorded = inplace.check(self)
    mean, std = float(mean), float(std)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    _need_floating("normal_kernel_cpu", self.dtype)
    drawn = source(generator).standard_normal(self.numel(), self.dtype.numpy)
    return _fill("normal", self, recorded, drawn * std + mean)


def log_normal_(self, mean=1.0, std=2.0, *, generator=None):
    """Fill with exponentials of normal numbers of this mean and standard deviation."""
    recorded = inplace.check(self)
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    _need_floating("log_normal_cpu", self.dtype)
    drawn = source(generator).standard_normal(self.numel(), self.dtype.numpy)
    with np.errstate(over="ignore"):
        drawn = np.exp(drawn * std + mean)
    return _fill("log_normal", self, recorded, drawn)


def cauchy_(self, median=0.0, sigma=1.0, *, generator=None):
    """Fill with numbers of the Cauchy distribution of this median and half width."""
    recorded = inplace.check(self)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    _need_continuous("Cauchy", self.dtype)
    drawn = source(generator).standard_cauchy(self.numel())
    return _fill("cauchy", self, recorded, drawn * sigma + median)


def exponential_(self, lambd=1.0, *, generator=None):
    """Fill with numbers of the exponential distribution of rate `lambd`; none is zero."""
    recorded = inplace.check(self)
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    _need_continuous("Exponential", self.dtype)
    # 1 - u lies in (0, 1], its logarithm is never minus infinity
    drawn = -np.log1p(-source(generator).random(self.numel(), self.dtype.numpy))
    smallest = np.finfo(self.dtype.numpy).tiny
    return _fill("exponential", self, recorded, np.maximum(drawn, smallest) / lambd)


def geometric_(self, p, *, generator=None):
    """Fill with the number of trials up to the first success, of probability `p`."""
    recorded = inplace.check(self)
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    if self.dtype is dtypes.bool:
        raise NotImplementedError("\"geometric_cpu\" not implemented for 'Bool'")
    drawn = source(generator).geometric(p, self.numel())
    return _fill("geometric", self, recorded, drawn)


def bernoulli_(self, p=0.5, *, generator=None):
    """Fill with 1 of probability `p` and else 0; `p` is a number, or a tensor of probabilities."""
    if isinstance(p, Tensor):
        recorded = inplace.check(self, (p,))
        _need_floating("bernoulli_tensor_cpu_p_", p.dtype)
        chances = ops.expand(p.detach(), self.shape)._dense()
        if chances.size and not ((chances >= 0) & (chances <= 1)).all():
            raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    else:
        recorded = inplace.check(self)
        chances = p
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    drawn = source(generator).random(self.numel()) < chances
    return _fill("bernoulli", self, recorded, drawn)


def random_(self, *bounds, generator=None, **named):
    """Fill with integers: `random_()`, `random_(to)` or `random_(from, to)`; `to` is excluded.

    Without `to` they reach up to what the dtype can hold exactly.
    """
    if len(bounds) == 1 and not named:
        bounds = (0, *bounds)
    low, high = _two("random_", bounds, named, ("from", 0), ("to", None))
    recorded = inplace.check(self)
    largest = _largest(self.dtype)
    high = largest + 1 if high is None else int(high)
    low = int(low)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    smallest = _smallest(self.dtype)
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not smallest <= value <= largest:
            raise RuntimeError(f"{name} is out of bounds for {self.dtype}")
    drawn = source(generator).integers(low, high - 1, self.numel(), np.int64, endpoint=True)
    return _fill("random", self, recorded, drawn)


def _largest(dtype):
    """The largest integer that `random_` draws for a dtype."""
    if dtype.is_floating_point:
        return 2 ** (np.finfo(dtype.numpy).nmant + 1)
    return 1 if dtype is dtypes.bool else min(int(np.iinfo(dtype.numpy).max), _LARGEST_INT64)


def _smallest(dtype):
    if dtype.is_floating_point:
        return -_largest(dtype)
    return 0 if dtype is dtypes.bool else int(np.iinfo(dtype.numpy).min)


def _two(name, given, named, *parameters):
    """Two arguments, one of which has a name that no Python parameter can have: `from`."""
    if len(given) > 2:
        raise TypeError(
            f"{name}() takes from 0 to 2 positional arguments but {len(given)} were given"
        )
    values = [default for _, default in parameters]
    values[: len(given)] = given
    names = [parameter for parameter, _ in parameters]
    for key, value in named.items():
        if key not in names:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        values[names.index(key)] = value
    for key, value in zip(names, values, strict=True):
        if isinstance(value, str):
            raise TypeError(f"{name}(): argument '{key}' must be a number, not str")
    return values


def _need_floating(kernel, dtype):
    if not dtype.is_floating_point:
        raise NotImplementedError(f'"{kernel}" not implemented for {dtype}')


def _need_continuous(distribution, dtype):
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"{distribution} distribution is a continuous probability distribution. dtype must be "
            f"a floating point but you specified {dtype}"
        )


def _fill(name, target, recorded, drawn):
    if target._flat is None:
        inplace.check_overlap(target)
    history = overwriting.value_history(name, target) if recorded else None
    overwriting.overwrite(target, drawn.reshape(target.shape))
    if recorded:
        inplace.rebase(target, history)
    return target


def attach():
    """Make these functions methods of Tensor."""
    for function in (
        bernoulli_,
        cauchy_,
        exponential_,
        geometric_,
        log_normal_,
        normal_,
        random_,
        uniform_,
    ):
        setattr(Tensor, function.__name__, _with_row(function))


def _with_row(function):
    """The method with a row of its own in a profile."""

    @functools.wraps(function)
    def method(self, *args, **kwargs):
        given = (self, *args)
        if profiling.on and (row := profiled(function.__name__, method, given, kwargs)):
            return row[0]
        return function(self, *args, **kwargs)

    return method
