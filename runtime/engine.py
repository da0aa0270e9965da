"""The backward pass: nodes in falling order of creation, gradients added up where they meet.

Gradients are dense flat arrays or tensors without graph; with `create_graph` they are tensors
whose graph goes on. Iterative, so that no graph is too deep, and without state beyond the call,
so that a node may start a pass of its own.
"""

from __future__ import annotations

from heapq import heappop, heappush
from sys import getrefcount

import numpy as np

from .accumulation import ALONE, accumulate, accumulate_array, sole, tensor_of
from .geometry import Size
from .graph import Node
from .kernels.accumulate import add_into
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
        if inputs is None and not create_graph and not modes.active:
            found = _straight(roots, gradients, retain_graph)
        else:
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


def _straight(roots, gradients, retain_graph):
    """The common case in one loop: arrays all the way, accumulated into leaves."""
    heap, buffers, leaves = [], {}, {}
    for root, gradient in zip(roots, gradients, strict=True):
        flat = gradient._flat
        target = root._grad_fn or root
        _add(heap, buffers, leaves, target, root._output_nr, gradient if flat is None else flat)
    gradient = flat = None
    slow = None
    while heap:
        node = heappop(heap)[1]
        grad = buffers.pop(node)
        if node.hooks is None:
            result = node.apply(grad)
        else:
            slow = slow or _Pass(retain_graph, False, None)
            result = slow.hooked(node, slow.arrived(node, grad))
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
                            _add(heap, buffers, leaves, target, edges[at + 1], gradient)
                        else:
                            buffers[target] = gradient
                            heappush(heap, (-target.sequence, target))
                    elif target in leaves:
                        _add(heap, buffers, leaves, target, 0, gradient)
                    else:
                        leaves[target] = gradient
            at += 2
        result = gradient = None
    for leaf in list(leaves):
        gradient = leaves.pop(leaf)
        try:
            extra = leaf._extra
        except AttributeError:
            extra = leaf._extra = None
        if extra is None and type(gradient) is ndarray and leaf._requires_grad:
            # asked before the call: an argument that waits for it is a reference too
            owned = getrefcount(gradient) == ALONE
            accumulate_array(leaf, gradient, owned)
        else:
            _finish_leaf(leaf, gradient, sole(gradient))


def _add(heap, buffers, leaves, target, number, gradient):
    """Add a gradient to what a target already has."""
    if not isinstance(target, Node):
        held = leaves.pop(target, None)
        if held is not None:
            alone = getrefcount(held) == ALONE
            gradient = _sum(held, gradient, alone)
        leaves[target] = gradient
        return
    if target.n_outputs == 1:
        held = buffers.pop(target, None)
        if held is None:
            heappush(heap, (-target.sequence, target))
        else:
            alone = getrefcount(held) == ALONE
            gradient = _sum(held, gradient, alone)
        buffers[target] = gradient
        return
    parts = buffers.get(target)
    if parts is None:
        parts = buffers[target] = [None] * target.n_outputs
        heappush(heap, (-target.sequence, target))
    held = parts[number]
    parts[number] = None
    alone = getrefcount(held) == ALONE
    parts[number] = gradient if held is None else _sum(held, gradient, alone)


def _sum(held, gradient, alone):
    """The sum of two gradients, in place where nobody else sees the first.

    alone: the caller's variable was the only reference to `held`.
    """
    if type(gradient) is not ndarray:
        gradient = gradient._dense()
    if type(held) is not ndarray:
        held, alone = held._dense(), False
    if alone and held.base is None:
        return add_into(held, gradient)
    return add_into(held.copy(), gradient)


def _finish_leaf(leaf, gradient, owned, create_graph=False):
    """Accumulate into a leaf that may have hooks."""
    extra = leaf._extra
    if extra is not None and extra.hooks:
        gradient = call_hooks(extra.hooks, tensor_of(gradient, leaf.shape))
        owned = False
    if leaf._requires_grad:
        deliver(leaf, gradient, create_graph, owned)


class _Pass:
    """A backward pass that records its own graph, or that stops at given inputs."""

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
            return add_into(first, second)
        self.owned.add(target)
        return add_into(first.copy() if type(first) is ndarray else first._dense().copy(), second)

    # --- hooks -------------------------------------------------------------------------------

    def arrived(self, node, grad):
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

    def hooked(self, node, grad):
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
