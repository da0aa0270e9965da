"""The update of each optimizer, written once as a loop over a piece of one parameter.

A step is one call for all parameters of a group. It is handed a table with a column for each
parameter, whose entries are the `id` of NumPy arrays: the parameter, its gradient, then what the
optimizer keeps. So a call costs the same however many arrays there are, and collecting an
`id` takes a hundredth of the time that NumPy needs to tell an address.

    kernel(table, like, like_step, numbers)

`like` has the dtype of the arrays, `like_step` that of the arrays that count the steps, which are
counted up here; `numbers` is a tuple of floats. Nothing is checked: all arrays are dense and
one-dimensional, and those of a row are as long as the parameter. The caller keeps them alive.

`sign` is 1, or -1 to maximize. Where there is no weight decay none is added, since 0 times an
infinite parameter would be nan.
"""

from __future__ import annotations

import math
import sys
import types as python_types

import numpy as np
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from .. import kernel_cache

CHUNK = 16384

_FLAGS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}
kernel = njit(**_FLAGS)


def both(function):
    """The kernel for the calling thread and that for several, from one function.

    The second has a name of its own, since Numba's cache tells kernels by their names.
    """
    other = python_types.FunctionType(function.__code__, function.__globals__)
    other.__qualname__ = other.__name__ = f"{function.__name__}_parallel"
    return kernel(function), njit(parallel=True, **_FLAGS)(other)


# --- arrays by their `id` ------------------------------------------------------------------------

# What an array object begins with, as NumPy's C interface publishes it: after the header of
# every Python object the address of the data, the number of dimensions, the address of the sizes.
_DATA = object.__basicsize__
_SIZES = _DATA + 16


@intrinsic
def _word(context, address):
    """The 64 bits at an address."""

    def code(context, builder, signature, arguments):
        word = context.get_value_type(types.uint64)
        return builder.load(builder.inttoptr(arguments[0], word.as_pointer()))

    return types.uint64(types.uint64), code


@intrinsic
def _array_at(context, like, address, count):
    """The `count` elements of the dtype of `like` from an address on, as an array."""
    # only for compiling, and as large as all the rest
    from numba.np.arrayobj import populate_array

    kind = types.Array(like.dtype, 1, "C")

    def code(context, builder, signature, arguments):
        _, address, count = arguments
        array = context.make_array(kind)(context, builder)
        element = context.get_data_type(like.dtype)
        size = context.get_constant(types.intp, context.get_abi_sizeof(element))
        populate_array(
            array,
            data=builder.inttoptr(address, element.as_pointer()),
            shape=cgutils.pack_array(builder, [count]),
            strides=cgutils.pack_array(builder, [size]),
            itemsize=size,
            meminfo=None,
        )
        return array._getvalue()

    return kind(like, types.uint64, types.intp), code


@kernel
def _length(identity):
    return np.intp(_word(_word(np.uint64(identity + _SIZES))))


@kernel
def _piece(like, identity, low, high):
    """The elements from `low` to `high` of the array with an `id`."""
    start = _word(np.uint64(identity + _DATA)) + np.uint64(low * like.itemsize)
    return _array_at(like, start, high - low)


@kernel
def _starts(table):
    """The number of the first piece of each row; last the number of all pieces."""
    starts = np.empty(table.shape[1] + 1, np.intp)
    starts[0] = 0
    for row in range(table.shape[1]):
        starts[row + 1] = starts[row] + (_length(table[0, row]) + CHUNK - 1) // CHUNK
    return starts


@kernel
def _bounds(table, starts, part):
    """The row that a piece belongs to, and its bounds."""
    row = 0
    while starts[row + 1] <= part:
        row += 1
    low = (part - starts[row]) * CHUNK
    return row, low, min(low + CHUNK, _length(table[0, row]))


@kernel
def _count(like_step, identity):
    """Count a step more, and return how many there were."""
    step = _piece(like_step, identity, 0, 1)
    step[0] += 1
    return np.float64(step[0])


# --- SGD: param, grad ----------------------------------------------------------------------------


@kernel
def _sgd_piece(param, grad, rate, sign, decay):
    for i in range(param.shape[0]):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        param[i] -= rate * g


def _sgd(table, like, like_step, numbers):
    rate, sign, decay = numbers
    number = like.dtype.type
    starts = _starts(table)
    for part in prange(starts[-1]):
        row, low, high = _bounds(table, starts, part)
        param = _piece(like, table[0, row], low, high)
        grad = _piece(like, table[1, row], low, high)
        _sgd_piece(param, grad, number(rate), number(sign), number(decay))


sgd, sgd_parallel = both(_sgd)


# --- SGD with momentum: param, grad, momentum_buffer, whether the buffer is new ------------------


@kernel
def _momentum_piece(param, grad, buffer, rate, kept, added, ahead, sign, decay):
    for i in range(param.shape[0]):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        moving = kept * buffer[i] + added * g
        buffer[i] = moving
        if ahead != 0:
            moving = g + ahead * moving
        param[i] -= rate * moving


def _momentum(table, like, like_step, numbers):
    rate, momentum, dampening, nesterov, sign, decay = numbers
    number = like.dtype.type
    starts = _starts(table)
    for part in prange(starts[-1]):
        row, low, high = _bounds(table, starts, part)
        new = table[3, row] == 1  # a new buffer becomes the gradient, undampened
        param = _piece(like, table[0, row], low, high)
        grad = _piece(like, table[1, row], low, high)
        buffer = _piece(like, table[2, row], low, high)
        kept = number(0.0 if new else momentum)
        added = number(1.0 if new else 1.0 - dampening)
        ahead = number(momentum * nesterov)
        _momentum_piece(
            param, grad, buffer, number(rate), kept, added, ahead, number(sign), number(decay)
        )


momentum, momentum_parallel = both(_momentum)


# --- Adam: param, grad, step, exp_avg, exp_avg_sq, max_exp_avg_sq (or exp_avg_sq again) ----------


@kernel
def _adam_piece(param, grad, first, second, highest, scales):
    rate, new1, old2, new2, eps, sign, decay, shrink, amsgrad = scales
    for i in range(param.shape[0]):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        mean = first[i] + new1 * (g - first[i])
        square = old2 * second[i] + new2 * g * g
        first[i] = mean
        second[i] = square
        if amsgrad != 0:
            before = highest[i]
            square = before if before >= square or before != before else square
            highest[i] = square
        param[i] = shrink * param[i] - rate * mean / (np.sqrt(square) + eps)


def _adam(table, like, like_step, numbers):
    rate, beta1, beta2, eps, sign, decay, shrink, amsgrad = numbers
    number = like.dtype.type
    starts = _starts(table)
    rates = np.empty((table.shape[1], 2))
    for row in range(table.shape[1]):
        step = _count(like_step, table[2, row])
        # sqrt(square) / spread + eps in the denominator, multiplied by spread to save a division
        spread = math.sqrt(1 - beta2**step)
        rates[row, 0] = rate * spread / (1 - beta1**step)
        rates[row, 1] = eps * spread
    for part in prange(starts[-1]):
        row, low, high = _bounds(table, starts, part)
        scales = (
            number(rates[row, 0]),
            number(1 - beta1),
            number(beta2),
            number(1 - beta2),
            number(rates[row, 1]),
            number(sign),
            number(decay),
            number(shrink),
            number(amsgrad),
        )
        param = _piece(like, table[0, row], low, high)
        grad = _piece(like, table[1, row], low, high)
        first = _piece(like, table[3, row], low, high)
        second = _piece(like, table[4, row], low, high)
        highest = _piece(like, table[5, row], low, high)
        _adam_piece(param, grad, first, second, highest, scales)


adam, adam_parallel = both(_adam)


# --- RMSprop: param, grad, step, square_avg, momentum_buffer, grad_avg (or square_avg again) -----


@kernel
def _rmsprop_piece(param, grad, squares, buffer, mean, scales):
    rate, old, new, eps, sign, decay, momentum, centered = scales
    for i in range(param.shape[0]):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        square = old * squares[i] + new * g * g
        squares[i] = square
        if centered != 0:
            average = mean[i] + new * (g - mean[i])
            mean[i] = average
            square -= average * average
        g /= np.sqrt(square) + eps
        if momentum > 0:
            g += momentum * buffer[i]
            buffer[i] = g
        param[i] -= rate * g


def _rmsprop(table, like, like_step, numbers):
    rate, alpha, eps, sign, decay, momentum, centered = numbers
    number = like.dtype.type
    starts = _starts(table)
    for row in range(table.shape[1]):
        _count(like_step, table[2, row])
    scales = (
        number(rate),
        number(alpha),
        number(1 - alpha),
        number(eps),
        number(sign),
        number(decay),
        number(momentum),
        number(centered),
    )
    for part in prange(starts[-1]):
        row, low, high = _bounds(table, starts, part)
        param = _piece(like, table[0, row], low, high)
        grad = _piece(like, table[1, row], low, high)
        squares = _piece(like, table[3, row], low, high)
        buffer = _piece(like, table[4, row], low, high)
        mean = _piece(like, table[5, row], low, high)
        _rmsprop_piece(param, grad, squares, buffer, mean, scales)


rmsprop, rmsprop_parallel = both(_rmsprop)


# --- Adagrad: param, grad, step, sum -------------------------------------------------------------


@kernel
def _adagrad_piece(param, grad, total, rate, eps, sign, decay):
    for i in range(param.shape[0]):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        square = total[i] + g * g
        total[i] = square
        param[i] -= rate * g / (np.sqrt(square) + eps)


def _adagrad(table, like, like_step, numbers):
    rate, rate_decay, eps, sign, decay = numbers
    number = like.dtype.type
    starts = _starts(table)
    rates = np.empty(table.shape[1])
    for row in range(table.shape[1]):
        rates[row] = rate / (1 + (_count(like_step, table[2, row]) - 1) * rate_decay)
    for part in prange(starts[-1]):
        row, low, high = _bounds(table, starts, part)
        param = _piece(like, table[0, row], low, high)
        grad = _piece(like, table[1, row], low, high)
        total = _piece(like, table[3, row], low, high)
        _adagrad_piece(
            param, grad, total, number(rates[row]), number(eps), number(sign), number(decay)
        )


adagrad, adagrad_parallel = both(_adagrad)

kernel_cache.separate(sys.modules[__name__])
