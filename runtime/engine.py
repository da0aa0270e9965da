"""The backward pass: nodes in falling order of creation, gradients added up where they meet.

Gradients are dense flat arrays or tensors without graph; with `create_graph` they are tensors
whose graph goes on. Iterative, so that no graph is too deep, and without state beyond the call,
so that a node may start a pass of its own.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from .accumulation import accumulate, sole, tensor_of
from .geometry import Size
from .graph import Node
from .modes import modes
from .tensor import Tensor

ndarray = np.ndarray


def run(roots, gradients, retain_graph, create_graph, inputs=None):
    """Send `gradients` (tensors) from `roots` backwards.

    Without `inputs` the gradients of leaves are accumulated into their `.grad`. With it nothing
    is accumulated: the gradients of those (target, output number) pairs are returned, None where
    there is none.
    """
    before, outer = modes.grad, modes.callbacks
    callbacks = [] if outer is None else outer
    modes.grad, modes.callbacks = create_graph, callbacks
    try:
        found = _Pass(retain_graph, create_graph, inputs).run(roots, gradients)
    finally:
        modes.grad, modes.callbacks = before, outer
    if outer is None:
        for callback in callbacks:
            callback()
    return found


def queue_callback(callback):
    """Call `callback()` when the outermost backward pass under way in this thread has ended."""
    if modes.callbacks is None:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    modes.callbacks.append(callback)


class _Pass:
    """The state of one backward pass."""

    def __init__(self, retain_graph, create_graph, inputs):
        self.retain = retain_graph
        self.create = create_graph
        # tangents live on tensors, so an open level of forward mode needs formulas over them
        self.tensors = create_graph or modes.dual_level >= 0
        self.inputs = inputs
        self.heap = []
        self.buffers = {}  # node -> gradient, or list of gradients for several outputs
        self.leaves = {}  # id of leaf -> (leaf, gradient)
        self.owned = set()  # targets whose buffer is a sum that this pass allocated
        self.captured = {}
        self.wanted = None

    def run(self, roots, gradients):
        if self.inputs is not None:
            self.wanted = _reaching(roots, self.inputs)
        for root, gradient in zip(roots, gradients, strict=True):
            if not self.tensors and gradient._flat is not None:
                gradient = gradient._flat
            self._send(root._grad_fn or root, root._output_nr, gradient)
        if self.tensors or self.inputs is not None:
            self._general_loop()
        else:
            self._loop()
        self._finish()
        return self.captured

    def _send(self, target, number, gradient):
        """Add a gradient to the buffer of a target."""
        if target is None or gradient is None:
            return
        if not isinstance(target, Node):
            key = id(target)
            found = self.leaves.get(key)
            if found is not None:
                gradient = self._plus(found[1], gradient, target.shape, key)
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
                gradient
                if old is None
                else self._plus(old, gradient, target.shape[number], (target, number))
            )
        elif target in buffers:
            buffers[target] = self._plus(buffers[target], gradient, target.shape, target)
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
            if node.hooks is None:
                result = node.apply(grad)
            else:
                result = self._hooked(node, self._arrived(node, grad))
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
            gradient = result = None

    def _general_loop(self):
        heap, buffers = self.heap, self.buffers
        while heap:
            node = heappop(heap)[1]
            grad = buffers.pop(node)
            if node.hooks is not None:
                grad = self._arrived(node, grad)
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
            grad = gradient = result = None

    def _apply(self, node, grad):
        if not self.tensors:
            return node.apply(grad)
        grads = _tensors(node, grad)
        return node.apply_differentiable(grads if node.n_outputs > 1 else grads[0])

    def _plus(self, first, second, shape, target):
        """The sum of two gradients of a target, in place where the first belongs to this pass.

        Ownership is noted by target: an array may be freed while the pass goes on, and its
        address and id given to another that is not ours.
        """
        if self.tensors:
            from . import operators as ops

            return ops.add(tensor_of(first, shape), tensor_of(second, shape))
        if type(second) is not ndarray:
            second = second._dense()
        if target in self.owned:
            return np.add(first, second, out=first)
        self.owned.add(target)
        return np.add(first if type(first) is ndarray else first._dense(), second)

    # --- hooks -------------------------------------------------------------------------------

    def _arrived(self, node, grad):
        """The gradient after the hooks of the tensors that the node computed; retained, too."""
        hooks = node.hooks
        if not hooks.outputs and not hooks.retained:
            return grad
        grads = _tensors(node, grad)
        for number, callbacks in hooks.outputs.items():
            if grads[number] is not None:
                grads[number] = call_hooks(callbacks, grads[number])
        for number, reference in list(hooks.retained.items()):
            tensor = reference()
            if tensor is not None and grads[number] is not None:
                accumulate(tensor, grads[number], self.create, owned=False)
        return self._buffers_of(node, grads)

    def _hooked(self, node, grad):
        """Run a node with its own hooks: those before it, those after it."""
        hooks = node.hooks
        if not hooks.before and not hooks.after:
            return self._apply(node, grad)
        outputs = tuple(_tensors(node, grad))
        for callback in list(hooks.before.values()):
            outputs = _replaced(callback, callback(outputs), outputs)
        result = self._apply(node, self._buffers_of(node, outputs))
        if not hooks.after:
            return result
        values = result if isinstance(result, tuple) else (result,)
        edges = zip(values, node.edges[::2], node.edges[1::2], strict=True)
        values = tuple(tensor_of(v, _shape_at(v, target, number)) for v, target, number in edges)
        for callback in list(hooks.after.values()):
            values = _replaced(callback, callback(values, outputs), values)
        return values if self.tensors else tuple(map(_flat_of, values))

    def _buffers_of(self, node, grads):
        """What `apply` takes: one gradient or a list, as arrays where they are dense."""
        if not self.tensors:
            grads = map(_flat_of, grads)
        grads = list(grads)
        return grads if node.n_outputs > 1 else grads[0]

    # --- the ends ----------------------------------------------------------------------------

    def _capture(self, node, grad):
        for number in range(node.n_outputs):
            if (node, number) in self.inputs:
                gradient = _tensors(node, grad)[number]
                if gradient is not None:
                    self.captured[(node, number)] = gradient

    def _finish(self):
        """Give the leaves their gradients, in the order in which they were reached."""
        leaves = self.leaves
        for key in list(leaves):
            leaf, gradient = leaves.pop(key)
            extra = getattr(leaf, "_extra", None)
            if extra is not None and extra.hooks:
                gradient = tensor_of(gradient, leaf.shape)
                gradient = call_hooks(extra.hooks, gradient)
            if self.inputs is not None:
                if (leaf, 0) in self.inputs:
                    self.captured[(leaf, 0)] = tensor_of(gradient, leaf.shape)
            elif leaf._requires_grad:
                owned = sole(gradient)
                deliver(leaf, gradient, self.create, owned)


def deliver(tensor, gradient, create_graph, owned=False):
    """Accumulate the gradient of a tensor, and call the hooks that wait for that."""
    accumulate(tensor, gradient, create_graph, owned)
    extra = getattr(tensor, "_extra", None)
    if extra is not None and extra.accumulated:
        for hook in list(extra.accumulated.values()):
            hook(tensor)


def _tensors(node, grad):
    """The gradients of a node's outputs as a list of tensors, None where there is none."""
    if node.n_outputs == 1:
        return [tensor_of(grad, node.shape)]
    return [tensor_of(g, shape) for g, shape in zip(grad, node.shape, strict=True)]


def _flat_of(gradient):
    """An array where a gradient tensor is dense, else the tensor without graph."""
    if gradient is None or type(gradient) is ndarray:
        return gradient
    return gradient.detach() if gradient._flat is None else gradient._flat


def _shape_at(gradient, target, number):
    """The shape of a gradient that goes to output `number` of a target."""
    if target is None:
        return gradient is not None and Size((len(gradient),))
    if isinstance(target, Node) and target.n_outputs > 1:
        return target.shape[number]
    return target.shape


def call_hooks(callbacks, gradient):
    """The gradient after all hooks; a hook that returns nothing leaves it as it is."""
    for callback in list(callbacks.values()):
        got = callback(gradient)
        if got is not None:
            _check_replacement(callback, got, gradient)
            gradient = got
    return gradient


def _replaced(callback, got, gradients):
    """The gradients that a node's hook returned; those it was given if it returned None."""
    if got is None:
        return gradients
    got = (got,) if isinstance(got, Tensor) else tuple(got)
    if len(got) != len(gradients):
        raise RuntimeError(
            f"hook '{_name(callback)}' has returned an incorrect number of values "
            f"(got {len(got)}, but expected {len(gradients)})"
        )
    for new, old in zip(got, gradients, strict=True):
        if new is not None:
            _check_replacement(callback, new, old)
    return got


def _check_replacement(callback, new, old):
    if not isinstance(new, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(new).__name__}'")
    if old is None:
        return
    if new.dtype is not old.dtype:
        raise RuntimeError(
            f"hook '{_name(callback)}' has changed the type of value (was {old.dtype} "
            f"got {new.dtype})"
        )
    if new.shape != old.shape:
        raise RuntimeError(
            f"hook '{_name(callback)}' has changed the size of value: it was {list(old.shape)} "
            f"and is {list(new.shape)}"
        )


def _name(callback):
    return getattr(callback, "__name__", type(callback).__name__)


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
