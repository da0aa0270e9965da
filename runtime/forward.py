"""Operators under forward mode: the value as usual, and the tangent by the entry's jvp."""

from __future__ import annotations

from .dispatch import under_modes
from .modes import modes
from .tensor import Tensor


def call(op, args):
    """Compute an operator whose arguments may be dual tensors."""
    from .autograd import forward_ad

    tangents = [_tangents(forward_ad, op, args[p], p) for p in op.differentiable_positions]
    with outer_levels():
        result = under_modes(op, args)
        if all(_missing(t) for t in tangents):
            return result
        if op.jvp is not None:
            moved = _along(op, args, result, tangents)
        else:
            moved = _by_gradients(op, args, tangents)
        outputs = result if isinstance(result, tuple) else (result,)
        chosen = outputs if op.listed else [outputs[i] for i in op.differentiable_outputs]
        moved = _in_own_memory(chosen, moved, tangents)
    for output, tangent in zip(chosen, moved, strict=True):
        if tangent is not None:
            forward_ad.set_tangent(output, tangent)
            _give_to_saved(op, output, tangent, forward_ad)
    return result


def _in_own_memory(outputs, moved, tangents):
    """Copies of tangents that lie in the memory of others, or otherwise than their values.

    They are written in place with their values, and seen in another shape as these are. The tangent
    of a view stays a view.
    """
    given = (t for part in tangents for t in (part if isinstance(part, list) else [part]))
    counters = {id(t._counter) for t in given if t is not None}
    return [
        laid_like(tangent, output)
        if tangent is not None
        and not output._is_view()
        and (id(tangent._counter) in counters or not lies_like(tangent, output))
        else tangent
        for output, tangent in zip(outputs, moved, strict=True)
    ]


def lies_like(tangent, value):
    """Whether a tangent lies in memory as its value does, each element at a place of its own."""
    if tangent._flat is not None and value._flat is not None:
        return True
    steps = zip(tangent.shape, tangent._strides, value._strides, strict=True)
    return all(own == other and own != 0 for n, own, other in steps if n > 1)


def laid_like(tangent, value):
    """A copy of a tangent whose dimensions lie in memory in the order of its value's."""
    from . import operators as ops

    if value._flat is not None:
        return tangent.clone()
    order = sorted(range(value.ndim), key=lambda d: -value._strides[d])
    inverse = sorted(range(value.ndim), key=order.__getitem__)
    return ops.permute(ops.permute(tangent, order).clone(), inverse)


def _give_to_saved(op, output, tangent, forward_ad):
    """A saved output was recorded before its tangent was known."""
    node = output._grad_fn
    if node is None or getattr(node, "op", None) is not op or node.saved is None:
        return
    for index, (_, kind, _, _) in enumerate(op.saved):
        value = node.saved[3 * index]
        if kind == "output" and isinstance(value, Tensor) and value._counter is output._counter:
            forward_ad.set_saved_tangent(value, tangent)


class outer_levels:
    """The innermost level stays open, but calls inside see only the levels around it."""

    def __enter__(self):
        self.level = modes.dual_level
        modes.dual_level -= 1
        modes.update()

    def __exit__(self, *error):
        modes.dual_level = self.level
        modes.update()


def _missing(tangent):
    return tangent is None or (isinstance(tangent, list) and all(t is None for t in tangent))


def _tangents(forward_ad, op, value, position):
    if op.arguments[position] in op.many:
        return [forward_ad.tangent_of(item) for item in value]
    return forward_ad.tangent_of(value) if isinstance(value, Tensor) else None


def _along(op, args, result, tangents):
    """The tangent by the entry's own formulas."""
    from .operator_nodes import fit

    filled = []
    for position, tangent in zip(op.differentiable_positions, tangents, strict=True):
        if isinstance(tangent, list) and not _missing(tangent):
            from . import operators as ops

            primals = args[position]
            tangent = [
                ops.new_zeros(p, p.shape) if t is None else t
                for p, t in zip(primals, tangent, strict=True)
            ]
        filled.append(None if _missing(tangent) else tangent)
    pairs = zip(op.arguments, args, strict=True)
    given = [op.absent.get(name) if value is None else value for name, value in pairs]
    tangent = op.jvp(given, result, filled)
    if op.listed:
        return [fit(t, r.shape, r.dtype) for t, r in zip(tangent, result, strict=True)]
    return [fit(tangent, result.shape, result.dtype)]


def _by_gradients(op, args, tangents):
    """The tangents of an operator without jvp formulas: twice reverse mode.

    The gradient formulas are linear in the incoming gradient u, so the derivative of
    <gradient(u), tangent> with respect to u is the tangent of the result.
    """
    from . import autograd
    from .factories import zeros_like

    recorded = modes.grad
    with autograd.enable_grad():
        inputs = list(args)
        sources, along = [], []
        for position, tangent in zip(op.differentiable_positions, tangents, strict=True):
            many = op.arguments[position] in op.many
            primals = args[position] if many else [args[position]]
            given = tangent if many else [tangent]
            fresh = []
            for primal, t in zip(primals, given, strict=True):
                if t is not None:
                    primal = primal if primal._requires_grad else _leaf(primal)
                    primal = primal if primal._grad_fn is None else _alias(primal)
                    sources.append(primal)
                    along.append(t)
                fresh.append(primal)
            inputs[position] = fresh if many else fresh[0]
        result = under_modes(op, inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        chosen = outputs if op.listed else [outputs[i] for i in op.differentiable_outputs]
        dummies = [zeros_like(o).requires_grad_() for o in chosen]
        gradients = autograd.grad(chosen, sources, dummies, create_graph=True, allow_unused=True)
        # a gradient that is zero everywhere does not depend on the incoming one
        paired = zip(gradients, along, strict=True)
        pairs = [(g, t) for g, t in paired if g is not None and g._requires_grad]
        if not pairs:
            return [None] * len(chosen)
        first, second = zip(*pairs, strict=True)
        wanted = recorded and _any_requires_grad((*args, *along))
        graph = wanted or modes.dual_level >= 0
        moved = autograd.grad(first, dummies, second, create_graph=graph, allow_unused=True)
        return moved if wanted else [t if t is None else _constant(t) for t in moved]


def _any_requires_grad(values):
    return any(
        v._requires_grad if isinstance(v, Tensor) else _any_requires_grad(v)
        for v in values
        if isinstance(v, Tensor | list | tuple)
    )


def _constant(tensor):
    """The same values, with the tangents of outer levels, without a history."""
    from .autograd.forward_ad import copy_tangents

    return copy_tangents(tensor, tensor.detach())


def _leaf(primal):
    """The same values, with the tangents of outer levels, as a leaf."""
    return _constant(primal).requires_grad_()


def _alias(primal):
    """The same values as an input of its own, with the history kept behind it."""
    return primal.view(primal.shape) if primal._flat is not None else primal.clone()
