"""Comparison of Jacobians with differences: of all their elements, or of random projections."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor, from_array
from . import jacobians as jac
from .gradcheck_case import GradcheckError

LARGEST = 1_000_000  # elements of a Jacobian that is computed only for the sake of a message

_KIND = {"reverse": "Jacobian", "forward": "Jacobian computed with forward mode"}
_SLOW_WOULD_PASS = (
    "Fast gradcheck failed but element-wise differences are small. The check might pass with "
    "fast_mode=False."
)


def compare_jacobians(case, modes, undefined):
    """Compare every element; GradcheckError at the first output and input that differ.

    modes: "reverse", "forward" or both. undefined: whether reverse mode gives outputs other than
    the one in question no gradient, or zeros.
    """
    found = {}
    if "reverse" in modes:
        found = {k: case.reverse_jacobians(k, undefined) for k in range(len(case.outputs))}
    for j, index in enumerate(case.indices):
        expected = jac.numerical(case.func, case.inputs, index, case.places, case.eps)
        for k, numbers in enumerate(expected):
            if found:
                _compare_elements(case, "reverse", k, j, found[k][j], numbers)
        if "forward" in modes:
            moved = jac.forward(case.func, case.inputs, index, case.indices, case.places)
            for k, numbers in enumerate(expected):
                _compare_elements(case, "forward", k, j, moved[k], numbers)


def _compare_elements(case, mode, k, j, got, expected):
    fine = _close(got, expected, case.atol, case.rtol)
    if not fine.all():
        raise GradcheckError(
            f"{_heading(case, mode, k, j)}\nnumerical:{_shown(expected)}\n"
            f"analytical:{_shown(got)}\n{_worst(case, k, j, got, expected, fine)}"
        )


def compare_projections(case, modes, undefined):
    """Compare products of the Jacobians with random vectors instead of the elements.

    In reverse mode with one on both sides, in forward mode with one for the input: an error in an
    element shows in almost every such product.
    """
    weights = [_direction(case, (o.numel(),)) for o in case.outputs]
    for j, index in enumerate(case.indices):
        v = _direction(case, tuple(case.sources[j].shape))
        along = jac.numerical_along(case.func, case.inputs, index, v, case.places, case.eps)
        if "reverse" in modes:
            for k, numbers in enumerate(along):
                u = weights[k]
                given = [None if undefined else np.zeros(o.numel()) for o in case.outputs]
                given[k] = u
                got = case.pulled(given)[j] @ v.ravel()
                atol = case.atol * np.abs(u).sum() * np.abs(v).sum()
                _compare_products(case, "reverse", k, j, got, u @ numbers, atol, undefined)
        if "forward" in modes:
            directions = {i: np.zeros(case.inputs[i].numel()) for i in case.indices} | {index: v}
            moved = jac.forward_along(case.func, case.inputs, directions, case.places)
            atol = case.atol * np.abs(v).sum()
            for k, numbers in enumerate(along):
                _compare_products(case, "forward", k, j, moved[k], numbers, atol, undefined)


def _direction(case, shape):
    """A random vector of length 1, or without elements.

    Its elements are positive: errors of one sign, as of a wrong factor, then add up and stand out
    above the tolerance, which grows with the sum of the elements.
    """
    v = case.generator.random(shape)
    return v / max(np.linalg.norm(v), 1e-300)


def _compare_products(case, mode, k, j, got, expected, atol, undefined):
    if not _close(np.asarray(got), np.asarray(expected), atol, case.rtol).all():
        raise GradcheckError(
            f"{_heading(case, mode, k, j)}\nnumerical:{_shown(expected)}\n"
            f"analytical:{_shown(got)}\n\n{_in_full(case, mode, k, j, undefined)}"
        )


def _in_full(case, mode, k, j, undefined):
    """What the elements of the Jacobians are whose random products differ."""
    text = "These are products of the Jacobians with random vectors, as fast mode compares them. "
    size = case.sources[j].numel() * case.outputs[k].numel()
    if size > LARGEST:
        return f"{text}The Jacobians themselves have {size} elements, too many to compute."
    func, inputs, index = case.func, case.inputs, case.indices[j]
    expected = jac.numerical(func, inputs, index, case.places, case.eps)[k]
    if mode == "reverse":
        got = case.reverse_jacobians(k, undefined)[j]
    else:
        got = jac.forward(func, inputs, index, case.indices, case.places)[k]
    with np.errstate(invalid="ignore"):
        largest = np.abs(got - expected).max()
    text += (
        f"In full:\n\nNumerical:\n {_shown(expected)}\nAnalytical:\n {_shown(got)}\n\n"
        f"The max per-element difference (slow mode) is: {largest:.9g}.\n"
    )
    fine = _close(got, expected, case.atol, case.rtol)
    return text + (_SLOW_WOULD_PASS if fine.all() else _worst(case, k, j, got, expected, fine))


def _close(got, expected, atol, rtol):
    """Where two arrays agree; nan agrees with nothing."""
    with np.errstate(invalid="ignore"):
        return (np.abs(got - expected) <= atol + rtol * np.abs(expected)) | (got == expected)


def _heading(case, mode, k, j):
    return (
        f"{_KIND[mode]} mismatch for output {case.positions[k]} with respect to input "
        f"{case.indices[j]},"
    )


def _shown(numbers):
    """As a tensor is printed, or as a number."""
    numbers = np.asarray(numbers)
    return from_array(numbers) if numbers.ndim else float(numbers)


def _worst(case, k, j, got, expected, fine):
    """One line about the element that is furthest off."""
    with np.errstate(invalid="ignore"):
        off = np.abs(got - expected)
    off = np.where(fine, -1.0, np.where(np.isnan(off), np.inf, off))
    row, column = np.unravel_index(np.argmax(off), off.shape)
    return (
        f"{case.names[k]}: the largest deviation is at element "
        f"{_element(row, case.sources[j].shape)} of the input and element "
        f"{_element(column, case.outputs[k].shape)} of the output: numerical "
        f"{expected[row, column]:.9g}, analytical {got[row, column]:.9g} (atol={case.atol:g}, "
        f"rtol={case.rtol:g}); {(~fine).sum()} of {fine.size} elements are wrong"
    )


def _element(position, shape):
    """The index of a flat position, printed."""
    return tuple(int(n) for n in np.unravel_index(position, tuple(shape))) if shape else ()


def compare_constant(case, fast, nondet_tol):
    """No output has a gradient: then none may change with an input."""
    floating = [
        i for i, o in enumerate(case.results) if isinstance(o, Tensor) and o.dtype.is_floating_point
    ]
    places = jac.places_of(case.results, floating)
    for j, index in enumerate(case.indices):
        if fast:
            v = _direction(case, tuple(case.sources[j].shape))
            found = jac.numerical_along(case.func, case.inputs, index, v, places, case.eps)
        else:
            found = jac.numerical(case.func, case.inputs, index, places, case.eps)
        for position, numbers in zip(floating, found, strict=True):
            if not (np.abs(numbers) <= (nondet_tol if fast else 0.0)).all():
                raise GradcheckError(
                    f"Numerical gradient for function expected to be zero: output {position} has "
                    f"no grad_fn, but changes with input {index},\nnumerical:{_shown(numbers)}"
                )
