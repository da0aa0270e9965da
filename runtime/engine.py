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
from .graph import Node, freed
from .modes import modes
from .tensor import Tensor, from_flat

ndarray = np.ndarray
_accumulation = threading.Lock()


def run(roots, gradients, retain_graph, create_graph, inputs=None):
    """Send `gradients` (tensors) from `roots` backwards.

    Without `inputs` the gradients of leaves are accumulated into their `.grad`. With it nothing
    is accumulated: the gradients of those (target, output number) pairs are returned, None where
    there is none.
    """
    before = modes.grad
    modes.grad = create_graph
    try:
        return _Pass(retain_graph, create_graph, inputs).run(roots, gradients)
    finally:
        modes.grad = before


class _Pass:
    """The state of one backward pass."""

    def __init__(self, retain_graph, create_graph, inputs):
        self.retain = retain_graph
        self.create = create_graph
        self.inputs = inputs
        self.heap = []
        self.buffers = {}  # node -> gradient, or list of gradients for several outputs
        self.leaves = {}  # id of leaf -> (leaf, gradient)
        self.owned = set()  # ids of arrays that this pass allocated for sums
        self.captured = {}
        self.wanted = None

    def run(self, roots, gradients):
        if self.inputs is not None:
            self.wanted = _reaching(roots, self.inputs)
        for root, gradient in zip(roots, gradients, strict=True):
            if not self.create:
                gradient = gradient._flat if gradient._flat is not None else gradient
            self._send(root._grad_fn or root, root._output_nr, gradient)
        if self.create or self.inputs is not None:
            self._general_loop()
        else:
            self._loop()
        return self._finish()

    def _send(self, target, number, gradient):
        """Add a gradient to the buffer of a target."""
        if target is None or gradient is None:
            return
        if not isinstance(target, Node):
            key = id(target)
            found = self.leaves.get(key)
            if found is not None:
                gradient = self._plus(found[1], gradient, target.shape)
            self.leaves[key] = (target, gradient)
            return
        if self.wanted is not None and target not in self.wanted:
            return
        buffers = self.buffers
        if target.n_outputs > 1:
            held = buffers.get(target)
            if held is None:
                held = buffers[target] = [None] * target.n_outputs
                heappush(self.heap, (-target.sequence, target))
            old = held[number]
            held[number] = (
                gradient if old is None else self._plus(old, gradient, target.shape[number])
            )
        elif target in buffers:
            buffers[target] = self._plus(buffers[target], gradient, target.shape)
        else:
            buffers[target] = gradient
            heappush(self.heap, (-target.sequence, target))

    def _loop(self):
        """The common case, kept short: accumulate into leaves, no graph of the gradients."""
        heap, buffers, send, retain = self.heap, self.buffers, self._send, self.retain
        leaves = self.leaves
        while heap:
            node = heappop(heap)[1]
            grad = buffers.pop(node)
            result = node.apply(grad) if node.hooks is None else self._hooked(node, grad)
            del grad
            if not retain:
                node.saved = None
            edges = node.edges
            if type(result) is not tuple:
                result = (result,)
            at = 0
            for gradient in result:
                target = edges[at]
                if gradient is not None and target is not None:
                    if isinstance(target, Node):
                        if target.n_outputs == 1 and target not in buffers:
                            buffers[target] = gradient
                            heappush(heap, (-target.sequence, target))
                        else:
                            send(target, edges[at + 1], gradient)
                    elif id(target) in leaves:
                        send(target, 0, gradient)
                    else:
                        leaves[id(target)] = (target, gradient)
                at += 2
            del result

    def _general_loop(self):
        heap, buffers = self.heap, self.buffers
        while heap:
            node = heappop(heap)[1]
            grad = buffers.pop(node)
            if self.inputs is not None:
                self._capture(node, grad)
                if self.wanted.get(node) is False:
                    continue
            result = self._hooked(node, grad) if node.hooks is not None else self._apply(node, grad)
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

    def _plus(self, first, second, shape):
        """The sum of two gradients, in place where the first belongs to this pass."""
        if type(first) is ndarray and type(second) is ndarray:
            if id(first) in self.owned:
                return np.add(first, second, out=first)
            total = np.add(first, second)
            self.owned.add(id(total))
            return total
        return tensor_of(first, shape) + tensor_of(second, shape)

    # --- hooks -------------------------------------------------------------------------------

    def _hooked(self, node, grad):
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
                _accumulate(tensor, grads[number], self.create, owned=False)
        for callback in list(hooks.before.values()):
            replaced = callback(tuple(grads))
            if replaced is not None:
                grads = list(replaced) if isinstance(replaced, tuple | list) else [replaced]
        outputs = tuple(grads)
        result = self._apply(node, grads if node.n_outputs > 1 else grads[0])
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
        leaves = self.leaves
        for key in list(leaves):
            leaf, gradient = leaves.pop(key)
            extra = getattr(leaf, "_extra", None)
            if extra is not None and extra.hooks:
                gradient = call_hooks(extra.hooks, tensor_of(gradient, leaf.shape))
            owned = getrefcount(gradient) == 2 and _sole(gradient)
            if self.inputs is not None:
                if (leaf, 0) in self.inputs:
                    self.captured[(leaf, 0)] = tensor_of(gradient, leaf.shape)
                continue
            _accumulate(leaf, gradient, self.create, owned)
            if extra is not None and extra.accumulated:
                for hook in list(extra.accumulated.values()):
                    hook(leaf)
        return self.captured


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


def _accumulate(leaf, gradient, create_graph, owned):
    """Add a gradient to `.grad`; the first one is kept as it is if nobody else can see it."""
    if type(gradient) is ndarray:
        if gradient.dtype != leaf.dtype.numpy:
            gradient, owned = gradient.astype(leaf.dtype.numpy), True
        if gradient.size != leaf.numel():
            raise RuntimeError(
                f"a gradient of {gradient.size} elements arrived at a leaf of shape "
                f"{tuple(leaf.shape)}"
            )
    elif gradient.dtype is not leaf.dtype:
        gradient = gradient.to(leaf.dtype)
    with _accumulation:
        present = getattr(leaf, "_grad", None)
        if create_graph:
            gradient = tensor_of(gradient, leaf.shape)
            leaf._grad = gradient if present is None else present + gradient
        elif present is None:
            if not owned or leaf._flat is None:
                gradient = _own_copy(gradient)
            leaf._grad = tensor_of(gradient, leaf.shape)
        else:
            _add_into(present, gradient)


def _sole(gradient):
    """Whether no other object sees the memory of a gradient that only the engine holds."""
    if type(gradient) is ndarray:
        base = gradient.base
        return base is None or (type(base) is ndarray and base.base is None and _few(base, 3))
    flat = gradient._flat
    if flat is None or flat is not gradient._data or gradient._is_view():
        return False
    base = flat.base
    return _few(flat, 4) and (base is None or (type(base) is ndarray and _few(base, 3)))


def _few(array, references):
    return getrefcount(array) <= references + 1


def _own_copy(gradient):
    """A dense copy in memory of its own."""
    if type(gradient) is ndarray:
        return gradient.copy()
    if gradient._flat is not None:
        return gradient._flat.copy()
    return gradient._dense()


def _add_into(present, gradient):
    if present._flat is not None:
        flat = gradient if type(gradient) is ndarray else gradient._dense()
        np.add(present._flat, flat, out=present._flat)
    else:
        array = present._nd()
        array += tensor_of(gradient, present.shape)._nd()
    present._counter[0] += 1


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


__all__ = ["freed", "run", "tensor_of"]
