"""The backward pass: nodes in falling order of creation, gradients added up where they meet.

Gradients are dense flat arrays or tensors without graph; with `create_graph` they are tensors
whose graph goes on. Iterative, so that no graph is too deep, and without state beyond the call,
so that a node may start a pass of its own. Here is the short loop for the common case; the rest
is in `general_pass`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from sys import getrefcount

import numpy as np

from . import graph
from .accumulation import ALONE, accumulate_array, sole, tensor_of
from .general_pass import Pass, Task, deliver
from .graph import Node
from .hook_calls import call_hooks
from .kernels.accumulate import add_into, copy_of
from .modes import modes

ndarray = np.ndarray


def run(roots, gradients, retain_graph, create_graph, inputs=None):
    """Send `gradients` (tensors) from `roots`, (target, output number) pairs, backwards.

    Without `inputs` the gradients of leaves are accumulated into their `.grad`. With it nothing
    is accumulated: the gradients of those (target, output number) pairs are returned, None where
    there is none.
    """
    before, outer = modes.grad, modes.task
    callbacks = [] if outer is None else outer.callbacks
    modes.grad, modes.task = create_graph and not modes.inference, Task(roots, inputs, callbacks)
    try:
        if inputs is None and not (create_graph or modes.active or graph.watched_leaves):
            found = _straight(roots, gradients, retain_graph)
        else:
            kind = Pass if modes.profiler is None else modes.profiler.backward_pass()
            found = kind(retain_graph, create_graph, inputs).run(roots, gradients)
    finally:
        modes.grad, modes.task = before, outer
    if outer is None:
        for callback in callbacks:
            callback()
    return found


def queue_callback(callback):
    """Call `callback()` when the outermost backward pass under way in this thread has ended."""
    if modes.task is None:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    modes.task.callbacks.append(callback)


def _straight(roots, gradients, retain_graph):
    """The common case in one loop: arrays all the way, accumulated into leaves."""
    heap, buffers, leaves = [], {}, {}
    for (target, number), gradient in zip(roots, gradients, strict=True):
        flat = gradient._flat
        _add(heap, buffers, leaves, target, number, gradient if flat is None else flat)
    gradient = flat = None
    slow = None
    while heap:
        node = heappop(heap)[1]
        grad = buffers.pop(node)
        if node.hooks is None:
            result = node.apply(grad)
        else:
            slow = slow or Pass(retain_graph, False)
            result = slow.hooked(node, slow.arrived(node, grad))
        grad = None
        if not retain_graph:
            node.saved = None
        edges = node.edges
        if type(result) is not tuple:
            target = edges[0]
            # along a chain nothing else waits: no need for the heap
            while not heap and result is not None and isinstance(target, Node):
                if target.n_outputs > 1 or target.hooks is not None:
                    break
                result, node = target.apply(result), target
                if not retain_graph:
                    node.saved = None
                edges = node.edges
                target = None if type(result) is tuple else edges[0]
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
            accumulate_array(leaf, gradient, owned, leaves)
        else:
            if extra is not None and extra.hooks:
                gradient = call_hooks(extra.hooks, tensor_of(gradient, leaf.shape))
            if leaf._requires_grad:
                owned = sole(gradient)
                deliver(leaf, gradient, False, owned)


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
    return add_into(copy_of(held), gradient)
