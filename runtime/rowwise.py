"""The rowwise family: lanes along the reduced dimensions, one row at a time."""

from __future__ import annotations

import numpy as np

from . import dtypes, graph
from .geometry import Size, normalize_dims
from .operator import Operator, OperatorNode, as_tensor, expired, numel
from .tensor import Tensor, from_flat
from .threads import threads


class Lanes:
    """Where the lanes of a tensor lie: the reduced dimensions, and the shapes around them."""

    __slots__ = ("count", "dims", "kept", "last", "order", "rows", "shape")

    def __init__(self, shape, dims):
        self.shape = shape
        self.dims = dims
        ndim = len(shape)
        others = tuple(d for d in range(ndim) if d not in dims)
        self.order = (*others, *dims)
        self.last = self.order == tuple(range(ndim))
        self.kept = Size(1 if d in dims else n for d, n in enumerate(shape))
        self.count = numel([shape[d] for d in dims])
        self.rows = numel([shape[d] for d in others])

    def reduced(self, keepdim):
        """Shape of a result with one number a lane."""
        if keepdim:
            return self.kept
        return Size(n for d, n in enumerate(self.shape) if d not in self.dims)

    def keep(self, tensor):
        """A per-lane tensor with its reduced dimensions as ones, so that it broadcasts."""
        from . import operators as ops

        return tensor if tensor.shape == self.kept else ops.reshape(tensor, self.kept)

    def position(self):
        """The index along the lane, broadcastable against the input."""
        shape = [1] * len(self.shape)
        for dim in self.dims:
            shape[dim] = self.shape[dim]
        return from_flat(np.arange(self.count), Size(shape), dtypes.int64)

    def gather(self, tensor):
        """The elements with lanes last, dense."""
        if self.last:
            return tensor._dense()
        moved = tensor._nd().transpose(self.order)
        return np.ascontiguousarray(moved).reshape(-1)

    def scatter(self, flat):
        """The inverse of `gather`: dense elements in the order of the tensor."""
        if self.last:
            return flat
        inverse = np.argsort(self.order)
        moved = flat.reshape([self.shape[d] for d in self.order]).transpose(inverse)
        return np.ascontiguousarray(moved).reshape(-1)


class Rowwise(Operator):
    """An operator that works on one lane at a time."""

    def __init__(
        self,
        *,
        over,
        lane_outputs,
        lane_parameters,
        saved_rows,
        nonempty,
        rules,
        forward,
        backward,
        empty=None,
        **common,
    ):
        super().__init__(**common)
        self.over = over
        self.lane_outputs = lane_outputs
        self.lane_parameters = lane_parameters
        self.saved_rows = saved_rows
        self.nonempty = nonempty
        self.empty = empty
        self.rules = rules
        self.forward, self.forward_parallel, self.forward_arguments = forward
        self.backward = backward

    def call(self, *args):
        """Compute along the lanes and record the node."""
        args = list(args)
        first = args[0]
        if not isinstance(first, Tensor):
            raise TypeError(
                f"{self.name}(): argument 'input' must be Tensor, not {type(first).__name__}"
            )
        args[0] = first = self._typed(first, args)
        lanes = self._lanes(first, args)
        only_lanes = all(self.lane_outputs)
        if self.nonempty and lanes.count == 0 and lanes.rows > 0 and not only_lanes:
            raise IndexError(
                f"{self.name}(): Expected reduction dim {lanes.dims[0] if lanes.dims else 0} to "
                f"have non-zero size; input has shape {tuple(first.shape)}"
            )
        values = dict(zip(self.arguments, args, strict=True))
        arrays = self._arrays(first, lanes, values)
        outs, rows = self._allocate(first, lanes)
        names = self.forward_arguments
        run = self.forward
        if lanes.rows * lanes.count >= threads.minimum:
            run = self.forward_parallel
        if not lanes.count and self.empty is not None:
            for out in outs:
                out.fill(self.empty)
        elif lanes.count or not only_lanes:
            run(
                *(arrays[n] if n in arrays else _number(values[n]) for n in names),
                lanes.rows,
                lanes.count,
                *outs,
                *rows.values(),
            )
        results = self._wrap(outs, lanes, bool(values.get("keepdim", False)))
        if self.needs_graph(args):
            self.record(args, results, rows, lanes)
        return results[0] if self.result_type is None else self.result_type(results)

    def _typed(self, tensor, args):
        """The input in the dtype to compute in."""
        from . import operators as ops

        if "dtype" in self.positions and args[self.positions["dtype"]] is not None:
            tensor = ops.to(tensor, args[self.positions["dtype"]])
        if "float" in self.rules and not tensor.dtype.is_floating_point:
            tensor = ops.to(tensor, dtypes.get_default_dtype())
        if "floating" in self.rules and not tensor.dtype.is_floating_point:
            raise RuntimeError(
                f"{self.name}(): could not infer output dtype. Input dtype must be either a "
                f"floating point or complex dtype. Got: {tensor.dtype}"
            )
        if "sum" in self.rules and not tensor.dtype.is_floating_point:
            tensor = ops.to(tensor, dtypes.int64)
        return tensor

    def lanes(self, args):
        """Where the lanes of a call lie, for its jvp formulas."""
        return self._lanes(args[0], args)

    def _lanes(self, tensor, args):
        over = args[self.positions[self.over]]
        ndim = len(tensor.shape)
        if self.over == "normalized_shape":
            return Lanes(tensor.shape, self._trailing(tensor, over))
        if over is None or (isinstance(over, list | tuple) and len(over) == 0):
            dims = tuple(range(ndim))
        else:
            try:
                dims = tuple(sorted(normalize_dims(over, ndim)))
            except TypeError:
                raise TypeError(
                    f"{self.name}(): argument '{self.over}' must be int or tuple of ints, not "
                    f"{type(over).__name__}"
                ) from None
        return Lanes(tensor.shape, dims if ndim else ())

    def _trailing(self, tensor, shape):
        shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
        if len(shape) == 0 or tuple(tensor.shape[-len(shape) :]) != shape:
            raise RuntimeError(
                f"{self.name}(): normalized_shape is {list(shape)}, but input has size "
                f"{list(tensor.shape)}; the input's last dimensions must be normalized_shape"
            )
        return tuple(range(len(tensor.shape) - len(shape), len(tensor.shape)))

    def _arrays(self, tensor, lanes, values):
        arrays = {self.tensors[0]: lanes.gather(tensor)}
        for name in self.lane_parameters:
            value = values[name]
            if value is None:
                arrays[name] = np.full(lanes.count, self.absent[name], tensor.dtype.numpy)
                continue
            lane = tuple(lanes.shape[d] for d in lanes.dims)
            if self.over == "normalized_shape" and value.shape != lane:
                raise RuntimeError(
                    f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                    f"shape {list(value.shape)} and normalized_shape = {list(lane)}"
                )
            if value.numel() != lanes.count:
                raise RuntimeError(
                    f"{self.name}(): {name} has shape {tuple(value.shape)}, but the lanes of input "
                    f"{tuple(tensor.shape)} have {lanes.count} elements; they must agree"
                )
            arrays[name] = value._dense().astype(tensor.dtype.numpy, copy=False)
        return arrays

    def _allocate(self, tensor, lanes):
        outs = []
        for lane, rule in zip(self.lane_outputs, self.rules, strict=True):
            kind = {"bool": np.dtype(bool), "index": np.dtype(np.int64)}.get(rule)
            n = lanes.rows * lanes.count if lane else lanes.rows
            outs.append(np.empty(n, kind or tensor.dtype.numpy))
        rows = {name: np.empty(lanes.rows, tensor.dtype.numpy) for name in self.saved_rows}
        return outs, rows

    def _wrap(self, outs, lanes, keepdim):
        results = []
        for out, lane in zip(outs, self.lane_outputs, strict=True):
            kind = dtypes.from_numpy_dtype(out.dtype)
            if lane:
                results.append(from_flat(lanes.scatter(out), lanes.shape, kind))
            else:
                results.append(from_flat(out, lanes.reduced(keepdim), kind))
        return results


def _number(value):
    """Kernel scalars are floats: an integer would compile the kernel once more."""
    return float(value) if isinstance(value, int | float) else value


def backward(node, grad):
    """Gradients by the generated kernels, for one incoming gradient."""
    op = node.op
    lanes = node.general.lanes
    if node.saved is None and op.saved:
        graph.freed(node)
    lane = op.lane_outputs[op.differentiable_outputs[0]]
    grad = grad if isinstance(grad, Tensor) else as_tensor(grad, node.shape)
    arrays = {"grad": lanes.gather(grad) if lane else grad._dense()}
    kind = arrays["grad"].dtype
    for index, (name, kind_of, source, _) in enumerate(op.saved):
        value, counter, version = node.saved[3 * index : 3 * index + 3]
        if counter is not None and counter[0] != version:
            expired(node)
        if isinstance(value, Tensor):
            value = _lane_array(op, name, kind_of, source, value, lanes)
        elif value is None and name in op.lane_parameters:
            value = np.full(lanes.count, op.absent[name], kind)
        arrays[name] = value
    wanted = tuple(i for i, edge in enumerate(node.edges[::2]) if edge is not None)
    groups = [wanted] if wanted in op.backward else [(i,) for i in wanted]
    gradients = [None] * len(op.differentiable)
    for group in groups:
        kernel, parallel, names, computed = op.backward[group]
        if lanes.rows * lanes.count >= threads.minimum:
            kernel = parallel
        outs = [_gradient_array(op, i, lanes, kind) for i in computed]
        kernel(*(_number(arrays[n]) for n in names), lanes.rows, lanes.count, *outs)
        for i, out in zip(computed, outs, strict=True):
            lane_out = op.differentiable[i] not in op.lane_parameters
            kind_of_input = node.general.input_dtypes[i].numpy
            gradients[i] = lanes.scatter(out) if lane_out else out.astype(kind_of_input, copy=False)
    return tuple(gradients) if len(gradients) > 1 else gradients[0]


def _gradient_array(op, index, lanes, kind):
    """Gradients of lane parameters are accumulated over the rows, others are written once."""
    if op.differentiable[index] in op.lane_parameters:
        return np.zeros(lanes.count, kind)
    return np.empty(lanes.rows * lanes.count, kind)


def _lane_array(op, name, kind, source, value, lanes):
    if kind == "output" and not op.lane_outputs[op.outputs.index(source)]:
        return value._dense()
    if name in op.lane_parameters:
        return value._dense()
    return lanes.gather(value)


class RowwiseNode(OperatorNode):
    """A node whose gradients come from kernels that work lane by lane."""

    __slots__ = ()

    def apply(self, grad):
        return backward(self, grad)
