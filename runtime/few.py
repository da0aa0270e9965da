"""Pointwise calls on few elements that are not of one shape: all that can be known is, beforehand.

At this size a call costs what Python does around the kernel. So a plan keeps for each operand the
numbers of the elements that make it dense, for each gradient the numbers of the elements that add
up, and for its nodes what they save.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import graph, inference
from .blocks import filled
from .geometry import contiguous_strides
from .kernels.accumulate import add_groups
from .modes import modes
from .operator import Direct
from .operator_nodes import expired
from .tensor import Tensor

FEW = 1024  # elements up to which picking them by their numbers is quick

new = object.__new__
next_sequence = graph.next_sequence
ndarray = np.ndarray
empty = np.empty

TENSOR, NUMBER, PARAMETER = range(3)
HELD, RESULT, VALUE, NOTHING = range(4)


@lru_cache(maxsize=1024)
def _places(shape, strides):
    """Where the elements of a strided tensor lie, in row-major order."""
    places = np.zeros((), np.intp)
    for size, step in zip(shape, strides, strict=True):
        places = places[..., None] + np.arange(size) * step
    return places.ravel()


@lru_cache(maxsize=1024)
def _repeated(shape, to):
    """Which element of a dense tensor stands where, once it is broadcast to a shape."""
    numbers = np.arange(shape.numel()).reshape(shape)
    return np.broadcast_to(numbers, to).ravel()


@lru_cache(maxsize=1024)
def _groups(shape, to):
    """The elements of a broadcast tensor that were one before, group by group."""
    return np.argsort(_repeated(shape, to), kind="stable")


class Number:
    """An array full of a number, kept for the calls that come with the same object."""

    __slots__ = ("kind", "known", "n")

    def __init__(self, n, kind):
        self.n = n
        self.kind = kind
        self.known = None, None

    def array(self, value):
        """The number as often as there are elements; not to be written."""
        last, array = self.known
        if array is None or last is not value:
            array = filled(self.n, value, self.kind)
            self.known = value, array
        return array


class Few:
    """What a call on few elements comes to: how its operands are brought, what its nodes keep.

    `sources` has for each argument of the kernel what it is, its position, and two arrays of
    numbers of elements: those that make a strided operand dense, and those that broadcast it; None
    where that is not needed. In the place of the latter, a number has its `Number`.
    """

    __slots__ = (
        *("dtype", "held", "kernel", "kind", "n", "op", "plan"),
        *("records", "shape", "sources", "strides"),
    )

    def __init__(self, op, plan, sources):
        self.op = op
        self.plan = plan
        self.kernel = plan.kernel
        self.n = plan.n
        self.shape = plan.shape
        self.strides = contiguous_strides(plan.shape)
        self.dtype = plan.kinds[0]
        self.kind = self.dtype.numpy
        self.sources = sources
        self.held = [item[1] for item in sources if item[0] == TENSOR]
        self.records = {}  # by the inputs that want a gradient, as bits

    def call(self, args):
        """The result, recorded."""
        held, given = [], []
        for what, position, places, spread in self.sources:
            value = args[position]
            if what == TENSOR:
                if places is None:
                    flat = value._flat
                else:
                    offset = value._offset
                    flat = (value._data[offset:] if offset else value._data)[places]
                held.append(flat)
                given.append(flat if spread is None else flat[spread])
            elif what == NUMBER:
                given.append(spread.array(value))
            else:
                given.append(float(value))
        out = empty(self.n, self.kind)
        self.kernel(*given, out)
        result = new(Tensor)
        result._data = result._flat = out
        result._counter = inference.new_counter() if inference.used else [0]
        result.shape = self.shape
        result._strides = self.strides
        result._offset = 0
        result.dtype = self.dtype
        result._output_nr = 0
        result._requires_grad = False
        result._grad_fn = None
        if modes.grad:
            self._record(args, held, result)
        return result

    def _record(self, args, held, result):
        """Make the node, if an input requires grad."""
        op = self.op
        edges = []
        wanted, bit = 0, 1
        for position in op.differentiable_positions:
            value = args[position]
            if isinstance(value, Tensor) and value._requires_grad:
                edges.append(value._grad_fn or value)
                edges.append(value._output_nr)
                wanted |= bit
            else:
                edges.append(None)
                edges.append(0)
            bit += bit
        if not wanted or op.node is None:
            return
        if modes.active or modes.openings:
            op.record(args, [result], None, self.plan)
            return
        record = self.records.get(wanted)
        if record is None:
            record = self.records[wanted] = Record(self, args, edges)
        node = new(op.node)
        node.sequence = next_sequence()
        node.edges = tuple(edges)
        saved = []
        for what, found, position in record.saving:
            if what == HELD:
                counter = args[position]._counter
                saved += (held[found], counter, counter[0])
            elif what == VALUE:
                saved += (args[position], None, 0)
            elif what == RESULT:
                saved += (result._flat, result._counter, 0)
            else:
                saved += (None, None, 0)
        node.saved = tuple(saved)
        node.shape = self.shape
        node.general = record
        node.hooks = None
        result._requires_grad = True
        result._grad_fn = node


def few(op, plan, args):
    """How the call of a plan goes with few elements; None if there is more to it."""
    by_kernels = op.node is None or op.backward
    if not 0 < plan.n <= FEW or op.result_type is not None or not by_kernels:
        return None
    if not plan.kind.is_floating_point:
        return None
    if any(kind not in ("input", "output", "value") for _, kind, _, _ in op.saved):
        return None
    sources = []
    for _, position, _ in plan.sources:
        name, value = op.arguments[position], args[position]
        kind = np.dtype(bool) if name in op.masks else plan.kind.numpy
        if isinstance(value, Tensor):
            if name not in op.tensors or value.dtype.numpy is not kind:
                return None
            dense = value._flat is not None
            places = None if dense else _places(value.shape, value._strides)
            spread = None if value.shape == plan.shape else _repeated(value.shape, plan.shape)
            sources.append((TENSOR, position, places, spread))
        elif type(value) not in (int, float):
            return None
        elif name in op.tensors:
            sources.append((NUMBER, position, None, Number(plan.n, kind)))
        else:
            sources.append((PARAMETER, position, None, None))
    return Few(op, plan, sources)


class Record(Direct):
    """What the nodes of a call have in common whose same inputs want a gradient.

    saving: for each value to save what it is, and where it is to be found.
    steps: for each kernel what it reads of the saved values, and the gradients that it writes.
    passed: the inputs whose gradient is the incoming one.
    sums: for each input that was broadcast, the groups of elements whose gradients add up, and how
    many groups there are.
    """

    __slots__ = ("count", "kind", "n", "passed", "reads", "saving", "shapes", "steps", "sums")
    flat = True

    def __init__(self, call, args, edges):
        op = call.op
        given = [args[position] for position in op.differentiable_positions]
        super().__init__(
            [v.shape if isinstance(v, Tensor) else None for v in given],
            [v.dtype if isinstance(v, Tensor) else None for v in given],
        )
        self.count = len(given)
        self.kind = call.plan.kind.numpy
        self.n = call.n
        self.shapes = {
            name: value.shape
            for name, value in zip(op.arguments, args, strict=True)
            if isinstance(value, Tensor)
        }
        self.saving = [_saving(call, args, edges, item) for item in op.saving]
        self._find_steps(call, args, edges)

    def shape_of(self, op, source):
        return self.shapes[source]

    def _find_steps(self, call, args, edges):
        op = call.op
        wanted = tuple([i for i in op.inputs if edges[2 * i] is not None])
        parts = (wanted,) if wanted in op.backward else [(i,) for i in wanted]
        spreads = {item[1]: item[3] for item in call.sources}
        self.steps, self.passed = [], []
        for part in parts:
            *kernels, names, computed = op.backward[part] or (None, None, (), ())
            kernel, _ = op.found(kernels)
            if kernel is not None:
                reads = [_read(op, spreads, args, name) for name in names]
                self.steps.append((kernel, reads, computed))
            self.passed += [i for i in part if i not in computed]
        self.reads = any(place >= 0 for _, reads, _ in self.steps for place, _, _ in reads)
        broadcast = [i for i in wanted if self.input_shapes[i] != call.shape]
        shapes = self.input_shapes
        self.sums = [(i, _groups(shapes[i], call.shape), shapes[i].numel()) for i in broadcast]

    def backward(self, node, grad):
        """The gradients of a node's inputs, from that of its output."""
        saved = node.saved
        if saved is None and self.reads:
            graph.freed(node)
        kind = self.kind
        if type(grad) is not ndarray:
            grad = grad._dense()
        if grad.dtype is not kind:
            grad = grad.astype(kind)
        gradients = [None] * self.count
        for kernel, reads, writes in self.steps:
            given = []
            for place, what, spread in reads:
                if place < 0:
                    given.append(grad)
                    continue
                value = saved[place]
                if what == TENSOR:
                    if saved[place + 1][0] != saved[place + 2]:
                        expired(node)
                    given.append(value if spread is None else value[spread])
                elif what == NUMBER:
                    given.append(spread.array(value))
                else:
                    given.append(float(value))
            for i in writes:
                gradients[i] = out = empty(self.n, kind)
                given.append(out)
            kernel(*given)
        for i in self.passed:
            gradients[i] = grad
        for i, groups, size in self.sums:
            sums = empty(size, kind)
            add_groups(gradients[i], groups, sums)
            gradients[i] = sums
        return tuple(gradients) if self.count > 1 else gradients[0]


def _saving(call, args, edges, item):
    """What is to be saved, where it is found among the arrays, its position."""
    _, kind, source, needed_by = item
    if kind == "output":
        return RESULT, None, None
    if kind != "input" or not isinstance(args[source], Tensor):
        return VALUE, None, source
    if any(edges[i] is not None for i in needed_by):
        return HELD, call.held.index(source), source
    return NOTHING, None, None


def _read(op, spreads, args, name):
    """An argument of a kernel: its place among the saved values, what it is, how it is brought."""
    if name == "grad":
        return -1, None, None
    place = op.places[name]
    if name not in op.positions:  # the result
        return place, TENSOR, None
    position = op.positions[name]
    if name not in op.tensors:
        return place, PARAMETER, None
    what = TENSOR if isinstance(args[position], Tensor) else NUMBER
    return place, what, spreads[position]
