"""The general path of pointwise operators: promotion, broadcasting, strides, scalars."""

from __future__ import annotations

import numpy as np

from . import dtypes, graph
from .blocks import Folded, Laid, operand, run, sum_to
from .geometry import Size, broadcast_shapes, contiguous_strides
from .operator import Operator, as_tensor, numel
from .operator_nodes import OperatorNode, expired, fit
from .plan import folding, layout
from .tensor import Tensor, from_flat

NUMBERS = (bool, int, float, np.number, np.bool_)
PLANS = 1024  # kept for each operator

ndarray = np.ndarray
empty = np.empty

FLAT, LAID, NUMBER, CONVERTED, PARAMETER = range(5)


class Plan:
    """What a call comes to, whatever the values of its operands: found once, then looked up.

    `sources` says for each argument of the kernel where it comes from: (what to do, position,
    layout of a strided operand).
    """

    __slots__ = ("kind", "kinds", "n", "shape", "sources")

    def __init__(self, kind, kinds, shape, sources):
        self.kind = kind
        self.kinds = kinds
        self.shape = shape
        self.n = numel(shape)
        self.sources = sources


class Pointwise(Operator):
    """A pointwise operator: flat kernels, to which any other operands are brought by blocks."""

    def __init__(self, *, forward, backward, masks, **common):
        super().__init__(**common)
        self.forward, self.forward_parallel, self.forward_arguments = forward
        self.backward = backward
        self.masks = masks
        self.plans = {}

    def call(self, *args):
        """Compute on any operands and record the node."""
        key = [dtypes.default.dtype]
        for value in args:
            if isinstance(value, Tensor):
                key += (value.shape, value._strides, value.dtype)
            else:
                key.append(type(value))
        plan = self.plans.get(key := tuple(key))
        if plan is None:
            checked = self._checked(args)
            if any(a is not b for a, b in zip(args, checked, strict=True)):
                return self.call(*checked)
            plan = self._plan(args)
            if len(self.plans) >= PLANS:
                self.plans.clear()
            self.plans[key] = plan
        given = [self._given(plan, args, *source) for source in plan.sources]
        outs = [empty(plan.n, kind.numpy) for kind in plan.kinds]
        run(self.forward, self.forward_parallel, given, outs, plan.n)
        results = [
            from_flat(out, plan.shape, kind) for out, kind in zip(outs, plan.kinds, strict=True)
        ]
        if self.needs_graph(args):
            self.record(args, results)
        return results[0] if self.result_type is None else self.result_type(results)

    def _plan(self, args):
        kind, result_kind = self._kinds(args)
        for position, name in enumerate(self.arguments):
            self._operand(name, args[position], kind)
        shapes = [args[p].shape for p in self.tensor_positions if isinstance(args[p], Tensor)]
        shape = broadcast_shapes(*shapes)
        sources = [self._source(name, args, kind, shape) for name in self.forward_arguments]
        return Plan(kind, [result_kind] * len(self.outputs), shape, sources)

    def _source(self, name, args, kind, shape):
        position = self.positions[name]
        value = args[position]
        if name not in self.tensors:
            return PARAMETER, position, None
        if not isinstance(value, Tensor):
            return NUMBER, position, None
        if value.dtype is not (dtypes.bool if name in self.masks else kind):
            return CONVERTED, position, None
        if value._flat is not None and value.shape == shape:
            return FLAT, position, None
        found = layout(value.shape, value._strides, shape)
        return (CONVERTED, position, None) if found is None else (LAID, position, found)

    def _given(self, plan, args, what, position, found):
        """An argument of the kernel, as `run` takes it."""
        value = args[position]
        if what == FLAT:
            return value._flat
        if what == LAID:
            return Laid(value._data, value._offset, found)
        name = self.arguments[position]
        if what == PARAMETER:
            return self._operand(name, value, plan.kind)
        if what == NUMBER:
            kind = dtypes.bool if name in self.masks else plan.kind
            return operand_of_number(value, kind.numpy)
        return operand(self._operand(name, value, plan.kind), plan.shape)

    def _checked(self, args):
        """Operands as tensors or numbers; anything else is an error that names the argument."""
        checked = list(args)
        found = False
        for position in self.tensor_positions:
            value = checked[position]
            if value is None:
                value = checked[position] = self.absent.get(self.arguments[position])
            if isinstance(value, Tensor):
                found = True
            elif isinstance(value, np.ndarray):
                from .factories import as_tensor

                checked[position] = as_tensor(value)
                found = True
            elif not isinstance(value, NUMBERS):
                raise TypeError(
                    f"{self.name}(): argument '{self._public(position)}' must be Tensor or "
                    f"Number, not {type(value).__name__}"
                )
        if not found:
            from .factories import tensor

            first = self.tensor_positions[0]
            checked[first] = tensor(checked[first])
        return checked

    def _public(self, position):
        name = self.arguments[position]
        return "input" if name == "self" else name

    def _kinds(self, args):
        """(dtype to compute in, dtype of the result)."""
        operands = [
            args[p]
            for p, name in zip(self.tensor_positions, self.tensors, strict=True)
            if name not in self.masks
        ]
        if self.rule == "same":
            kind = operands[0].dtype
            self._check_castable(operands, kind)
        else:
            kind = dtypes.result_type(*operands) if operands else dtypes.bool
        if self.rule in ("float", "floating") and not kind.is_floating_point:
            if self.rule == "floating":
                raise RuntimeError(
                    f'"{self.name}" not implemented for {kind}; use a floating dtype'
                )
            kind = dtypes.get_default_dtype()
        if self.rule == "number" and kind is dtypes.bool:
            raise NotImplementedError(
                f"\"{self.name}\" not implemented for 'Bool'; convert the operands, or use a "
                "logical operator"
            )
        result = dtypes.bool if self.rule == "bool" else kind
        return kind, result

    def _check_castable(self, operands, kind):
        for value in operands[1:]:
            floating = isinstance(value, Tensor) and value.dtype.is_floating_point
            if floating and not kind.is_floating_point:
                raise RuntimeError(
                    f"{self.name}: a {value.dtype} tensor cannot be put into a {kind} tensor; "
                    "convert one of them with .to()"
                )

    def _operand(self, name, value, kind):
        """One argument in the dtype of the computation."""
        if name in self.tensors:
            wanted = dtypes.bool if name in self.masks else kind
            if not isinstance(value, Tensor):
                return from_flat(np.full(1, value, wanted.numpy), Size(()), wanted)
            if value.dtype is wanted:
                return value
            if name in self.masks:
                raise RuntimeError(
                    f"{self.name}: {name} is {value.dtype}; it must be {dtypes.bool}"
                )
            flat = value._dense().astype(wanted.numpy)
            return from_flat(flat, value.shape, wanted)
        if isinstance(value, Tensor):
            value = value.item()
        if kind.is_floating_point:
            return float(value)
        if isinstance(value, float) and value != int(value):
            raise RuntimeError(
                f"{self.name}: for integral input tensors, argument {name} must not be a "
                f"floating point number, got {value}"
            )
        return int(value)


# one element, however many are asked for
ONE = np.array([1, 1, 1, 1 << 62, 0, 0, 0, 0]), 1


def operand_of_number(value, dtype):
    """A number in the place of a tensor."""
    return Laid(np.full(1, value, dtype), 0, ONE)


def backward(node, grad):
    """Gradients of the general path, added up where an input was broadcast."""
    op = node.op
    if not op.backward or op.result_type is not None:
        return node.by_formulas(grad)
    if node.saved is None and op.saved:
        graph.freed(node)
    edges = node.edges
    wanted = tuple(i for i in range(len(edges) // 2) if edges[2 * i] is not None)
    groups = (wanted,) if wanted in op.backward else [(i,) for i in wanted]
    gradients = [None] * len(op.differentiable)
    dense = grad if type(grad) is ndarray else None
    for group in groups:
        found = op.backward[group]
        computed = ()
        if found is not None:
            kernel, parallel, names, computed = found
            kind = grad.dtype if dense is not None else grad.dtype.numpy
            sources = _sources(node, grad, kind)
            n = numel(node.shape)
            outs = [_gradient(node, i, kind, n) for i in computed]
            run(kernel, parallel, [sources(name) for name in names], outs, n)
            for i, out in zip(computed, outs, strict=True):
                gradients[i] = _finished(out, node, i)
        for i in group:
            if i not in computed:
                gradients[i] = _passed(grad, node, i)
    return tuple(gradients) if len(gradients) > 1 else gradients[0]


def _sources(node, grad, kind):
    """A function from the name of a kernel's argument to what `run` takes for it."""
    op, saved, shape = node.op, node.saved, node.shape
    places = op.places

    def source(name):
        if name == "grad":
            return grad if type(grad) is ndarray else operand(grad, shape)
        at = places[name]
        value, counter, version = saved[at : at + 3]
        if counter is not None and counter[0] != version:
            expired(node)
        if isinstance(value, Tensor):
            wanted = dtypes.bool.numpy if name in op.masks else kind
            if value.dtype.numpy is not wanted:
                flat = value._dense().astype(wanted)
                value = from_flat(flat, value.shape, dtypes.from_numpy_dtype(wanted))
            return operand(value, shape)
        if type(value) is ndarray:
            return value
        if name in op.tensors:
            return operand_of_number(value, dtypes.bool.numpy if name in op.masks else kind)
        # an integer would compile the kernel once more
        return float(value) if isinstance(value, int) else value

    return source


def _gradient(node, index, kind, n):
    """Where the kernel writes a gradient: an array, or sums of the shape of a broadcast input."""
    shape = node.general.input_shapes[index] if node.general is not None else None
    if shape is None or shape == node.shape:
        return empty(n, kind)
    found = folding(node.shape, contiguous_strides(node.shape), shape)
    return empty(n, kind) if found is None else Folded(kind, shape.numel(), found)


def _finished(out, node, index):
    """A gradient that a kernel wrote, in the shape and dtype of the input."""
    general = node.general
    if general is None:
        return out
    dtype = general.input_dtypes[index]
    if type(out) is Folded:
        return out.total(dtype.numpy)
    if general.input_shapes[index] == node.shape:
        return out if out.dtype == dtype.numpy else out.astype(dtype.numpy)
    return fit(as_tensor(out, node.shape), general.input_shapes[index], dtype)


def _passed(grad, node, index):
    """The incoming gradient, unchanged but for the shape and dtype of the input."""
    general = node.general
    if general is None:
        return grad
    shape, dtype = general.input_shapes[index], general.input_dtypes[index]
    if shape == node.shape and grad.dtype is (dtype if isinstance(grad, Tensor) else dtype.numpy):
        return grad
    grad = grad if isinstance(grad, Tensor) else as_tensor(grad, node.shape)
    total = sum_to(grad, shape) if shape != node.shape else None
    if total is None:
        return fit(grad, shape, dtype)
    return total if total.dtype == dtype.numpy else total.astype(dtype.numpy)


class PointwiseNode(OperatorNode):
    """A node whose gradients come from flat kernels."""

    __slots__ = ()

    def apply(self, grad):
        return backward(self, grad)
