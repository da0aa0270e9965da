"""Descriptors of declared operators, and what their nodes have in common.

A descriptor knows how to compute an operator on any arguments (the general path) and how to
rebuild, in a backward pass, what its node saved. The generated functions handle the common
case themselves and reach a descriptor only for the rest.
"""

from __future__ import annotations

import math
from threading import RLock

import numpy as np

from . import dtypes, graph
from .accumulation import tensor_of
from .graph import Node, begin
from .modes import modes
from .tensor import Tensor, from_flat

new = object.__new__


class General:
    """What a node of the general path remembers beyond its saved values."""

    __slots__ = ("input_dtypes", "input_shapes", "lanes")

    def __init__(self, input_shapes, input_dtypes, lanes=None):
        self.input_shapes = input_shapes
        self.input_dtypes = input_dtypes
        self.lanes = lanes  # rowwise: how the lanes lie; auto views: the call itself


class Operator:
    """A declared operator: its names, its node class and what the node saves."""

    def __init__(
        self,
        *,
        name,
        node,
        arguments,
        tensors,
        differentiable,
        outputs,
        differentiable_outputs,
        saved,
        jvp,
        rule,
        absent=None,
        many=(),
        listed=False,
        shapes=None,
    ):
        self.name = name
        self.node = node
        self.arguments = arguments
        self.tensors = tensors
        self.differentiable = differentiable
        self.outputs = outputs
        self.differentiable_outputs = differentiable_outputs
        self.saved = saved
        self.jvp = jvp
        self.rule = rule
        self.absent = absent or {}
        self.many = many
        self.listed = listed
        self.shapes = tuple((shapes or {}).items())
        self.positions = {argument: i for i, argument in enumerate(arguments)}
        self.differentiable_positions = tuple(self.positions[d] for d in differentiable)
        self.tensor_positions = tuple(self.positions[t] for t in tensors)
        self.result_type = return_type(name, outputs) if len(outputs) > 1 else None
        if node is not None:
            node.op = self

    def check_shapes(self, args):
        """Compare the sizes of tensor arguments with the letters that the entry gives them."""
        sizes = {}
        for name, letters in self.shapes:
            value = args[self.positions[name]]
            if value is None:
                continue
            shape = value.shape
            open_ended = letters[0] == "..."
            letters = letters[1:] if open_ended else letters
            if len(shape) < len(letters) or (not open_ended and len(shape) > len(letters)):
                wanted = f"at least {len(letters)}" if open_ended else str(len(letters))
                raise RuntimeError(
                    f"{self.name}: {public_name(name)} is {tuple(shape)}; it must have {wanted} "
                    f"dimension{'s' * (len(letters) != 1)}"
                )
            for letter, size in zip(letters[::-1], shape[::-1], strict=False):
                known = sizes.setdefault(letter, (size, name))
                if known[0] != size:
                    other = args[self.positions[known[1]]]
                    raise RuntimeError(
                        f"{self.name}: {public_name(known[1])} is {tuple(other.shape)} and "
                        f"{public_name(name)} is {tuple(shape)}; inner sizes {known[0]} and {size} "
                        "must be equal"
                    )

    def needs_graph(self, args):
        """Whether an input of this call requires grad and grad mode is on."""
        if not modes.grad or self.node is None:
            return False
        for position in self.differentiable_positions:
            value = args[position]
            if isinstance(value, Tensor):
                if value._requires_grad:
                    return True
            elif isinstance(value, list | tuple):
                for item in value:
                    if isinstance(item, Tensor) and item._requires_grad:
                        return True
        return False

    def edges(self, args):
        """The flat tuple of edges, one pair for each differentiable tensor input."""
        edges = []
        for position in self.differentiable_positions:
            value = args[position]
            items = value if self.arguments[position] in self.many else (value,)
            for item in items:
                if isinstance(item, Tensor) and item._requires_grad:
                    edges += (item._grad_fn or item, item._output_nr)
                else:
                    edges += (None, 0)
        return tuple(edges)

    def record(self, args, results, rows=None, lanes=None):
        """Make the node of a call and tie `results` (tensors) to it."""
        node = new(self.node)
        begin(node)
        node.edges = self.edges(args)
        attach = [results[i] for i in self.differentiable_outputs] if not self.listed else results
        node.shape = attach[0].shape if len(attach) == 1 else tuple(r.shape for r in attach)
        shapes, kinds = [], []
        for position in self.differentiable_positions:
            value = args[position]
            items = value if self.arguments[position] in self.many else (value,)
            for item in items:
                tensor = isinstance(item, Tensor)
                shapes.append(item.shape if tensor else None)
                kinds.append(item.dtype if tensor else None)
        node.general = General(shapes, kinds, lanes)
        needed = [edge is not None for edge in node.edges[::2]]
        for number, result in enumerate(attach):
            result._requires_grad = True
            result._grad_fn = node
            result._output_nr = number
        node.saved = self.save(args, results, rows or {}, needed)
        if modes.saved_hooks is not None:
            graph.hooks_of(node).unpacking = RLock()
        return node

    def save(self, args, results, rows, needed):
        """Triples (value, counter, version) for everything the gradient formulas read."""
        saved = []
        several = any(self.many)
        for name, kind, source, needed_by in self.saved:
            if name in rows:
                saved += kept_row(rows[name])
            elif kind == "input":
                value = args[self.positions[source]]
                wanted = several or any(needed[i] for i in needed_by)
                if not isinstance(value, Tensor) or not wanted:
                    plain = value if not isinstance(value, Tensor) else None
                    saved += (plain, None, 0)
                else:
                    saved += kept(value)
            elif kind == "output":
                saved += kept(results[self.outputs.index(source)])
            elif kind == "shape":
                value = args[self.positions[source]]
                saved += (_shapes(value), None, 0)
            elif kind == "dtype":
                saved += (args[self.positions[source]].dtype, None, 0)
            else:
                saved += (args[self.positions[source]], None, 0)
        return tuple(saved)


def kept(value):
    """The triple of a saved tensor, packed where hooks ask for it."""
    if modes.saved_hooks is not None:
        from .saved_values import packed

        return packed(value)
    return shell(value), value._counter, value._counter[0]


def kept_row(array):
    """The triple of an array that no tensor shows."""
    if modes.saved_hooks is not None:
        from .saved_values import packed_row

        return packed_row(array)
    return array, None, 0


def public_name(name):
    return "input" if name == "self" else name


def _shapes(value):
    return [item.shape for item in value] if isinstance(value, list | tuple) else value.shape


def shell(tensor):
    """The same memory without graph: what a node may keep without keeping the tensor."""
    copy = new(Tensor)
    copy._data = tensor._data
    copy._flat = tensor._flat
    copy._counter = tensor._counter
    copy.shape = tensor.shape
    copy._strides = tensor._strides
    copy._offset = tensor._offset
    copy.dtype = tensor.dtype
    copy._requires_grad = False
    copy._grad_fn = None
    copy._output_nr = 0
    if modes.openings:
        _keep_tangent(tensor, copy)
    return copy


def _keep_tangent(tensor, copy):
    """What a node saves under forward mode keeps its tangents: gradients have tangents too."""
    extra = getattr(tensor, "_extra", None)
    if extra is not None and extra.tangent is not None:
        graph.extra_of(copy).tangent = extra.tangent.copy()


def return_type(name, outputs):
    """A tuple with names, printed as PyTorch prints the results of max, sort, ..."""

    def __new__(cls, values):
        return tuple.__new__(cls, values)

    def __repr__(self):
        fields = ",\n".join(f"{n}={v!r}" for n, v in zip(outputs, self, strict=True))
        return f"rederive.return_types.{name}(\n{fields})"

    members = {n: property(lambda self, i=i: self[i]) for i, n in enumerate(outputs)}
    members |= {"__new__": __new__, "__repr__": __repr__, "__slots__": (), "_fields": outputs}
    return type(name, (tuple,), members)


# --- reading saved values back -------------------------------------------------------------------


def unpack(node):
    """What the gradient formulas read, as tensors tied to the graph, and plain values."""
    saved = node.op.saved
    return [unpack_one(node, i) for i in range(len(saved)) if saved[i][1] != "row"]


def unpack_one(node, index):
    """One saved value; RuntimeError once released or written in place."""
    op = node.op
    saved = node.saved
    if saved is None:
        graph.freed(node)
    name, kind, source, _ = op.saved[index]
    value, counter, version = saved[3 * index : 3 * index + 3]
    if value is not None and counter is not None and counter[0] != version:
        expired(node)
    if value is None and name in op.absent:
        return op.absent[name]
    if kind == "input" and value is not None and counter is not None:
        return _input(node, op, source, value)
    if kind == "output" and counter is not None:
        return _output(node, op, source, value)
    return value


def _input(node, op, source, value):
    tensor = (
        from_flat(value, node.shape, dtypes.from_numpy_dtype(value.dtype))
        if type(value) is np.ndarray
        else shell(value)
    )
    if source in op.differentiable and not op.many:
        index = op.differentiable.index(source)
        target = node.edges[2 * index]
        if isinstance(target, Tensor):
            if node.hooks is None or node.hooks.unpacking is None:
                return target
            # the hooks may have made another value of it
            tie(SameBackward0, tensor, target, None)
        elif target is not None:
            tensor._grad_fn = target
            tensor._output_nr = node.edges[2 * index + 1]
            tensor._requires_grad = True
    return tensor


def _output(node, op, source, value):
    index = op.outputs.index(source)
    tensor = (
        from_flat(value, node.shape, dtypes.from_numpy_dtype(value.dtype))
        if type(value) is np.ndarray
        else shell(value)
    )
    if index in op.differentiable_outputs:
        tensor._grad_fn = node
        tensor._output_nr = op.differentiable_outputs.index(index)
        tensor._requires_grad = True
    return tensor


def expired(node):
    """Raise for the first saved value that an in-place operation has changed since."""
    for index, (_, kind, source, _) in enumerate(node.op.saved):
        value, counter, version = node.saved[3 * index : 3 * index + 3]
        if value is None or counter is None or counter[0] == version:
            continue
        if type(value) is np.ndarray:
            shape, kind_ = node.shape, dtypes.from_numpy_dtype(value.dtype)
        else:
            shape, kind_ = value.shape, value.dtype
        origin = _origin(node, kind, source)
        graph.stale(node, source, shape, kind_, version, counter[0], origin)
    raise AssertionError("no saved value is out of date")


def _origin(node, kind, source):
    """The (node, output number) that computed a saved value; None for a leaf."""
    op = node.op
    if kind == "output":
        return node, op.outputs.index(source)
    if source in op.differentiable and not op.many:
        index = op.differentiable.index(source)
        if isinstance(node.edges[2 * index], Node):
            return node.edges[2 * index], node.edges[2 * index + 1]
    return None


# --- gradients over tensors ----------------------------------------------------------------------


def fit(gradient, shape, dtype):
    """A gradient formula's value as a tensor of the input's shape and dtype.

    Dimensions that the forward pass broadcast are summed; missing ones are expanded.
    """
    from . import operators as ops

    if gradient is None:
        return None
    if not isinstance(gradient, Tensor):
        from .factories import full

        return full(shape, gradient, dtype=dtype)
    if gradient.shape != shape:
        gradient = sum_to_size(gradient, shape)
    if gradient.dtype is not dtype:
        gradient = ops.to(gradient, dtype)
    return gradient


def sum_to_size(tensor, shape):
    """`tensor` summed over the dimensions along which `shape` was broadcast to its shape."""
    from . import operators as ops

    extra = tensor.ndim - len(shape)
    if extra < 0:
        return ops.expand(tensor, shape)
    dims = list(range(extra))
    for dim, n in enumerate(shape):
        if n == 1 and tensor.shape[extra + dim] != 1:
            dims.append(extra + dim)
    if dims:
        tensor = ops.sum(tensor, dims, True)
        if extra:
            tensor = ops.reshape(tensor, tensor.shape[extra:])
    return tensor if tensor.shape == shape else ops.expand(tensor, shape)


class OperatorNode(Node):
    """A node whose gradients are formulas over tensors (and maybe kernels)."""

    __slots__ = ()
    op = None
    label = None
    undefined = ()  # outputs whose gradient the formulas take as None

    def __getattr__(self, name):
        from .saved_values import attribute

        return attribute(self, name)

    def __dir__(self):
        from .saved_values import names

        return [*super().__dir__(), *(names(self) if self.op is not None else ())]

    def name(self):
        return self.label or type(self).__name__

    def needed(self):
        """Which differentiable inputs want a gradient; a list of tensors is one input."""
        needed = tuple(edge is not None for edge in self.edges[::2])
        return (any(needed),) if self.op.differentiable[0] in self.op.many else needed

    def defined(self, grads):
        """Zeros in place of the outputs that were sent nothing: formulas read all of them."""
        from .factories import zeros

        dtype = next(g.dtype for g in grads if g is not None)
        pairs = zip(grads, self.shape, strict=True)
        return [
            zeros(shape, dtype=dtype) if g is None and number not in self.undefined else g
            for number, (g, shape) in enumerate(pairs)
        ]

    def by_formulas(self, grad):
        """The gradient formulas for gradients that may still be flat arrays."""
        if type(grad) is list:
            grad = [tensor_of(g, shape) for g, shape in zip(grad, self.shape, strict=True)]
        else:
            grad = tensor_of(grad, self.shape)
        return self.apply_differentiable(grad)

    def apply_differentiable(self, grad):
        """The gradient formulas over tensors that carry the graph."""
        if self.n_outputs > 1:
            grad = self.defined(grad)
        gradients = self.formulas(grad)
        general = self.general
        if general is None:
            shapes = [self.shape] * len(gradients)
            kinds = [grad.dtype] * len(gradients)
        else:
            shapes, kinds = general.input_shapes, general.input_dtypes
        if self.op.many:
            gradients = [
                g
                for part in gradients
                for g in (part if isinstance(part, list | tuple) else (part,))
            ]
        fitted = tuple(fit(*item) for item in zip(gradients, shapes, kinds, strict=True))
        return fitted if len(fitted) > 1 else fitted[0]


class TensorNode(OperatorNode):
    """A node without kernels of its own: its formulas run on tensors without graph."""

    __slots__ = ()

    def apply(self, grad):
        return self.by_formulas(grad)


class SameBackward0(TensorNode):
    """A tensor that stands for another: the gradient passes unchanged."""

    __slots__ = ()

    def apply_differentiable(self, grad):
        return grad


def tie(kind, result, source, recipe):
    """Let the gradient of `result` flow to `source` alone, by a node that reads `recipe`."""
    node = new(kind)
    begin(node)
    node.edges = (source._grad_fn or source, source._output_nr)
    node.saved = ()
    node.shape = result.shape
    node.general = General([source.shape], [source.dtype], recipe)
    result._requires_grad = True
    result._grad_fn = node
    result._output_nr = 0


def as_tensor(flat, shape):
    return from_flat(flat, shape, dtypes.from_numpy_dtype(flat.dtype))


def spread(values):
    """Sizes given one by one or as one sequence, as a tuple."""
    if len(values) == 1 and isinstance(values[0], list | tuple):
        return tuple(values[0])
    return values


def total(terms):
    """The sum of tangent terms; None when there are none."""
    if not terms:
        return None
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def numel(shape):
    return math.prod(shape)
