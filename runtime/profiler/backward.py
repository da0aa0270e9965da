"""The rows of a backward pass: one for what the engine does about a node, one for the node."""

from __future__ import annotations

from ..general_pass import Pass
from ..modes import modes
from .recorder import BACKWARD, EVALUATE, clock


class WatchedPass(Pass):
    """The general pass with a row for each node and each leaf.

    The engine's row of a node lasts until that of the next begins: hooks, the node, and adding
    its gradients to what the next nodes already have.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.recorder = modes.profiler
        self.row = None
        self.node = None

    def run(self, roots, gradients):
        try:
            return super().run(roots, gradients)
        finally:
            self._close()

    def _open(self, node, name):
        if self.node is node:
            return
        self._close()
        self.node = node
        self.row = self.recorder.begin(EVALUATE + name)
        self.row.sequence = getattr(node, "sequence", -1)

    def _close(self):
        if self.row is not None:
            self.recorder.end(self.row)
        self.row = self.node = None

    def arrived(self, node, grad):
        self._open(node, node.name())
        return super().arrived(node, grad)

    def _apply(self, node, grad):
        self._open(node, node.name())
        row = self.recorder.begin(node.name(), scope=BACKWARD)
        row.sequence = node.sequence
        if self.recorder.shapes:
            row.inputs = _incoming(node, grad)
        row.start = clock()
        try:
            result = super()._apply(node, grad)
        finally:
            self.recorder.end(row)
        self._claim(row, result, grad)
        return result

    def _plus(self, first, second, shape, target):
        total = super()._plus(first, second, shape, target)
        self._claim(self.row, total, (first, second))
        return total

    def _finish(self, key):
        leaf = self.leaves[key][0]
        accumulates = self.inputs is None and leaf._requires_grad
        if accumulates:
            self._open(leaf, "AccumulateGrad")
        super()._finish(key)
        if accumulates:
            self._claim(self.row, leaf._grad, ())

    def _claim(self, row, values, inputs):
        if self.recorder.memory is not None and row is not None:
            self.recorder.memory.claim(row, values, inputs)
            row.closed = clock()


def _incoming(node, grad):
    """The gradients that reach a node, as a row describes its inputs."""
    several = node.n_outputs > 1
    gradients = grad if several else [grad]
    sizes = node.shape if several else [node.shape]
    shapes = [[] if g is None else list(size) for g, size in zip(gradients, sizes, strict=True)]
    kinds = ["" if g is None else getattr(g.dtype, "name", "") for g in gradients]
    return shapes, kinds, [""] * len(shapes)
