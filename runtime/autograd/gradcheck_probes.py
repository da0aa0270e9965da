"""What must hold of gradients besides their numbers, as far as `gradcheck` looks.

That a backward pass repeats, that it takes undefined gradients for zeros, that gradients have the
dtype of what they belong to, that batches give what their members give.
"""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..tensor import Tensor, from_array
from . import forward_ad
from . import jacobians as jac
from .function import FunctionCtx
from .grad_mode import no_grad
from .gradcheck_case import GradcheckError

NOT_MULTIPLIED = "backward not multiplied by grad_output"
UNDEFINED_NOT_ZERO = (
    "Expected all input grads to be undefined or zero when all output grads are undefined or zero"
)


def zero_gradients(case):
    """What the sources get when the gradients of all outputs are zeros: pairs (node, gradient)."""
    gradients = case.reverse([np.zeros(o.numel()) for o in case.outputs])
    return [(", ".join(case.names), g) for g in gradients]


def undefined_gradients(case):
    """What nodes and sources get when gradients are undefined: pairs (node, gradient).

    Each custom Function that wants to see undefined gradients is given nothing else; and a pass
    is run for each of several outputs in which it alone has no gradient, and the others zeros.
    GradcheckError if something is raised.
    """
    found = []
    for node in _functions_below(case.outputs):
        if not node.materialize_grads:
            nothing = None if node.n_outputs == 1 else [None] * node.n_outputs
            with _blamed(node.name()), no_grad():
                results = node.apply(nothing)
            results = results if isinstance(results, tuple) else (results,)
            found += [(node.name(), g) for g in results]
    if len(case.outputs) > 1:
        for k, name in enumerate(case.names):
            given = [np.zeros(o.numel()) for o in case.outputs]
            given[k] = None
            with _blamed(name):
                found += [(name, g) for g in case.reverse(given)]
    return found


class _blamed:
    """What is raised inside becomes a GradcheckError about undefined gradients."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception) and not isinstance(error, GradcheckError):
            raise GradcheckError(
                "Expected backward function to handle undefined output grads: with None for a "
                f"gradient, {self.name} raised {kind.__name__}: {error}. None stands for zeros."
            ) from error


def _functions_below(outputs):
    """The nodes of custom Functions that the outputs were computed by."""
    seen, stack = set(), [o.grad_fn for o in outputs]
    while stack:
        node = stack.pop()
        if not isinstance(node, Node) or node in seen:
            continue
        seen.add(node)
        stack += node.edges[::2]
        if isinstance(node, FunctionCtx):
            yield node


def expect_zeros(gradients, message):
    """GradcheckError unless each gradient of pairs (node, gradient) is None or zero."""
    for name, g in gradients:
        array = g._nd() if isinstance(g, Tensor) else g
        if array is not None and np.any(array != 0):
            raise GradcheckError(f"{message}: {name} gives {np.asarray(array).ravel()[:4]}")


def expect_repetition(case, nondet_tol):
    """Two passes with the same random gradients must agree."""
    cotangents = case.cotangents()
    first, second = case.pulled(cotangents), case.pulled(cotangents)
    for index, one, other in zip(case.indices, first, second, strict=True):
        with np.errstate(invalid="ignore"):
            same = (np.abs(one - other) <= nondet_tol) | (one == other)
        if not (same | (np.isnan(one) & np.isnan(other))).all():
            at = np.argmin(same)
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and "
                f"grad_output multiple times gives different values: {', '.join(case.names)} "
                f"gives input {index} first {one[at]:.17g}, then {other[at]:.17g}. The tolerance "
                f"for nondeterminism was {nondet_tol}."
            )


def expect_linearity(case):
    """Thrice the gradient of each output, one by one, must add up to thrice what all give."""
    cotangents = case.cotangents()
    thrice = [3.0 * total for total in case.pulled(cotangents)]
    found = [np.zeros(s.numel()) for s in case.sources]
    for k, u in enumerate(cotangents):
        given = [np.zeros(o.numel()) for o in case.outputs]
        given[k] = 3.0 * u
        for total, part in zip(found, case.pulled(given), strict=True):
            total += part
    for index, got, expected in zip(case.indices, found, thrice, strict=True):
        with np.errstate(invalid="ignore"):
            fine = np.isclose(got, expected, rtol=case.rtol, atol=case.atol, equal_nan=True)
        if not fine.all():
            raise GradcheckError(
                f"gradcheck: {', '.join(case.names)}: the gradient of input {index} is not linear "
                "in the gradients of the outputs: thrice random ones, one output at a time, give "
                f"{got[~fine][0]:.9g}; it should be {expected[~fine][0]:.9g}"
            )


def expect_dtypes(case):
    """Gradients must have the dtype of their input."""
    gradients = case.reverse(case.cotangents())
    for index, source, g in zip(case.indices, case.sources, gradients, strict=True):
        if g is not None and g.dtype is not source.dtype:
            raise GradcheckError(
                f"Gradient has dtype mismatch: {', '.join(case.names)}: the gradient of input "
                f"{index} has dtype {g.dtype}; it must have the dtype of the input, {source.dtype}"
            )


def expect_tangent_dtypes(case):
    """Tangents must have the dtype of their output."""
    directions = _random_directions(case)
    with forward_ad.dual_level():
        found, outputs = jac.tangents(case.func, case.inputs, directions, case.places)
    for position, name, t, o in zip(case.positions, case.names, found, outputs, strict=True):
        if t is not None and t.dtype is not o.dtype:
            raise GradcheckError(
                f"Forward AD gradient has dtype mismatch: {name}: the tangent of output {position} "
                f"has dtype {t.dtype}; it must have the dtype of the output, {o.dtype}"
            )


def _random_directions(case):
    return {i: case.generator.standard_normal(case.inputs[i].numel()) for i in case.indices}


def expect_undefined_tangents(case):
    """An input without a tangent must count as one whose tangent is zeros."""
    directions = _random_directions(case)
    for index in case.indices:
        others = {i: v for i, v in directions.items() if i != index}
        zeros = {**others, index: np.zeros(case.inputs[index].numel())}
        wanted = jac.forward_along(case.func, case.inputs, zeros, case.places)
        try:
            found = jac.forward_along(case.func, case.inputs, others, case.places)
        except Exception as error:
            raise GradcheckError(
                f"Expected forward mode to handle undefined tangents: without one for input "
                f"{index}, {', '.join(case.names)} raised {type(error).__name__}: {error}"
            ) from error
        for position, name, got, expected in zip(
            case.positions, case.names, found, wanted, strict=True
        ):
            if not np.allclose(got, expected, equal_nan=True):
                raise GradcheckError(
                    f"Mismatch in tangent values for output with index: {position} when input: "
                    f"{index} has an undefined tangent value: {name} gives\n{from_array(got)}\n"
                    f"but expected, as with a tangent of zeros:\n{from_array(expected)}"
                )


def expect_batches(case):
    """`autograd.grad` of a batch of gradients gives those of each, one after the other."""
    from . import grad

    options = {"retain_graph": True, "allow_unused": True}
    for position, name, output in zip(case.positions, case.names, case.outputs, strict=True):
        normal = case.generator.standard_normal
        rows = normal((2, *output.shape)).astype(output.dtype.numpy)
        alone = [grad(output, case.sources, from_array(row), **options) for row in rows]
        batch = grad(output, case.sources, from_array(rows), is_grads_batched=True, **options)
        for index, source, got, *single in zip(
            case.indices, case.sources, batch, *alone, strict=True
        ):
            nothing = np.zeros(tuple(source.shape))
            wanted = np.stack([nothing if g is None else g._nd() for g in single])
            found = np.zeros_like(wanted) if got is None else got._nd()
            _expect_same_rows(f"output {position} and input {index}", name, found, wanted)


def expect_tangent_batches(case):
    """Tangents that are computed in one level, as a batch, are those computed each in its own."""
    for index in case.indices:
        rows = case.generator.standard_normal((2, case.inputs[index].numel()))
        given = [(case.func, case.inputs, {index: row}, case.places) for row in rows]
        alone = [jac.forward_along(*one) for one in given]
        with forward_ad.dual_level():
            batch = [jac.tangent_arrays(*one) for one in given]
        for k, (position, name) in enumerate(zip(case.positions, case.names, strict=True)):
            found, wanted = (np.stack([row[k] for row in rows]) for rows in (batch, alone))
            _expect_same_rows(f"output {position} and input {index}", name, found, wanted)


def _expect_same_rows(where, name, found, wanted):
    if not np.allclose(found, wanted, rtol=1e-5, atol=1e-8, equal_nan=True):
        raise GradcheckError(
            f"For {where}: {name}: derivatives computed in a batch differ from those computed one "
            f"by one\n\nGot:\n{from_array(found)}\n\nExpected:\n{from_array(wanted)}"
        )
