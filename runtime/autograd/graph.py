"""The recorded graph as programs see it: nodes, edges, hooks on gradients and on saved tensors."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterable

from .. import graph
from ..graph import Node, RemovableHandle
from ..modes import modes
from ..tensor import Tensor
from .gradients import GradientEdge
from .mutation import allow_mutation_on_saved_tensors

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def get_gradient_edge(tensor):
    """Where the gradient of a tensor arrives: its node and output number."""
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    node = tensor._grad_fn
    return GradientEdge(graph.accumulator(tensor) if node is None else node, tensor._output_nr)


def increment_version(tensor):
    """Count a change of the memory of a tensor, or of each of several, made without our knowing."""
    tensors = (tensor,) if isinstance(tensor, Tensor) else tensor
    if not isinstance(tensors, Iterable):
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input")
    for t in tensors:
        t._counter[0] += 1


class saved_tensors_hooks(contextlib.ContextDecorator):
    """Inside, `pack_hook(tensor)` gets each tensor that a node saves; the node keeps the result.

    `unpack_hook(packed)` must give the tensor back when a gradient is computed. Of nested pairs
    the innermost is used. The hook must not change its input in place. TypeError if the unpack
    hook returns no tensor.
    """

    def __init__(self, pack_hook, unpack_hook):
        self.hooks = pack_hook, unpack_hook
        self.before = []

    def __enter__(self):
        if modes.saved_hooks_disabled is not None:
            raise RuntimeError(modes.saved_hooks_disabled)
        self.before.append(modes.saved_hooks)
        modes.saved_hooks = self.hooks
        modes.update()

    def __exit__(self, *error):
        modes.saved_hooks = self.before.pop()
        modes.update()


class save_on_cpu(saved_tensors_hooks):
    """Saved tensors are copied, and the copies used in the backward pass.

    There is no other device to come from, so this costs memory and gains nothing but that later
    changes of the tensors do not matter.
    """

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(lambda tensor: tensor.detach().clone(), lambda packed: packed)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message):
    """Inside, using hooks for saved tensors raises RuntimeError with this message."""
    if modes.saved_hooks is not None:
        raise RuntimeError(error_message)
    before, modes.saved_hooks_disabled = modes.saved_hooks_disabled, error_message
    try:
        yield
    finally:
        modes.saved_hooks_disabled = before


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call `fn` in each backward pass with the gradients of several tensors.

    With `mode="all"`, `fn(gradients)` is called once all of them are known; None stands for a
    tensor that the pass does not reach. With `mode="any"`, `fn(gradient)` is called with the
    first that is known. What it returns is ignored. Returns a handle with `remove`.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    if not callable(fn):
        raise TypeError(f"a hook must be callable, not {type(fn).__name__}")
    tensors = list(tensors)
    collect = _All(tensors, fn) if mode == "all" else _Any(fn)
    handles = [t.register_hook(functools.partial(collect, i)) for i, t in enumerate(tensors)]
    return _Handles(handles)


class _All:
    """Collects the gradients of a pass until those that will come are there.

    The nodes own the hooks, so they are referred to weakly here. Passes are told apart, because
    several may be under way, in threads or one inside another.
    """

    def __init__(self, tensors, fn):
        self.targets = [weakref.ref(t._grad_fn or t) for t in tensors]
        self.fn = fn
        self.passes = weakref.WeakKeyDictionary()  # task -> (gradients, indices still missing)

    def __call__(self, index, gradient):
        task = modes.task
        if task not in self.passes:
            reached = {i for i, target in enumerate(self.targets) if task.reaches(target())}
            self.passes[task] = [None] * len(self.targets), reached
        gradients, missing = self.passes[task]
        gradients[index] = gradient
        missing.discard(index)
        if not missing:
            del self.passes[task]
            self.fn(gradients)


class _Any:
    """Passes on the first gradient of each pass."""

    def __init__(self, fn):
        self.fn = fn
        self.passes = weakref.WeakSet()  # those whose first gradient has come

    def __call__(self, index, gradient):
        if modes.task not in self.passes:
            self.passes.add(modes.task)
            self.fn(gradient)


class _Handles(RemovableHandle):
    """Several hooks that are removed together."""

    def __init__(self, handles):
        self.handles = tuple(handles)

    def remove(self):
        for handle in self.handles:
            handle.remove()
