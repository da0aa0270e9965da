"""Nodes written by hand, so that the engine can be tested apart from the declared operators."""

import numpy as np
from rederive.geometry import Size
from rederive.graph import Node, next_sequence
from rederive.tensor import from_array


def leaf(values, requires_grad=True):
    """A float64 leaf."""
    t = from_array(np.array(values, np.float64))
    t._requires_grad = requires_grad
    return t


def edge(t):
    """The edge that an operator records for a tensor."""
    if t._grad_fn is not None:
        return t._grad_fn, t._output_nr
    return (t if t._requires_grad else None), 0


def tie(node_class, inputs, values, saved=(), number=0):
    """A tensor of `values` computed by a new node of `node_class` from `inputs`."""
    out = from_array(np.asarray(values, np.float64))
    node = object.__new__(node_class)
    node.sequence = next_sequence()
    node.edges = tuple(part for t in inputs for part in edge(t))
    node.saved = saved
    node.shape = out.shape
    node.general = node.hooks = None
    out._requires_grad, out._grad_fn, out._output_nr = True, node, number
    return out


class ScaleBackward0(Node):
    """Times a number: the gradient is a new array."""

    __slots__ = ()

    def apply(self, grad):
        return grad * self.saved[0]


class SumBackward0(Node):
    """The sum of all inputs: one array is the gradient of each of them."""

    __slots__ = ()

    def apply(self, grad):
        return (grad,) * (len(self.edges) // 2)


class SplitBackward0(Node):
    """Two outputs, the input times 2 and times 3."""

    __slots__ = ()
    n_outputs = 2

    def apply(self, grad):
        first, second = grad
        total = np.zeros(self.shape[0].numel())
        if first is not None:
            total = total + 2 * first
        if second is not None:
            total = total + 3 * second
        return total


def scale(t, factor):
    """`t * factor`."""
    return tie(ScaleBackward0, (t,), t._nd() * factor, (factor,))


def add(*tensors):
    """The sum of tensors of one shape."""
    return tie(SumBackward0, tensors, sum(t._nd() for t in tensors))


def split(t):
    """`t * 2` and `t * 3`."""
    first = tie(SplitBackward0, (t,), t._nd() * 2)
    second = from_array(t._nd() * 3)
    second._requires_grad, second._grad_fn, second._output_nr = True, first._grad_fn, 1
    first._grad_fn.shape = (Size(t.shape), Size(t.shape))
    return first, second
