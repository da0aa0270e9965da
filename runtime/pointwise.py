"""The general path of pointwise operators: promotion, broadcasting, strides, scalars."""

from __future__ import annotations

from sys import getrefcount

import numpy as np

from . import dtypes, graph
from .blocks import (
    BLOCK,
    Folded,
    Laid,
    filled,
    number_operand,
    operand,
    run,
    run_rows,
)
from .few import Record, few
from .geometry import Size, broadcast_shapes, contiguous_strides
from .kernels.accumulate import STREAMED
from .operator import Operator, numel
from .operator_nodes import OperatorNode, expired
from .passing import REFERENCES, Spare, passed, total_of
from .plan import folding, layout, rows
from .tensor import Tensor, from_flat
from .threads import threads

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

    __slots__ = (
        *("few", "groups", "kernel", "kind", "kinds", "n", "parallel", "rows"),
        *("shape", "sources"),
    )

    def __init__(self, kernels, kind, kinds, shape, sources):
        self.kernel, self.parallel = kernels
        self.kind = kind
        self.kinds = kinds
        self.shape = shape
        self.n = numel(shape)
        self.sources = sources
        self.groups = {}  # of the backward pass, by the inputs that want a gradient
        self.few = None  # the call as it goes with few elements
        self.rows = None  # layouts by which the kernel goes row by row, for many elements


class Pointwise(Operator):
    """A pointwise operator: flat kernels, to which any other operands are brought by blocks.

    It has the names of its kernels, which are looked up in `kernels` when they are needed.
    """

    def __init__(self, *, kernels, forward, rows, backward, masks, **common):
        super().__init__(**common)
        self.kernels = kernels
        self.rows = rows
        *self.forward, self.forward_arguments = forward
        self.backward = backward
        self.masks = masks
        self.plans = {}
        self.groups = {}  # of nodes whose operands are all dense and of one shape
        self.inputs = range(len(self.differentiable))

    def found(self, names):
        """The kernels of some names, None where there is none."""
        return [name and getattr(self.kernels, name) for name in names]

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
            plan.few = few(self, plan, args)
            if len(self.plans) >= PLANS:
                self.plans.clear()
            self.plans[key] = plan
        if plan.few is not None:
            return plan.few.call(args)
        outs = [empty(plan.n, kind.numpy) for kind in plan.kinds]
        if plan.rows is None:
            self._run(plan, args, outs)
        else:
            self._run_rows(plan, args, outs)
        results = [
            from_flat(out, plan.shape, kind) for out, kind in zip(outs, plan.kinds, strict=True)
        ]
        if self.needs_graph(args):
            self.record(args, results, None, plan)
        return results[0] if self.result_type is None else self.result_type(results)

    def _run(self, plan, args, outs):
        n = plan.n
        given = []
        for what, position, found in plan.sources:
            value = args[position]
            if what == FLAT:
                given.append(value._flat)
            elif what == LAID:
                laid = Laid(value._data, value._offset, found)
                given.append(laid if n > BLOCK else laid.whole(n))
            else:
                given.append(self._given(plan, what, position, value))
        if n <= BLOCK and n < threads.minimum:
            plan.kernel(*given, *outs)
        else:
            run(plan.kernel, plan.parallel, given, outs, n)

    def _run_rows(self, plan, args, outs):
        tensors, numbers = [], []
        for what, position, _ in plan.sources:
            value = args[position]
            if what not in (FLAT, LAID):
                value = self._operand(self.arguments[position], value, plan.kind)
            (numbers if what == PARAMETER else tensors).append(value)
        kernel = getattr(self.kernels, self.rows)
        run_rows(kernel, plan.rows, tensors, numbers, outs, plan.n)

    def _plan(self, args):
        kind, result_kind = self._kinds(args)
        for position, name in enumerate(self.arguments):
            self._operand(name, args[position], kind)
        shapes = [args[p].shape for p in self.tensor_positions if isinstance(args[p], Tensor)]
        shape = broadcast_shapes(*shapes)
        sources = [self._source(name, args, kind, shape) for name in self.forward_arguments]
        kernels = self.found(self.forward)
        plan = Plan(kernels, kind, [result_kind] * len(self.outputs), shape, sources)
        if plan.n > BLOCK and any(what in (LAID, CONVERTED, NUMBER) for what, _, _ in sources):
            plan.rows = rows(tuple(self._geometries(plan, args)), shape)
        return plan

    def _geometries(self, plan, args):
        """(shape, strides) of each tensor that the kernel reads, as `_run_rows` hands it on."""
        for what, position, _ in plan.sources:
            if what != PARAMETER:
                value = args[position]
                if what not in (FLAT, LAID):
                    value = self._operand(self.arguments[position], value, plan.kind)
                yield value.shape, value._strides

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
        return LAID, position, layout(value.shape, value._strides, shape)

    def _given(self, plan, what, position, value):
        """An argument of the kernel, as `run` takes it, that has to be made."""
        name = self.arguments[position]
        if what == PARAMETER:
            return self._operand(name, value, plan.kind)
        if what == NUMBER:
            kind = dtypes.bool if name in self.masks else plan.kind
            return number_operand(value, kind.numpy, plan.n)
        return operand(self._operand(name, value, plan.kind), plan.shape, plan.n)

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
                return from_flat(filled(1, value, wanted.numpy), Size(()), wanted)
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


class GuardedPointwise(Pointwise):
    """A pointwise operator that integer operands may make impossible, as a division by 0."""

    def __init__(self, *, check_integers, **common):
        super().__init__(**common)
        self.check_integers = check_integers

    def _run(self, plan, args, outs):
        if plan.n and not plan.kind.is_floating_point:
            self.check_integers(*args)
        super()._run(plan, args, outs)

    def _run_rows(self, plan, args, outs):
        if not plan.kind.is_floating_point:
            self.check_integers(*args)
        super()._run_rows(plan, args, outs)


class Group:
    """How the gradients of some inputs come about: by a kernel, or as the incoming one.

    `reads` has for each argument of the kernel the place among the saved values (-1: the
    gradient), and the dtype if it is not that of the gradient. `outs` has for each gradient that
    the kernel writes its position and, where it adds up, the size and layouts of the sums.
    `first` is the shape to which the incoming gradient may be summed before the kernel sees it.
    """

    __slots__ = ("first", "kernel", "outs", "parallel", "passed", "reads")

    def __init__(self, op, wanted, shape, general):
        *kernels, names, computed = op.backward[wanted] or (None, None, (), ())
        self.kernel, self.parallel = op.found(kernels)
        self.reads = []
        for name in names:
            place = -1 if name == "grad" else op.places[name]
            kind = np.dtype(bool) if name in op.masks else None
            self.reads.append((place, kind, name in op.tensors))
        self.outs = []
        for i in computed:
            own = shape if general is None else general.input_shapes[i]
            found = None
            if own != shape:
                found = folding(shape, contiguous_strides(shape), own)
            self.outs.append((i, found, own.numel()))
        self.passed = [i for i in wanted if i not in computed]
        self.first = self._summed_first(shape, general, computed)

    def _summed_first(self, shape, general, computed):
        """The one shape of all inputs of a kernel that reads the gradient and plain numbers alone.

        It multiplies the gradient by a number, so that it may as well multiply the sum.
        """
        shapes = {shape if general is None else general.input_shapes[i] for i in computed}
        if len(shapes) != 1 or shape in shapes:
            return None
        return None if any(p >= 0 and tensor for p, _, tensor in self.reads) else shapes.pop()


def backward(node, grad):
    """Gradients of the general path, added up where an input was broadcast."""
    general = node.general
    if type(general) is Record:
        return general.backward(node, grad)
    op = node.op
    if not op.backward or op.result_type is not None:
        return node.by_formulas(grad)
    if node.saved is None and op.saved:
        graph.freed(node)
    edges = node.edges
    wanted = tuple([i for i in op.inputs if edges[2 * i] is not None])
    known = op.groups if general is None or general.details is None else general.details.groups
    groups = known.get(wanted)
    if groups is None:
        parts = (wanted,) if wanted in op.backward else [(i,) for i in wanted]
        groups = known[wanted] = [Group(op, part, node.shape, general) for part in parts]
    gradients = [None] * len(op.inputs)
    spare = None
    if general is not None and type(grad) is ndarray and grad.nbytes >= STREAMED:
        # asked here: an argument is a reference, too
        spare = getrefcount(grad) > REFERENCES and Spare(node, groups, grad)
    for group in groups:
        if group.kernel is not None:
            _compute(node, group, grad, gradients, spare)
        for i in group.passed:
            gradients[i] = grad if general is None else passed(grad, node, i, spare)
    if spare and spare.copy is not None:
        gradients[spare.index] = spare.copy
    return tuple(gradients) if len(gradients) > 1 else gradients[0]


def _compute(node, group, grad, gradients, spare):
    """Run the kernel of a group and put its gradients in their places."""
    shape = node.shape
    total = None
    if group.first is not None:
        total = total_of(grad, shape, group.first, spare)
        grad, shape = total, group.first
    n = numel(shape)
    arrived = grad if type(grad) is ndarray else operand(grad, shape, n)
    kind = grad.dtype if type(grad) is ndarray else grad.dtype.numpy
    given = [
        arrived if place < 0 else _read(node, place, wanted or kind, tensor, n)
        for place, wanted, tensor in group.reads
    ]
    outs = [
        empty(n, kind) if found is None or total is not None else Folded(kind, size, found)
        for _, found, size in group.outs
    ]
    run(group.kernel, group.parallel, given, outs, n)
    general = node.general
    for (i, _, _), out in zip(group.outs, outs, strict=True):
        if general is None:
            gradients[i] = out
            continue
        dtype = general.input_dtypes[i]
        if type(out) is Folded:
            gradients[i] = out.total(dtype.numpy)
        else:
            gradients[i] = out if out.dtype == dtype.numpy else out.astype(dtype.numpy)


def _read(node, place, kind, tensor, n):
    """A saved value as `run` takes it."""
    value, counter, version = node.saved[place : place + 3]
    if counter is not None and counter[0] != version:
        expired(node)
    if isinstance(value, Tensor):
        if value.dtype.numpy is not kind:
            flat = value._dense().astype(kind)
            value = from_flat(flat, value.shape, dtypes.from_numpy_dtype(kind))
        return operand(value, node.shape, n)
    if type(value) is ndarray:
        return value
    if tensor:
        return number_operand(value, kind, n)
    # an integer would compile the kernel once more
    return float(value) if isinstance(value, int) else value


class PointwiseNode(OperatorNode):
    """A node whose gradients come from flat kernels."""

    __slots__ = ()

    def apply(self, grad):
        return backward(self, grad)
