"""The backward pass: nodes in falling order of creation, gradients added up where they meet.

Gradients are dense flat arrays or tensors without graph; with `create_graph` they are tensors
whose graph goes on. Iterative, so that no graph is too deep.
"""

from __future__ import annotations

import threading
from heapq import heappop, heappush
from sys import getrefcount

import numpy as np

from . import dtypes
from .graph import Node
from .kernels.accumulate import add_into
from .modes import modes
from .tensor import Tensor, from_flat

ndarray = np.ndarray
_accumulation = threading.Lock()
OWNED = 2  # for `sole`: nobody else sees the memory, whatever its base says


def run(roots, gradients, retain_graph, create_graph, inputs=None):
    """Send `gradients` (tensors) from `roots` backwards.

    Without `inputs` the gradients of leaves are accumulated into their `.grad`. With it nothing
    is accumulated: the gradients of those (target, output number) pairs are returned, None where
    there is none.
    """
    before = modes.grad
    modes.grad = create_graph
    try:
        if not create_graph and inputs is None:
            return _straight(roots, gradients, retain_graph)
        return _Pass(retain_graph, create_graph, inputs).run(roots, gradients)
    finally:
        modes.grad = before


def _straight(roots, gradients, retain_graph):
    """The common case in one loop: accumulate into leaves, no graph of the gradients."""
    heap, buffers, leaves = [], {}, {}
    for root, gradient in zip(roots, gradients, strict=True):
        flat = gradient._flat
        target = root._grad_fn or root
        _deliver(heap, buffers, leaves, target, root._output_nr, gradient if flat is None else flat)
    gradient = flat = None
    while heap:
        node = heappop(heap)[1]
        grad = buffers.pop(node)
        result = node.apply(grad) if node.hooks is None else _hooked(node, grad, _applied)
        grad = None
        if not retain_graph:
            node.saved = None
        edges = node.edges
        if type(result) is not tuple:
            result = (result,)
        at = 0
        for gradient in result:
            if gradient is not None:
                target = edges[at]
                if target is not None:
                    if isinstance(target, Node):
                        if target in buffers or target.n_outputs > 1:
                            _deliver(heap, buffers, leaves, target, edges[at + 1], gradient)
                        else:
                            buffers[target] = gradient
                            heappush(heap, (-target.sequence, target))
                    elif target in leaves:
                        _deliver(heap, buffers, leaves, target, 0, gradient)
                    else:
                        leaves[target] = gradient
            at += 2
        result = gradient = None
    while leaves:
        leaf, gradient = leaves.popitem()
        try:
            extra = leaf._extra
        except AttributeError:
            extra = leaf._extra = None
        if extra is None:
            _accumulate(leaf, gradient, getrefcount(gradient) <= 2)
        else:
            _finish_leaf(leaf, gradient, extra)


def _deliver(heap, buffers, leaves, target, number, gradient):
    """Add a gradient to what a target already has."""
    if not isinstance(target, Node):
        held = leaves.pop(target, None)
        if held is not None:
            gradient = _sum(held, gradient, target.shape, getrefcount(held) <= 2)
        leaves[target] = gradient
        return
    if target.n_outputs == 1:
        held = buffers.pop(target, None)
        if held is None:
            heappush(heap, (-target.sequence, target))
        else:
            gradient = _sum(held, gradient, target.shape, getrefcount(held) <= 2)
        buffers[target] = gradient
        return
    parts = buffers.get(target)
    if parts is None:
        parts = buffers[target] = [None] * target.n_outputs
        heappush(heap, (-target.sequence, target))
    held, parts[number] = parts[number], None
    if held is not None:
        gradient = _sum(held, gradient, target.shape[number], getrefcount(held) <= 2)
    parts[number] = gradient


def _sum(held, gradient, shape, sole):
    """The sum of two gradients, in place where nobody else sees the first."""
    if type(held) is ndarray and type(gradient) is ndarray:
        if sole and held.base is None:
            return add_into(held, gradient)
        return add_into(held.copy(), gradient)
    return tensor_of(held, shape) + tensor_of(gradient, shape)


def _applied(node, grad):
    return node.apply(grad)


def _finish_leaf(leaf, gradient, extra, create_graph=False):
    """Accumulate into a leaf that has hooks."""
    if extra.hooks:
        gradient = call_hooks(extra.hooks, tensor_of(gradient, leaf.shape))
    _accumulate(leaf, gradient, False, create_graph)
    if extra.accumulated:
        for hook in list(extra.accumulated.values()):
            hook(leaf)


class _Pass:
    """A backward pass that records its own graph, or stops at given inputs."""

    def __init__(self, retain_graph, create_graph, inputs):
        self.retain = retain_graph
        self.create = create_graph
        self.inputs = inputs
        self.heap = []
        self.buffers = {}  # node -> gradient, or list of gradients for several outputs
        self.leaves = {}
        self.captured = {}
        self.wanted = None

    def run(self, roots, gradients):
        if self.inputs is not None:
            self.wanted = _reaching(roots, self.inputs)
        for root, gradient in zip(roots, gradients, strict=True):
            if not self.create:
                gradient = gradient._flat if gradient._flat is not None else gradient
            self._send(root._grad_fn or root, root._output_nr, gradient)
        self._loop()
        return self._finish()

    def _send(self, target, number, gradient):
        if target is None or gradient is None:
            return
        if self.wanted is None or not isinstance(target, Node) or target in self.wanted:
            _deliver(self.heap, self.buffers, self.leaves, target, number, gradient)

    def _loop(self):
        heap, buffers = self.heap, self.buffers
        while heap:
            node = heappop(heap)[1]
            grad = buffers.pop(node)
            if self.inputs is not None:
                self._capture(node, grad)
                if self.wanted.get(node) is False:
                    continue
            if node.hooks is None:
                result = self._apply(node, grad)
            else:
                result = _hooked(node, grad, self._apply, self.create)
            if not self.retain:
                node.saved = None
            edges = node.edges
            if not isinstance(result, tuple):
                result = (result,)
            for index, gradient in enumerate(result):
                self._send(edges[2 * index], edges[2 * index + 1], gradient)

    def _apply(self, node, grad):
        if not self.create:
            return node.apply(grad)
        if node.n_outputs > 1:
            grad = [None if g is None else tensor_of(g, s) for g, s in _pairs(node, grad)]
        else:
            grad = tensor_of(grad, node.shape)
        return node.apply_differentiable(grad)

    # --- the ends ----------------------------------------------------------------------------

    def _capture(self, node, grad):
        grads = grad if node.n_outputs > 1 else [grad]
        for number, gradient in enumerate(grads):
            if (node, number) in self.inputs and gradient is not None:
                shape = node.shape[number] if node.n_outputs > 1 else node.shape
                gradient = tensor_of(gradient, shape)
                if node.hooks is not None and number in node.hooks.outputs:
                    gradient = call_hooks(node.hooks.outputs[number], gradient)
                self.captured[(node, number)] = gradient

    def _finish(self):
        for leaf, gradient in self.leaves.items():
            extra = getattr(leaf, "_extra", None)
            if self.inputs is None:
                if extra is None:
                    _accumulate(leaf, gradient, False, self.create)
                else:
                    _finish_leaf(leaf, gradient, extra, self.create)
            elif (leaf, 0) in self.inputs:
                gradient = tensor_of(gradient, leaf.shape)
                if extra is not None and extra.hooks:
                    gradient = call_hooks(extra.hooks, gradient)
                self.captured[(leaf, 0)] = gradient
        return self.captured


def _hooked(node, grad, apply, create_graph=False):
    """Run a node that has hooks: on its outputs, before it, retained gradients, after it."""
    hooks = node.hooks
    grads = [
        None if g is None else tensor_of(g, s)
        for g, s in (_pairs(node, grad) if node.n_outputs > 1 else [(grad, node.shape)])
    ]
    for number, callbacks in hooks.outputs.items():
        if grads[number] is not None:
            grads[number] = call_hooks(callbacks, grads[number])
    for number, reference in hooks.retained.items():
        tensor = reference()
        if tensor is not None and grads[number] is not None:
            _accumulate(tensor, grads[number], False, create_graph)
    for callback in list(hooks.before.values()):
        replaced = callback(tuple(grads))
        if replaced is not None:
            grads = list(replaced) if isinstance(replaced, tuple | list) else [replaced]
    outputs = tuple(grads)
    result = apply(node, grads if node.n_outputs > 1 else grads[0])
    if not hooks.after:
        return result
    shapes = _input_shapes(node)
    values = result if isinstance(result, tuple) else (result,)
    values = tuple(
        None if v is None else tensor_of(v, s) for v, s in zip(values, shapes, strict=False)
    )
    for callback in list(hooks.after.values()):
        replaced = callback(values, outputs)
        if replaced is not None:
            values = replaced if isinstance(replaced, tuple) else (replaced,)
    return values


def _pairs(node, grads):
    return zip(grads, node.shape, strict=True)


def _input_shapes(node):
    general = node.general
    if general is not None and hasattr(general, "input_shapes"):
        return general.input_shapes
    return [node.shape] * (len(node.edges) // 2)


def call_hooks(callbacks, gradient):
    """The gradient after all hooks; a hook that returns nothing leaves it as it is."""
    for callback in list(callbacks.values()):
        replaced = callback(gradient)
        if replaced is not None:
            if not isinstance(replaced, Tensor):
                raise TypeError(
                    f"a gradient hook must return a Tensor or None, not {type(replaced).__name__}"
                )
            if replaced.shape != gradient.shape:
                raise RuntimeError(
                    f"hook has changed the size of value: it was {tuple(gradient.shape)} and is "
                    f"{tuple(replaced.shape)}"
                )
            gradient = replaced
    return gradient


def tensor_of(gradient, shape):
    """A gradient as a tensor."""
    if type(gradient) is ndarray:
        return from_flat(gradient, shape, dtypes.from_numpy_dtype(gradient.dtype))
    return gradient


def _accumulate(leaf, gradient, sole, create_graph=False):
    """Add a gradient to `.grad`; the first one is kept as it is if nobody else can see it."""
    if create_graph or type(gradient) is not ndarray or gradient.dtype is not leaf.dtype.numpy:
        _accumulate_any(leaf, gradient, sole, create_graph)
        return
    with _accumulation:
        try:
            present = leaf._grad
        except AttributeError:
            present = None
        if present is None:
            if not sole or (sole is not OWNED and gradient.base is not None):
                gradient = gradient.copy()
            leaf._grad = from_flat(gradient, leaf.shape, leaf.dtype)
            return
        flat = present._flat
        if flat is None:
            array = present._nd()
            array += gradient.reshape(leaf.shape)
        else:
            add_into(flat, gradient)
        present._counter[0] += 1


def _accumulate_any(leaf, gradient, sole, create_graph):
    """The same for a gradient that is a tensor, of another dtype, or carries a graph."""
    gradient = tensor_of(gradient, leaf.shape)
    if gradient.dtype is not leaf.dtype:
        gradient = gradient.to(leaf.dtype)
    if create_graph:
        with _accumulation:
            present = getattr(leaf, "_grad", None)
            leaf._grad = gradient if present is None else present + gradient
        return
    flat = gradient._flat
    if flat is None:
        _accumulate(leaf, gradient._dense(), OWNED)
    else:
        _accumulate(leaf, _own_memory(flat, gradient, sole), OWNED)


def _own_memory(flat, gradient, sole):
    """The elements of a tensor, copied unless the tensor is the only one to see them."""
    whole = flat is gradient._data and getattr(gradient, "_view", None) is None
    if not (sole and whole and getrefcount(flat) <= FORMULA_REFERENCES):
        return flat.copy()
    base = flat.base
    if base is None:
        return flat
    # A flat view of the array that a NumPy function returned, which nothing else holds.
    if type(base) is ndarray and base.base is None and getrefcount(base) <= 3:
        return base.reshape(-1)
    return flat.copy()


# `_data` and `_flat` of the tensor, the arguments on the way, and the count's own.
FORMULA_REFERENCES = 6


def _reaching(roots, inputs):
    """Nodes on a way from a root to an input: True to run, False to capture only."""
    targets = {target for target, _ in inputs}
    children, order, stack = {}, [], [r._grad_fn for r in roots if r._grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in children:
            continue
        children[node] = [t for t in node.edges[::2] if t is not None]
        order.append(node)
        stack += [t for t in children[node] if isinstance(t, Node) and t not in children]
    order.sort(key=lambda node: node.sequence)
    runs = {}
    for node in order:
        below = any(
            (runs.get(t) is not None) if isinstance(t, Node) else t in targets
            for t in children[node]
        )
        if below:
            runs[node] = True
        elif node in targets:
            runs[node] = False
    return runs


__all__ = ["run", "tensor_of"]
