"""A level of reverse mode: the inputs of a function that is being transformed, and what leaves it.

All levels record into one graph. A level gives the function aliases of its inputs; gradients
with respect to an alias are those of this level alone. Behind an alias the outer graph goes on
where the input is part of one. What leaves the level is taken out of the graph unless that leads
to something outside, so that nobody holds the graph of a level that has ended.
"""

from __future__ import annotations

import copy
import functools
import itertools

from .. import inference
from ..autograd.forward_ad import copy_tangents, set_tangent, tangents_of
from ..autograd.grad_mode import inference_mode, no_grad
from ..graph import Node, begin, next_sequence
from ..modes import modes
from ..tensor import Tensor, alias, view_of
from ..utils.pytree import tree_map


def transformation(function):
    """Let a function of this package work on inference tensors, and in inference mode.

    A level is its own world: it records, whatever is on outside.
    """

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if not inference.used:
            return function(*args, **kwargs)
        before, modes.transforming = modes.transforming, True
        try:
            if not modes.inference:
                return function(*args, **kwargs)
            with inference_mode(False), no_grad():
                return function(*args, **kwargs)
        finally:
            modes.transforming = before

    return wrapper


def normal(tensor):
    """The tensor, or an alias that is a normal tensor if it is an inference tensor."""
    if not inference.is_inference(tensor):
        return tensor
    return copy_tangents(tensor, alias(tensor, [0]))


class AliasBackward0(Node):
    """The node of a level's input: gradients go on to the tensor outside."""

    __slots__ = ()

    operator = "alias"

    def apply(self, grad):
        return grad

    def apply_differentiable(self, grad):
        return grad


class ReverseLevel:
    """One transformation by reverse mode, from when it takes its inputs."""

    def __init__(self):
        self.first = next_sequence()
        self.leaves = set()

    # --- in ----------------------------------------------------------------------------------

    def take(self, tensor):
        """The alias of an input that the function is given; it requires a gradient.

        ValueError for what is no Tensor, RuntimeError for a dtype without gradients.
        """
        if not isinstance(tensor, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(tensor)}")
        tensor = normal(tensor)
        leaf = copy_tangents(tensor, alias(tensor, tensor._counter))
        leaf.requires_grad = True
        if not (modes.grad and tensor._requires_grad):
            self.leaves.add(leaf)
            return leaf
        # a view of a leaf, so that writing to it is refused as it is for a leaf
        inner = view_of(leaf, leaf.shape, leaf._strides, leaf._offset)
        copy_tangents(leaf, inner)
        node = AliasBackward0.__new__(AliasBackward0)
        begin(node)
        node.edges = (tensor._grad_fn or tensor, tensor._output_nr)
        node.saved = ()
        node.shape = tensor.shape
        node.general = None
        inner._requires_grad = True
        inner._grad_fn = node
        return inner

    # --- out ---------------------------------------------------------------------------------

    def release(self, tree):
        """A tree of tensors as they are outside: without graph where it leads nowhere."""
        dead = set()
        return tree_map(lambda tensor: self._released(tensor, dead), tree)

    def _released(self, tensor, dead):
        if not isinstance(tensor, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(tensor)}")
        tangents = _open_tangents(tensor)
        kept = not tensor._requires_grad or self._came_from_outside(tensor)
        kept = kept or (modes.grad and self._leads_outside(tensor, dead))
        if not tangents:
            return tensor if kept else alias(tensor, tensor._counter)
        out = tensor if kept else alias(tensor, tensor._counter)
        for level, tangent in tangents:
            set_tangent(out, self._released(tangent, dead), level)
        return out

    def _came_from_outside(self, tensor):
        """Whether the function was not what made this tensor."""
        node = tensor._grad_fn
        return tensor not in self.leaves if node is None else node.sequence < self.first

    def wants_graph(self, tensors):
        """Whether gradients from these tensors are part of a graph outside, tangents included."""
        dead = set()
        return modes.grad and any(self._leads_outside(t, dead) for t in _with_tangents(tensors))

    def _leads_outside(self, tensor, dead):
        """Whether the graph of a tensor reaches anything but the inputs of this level.

        dead: nodes known not to; what is found out is added.
        """
        seen = set()
        stack = [tensor._grad_fn or tensor] if tensor._requires_grad else []
        while stack:
            target = stack.pop()
            if target in seen or target in dead:
                continue
            if isinstance(target, Node):
                if target.sequence < self.first:
                    return True
                stack += [t for t in target.edges[::2] if t is not None]
            elif target not in self.leaves:
                return True
            seen.add(target)
        dead |= seen
        return False


def _with_tangents(tensors):
    """The tensors, their tangents, the tangents of those, and so on."""
    for tensor in tensors:
        yield tensor
        yield from _with_tangents(t for _, t in _open_tangents(tensor))


def _open_tangents(tensor):
    """(level, tangent) pairs for the levels of forward mode that are open."""
    found = tangents_of(tensor)
    return [pair for pair in found.items() if pair[0] in modes.openings] if found else ()


def separate(outputs, level):
    """The same tensors at the end of a copy of the level's graph.

    The two may be freed independently: a backward pass from one leaves the other usable.
    """
    nodes, stack = {}, [t._grad_fn for t in outputs if t._grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in nodes or node.sequence < level.first or isinstance(node, AliasBackward0):
            continue
        nodes[node] = copy.copy(node)
        stack += [t for t in node.edges[::2] if isinstance(t, Node)]
    for node in sorted(nodes, key=lambda node: node.sequence):
        duplicate = nodes[node]
        duplicate.sequence = next_sequence()
        edges = node.edges
        targets = [nodes.get(target, target) for target in edges[::2]]
        duplicate.edges = tuple(itertools.chain(*zip(targets, edges[1::2], strict=True)))
    twins = []
    for tensor in outputs:
        if tensor._grad_fn not in nodes:
            twins.append(tensor)
            continue
        twin = copy_tangents(tensor, alias(tensor, tensor._counter))
        twin._requires_grad = True
        twin._grad_fn, twin._output_nr = nodes[tensor._grad_fn], tensor._output_nr
        twins.append(twin)
    return twins
