"""Calling a node of the graph as a function: the gradients of its inputs."""

from __future__ import annotations

from .accumulation import tensor_of
from .general_pass import shape_at
from .modes import modes
from .saved_values import Restored


def call_node(node, grads):
    """Tensors in, a tensor or a tuple of tensors (or None) out; recorded in grad mode."""
    if len(grads) != node.n_outputs:
        raise RuntimeError(f"{node.name()}: got {len(grads)} gradients; it has {node.n_outputs}")
    given = list(grads) if node.n_outputs > 1 else grads[0]
    with Restored(node):
        result = node.apply_differentiable(given) if modes.grad else node.apply(given)
    if not isinstance(result, tuple):
        result = (result,)
    edges = zip(result, node.edges[::2], node.edges[1::2], strict=True)
    tensors = tuple(tensor_of(g, shape_at(g, target, number)) for g, target, number in edges)
    return tensors if len(tensors) > 1 else tensors[0]
