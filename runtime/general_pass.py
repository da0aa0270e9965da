"""The backward pass in its general form, for everything that the engine's short loop leaves out.

It can record its own graph, stop at given inputs, run hooks of leaves as soon as their gradients
are complete, and watch for anomalies.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from . import anomaly, graph
from .accumulation import accumulate, sole, tensor_of
from .dispatch import profiled, profiling
from .geometry import Size
from .graph import Node
from .hook_calls import call_hooks, callbacks, replaced
from .kernels.accumulate import add_into, copy_of
from .modes import modes
from .saved_values import Restored

ndarray = np.ndarray


class Pass:
    """A backward pass that may record its own graph or stop at given inputs."""

    def __init__(self, retain_graph, create_graph, inputs=None):
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
        self.waiting = None  # id of leaf -> edges that may still bring it a gradient

    def run(self, roots, gradients):
        """Send `gradients` from `roots`, (target, output number) pairs; returns the captured."""
        if self.inputs is not None:
            self.wanted = reaching(roots, self.inputs)
        if graph.watched_leaves:
            self.waiting = _references(roots, self.wanted)
        for (target, number), gradient in zip(roots, gradients, strict=True):
            if not self.tensors and gradient._flat is not None:
                gradient = gradient._flat
            self._send(target, number, gradient)
        self._loop()
        for key in list(self.leaves):
            self._finish(key)
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
        heap, buffers = self.heap, self.buffers
        while heap:
            node = heappop(heap)[1]
            grad = buffers.pop(node)
            if node.hooks is not None:
                grad = self.arrived(node, grad)
            if self.inputs is not None:
                self._capture(node, grad)
                if self.wanted.get(node) is False:
                    continue
            result = self.hooked(node, grad) if node.hooks is not None else self._apply(node, grad)
            if not self.retain:
                node.saved = None
            edges = node.edges
            if not isinstance(result, tuple):
                result = (result,)
            for index, gradient in enumerate(result):
                self._send(edges[2 * index], edges[2 * index + 1], gradient)
            grad = gradient = result = None
            if self.waiting is not None:
                self._arrived_at_leaves(edges)

    def _arrived_at_leaves(self, edges):
        """Finish the leaves for which these edges were the last."""
        for target in edges[::2]:
            if target is not None and not isinstance(target, Node):
                key = id(target)
                self.waiting[key] -= 1
                if not self.waiting[key] and key in self.leaves:
                    self._finish(key)

    def _apply(self, node, grad):
        if modes.anomaly is not None:
            return anomaly.run(node, self._plain, node, grad)
        return self._plain(node, grad)

    def _plain(self, node, grad):
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
            return add_into(first, second)
        self.owned.add(target)
        return add_into(copy_of(first if type(first) is ndarray else first._dense()), second)

    # --- hooks -------------------------------------------------------------------------------

    def arrived(self, node, grad):
        """The gradient after the hooks of the tensors that the node computed; retained, too."""
        hooks = node.hooks
        if not hooks.outputs and not hooks.retained:
            return grad
        grads = _tensors(node, grad)
        for number, registered in hooks.outputs.items():
            if grads[number] is not None:
                grads[number] = call_hooks(registered, grads[number])
        for number, reference in list(hooks.retained.items()):
            tensor = reference()
            if tensor is not None and grads[number] is not None:
                accumulate(tensor, grads[number], self.create, owned=False)
        return self._buffers_of(node, grads)

    def hooked(self, node, grad):
        """Run a node with its own hooks: those before it, those after it."""
        hooks = node.hooks
        if hooks.unpacking is not None:
            with Restored(node):
                return self._between_hooks(node, grad, hooks)
        return self._between_hooks(node, grad, hooks)

    def _between_hooks(self, node, grad, hooks):
        if not hooks.before and not hooks.after:
            return self._apply(node, grad)
        outputs = tuple(_tensors(node, grad))
        for callback in callbacks(hooks.before):
            outputs = replaced(callback, callback(outputs), outputs)
        result = self._apply(node, self._buffers_of(node, outputs))
        if not hooks.after:
            return result
        values = result if isinstance(result, tuple) else (result,)
        edges = zip(values, node.edges[::2], node.edges[1::2], strict=True)
        values = tuple(tensor_of(v, shape_at(v, target, number)) for v, target, number in edges)
        for callback in callbacks(hooks.after):
            values = replaced(callback, callback(values, outputs), values)
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

    def _finish(self, key):
        """Give a leaf its gradient, which is complete."""
        leaf, gradient = self.leaves.pop(key)
        if self.inputs is not None and (leaf, 0) not in self.inputs:
            return
        extra = getattr(leaf, "_extra", None)
        if extra is not None and extra.hooks:
            gradient = call_hooks(extra.hooks, tensor_of(gradient, leaf.shape))
        if self.inputs is not None:
            self.captured[(leaf, 0)] = tensor_of(gradient, leaf.shape)
        elif leaf._requires_grad:
            owned = sole(gradient)
            deliver(leaf, gradient, self.create, owned)


def deliver(leaf, gradient, create_graph, owned=False):
    """Accumulate the gradient of a leaf, with the hooks before and after that."""
    if profiling.on and profiled(
        "AccumulateGrad", deliver, (leaf, gradient, create_graph, owned), shown=(leaf,)
    ):
        return
    extra = getattr(leaf, "_extra", None)
    hooks = None if extra is None else extra.node_hooks
    if hooks is not None and (hooks.before or hooks.after):
        gradient, owned = tensor_of(gradient, leaf.shape), False
        for callback in callbacks(hooks.before):
            (gradient,) = replaced(callback, callback((gradient,)), (gradient,))
    if extra is None or not extra.accumulated:
        accumulate(leaf, gradient, create_graph, owned)
    else:
        # a hook may use the gradient up: nothing may be added between what it reads and clears
        with extra.accumulating:
            accumulate(leaf, gradient, create_graph, owned)
            for hook in list(extra.accumulated.values()):
                hook(leaf)
    if hooks is not None:
        for callback in callbacks(hooks.after):
            callback((), (gradient,))


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


def shape_at(gradient, target, number):
    """The shape of a gradient that goes to output `number` of a target."""
    if target is None:
        return gradient is not None and Size((len(gradient),))
    if isinstance(target, Node) and target.n_outputs > 1:
        return target.shape[number]
    return target.shape


def _nodes_below(roots, oldest=0):
    """Every node that the roots lead to, from the sequence number `oldest`, with its targets."""
    children, stack = {}, [target for target, _ in roots if isinstance(target, Node)]
    while stack:
        node = stack.pop()
        if node in children:
            continue
        children[node] = targets = [t for t in node.edges[::2] if t is not None]
        stack += [
            t for t in targets if isinstance(t, Node) and t not in children and t.sequence >= oldest
        ]
    return children


def _references(roots, wanted):
    """How many edges of the nodes that will run lead to each leaf, by its id."""
    counts = {}
    for node, targets in _nodes_below(roots).items():
        if wanted is None or wanted.get(node):
            for target in targets:
                if not isinstance(target, Node):
                    counts[id(target)] = counts.get(id(target), 0) + 1
    return counts


def reaching(roots, inputs):
    """Nodes on a way from a root to an input: True to run, False to capture only."""
    targets = {target for target, _ in inputs}
    # nothing older than the oldest of them leads to one
    oldest = min((t.sequence if isinstance(t, Node) else 0 for t in targets), default=0)
    children = _nodes_below(roots, oldest)
    runs = {}
    for node in sorted(children, key=lambda node: node.sequence):
        below = any(
            (runs.get(t) is not None) if isinstance(t, Node) else t in targets
            for t in children[node]
        )
        if below:
            runs[node] = True
        elif node in targets:
            runs[node] = False
    return runs


class Task:
    """A backward pass under way: what hooks and callbacks may ask about it."""

    __slots__ = ("__weakref__", "_reached", "callbacks", "inputs", "roots")

    def __init__(self, roots, inputs, callbacks):
        self.roots = roots
        self.inputs = inputs
        self.callbacks = callbacks
        self._reached = None

    def reaches(self, target):
        """Whether the pass computes a gradient for a node or a leaf."""
        if self._reached is None:
            below = _nodes_below(self.roots)
            if self.inputs is not None:
                runs = reaching(self.roots, self.inputs)
                self._reached = {*runs, *(leaf for leaf, _ in self.inputs)}
            else:
                leaves = (t for targets in below.values() for t in targets)
                self._reached = {*below, *leaves, *(target for target, _ in self.roots)}
        return target in self._reached
