"""Calls of operators drawn at random, around the samples that their entries declare.

Nothing here knows an operator by name: shapes, memory layouts, dtypes, dimensions, flags and other
arguments are varied by what the signature says they are, and by the values that the declared calls
give them. A call may be one that the operator refuses.
"""

import numpy as np
from rederive.tools import samples

SHAPES = ((), (3,), (1,), (2, 3), (3, 1), (1, 3), (2, 1, 3), (0, 3), (2, 3, 4))  # they broadcast
SIZES = (0, 1, 2, 3, 5)
DIMENSIONS = ("dim", "dim0", "dim1", "dims", "start_dim", "end_dim")
LIKE_SHAPES = ("size", "shape", "normalized_shape", "output_size")
DTYPES = ("float32", "float64", "float64", "float32", "int64", "int32")


def counterpart(operator, torch):
    """PyTorch's function of the operator's public name, or None."""
    for space in operator.namespace:
        place = torch.Tensor if space == "Tensor" else torch
        if space not in ("torch", "Tensor"):
            for part in space.split("."):
                place = getattr(place, part, None)
        found = getattr(place, operator.public, None)
        if callable(found):
            return found
    return None


def by_position(operator, values):
    """The arguments to give by position, and those to give by name.

    What is not a tensor goes by name: PyTorch keeps abandoned arguments in some positions.
    """
    left, positional = dict(values), []
    for argument in operator.arguments:
        if argument.name not in left or argument.type not in ("Tensor", "Scalar", "int"):
            break
        if argument.keyword_only:
            break
        positional.append(left.pop(argument.name))
    return positional, left


class Drawing:
    """Draws calls of an operator: argument name -> array, list of arrays, or plain value.

    random: a random.Random, or what stands for one with hypothesis.
    varied: whether declared calls take other shapes and arguments.
    dtypes: what floating arrays may be turned into, one by one; nothing leaves float64.
    """

    def __init__(self, operator, random, *, varied=True, dtypes=()):
        self.operator = operator
        self.random = random
        self.dtypes = dtypes
        self.declared = samples.draw(operator)
        self.arguments = {argument.name: argument for argument in operator.arguments}
        # the kernels behind internal operators trust the shapes that their callers have checked
        trusting = "internal" in operator.namespace and operator.family not in (
            "pointwise",
            "rowwise",
        )
        self.varied = varied and not trusting

    def often(self, share):
        return self.random.random() < share

    def sample(self):
        """A declared sample, varied."""
        found = self.random.choice(self.declared)
        values = dict(found.values)
        if self.varied:
            values = self.other_shapes(values | self.other_arguments(), found.symmetric)
        values = {name: self.laid(value) for name, value in values.items()}
        return samples.Sample("drawn", values, found.seed, symmetric=found.symmetric)

    # --- arguments that are no tensors --------------------------------------------------------

    def other_arguments(self):
        """Flags turned over, and what other declared calls give to plain arguments."""
        drawn = {}
        for name, argument in self.arguments.items():
            if argument.type == "Tensor" or name == "inplace":
                continue
            if argument.type == "bool" and argument.has_default:
                if self.often(0.3):
                    drawn[name] = self.often(0.5)
            elif argument.optional and argument.has_default and self.often(0.1):
                drawn[name] = None
            elif self.often(0.15):
                given = [s.values[name] for s in self.declared if name in s.values]
                if given:
                    drawn[name] = self.random.choice(given)
        return drawn

    def dimensions(self, name, value, ndim):
        """One dimension or several, seldom out of range."""
        if isinstance(value, int) and not isinstance(value, bool):
            reach = ndim + 1 if self.often(0.05) else max(ndim, 1)
            return self.random.randint(-reach, reach - 1)
        if isinstance(value, tuple) and ndim:
            order = self.random.sample(range(ndim), ndim)
            # a permutation has to name every dimension, a reduction only some
            count = ndim if len(value) >= ndim else self.random.randint(1, ndim)
            return tuple(d - ndim if self.often(0.3) else d for d in order[:count])
        return value

    # --- shapes -------------------------------------------------------------------------------

    def other_shapes(self, values, symmetric):
        """The values with sizes replaced throughout, dimensions cut to one, added or left out."""
        arrays = samples.Sample("", values, 0).arrays()
        sizes = sorted({n for array in arrays for n in array.shape})
        renamed = {n: n for n in sizes}
        if sizes and self.often(0.5):
            renamed[self.random.choice(sizes)] = self.random.choice(SIZES)
        free = self.operator.family == "pointwise" and not self.operator.calls
        common = self.random.choice(SHAPES) if free and self.often(0.5) else None

        def reshaped(name, array):
            if common is not None:
                return self.resized(name, array, self.part_of(common), False)
            shape = [renamed[n] for n in array.shape]
            if name not in symmetric and shape and self.often(0.1):
                if self.often(0.5):
                    shape[self.random.randrange(len(shape))] = 1
                else:
                    shape = shape[1:]
            elif self.often(0.05):
                shape = [2, *shape]
            return self.resized(name, array, tuple(shape), name in symmetric)

        result, first = {}, None
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value = reshaped(name, value)
                first = value if first is None else first
            elif samples.is_arrays(value):
                value = [reshaped(name, item) for item in value]
                first = value[0] if first is None else first
            elif name in LIKE_SHAPES and isinstance(value, tuple):
                value = tuple(renamed.get(n, n) for n in value)
            result[name] = value
        for name, value in result.items():
            if name in DIMENSIONS and first is not None and self.often(0.5):
                result[name] = self.dimensions(name, value, first.ndim)
        return result

    def part_of(self, shape):
        """A shape that broadcasts to this one, or seldom one that may not."""
        if self.often(0.1):
            return self.random.choice(SHAPES)
        cut = self.random.randint(0, len(shape)) if self.often(0.3) else 0
        return tuple(1 if self.often(0.2) else n for n in shape[cut:])

    def resized(self, name, array, shape, symmetric):
        """An array of this shape: a corner of the one given, or numbers from where it has them."""
        fits = array.ndim == len(shape) and all(
            new <= old for new, old in zip(shape, array.shape, strict=True)
        )
        if fits:
            return array[(..., *(slice(n) for n in shape))]
        if symmetric:
            return np.stack([array, array]) if len(shape) > array.ndim else array
        if array.dtype.kind != "f" or not array.size:
            return np.resize(array, shape) if array.size else np.zeros(shape, array.dtype)
        low, high = self.operator.samples.get(name, (array.min(), array.max()))
        generator = np.random.default_rng(self.random.randrange(10**6))
        return np.asarray(generator.uniform(low, high, shape))

    # --- memory -------------------------------------------------------------------------------

    def laid(self, value):
        """An array in another dtype and layout; a list of arrays likewise, in one dtype."""
        if samples.is_arrays(value):
            dtype = self.dtype()
            return [self.layout(self.retyped(item, dtype)) for item in value]
        if isinstance(value, np.ndarray):
            return self.layout(self.retyped(value, self.dtype() if value.size else "float64"))
        return value

    def dtype(self):
        if not self.dtypes or self.often(0.5):
            return "float64"
        return self.random.choice(self.dtypes)

    @staticmethod
    def retyped(value, dtype):
        return np.asarray(value).astype(dtype) if value.dtype.kind == "f" else value

    def layout(self, array):
        """The array in memory of its own: dense, reversed, with gaps, from an offset, or expanded.

        Gaps of floating arrays hold nan. An expanded array repeats its first part along a
        dimension, so its elements are others than those given.
        """
        kind = self.random.choice(("dense", "dense", "reversed", "permuted", "steps", "expanded"))
        if kind == "dense" or array.ndim == 0:
            return samples.lay_out(array, False)
        if kind == "reversed":
            return samples.lay_out(array, True)
        if kind == "permuted":
            order = self.random.sample(range(array.ndim), array.ndim)
            return np.array(array.transpose(order), order="C").transpose(np.argsort(order))
        dim = self.random.randrange(array.ndim)
        whole = self.operator.group == "linalg" and dim >= array.ndim - 2
        if kind == "expanded" and array.shape[dim] and not whole:
            part = np.array(array.take([0], dim))
            strides = [0 if d == dim else s for d, s in enumerate(part.strides)]
            return np.lib.stride_tricks.as_strided(part, array.shape, strides)
        step, start = self.random.randint(1, 3), self.random.randint(0, 2)
        shape = list(array.shape)
        shape[dim] = start + step * shape[dim]
        wide = np.full(shape, np.nan if array.dtype.kind == "f" else 0, array.dtype)
        view = wide[(slice(None),) * dim + (slice(start, None, step),)]
        view[...] = array
        return view
