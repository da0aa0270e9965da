"""What nodes saved, as programs see it: packed by hooks, read as `_saved_self`.

The triples themselves (value, version counter, version) are made in `operator` and read in
`operator_nodes`.
"""

from __future__ import annotations

from threading import RLock

import numpy as np

from . import graph, operator, operator_nodes
from .dtypes import from_numpy_dtype
from .geometry import Size
from .modes import modes
from .tensor import Tensor, from_flat

_IN_PLACE = (
    "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack "
    "hook cannot be modified by in-place operations as this can lead to unexpected side-effects."
)
_TWICE = (
    "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one "
    "pair of hooks is allowed at a time."
)


class Packed:
    """What a pack hook made of a saved tensor, and the hook that makes a tensor of it again."""

    __slots__ = ("content", "form", "row", "unpack_hook")

    def __init__(self, tensor, hooks, form=operator.shell, row=False):
        pack, self.unpack_hook = hooks
        self.form = form  # a function that makes of the tensor what the node reads
        self.row = row  # an array of the kernels' own, which has no version
        version = tensor._counter[0]
        before, modes.grad = modes.grad, False
        try:
            self.content = pack(tensor)
        finally:
            modes.grad = before
        if tensor._counter[0] != version:
            raise RuntimeError(_IN_PLACE)

    def tensor(self):
        """The tensor that the unpack hook returns."""
        value = self.unpack_hook(self.content)
        if not isinstance(value, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(value).__name__}"
            )
        return value

    def triple(self):
        """The value as a node without hooks holds it, with a version to check it against."""
        value = self.tensor()
        if self.row:
            return value._dense(), None, 0
        return self.form(value), value._counter, value._counter[0]


def packed(tensor):
    """The triple of a tensor that the hooks of the current mode pack."""
    return Packed(tensor, modes.saved_hooks), None, 0


def packed_row(array):
    """The triple of an array that kernels of the rowwise family saved."""
    tensor = from_flat(array, Size(array.shape), from_numpy_dtype(array.dtype))
    return Packed(tensor, modes.saved_hooks, row=True), None, 0


class Restored:
    """Inside, a node holds its saved values as if no hook had packed them.

    One thread at a time: several may run backward through one graph.
    """

    def __init__(self, node):
        self.node = node
        self.lock = None if node.hooks is None else node.hooks.unpacking

    def __enter__(self):
        if self.lock is None:
            return
        self.lock.acquire()
        self.before = self.node.saved
        try:
            self.node.saved = _unpacked(self.before)
        except BaseException:
            self.lock.release()
            raise

    def __exit__(self, *error):
        if self.lock is not None:
            self.node.saved = self.before
            self.lock.release()


def _unpacked(saved):
    """What a node saved, with tensors in the place of what hooks made of them."""
    if saved is None or not any(type(item) is Packed for item in saved):
        return saved
    triples = []
    for index in range(0, len(saved), 3):
        value = saved[index]
        triples += value.triple() if type(value) is Packed else saved[index : index + 3]
    return tuple(triples)


# --- saved values as attributes of the node ------------------------------------------------------


def names(node):
    """The attributes by which a node shows what it saved."""
    return [f"_saved_{entry[0]}" for entry in node.op.saved if entry[1] != "row"]


def attribute(node, name):
    """`_saved_<name>` and `_raw_saved_<name>` of a node; AttributeError for any other."""
    raw = name.startswith("_raw_saved_")
    prefix = "_raw_saved_" if raw else "_saved_"
    if name.startswith(prefix) and node.op is not None:
        for index, entry in enumerate(node.op.saved):
            if entry[0] == name[len(prefix) :] and entry[1] != "row":
                return RawSaved(node, index) if raw else value_at(node, index)
    raise AttributeError(f"'{node.name()}' object has no attribute '{name}'")


def value_at(node, index):
    """One saved value; a tensor is tied to the graph as it was when saved."""
    with Restored(node):
        return operator_nodes.unpack_one(node, index)


class RawSaved:
    """A saved tensor that hooks can be registered on: `node._raw_saved_self`."""

    __slots__ = ("index", "node")

    def __init__(self, node, index):
        self.node = node
        self.index = index

    @property
    def data(self):
        """The saved tensor without graph."""
        value = value_at(self.node, self.index)
        return value.detach() if isinstance(value, Tensor) else value

    def register_hooks(self, pack_hook, unpack_hook):
        """Pack the saved tensor by `pack_hook`; `unpack_hook` makes a tensor of it when needed."""
        node, at = self.node, 3 * self.index
        if node.saved is None:
            graph.freed(node)
        held = node.saved[at]
        if type(held) is Packed:
            raise RuntimeError(_TWICE)
        tensor = operator_nodes.unpack_one(node, self.index)
        if not isinstance(tensor, Tensor):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor with value None is forbidden"
            )
        form = operator.shell
        if type(held) is np.ndarray:
            flat = node.general is None or node.general.flat
            form = Tensor._dense if flat else Tensor._nd
        wrapped = Packed(tensor, (pack_hook, unpack_hook), form)
        node.saved = (*node.saved[:at], wrapped, None, 0, *node.saved[at + 3 :])
        graph.hooks_of(node).unpacking = RLock()
