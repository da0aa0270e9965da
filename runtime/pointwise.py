"""The general path of pointwise operators: promotion, broadcasting, strides, scalars."""

from __future__ import annotations

import numpy as np

from . import dtypes
from .geometry import Size
from .operator import Operator, OperatorNode, fit, numel
from .plan import broadcast_plan
from .tensor import Tensor, from_flat
from .threads import threads

NUMBERS = (bool, int, float, np.number, np.bool_)


class Pointwise(Operator):
    """A pointwise operator: flat kernels for dense operands, a strided one for the rest."""

    def __init__(self, *, forward, strided, backward, masks, **common):
        super().__init__(**common)
        self.forward, self.forward_parallel, self.forward_arguments = forward
        self.strided, self.strided_inputs, self.strided_scalars = strided
        self.backward = backward
        self.masks = masks

    def call(self, *args):
        """Compute on any operands and record the node."""
        args = self._checked(args)
        kind, result_kind = self._kinds(args)
        values = {}
        for name, value in zip(self.arguments, args, strict=True):
            values[name] = self._operand(name, value, kind)
        operands = [values[t] for t in self.tensors]
        shape, geometry = broadcast_plan(
            tuple(t.shape for t in operands), tuple(t._strides for t in operands)
        )
        flats = [t._flat if t.shape == shape else None for t in operands]
        n = numel(shape)
        outs = [np.empty(n, k.numpy) for k in self._output_kinds(result_kind)]
        dense = all(f is not None for f in flats)
        if not dense and (geometry is None or n == 0):
            flats = [_spread(t, shape) for t in operands]
            dense = True
        if dense:
            arrays = dict(zip(self.tensors, flats, strict=True))
            run = self.forward if n < threads.minimum else self.forward_parallel
            run(*(self._pick(a, arrays, values) for a in self.forward_arguments), *outs)
        else:
            sources = {t: v._data[v._offset :] for t, v in zip(self.tensors, operands, strict=True)}
            inputs = [sources[name] for name in self.strided_inputs]
            scalars = [values[name] for name in self.strided_scalars]
            self.strided(geometry, *inputs, *scalars, *outs)
        results = [from_flat(out, shape, dtypes.from_numpy_dtype(out.dtype)) for out in outs]
        if self.needs_graph(args):
            self.record(args, results)
        return results[0] if self.result_type is None else self.result_type(results)

    @staticmethod
    def _pick(name, arrays, values):
        return arrays[name] if name in arrays else values[name]

    def _output_kinds(self, kind):
        return [kind] * len(self.outputs)

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
                flat = np.full(1, value, wanted.numpy)
                return from_flat(flat, Size(()), wanted)
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


def _spread(tensor, shape):
    """The elements of `tensor` broadcast to `shape`, dense."""
    return np.ascontiguousarray(np.broadcast_to(tensor._nd(), shape)).reshape(-1)


def backward(node, grad):
    """Gradients of the general path: dense operands, flat kernels, then the implied reduction."""
    op = node.op
    if not node.op.backward or _formula_only(node):
        return node.by_formulas(grad)
    if type(grad) is not np.ndarray:
        grad = grad._dense()
    from . import graph
    from .operator import expired

    saved = node.saved
    if saved is None and op.saved:
        graph.freed(node)
    shape = node.shape
    arrays = {"grad": grad}
    kind = dtypes.from_numpy_dtype(grad.dtype)
    for index, (name, kind_of, _, _) in enumerate(op.saved):
        value, counter, version = saved[3 * index : 3 * index + 3]
        if value is not None and counter is not None and counter[0] != version:
            expired(node)
        if kind_of in ("input", "output") and value is not None:
            value = _array(value, shape, dtypes.bool if name in op.masks else kind)
        arrays[name] = value
    wanted = tuple(i for i, edge in enumerate(node.edges[::2]) if edge is not None)
    gradients = _run(op, wanted, arrays, grad)
    results = [None if g is None else _reduced(g, node, i) for i, g in enumerate(gradients)]
    return tuple(results) if len(results) > 1 else results[0]


def _formula_only(node):
    """Integer computations and several outputs go through the formulas."""
    return node.op.result_type is not None


def _array(value, shape, kind):
    """A saved value as a dense flat array of the result's shape."""
    if isinstance(value, NUMBERS):
        return np.full(numel(shape), value, kind.numpy)
    if type(value) is np.ndarray:
        return value
    flat = value._flat if value.shape == shape and value._flat is not None else None
    if flat is None:
        flat = _spread(value, shape)
    return flat if value.dtype is kind else flat.astype(kind.numpy)


def _run(op, wanted, arrays, grad):
    """Run the kernels for the wanted positions; the incoming gradient passes where it may."""
    gradients = [None] * len(op.differentiable)
    entry = op.backward.get(wanted, False)
    groups = [wanted] if entry is not False else [(i,) for i in wanted]
    for group in groups:
        plan = op.backward[group]
        computed = ()
        if plan is not None:
            kernel, parallel, names, computed = plan
            outs = [np.empty(len(grad), grad.dtype) for _ in computed]
            run = kernel if len(grad) < threads.minimum else parallel
            run(*(_plain(op, name, arrays[name]) for name in names), *outs)
            for position, out in zip(computed, outs, strict=True):
                gradients[position] = out
        for position in group:
            if position not in computed:
                gradients[position] = grad
    return gradients


def _plain(op, name, value):
    """Kernel scalars are floats: an integer would compile the kernel once more."""
    return float(value) if name not in op.tensors and isinstance(value, int) else value


def _reduced(gradient, node, index):
    """The implied reduction to the shape and dtype of an input."""
    general = node.general
    if general is None:
        return gradient
    shape, dtype = general.input_shapes[index], general.input_dtypes[index]
    if shape == node.shape and gradient.dtype == dtype.numpy:
        return gradient
    tensor = from_flat(gradient, node.shape, dtypes.from_numpy_dtype(gradient.dtype))
    return fit(tensor, shape, dtype)


class PointwiseNode(OperatorNode):
    """A node whose gradients come from flat kernels."""

    __slots__ = ()

    def apply(self, grad):
        return backward(self, grad)
