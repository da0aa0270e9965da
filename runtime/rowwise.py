"""The rowwise family: lanes along the reduced dimensions, one row at a time."""

from __future__ import annotations

import numpy as np

from . import dtypes, graph
from .blocks import sum_to, summed
from .geometry import normalize_dims
from .kernels.accumulate import repeat_each
from .lanes import LANE, ROW, RUN, WHOLE, Lanes, lane_tensor
from .operator import Direct, Operator, numel
from .operator_nodes import OperatorNode, expired
from .tensor import Tensor, from_flat
from .threads import threads

empty = np.empty

KNOWN = 1024  # ways in which lanes lie that each operator remembers
DENSE = 16384  # elements up to which a number a lane is written out rather than shown as a view
FEW = 8  # lanes that are too few to share out among threads


class DenseRows(Direct):
    """What calls on dense lanes of a shape have in common; nodes save flat arrays."""

    __slots__ = ("constants", "count", "kept", "n", "numpy", "op", "rows", "without")
    flat = True

    def __init__(self, op, lanes, kind, values):
        super().__init__(
            [None if value is None else value.shape for value in values],
            [None if value is None else value.dtype for value in values],
            lanes,
        )
        self.op = op
        self.numpy = kind.numpy
        self.rows, self.count = lanes.rows, lanes.count
        self.n = lanes.rows * lanes.count
        self.kept, self.without = lanes.kept, lanes.without
        self.constants = {}

    def constant(self, name):
        """The lane that stands for a parameter that is None."""
        found = self.constants.get(name)
        if found is None:
            found = np.full(self.count, self.op.absent[name], self.numpy)
            self.constants[name] = found
        return found


def repeated(rows, general):
    """One number a lane as the gradient of all of the lane."""
    if general.n > DENSE:
        return general.details.spread(rows)
    return repeat_each(rows, general.count)


def spread(rows, lanes):
    """The same wherever the lanes lie."""
    n = lanes.rows * lanes.count
    if n > DENSE:
        return lanes.spread(rows)
    out = empty(n, rows.dtype)
    out.reshape(tuple(lanes.shape))[...] = rows.reshape(tuple(lanes.kept))
    return out


class Rowwise(Operator):
    """An operator that works on one lane at a time."""

    def __init__(
        self,
        *,
        kernels,
        over,
        lane_outputs,
        lane_parameters,
        saved_rows,
        nonempty,
        rules,
        total,
        even,
        forward,
        backward,
        empty=None,
        lane_numbers=(),
        lane_runs=(),
        **common,
    ):
        super().__init__(**common)
        self.over = over
        self.lane_numbers = lane_numbers
        self.lane_runs = lane_runs
        self.lane_outputs = lane_outputs
        self.lane_parameters = lane_parameters
        self.saved_rows = saved_rows
        self.nonempty = nonempty
        self.empty = empty
        self.rules = rules
        self.total = total
        self.even = even
        self.kernels = kernels
        *self.forward, self.forward_arguments = forward
        self.backward = backward
        self.forms = {}  # the kernels, by the inputs that want a gradient; None: the forward ones
        self.roles = {item[0]: self._role(*item) for item in self.saved}
        self.known = {}
        self.straight = {}  # what straight-line calls look up: shapes and dtypes -> their DenseRows
        self.over_position = self.positions[over]
        self.keep_position = self.positions.get("keepdim")
        self.dtype_position = self.positions.get("dtype")

    def _role(self, name, kind, source, _):
        """How a saved value lies: in lanes, one number a lane, or neither."""
        if kind == "row" or source in self.lane_numbers:
            return ROW
        if source in self.lane_runs:
            return RUN
        if kind == "output":
            return LANE if self.lane_outputs[self.outputs.index(source)] else ROW
        return LANE if kind == "input" and source == self.tensors[0] else WHOLE

    def call(self, *args):
        """Compute along the lanes and record the node."""
        first = args[0]
        if not isinstance(first, Tensor):
            raise TypeError(
                f"{self.name}(): argument 'input' must be Tensor, not {type(first).__name__}"
            )
        typed = self._typed(first, args)
        if typed is not first:
            first, args = typed, (typed, *args[1:])
        lanes = self.lanes(args)
        only_lanes = self.lane_outputs[0] and all(self.lane_outputs)
        if self.nonempty and lanes.count == 0 and lanes.rows > 0 and not only_lanes:
            if args[self.over_position] in (None, ()) and self.rules[0] != "index":
                raise RuntimeError(
                    f"{self.name}(): Expected reduction dim to be specified for input.numel() == "
                    "0. Specify the reduction dim with the 'dim' argument."
                )
            raise IndexError(
                f"{self.name}(): Expected reduction dim {lanes.dims[0] if lanes.dims else 0} to "
                f"have non-zero size; input has shape {tuple(first.shape)}"
            )
        rows = {}
        outs = self._total(first, lanes) if self.total else None
        if outs is None:
            outs = self._allocate(first, lanes)
            for name in self.saved_rows:
                rows[name] = empty(lanes.rows, first.dtype.numpy)
            if not lanes.count and self.empty is not None:
                for out in outs:
                    out.fill(self.empty)
            elif lanes.count or not only_lanes:
                sources = [
                    self._source(name, args, lanes, first.dtype) for name in self.forward_arguments
                ]
                roles = [LANE if lane else ROW for lane in self.lane_outputs]
                targets = [*zip(roles, outs, strict=True)]
                targets += [(ROW, row) for row in rows.values()]
                lanes.run(self.forms.get(None) or self.find_forms(), sources, targets)
            else:
                for name in self.forward_arguments:  # a parameter may not fit the empty lanes
                    self._source(name, args, lanes, first.dtype)
        results = self._wrap(outs, lanes, args)
        self._remember(args, lanes)
        if self.needs_graph(args):
            self.record(args, results, rows, lanes)
        return results[0] if self.result_type is None else self.result_type(results)

    def find_forms(self, wanted=None):
        """Look up the kernels that are named: serial, parallel, columns, runs; None for some."""
        serial, parallel, columns, runs = (
            self.forward if wanted is None else self.backward[wanted][:4]
        )
        found = [name and getattr(self.kernels, name) for name in (serial, parallel, runs)]
        found.insert(2, columns and columns.found(self.kernels))
        self.forms[wanted] = found
        return found

    def _remember(self, args, lanes):
        """Let calls like this one go straight from now on, if lanes lie dense and all fits."""
        tensors = [args[position] for position in self.tensor_positions]
        given = [value for value in tensors if value is not None]
        kind = given[0].dtype
        if not (lanes.last and lanes.rows and lanes.count and kind.is_floating_point):
            return
        if self.result_type is not None or any(value.dtype is not kind for value in given):
            return
        over = args[self.over_position]
        if isinstance(over, list):
            return
        key = [given[0].shape, kind, over]
        for value in tensors[1:]:
            key += (None, None) if value is None else (value.shape, kind)
        if len(self.straight) >= KNOWN:
            self.straight.clear()
        values = [args[position] for position in self.differentiable_positions]
        self.straight[tuple(key)] = DenseRows(self, lanes, kind, values)

    def _total(self, tensor, lanes):
        """A sum or mean by adding up wherever the elements lie; None where lanes do better."""
        elements = lanes.rows * lanes.count
        long = lanes.rows < FEW and elements >= threads.minimum
        if not elements or (lanes.last and not long) or not tensor.dtype.is_floating_point:
            return None
        divisor = self._divisor(lanes)
        if tensor._flat is not None and elements <= DENSE:
            out = summed(tensor._nd(), lanes.kept, divisor)
        else:
            out = sum_to(tensor, lanes.kept, divisor)
        return None if out is None else [out]

    def _divisor(self, lanes):
        return lanes.count if self.total == "mean" else 1

    def _typed(self, tensor, args):
        """The input in the dtype to compute in."""
        at = self.dtype_position
        if tensor.dtype.is_floating_point and (at is None or args[at] is None):
            return tensor
        from . import operators as ops

        if at is not None and args[at] is not None:
            tensor = ops.to(tensor, args[at])
        if "float" in self.rules and not tensor.dtype.is_floating_point:
            tensor = ops.to(tensor, dtypes.get_default_dtype())
        if "floating" in self.rules and not tensor.dtype.is_floating_point:
            if self.lane_outputs[0]:
                raise NotImplementedError(
                    f'"{self.name}" not implemented for {tensor.dtype}; use a floating dtype'
                )
            raise RuntimeError(
                f"{self.name}(): could not infer output dtype. Input dtype must be either a "
                f"floating point or complex dtype. Got: {tensor.dtype}"
            )
        if "sum" in self.rules and not tensor.dtype.is_floating_point:
            tensor = ops.to(tensor, dtypes.int64)
        return tensor

    def lanes(self, args):
        """Where the lanes of a call lie."""
        shape, over = args[0].shape, args[self.over_position]
        if type(over) is list:
            over = tuple(over)
        try:
            found = self.known.get((shape, type(over), over))  # 1.0 is no dimension, though 1 is
        except TypeError:  # what cannot be hashed is no dimension; said below
            found = None
        if found is None:
            found = self._find_lanes(args[0], over)
            if len(self.known) >= KNOWN:
                self.known.clear()
            self.known[shape, type(over), over] = found
        return found

    def _find_lanes(self, tensor, over):
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

    def _source(self, name, args, lanes, dtype):
        """(role, value) of an argument of the forward kernel."""
        value = args[self.positions[name]]
        if name == self.tensors[0]:
            return LANE, value
        if name in self.lane_numbers:
            return ROW, self._numbers(name, value, lanes, dtype)
        if name in self.lane_runs:
            self._check_runs(name, value, lanes)
            return RUN, _for_each_run(value, lanes, dtype.numpy, self.absent.get(name))
        if name not in self.lane_parameters:
            return WHOLE, _number(value)
        if value is None:
            return WHOLE, np.full(lanes.count, self.absent[name], dtype.numpy)
        lane = tuple(lanes.shape[d] for d in lanes.dims)
        self._check_tensor(name, value)
        if self.over == "normalized_shape" and value.shape != lane:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                f"shape {list(value.shape)} and normalized_shape = {list(lane)}"
            )
        if value.numel() != lanes.count:
            raise RuntimeError(
                f"{self.name}(): {name} has shape {tuple(value.shape)}, but the lanes of input "
                f"{tuple(lanes.shape)} have {lanes.count} elements; they must agree"
            )
        return WHOLE, value._dense().astype(dtype.numpy, copy=False)

    def _numbers(self, name, tensor, lanes, dtype):
        """A tensor of one number a lane, dense; integers stay what they are."""
        if tensor is None and name in self.absent:
            return np.full(lanes.rows, self.absent[name], dtype.numpy)
        self._check_tensor(name, tensor)
        if tensor.numel() != lanes.rows:
            raise RuntimeError(
                f"{self.name}(): {name} has shape {tuple(tensor.shape)}, but input has "
                f"{lanes.rows} lanes; they must agree"
            )
        numbers = tensor._dense()
        return (
            numbers.astype(dtype.numpy, copy=False) if tensor.dtype.is_floating_point else numbers
        )

    def _check_tensor(self, name, value):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{self.name}(): argument '{name}' must be Tensor, not {type(value).__name__}"
            )

    def _check_runs(self, name, tensor, lanes):
        """What has a number for each run: it is as large as some dimensions before the last."""
        if not lanes.last:
            raise RuntimeError(f"{self.name}(): lanes must be the last dimensions of input")
        if tensor is None and name in self.absent:
            return
        self._check_tensor(name, tensor)
        n = tensor.numel()
        if n != numel(lanes.shape_of_runs(n)):
            raise RuntimeError(
                f"{self.name}(): {name} has shape {tuple(tensor.shape)}, but input is "
                f"{tuple(lanes.shape)}; it must have one number for each of the last dimensions "
                "but one"
            )

    def _allocate(self, tensor, lanes):
        outs = []
        for lane, rule in zip(self.lane_outputs, self.rules, strict=True):
            kind = tensor.dtype.numpy
            if rule == "bool" and tensor.dtype is not dtypes.uint8:
                kind = dtypes.bool.numpy
            elif rule == "index":
                kind = dtypes.int64.numpy
            outs.append(empty(lanes.rows * lanes.count if lane else lanes.rows, kind))
        return outs

    def _wrap(self, outs, lanes, args):
        keepdim = self.keep_position is not None and bool(args[self.keep_position])
        results = []
        for out, lane in zip(outs, self.lane_outputs, strict=True):
            shape = lanes.shape if lane else lanes.reduced(keepdim)
            results.append(from_flat(out, shape, dtypes.from_numpy_dtype(out.dtype)))
        return results


def _for_each_run(value, lanes, kind, absent):
    """One number for each run of all lanes, from a tensor that has them for some dimensions."""
    n = lanes.rows * lanes.runs[0]
    if value is None:
        return np.full(n, absent, kind)
    numbers = value._dense() if isinstance(value, Tensor) else value.reshape(-1)
    repeated = empty((n // max(len(numbers), 1), len(numbers)), kind)
    repeated[...] = numbers
    return repeated.reshape(-1)


def _number(value):
    """Kernel scalars are floats: an integer would compile the kernel once more."""
    return float(value) if isinstance(value, int | float) else value


def backward(node, grad):
    """Gradients by the generated kernels, for one incoming gradient."""
    op, general, edges = node.op, node.general, node.edges
    lanes = general.details
    if node.saved is None and op.saved:
        graph.freed(node)
    wanted = tuple([i for i in range(len(op.differentiable)) if edges[2 * i] is not None])
    groups = [wanted] if wanted in op.backward else [(i,) for i in wanted]
    gradients = [None] * len(op.differentiable)
    kind = grad.dtype.numpy if isinstance(grad, Tensor) else grad.dtype
    for group in groups:
        found = op.backward[group]
        if found is None:
            rows = grad._dense() if isinstance(grad, Tensor) else grad
            gradients[group[0]] = spread(rows, lanes)
            continue
        *_, names, computed = found
        sources = [_source_of(node, name, grad, kind) for name in names]
        outs = [_gradient(op, i, lanes, kind) for i in computed]
        lanes.run(op.forms.get(group) or op.find_forms(group), sources, outs)
        for i, (role, out) in zip(computed, outs, strict=True):
            if role == ROW and op.even[i]:
                gradients[i] = spread(out, lanes)
            elif role == RUN:
                total = out.reshape(-1, general.input_shapes[i].numel()).sum(axis=0)
                gradients[i] = total.astype(general.input_dtypes[i].numpy, copy=False)
            elif role != LANE:
                gradients[i] = out.astype(general.input_dtypes[i].numpy, copy=False)
            else:
                gradients[i] = out
    return tuple(gradients) if len(gradients) > 1 else gradients[0]


def _source_of(node, name, grad, kind):
    """(role, value) of an argument of a backward kernel."""
    op, lanes = node.op, node.general.details
    if name == "grad":
        if op.lane_outputs[op.differentiable_outputs[0]]:
            return LANE, lane_tensor(grad, lanes.shape)
        return ROW, grad._dense() if isinstance(grad, Tensor) else grad
    place = op.places[name]
    value, counter, version = node.saved[place : place + 3]
    if counter is not None and counter[0] != version:
        expired(node)
    what = op.roles[name]
    if what == RUN:
        return what, _for_each_run(value, lanes, kind, op.absent.get(name))
    if isinstance(value, Tensor):
        return what, value if what == LANE else value._dense()
    if type(value) is np.ndarray and what == LANE:
        return what, lane_tensor(value, lanes.shape)
    if value is None:
        value = np.full(lanes.count if what == WHOLE else lanes.rows, op.absent[name], kind)
    return what, _number(value)


def _gradient(op, index, lanes, kind):
    """Gradients of lane parameters are accumulated over the rows, others are written once."""
    if op.differentiable[index] in op.lane_runs:
        return RUN, empty(lanes.rows * lanes.runs[0], kind)
    if op.even[index] or op.differentiable[index] in op.lane_numbers:
        return ROW, empty(lanes.rows, kind)
    if op.differentiable[index] in op.lane_parameters:
        return WHOLE, np.zeros(lanes.count, kind)
    return LANE, empty(lanes.rows * lanes.count, kind)


class RowwiseNode(OperatorNode):
    """A node whose gradients come from kernels that work lane by lane."""

    __slots__ = ()

    def apply(self, grad):
        return backward(self, grad)
