"""Nodes of the graph, hooks on nodes and tensors, and the errors a node raises.

A node is made by a generated function, by hand-written code or by a custom Function; the engine
only knows what stands here.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections import OrderedDict
from threading import RLock

from .modes import modes

next_sequence = itertools.count().__next__

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you "
    "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
    "through the graph a second time or if you need to access saved tensors after calling backward."
)


class Node:
    """One operation of the recorded graph.

    Attributes
    ----------
    sequence : int
        Grows with creation, so that falling order is a valid order for the backward pass.
    edges : tuple
        (target, output number) pairs, flat, one for each differentiable input. The target is a
        Node, the leaf Tensor itself, or None where no gradient is needed.
    saved : tuple or None
        What the gradients read; None once released.
    shape : Size, or tuple of Size where n_outputs > 1
    general, hooks
        None on the fast path.
    """

    __slots__ = ("__weakref__", "edges", "general", "hooks", "saved", "sequence", "shape")

    n_outputs = 1
    operator = ""

    def name(self):
        """The name of the operation, as `MulBackward0`."""
        return type(self).__name__

    def __repr__(self):
        return f"<{self.name()} object at {id(self):#x}>"

    def __call__(self, *grads):
        """The gradients of the inputs from those of the outputs (tensors or None)."""
        from .node_call import call_node

        return call_node(self, grads)

    def _sequence_nr(self):
        return self.sequence

    def apply(self, grad):
        raise NotImplementedError(f"{self.name()} has no gradients")

    def apply_differentiable(self, grad):
        raise NotImplementedError(f"{self.name()} cannot be differentiated twice")

    @property
    def next_functions(self):
        """((node, output number), ...): where the gradients of this node go."""
        edges = self.edges
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple((_shown(target), number) for target, number in pairs)

    @property
    def metadata(self):
        """A dictionary for notes about this node."""
        hooks = hooks_of(self)
        if hooks.metadata is None:
            hooks.metadata = {}
        return hooks.metadata

    def register_hook(self, hook):
        """Call `hook(grad_inputs, grad_outputs)` after this node ran; returns a handle."""
        return hooks_of(self).add("after", hook)

    def register_prehook(self, hook):
        """Call `hook(grad_outputs)` before this node runs; returns a handle."""
        return hooks_of(self).add("before", hook)


class Nowhere(Node):
    """Where the gradient goes of a view that was made while nothing was recorded: nowhere.

    Programs see None in its place: such a view of a tensor that requires gradients is a leaf.
    """

    __slots__ = ()

    def __init__(self, shape):
        self.sequence = next_sequence()
        self.edges = self.saved = ()
        self.shape = shape
        self.general = self.hooks = None

    def apply(self, grad):
        return ()

    apply_differentiable = apply


class AccumulateGrad(Node):
    """What the graph shows in the place of a leaf: where its gradient is accumulated.

    The graph itself ends in the leaf, so that this is made when somebody looks. Its hooks are
    kept with the leaf.
    """

    __slots__ = ("variable",)

    def __init__(self, variable):
        self.variable = variable
        self.sequence = sys.maxsize
        self.edges = self.saved = ()
        self.shape = variable.shape
        self.general = None

    @property
    def hooks(self):
        extra = getattr(self.variable, "_extra", None)
        return None if extra is None else extra.node_hooks

    @hooks.setter
    def hooks(self, value):
        watch(self.variable)
        extra_of(self.variable).node_hooks = value

    def apply(self, grad):
        from .engine import deliver

        deliver(self.variable, grad, create_graph=False)

    def apply_differentiable(self, grad):
        from .engine import deliver

        deliver(self.variable, grad, create_graph=True)


def accumulator(leaf):
    """The AccumulateGrad of a leaf: the same object for as long as somebody holds it."""
    extra = extra_of(leaf)
    node = None if extra.accumulator is None else extra.accumulator()
    if node is None:
        node = AccumulateGrad(leaf)
        extra.accumulator = weakref.ref(node)
    return node


def _shown(target):
    if target is None or type(target) is Nowhere:
        return None
    return target if isinstance(target, Node) else accumulator(target)


def begin(node):
    """Give a new node its place in the order of creation. Straight-line code does this itself."""
    node.sequence = next_sequence()
    node.hooks = None
    if modes.anomaly is not None:
        from .anomaly import note

        note(node)


# --- errors --------------------------------------------------------------------------------------


def freed(node):
    """Raise: the values that `node` saved are gone."""
    raise RuntimeError(_FREED)


def stale(node, name, shape, dtype, saved_version, version, origin=None):
    """Raise: an in-place operation has changed a value that `node` saved.

    origin: the node that computed the value, and which of its outputs it is.
    """
    where = "" if origin is None else f"which is output {origin[1]} of {origin[0].name()}, "
    raise RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{dtype} {list(shape)}], {where}saved by {node.name()} as '{name}', is at "
        f"version {version}; expected version {saved_version} instead. Hint: write the operation "
        "out of place, or clone the tensor before it is changed."
    )


# --- hooks ---------------------------------------------------------------------------------------


class Extra:
    """What few tensors have: hooks, a retained gradient, a tangent, a name."""

    __slots__ = (
        "accumulated",
        "accumulating",
        "accumulator",
        "hooks",
        "name",
        "node_hooks",
        "own_tangent",
        "retains_grad",
        "tangent",
    )

    def __init__(self):
        self.hooks = None
        self.accumulated = None
        self.accumulating = None  # the lock while those run, if there are any
        self.accumulator = None  # weak reference to the leaf's AccumulateGrad
        self.node_hooks = None  # the hooks of that
        self.retains_grad = False
        self.tangent = None
        self.own_tangent = False  # a view whose tangent is no view of its base's
        self.name = None


def extra_of(tensor):
    """The tensor's Extra, made when it has none yet."""
    extra = getattr(tensor, "_extra", None)
    if extra is None:
        extra = tensor._extra = Extra()
    return extra


class Hooks:
    """Hooks of a node: before and after it, and on the gradient of each output.

    `unpacking` is the lock under which saved values are unpacked that hooks have packed; None
    where none has.
    """

    __slots__ = ("after", "before", "metadata", "outputs", "retained", "unpacking")

    def __init__(self):
        self.before = self.after = ()  # an OrderedDict once there are any
        self.metadata = None
        self.unpacking = None
        self.outputs = {}  # output number -> OrderedDict of tensor hooks
        self.retained = {}  # output number -> weak reference to the tensor

    def add(self, where, hook):
        hooks = getattr(self, where)
        if hooks == ():
            hooks = OrderedDict()
            setattr(self, where, hooks)
        return RemovableHandle(hooks, hook)


class RemovableHandle:
    """Removes a hook: `handle.remove()`, or on leaving `with handle:`."""

    _next_id = itertools.count().__next__

    def __init__(self, hooks, hook):
        if not callable(hook):
            raise TypeError(f"a hook must be callable, not {type(hook).__name__}")
        self.id = RemovableHandle._next_id()
        self.hooks = weakref.ref(hooks)
        hooks[self.id] = hook

    def remove(self):
        hooks = self.hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


watched_leaves = {}
"""Leaves with hooks, by id, weakly: while there are any, a pass finds out when each is complete."""


def watch(leaf):
    """Note that a leaf has hooks."""
    key = id(leaf)
    watched_leaves[key] = weakref.ref(leaf, lambda _: watched_leaves.pop(key, None))


def hooks_of(node):
    """The node's hooks, made when it has none yet."""
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks


def register_hook(tensor, hook):
    """Call `hook(grad)` with the tensor's gradient; what it returns replaces the gradient."""
    if not tensor._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if tensor._grad_fn is None:
        watch(tensor)
        extra = extra_of(tensor)
        if extra.hooks is None:
            extra.hooks = OrderedDict()
        return RemovableHandle(extra.hooks, hook)
    outputs = hooks_of(tensor._grad_fn).outputs
    return RemovableHandle(outputs.setdefault(tensor._output_nr, OrderedDict()), hook)


def register_post_accumulate_grad_hook(tensor, hook):
    """Call `hook(tensor)` after a leaf's `.grad` was accumulated."""
    if not tensor._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if tensor._grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    watch(tensor)
    extra = extra_of(tensor)
    if extra.accumulated is None:
        extra.accumulating = RLock()
        extra.accumulated = OrderedDict()
    return RemovableHandle(extra.accumulated, hook)


def retain_grad(tensor):
    """Keep the gradient of a non-leaf tensor in its `.grad`."""
    if not tensor._requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if tensor._grad_fn is None:
        return
    hooks_of(tensor._grad_fn).retained[tensor._output_nr] = weakref.ref(tensor)
    extra_of(tensor).retains_grad = True
