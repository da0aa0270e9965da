"""Random numbers: generators, seeds, and the factories that draw from them.

The streams are NumPy's PCG64. They are reproducible from a seed, but they are not PyTorch's.
"""

import os
import struct

import numpy as np

from . import dtypes
from .device import check_device, cpu
from .dispatch import profiled, profiling
from .factories import checked_size, finish, like, one_size, options
from .geometry import Size, as_int, broadcast_shapes
from .tensor import Tensor, from_array, from_flat, need_tensor

_FIRST_SEED = 67280421310721
_STATE = struct.Struct("<Q16s16s?I")


class Generator:
    """A source of random numbers with a state of its own."""

    __slots__ = ("_seed", "numpy")

    def __init__(self, device="cpu"):
        check_device(device)
        self.manual_seed(_FIRST_SEED)

    @property
    def device(self):
        """The CPU."""
        return cpu

    def manual_seed(self, seed):
        """Start the stream that belongs to `seed`, an int from -2**63 to 2**64 - 1."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        self._seed = seed % 2**64
        self.numpy = np.random.Generator(np.random.PCG64(self._seed))
        return self

    def seed(self):
        """Start a stream that nobody can foresee; returns its seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self):
        """The seed that the stream started from."""
        return self._seed

    def key(self):
        """The next 64 bits of the stream: the key of a stream that counts instead."""
        return int(self.numpy.bit_generator.random_raw())

    def get_state(self):
        """The position in the stream, as a uint8 tensor."""
        state = self.numpy.bit_generator.state
        packed = _STATE.pack(
            self._seed,
            state["state"]["state"].to_bytes(16, "little"),
            state["state"]["inc"].to_bytes(16, "little"),
            bool(state["has_uint32"]),
            state["uinteger"],
        )
        return from_array(np.frombuffer(packed, np.uint8))

    def set_state(self, new_state):
        """Continue from a position that `get_state` returned."""
        if not isinstance(new_state, Tensor) or new_state.dtype is not dtypes.uint8:
            raise TypeError("expected a rederive.uint8 Tensor as the state of a generator")
        packed = new_state._dense().tobytes()
        if len(packed) != _STATE.size:
            raise RuntimeError(f"set_state: got {len(packed)} bytes; {_STATE.size} are required")
        seed, state, increment, has_uint32, uinteger = _STATE.unpack(packed)
        self.manual_seed(seed)
        self.numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {
                "state": int.from_bytes(state, "little"),
                "inc": int.from_bytes(increment, "little"),
            },
            "has_uint32": int(has_uint32),
            "uinteger": uinteger,
        }
        return self

    def __reduce__(self):
        return (_generator, (self.get_state()._dense().tobytes(),))


def _generator(state):
    """A generator at a position in its stream: what copies and pickles of one are."""
    generator = Generator()
    generator.set_state(from_array(np.frombuffer(state, np.uint8)))
    return generator


default_generator = Generator()


def manual_seed(seed):
    """Seed the default generator, and return it."""
    return default_generator.manual_seed(seed)


def seed():
    """Seed the default generator with a number nobody can foresee; returns it."""
    return default_generator.seed()


def initial_seed():
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state():
    """The state of the default generator, as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Set the state of the default generator."""
    default_generator.set_state(new_state)


def source(generator):
    """The NumPy generator behind `generator`, or behind the default one for None."""
    if generator is None:
        return default_generator.numpy
    if not isinstance(generator, Generator):
        raise TypeError(
            f"argument 'generator' must be rederive.Generator, not {type(generator).__name__}"
        )
    return generator.numpy


# --- flat arrays ---------------------------------------------------------------------------


def uniform_flat(numel, dtype, generator=None):
    """`numel` numbers, uniform over [0, 1)."""
    _need_floating(dtype, "rand")
    return source(generator).random(numel, dtype.numpy)


def normal_flat(numel, dtype, generator=None):
    """`numel` numbers of the standard normal distribution."""
    _need_floating(dtype, "randn")
    return source(generator).standard_normal(numel, dtype.numpy)


def _need_floating(dtype, where):
    if not dtype.is_floating_point:
        raise NotImplementedError(f"{where}: got dtype {dtype}; a floating point one is required")


def integers_flat(low, high, numel, dtype, generator=None):
    """`numel` integers, uniform over low to high - 1, as `dtype`."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    drawn = source(generator).integers(low, high, numel, np.int64)
    return drawn.astype(dtype.numpy, copy=False)


# --- factories -----------------------------------------------------------------------------


def rand(
    *sizes,
    size=None,
    generator=None,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    pin_memory=False,
):
    """Numbers uniform over [0, 1)."""
    dtype = options("rand", dtype, device, layout)
    shape = one_size(sizes, size, "rand")
    return finish(uniform_flat(shape.numel(), dtype, generator), shape, dtype, requires_grad)


def randn(
    *sizes,
    size=None,
    generator=None,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    pin_memory=False,
):
    """Numbers of the standard normal distribution."""
    dtype = options("randn", dtype, device, layout)
    shape = one_size(sizes, size, "randn")
    return finish(normal_flat(shape.numel(), dtype, generator), shape, dtype, requires_grad)


def rand_like(
    input,
    *,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    memory_format=None,
    generator=None,
):
    """Numbers uniform over [0, 1), with the shape and dtype of `input`."""

    def make(numel, dtype):
        return uniform_flat(numel, dtype, generator)

    return like("rand_like", input, make, dtype, device, layout, requires_grad)


def randn_like(
    input,
    *,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    memory_format=None,
    generator=None,
):
    """Numbers of the standard normal distribution, with the shape and dtype of `input`."""

    def make(numel, dtype):
        return normal_flat(numel, dtype, generator)

    return like("randn_like", input, make, dtype, device, layout, requires_grad)


def _bounds(bounds, where):
    """(high) or (low, high) as two ints."""
    low, high = bounds if len(bounds) == 2 else (0, *bounds)
    return as_int(low), as_int(high)


def randint(
    *args,
    low=None,
    high=None,
    size=None,
    generator=None,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
):
    """`randint([low], high, size)`: integers uniform over low (0) to high - 1; int64."""
    args = list(args)
    if size is None and args and isinstance(args[-1], (tuple, list)):
        size = args.pop()
    if low is not None:
        args.insert(0, low)
    if high is not None:
        args.append(high)
    if not isinstance(size, (tuple, list)):
        raise TypeError(
            f"randint(): argument 'size' must be tuple of ints, not {type(size).__name__}"
        )
    if len(args) not in (1, 2):
        raise TypeError(f"randint(): got {len(args)} bounds; high, or low and high are required")
    dtype = options("randint", dtype, device, layout, dtypes.int64)
    shape = checked_size((size,), "randint")
    flat = integers_flat(*_bounds(args, "randint"), shape.numel(), dtype, generator)
    return finish(flat, shape, dtype, requires_grad)


def randint_like(
    input, *bounds, dtype=None, device=None, layout=None, requires_grad=False, generator=None
):
    """`randint_like(input, [low], high)`: integers with the shape and dtype of `input`."""
    low, high = _bounds(bounds, "randint_like")

    def make(numel, dtype):
        return integers_flat(low, high, numel, dtype, generator)

    return like("randint_like", input, make, dtype, device, layout, requires_grad)


def randperm(
    n,
    *,
    generator=None,
    dtype=None,
    device=None,
    layout=None,
    requires_grad=False,
    pin_memory=False,
):
    """The numbers from 0 to n - 1 in random order; int64."""
    dtype = options("randperm", dtype, device, layout, dtypes.int64)
    shape = checked_size((n,), "randperm")
    flat = source(generator).permutation(n).astype(dtype.numpy, copy=False)
    return finish(flat, shape, dtype, requires_grad)


def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None, requires_grad=False):
    """Numbers of normal distributions: `mean` and `std` are tensors, or numbers with `size`."""
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    if not tensors and size is None:
        raise TypeError("normal: mean and std are numbers; size is required")
    smallest = std._nd().min(initial=0) if isinstance(std, Tensor) else std
    if smallest < 0:
        if isinstance(std, Tensor):
            raise RuntimeError("normal expects all elements of std >= 0.0")
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if tensors:
        shape = broadcast_shapes(*(value.shape for value in tensors))
        own = tensors[0].dtype
    else:
        shape = checked_size((size,), "normal")
        own = None
    dtype = options("normal", dtype, None, None, own)
    flat = normal_flat(shape.numel(), dtype, generator)
    drawn = flat.reshape(shape)
    drawn *= std._nd() if isinstance(std, Tensor) else std
    drawn += mean._nd() if isinstance(mean, Tensor) else mean
    return finish(flat, shape, dtype, requires_grad)


def bernoulli(input, p=None, *, generator=None):
    """0 or 1 for each element, 1 of the probability that the element is, or `p` if given."""
    if p is not None:
        return input.detach().clone().bernoulli_(p, generator=generator)
    if profiling.on:
        keywords = {"generator": generator}
        if row := profiled("bernoulli", bernoulli, (input,), keywords):
            return row[0]
    need_tensor("bernoulli", "input", input)
    p = input._dense()
    _need_floating(input.dtype, "bernoulli")
    if p.size and not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    drawn = uniform_flat(len(p), input.dtype, generator) < p
    return from_flat(drawn.astype(input.dtype.numpy), input.shape, input.dtype)


def multinomial(input, num_samples, replacement=False, *, generator=None):
    """Positions drawn with the weights `input`, (n,) or (rows, n): `num_samples` of each row."""
    if profiling.on:
        given, keywords = (input, num_samples, replacement), {"generator": generator}
        if row := profiled("multinomial", multinomial, given, keywords):
            return row[0]
    need_tensor("multinomial", "input", input)
    if len(input.shape) not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    weights = input._nd().astype(np.float64)
    count = weights.shape[-1]
    if num_samples < 1:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > count:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (weights.sum(axis=-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    drawn = _draw_rows(weights.reshape(-1, count), num_samples, replacement, source(generator))
    shape = Size((*weights.shape[:-1], num_samples))
    return from_flat(drawn.reshape(-1), shape, dtypes.int64)


def _draw_rows(rows, num_samples, replacement, generator):
    if replacement:
        ends = np.cumsum(rows, axis=1)
        at = generator.random((len(rows), num_samples)) * ends[:, -1:]
        drawn = [np.searchsorted(end, x, side="right") for end, x in zip(ends, at, strict=True)]
        return np.stack(drawn).astype(np.int64) if drawn else np.empty((0, num_samples), np.int64)
    # exponential clocks: the order in which they ring is a weighted draw without replacement
    with np.errstate(divide="ignore"):
        rings = generator.standard_exponential(rows.shape) / rows
    return np.argsort(rings, axis=1, kind="stable")[:, :num_samples].astype(np.int64)
