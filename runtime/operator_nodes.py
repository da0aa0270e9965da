"""Nodes of declared operators: what they saved, read back, and their gradients over tensors."""

from __future__ import annotations

import numpy as np

from . import dtypes, graph
from .accumulation import tensor_of
from .blocks import sum_to
from .geometry import Size
from .graph import Node, begin
from .modes import modes
from .operator import General, shell
from .tensor import Tensor, from_array, from_flat

new = object.__new__


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
        return _input(node, op, source, value, counter)
    if kind == "output" and counter is not None:
        return _output(node, op, source, value, counter)
    return value


def saved_shape(node, source, value):
    """The shape of a saved tensor."""
    if type(value) is not np.ndarray:
        return value.shape
    general = node.general
    if general is not None and not general.flat:
        return Size(value.shape)
    if general is None or source in node.op.outputs:
        return node.shape
    return general.shape_of(node.op, source)


def _tensor(node, source, value, counter):
    """A saved array or tensor as a tensor without graph."""
    if type(value) is not np.ndarray:
        return shell(value)
    general = node.general
    if general is None or general.flat:
        shape = saved_shape(node, source, value)
        tensor = from_flat(value, shape, dtypes.from_numpy_dtype(value.dtype))
    else:
        tensor = from_array(value)
    if general is not None:
        tensor._counter = counter
    return tensor


def _input(node, op, source, value, counter):
    tensor = _tensor(node, source, value, counter)
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


def _output(node, op, source, value, counter):
    index = op.outputs.index(source)
    tensor = _tensor(node, source, value, counter)
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
        shape = saved_shape(node, source, value)
        kind_ = value.dtype
        if type(value) is np.ndarray:
            kind_ = dtypes.from_numpy_dtype(kind_)
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
        gradient = _summed(gradient, shape)
    if gradient.dtype is not dtype:
        gradient = ops.to(gradient, dtype)
    return gradient


def _summed(gradient, shape):
    """`sum_to_size`, without operators where nobody follows what is computed."""
    followed = modes.grad or modes.active or modes.openings
    if not followed and gradient.dtype.is_floating_point and gradient.ndim >= len(shape):
        return from_flat(sum_to(gradient, shape), shape, gradient.dtype)
    return sum_to_size(gradient, shape)


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
