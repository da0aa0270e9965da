"""What a picture of the graph shows: boxes for nodes, leaves, results and saved values, and arrows.

It knows nothing of how that is drawn, and computes nothing: what hooks packed stays packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from .arrays import View
from .autograd.function import FunctionCtx
from .autograd.gradients import GradientEdge
from .graph import Node
from .picture_words import NameTable, gradient_lines, in_words, node_lines, saved_of, value_lines
from .tensor import Tensor
from .view_history import AsStridedBackward0, CopySlices


@dataclass
class Box:
    """A vertex: what kind of thing it is, its title, the shape (and dtype), and further lines.

    kind: output, base, leaf, saved or more; for a node: node, view, in place or custom.
    """

    key: str
    kind: str
    title: str
    shape: str = ""
    lines: list[str] = field(default_factory=list)


@dataclass
class Arrow:
    """From a value to what is made of it (kind "flow"); to a box that it belongs to otherwise."""

    tail: str
    head: str
    note: str = ""
    shape: str = ""
    kind: str = "flow"  # flow, saved, base


@dataclass
class Picture:
    """Boxes by key, those of later nodes first, and arrows."""

    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)


@dataclass
class Options:
    """The parameters of `make_dot` and `text`; more than `refuse` nodes are an error."""

    params: object = None
    show_attrs: bool = False
    show_saved: bool = False
    max_attr_chars: int = 50
    max_nodes: int | None = None
    refuse: int | None = None


class TooManyNodes(ValueError):
    """The graph has more nodes than a picture may have."""


def picture_of(var, options):
    """The picture of the graph that leads to `var`: a tensor, a GradientEdge, or several."""
    explorer = _Explorer(options)
    for title, value in _results(var):
        explorer.start(title, value)
    explorer.walk()
    return explorer.picture


def _results(var):
    """(title, result) pairs."""
    if isinstance(var, Mapping):
        pairs = [(str(name), value) for name, value in var.items()]
    elif isinstance(var, list | tuple) and not isinstance(var, GradientEdge):
        several = len(var) > 1
        pairs = [(f"output {i}" if several else "output", value) for i, value in enumerate(var)]
    else:
        pairs = [("output", var)]
    pairs = [(title, value) for title, value in pairs if value is not None]
    for _, value in pairs or [("", None)]:
        if not isinstance(value, Tensor | GradientEdge):
            raise TypeError(
                f"var: got {type(value).__name__}; a Tensor, a GradientEdge, or a list, tuple or "
                "dictionary of them is required"
            )
    return pairs


def _target(value):
    """The node or leaf, and the number of the output, that a result stands for."""
    if isinstance(value, GradientEdge):
        return getattr(value.node, "variable", value.node), value.output_nr
    return value._grad_fn or value, value._output_nr


class _Explorer:
    """Walks the graph from its results, later nodes first."""

    def __init__(self, options):
        self.options = options
        self.names = NameTable(options.params)
        self.picture = Picture()
        self.keys = {}  # node or leaf -> key of its box
        self.kinds = {}  # node -> dtype of what it computes, where that is known
        self.counts = {}
        self.heap = []

    def _key(self, word):
        number = self.counts[word] = self.counts.get(word, 0) + 1
        return f"{word}{number}"

    def _add(self, kind, title, shape="", lines=()):
        key = self._key(kind)
        self.picture.boxes[key] = Box(key, kind, title, shape, list(lines))
        return key

    def _arrow(self, tail, head, note="", shape="", kind="flow"):
        self.picture.arrows.append(Arrow(tail, head, note, shape, kind))

    # --- results and leaves --------------------------------------------------------------------

    def start(self, title, value):
        """Add a result; the program's name of a tensor is preferred to the title."""
        target, number = _target(value)
        if isinstance(target, Tensor) and target._requires_grad:
            self._leaf(target)
            return
        if isinstance(value, Tensor):
            title = self.names.of(value) or title
            shape = in_words(value.shape, value.dtype)
            lines = value_lines(value) + gradient_lines(_grad(value))
        else:
            shape, lines = in_words(_shape_of(target, number)), ()
        key = self._add("output", title, shape, lines)
        if isinstance(target, Node):
            self.kinds.setdefault(target, getattr(value, "dtype", None))
            self._arrow(self._reach(target), key, _which(target, number))
        base = value._base if isinstance(value, Tensor) else None
        if base is not None:
            title = self.names.of(base) or "base"
            tail = self._add("base", title, in_words(base.shape, base.dtype))
            self._arrow(tail, key, "view", kind="base")

    def _leaf(self, tensor):
        """The key of the box of a leaf."""
        key = self.keys.get(tensor)
        if key is None:
            title = self.names.of(tensor) or f"leaf {self.counts.get('leaf', 0) + 1}"
            shape = in_words(tensor.shape, tensor.dtype)
            key = self.keys[tensor] = self._add("leaf", title, shape, gradient_lines(_grad(tensor)))
        return key

    # --- nodes ---------------------------------------------------------------------------------

    def _reach(self, node):
        """The key of a node's box, which is added when its turn comes."""
        key = self.keys.get(node)
        if key is None:
            key = self.keys[node] = self._key("node")
            heappush(self.heap, (-node.sequence, key, node))
        return key

    def walk(self):
        """Add the nodes, or as many as are wanted."""
        limit, refuse, boxes = self.options.max_nodes, self.options.refuse, self.picture.boxes
        done = 0
        while self.heap and done != limit:
            if done == refuse:
                raise TooManyNodes(refuse)
            done += 1
            self._node(heappop(self.heap)[2])
        if self.heap:
            count = _count([node for _, _, node in self.heap], self.keys)
            rest = self._add("more", f"{count} more nodes")
            for arrow in self.picture.arrows:
                if arrow.tail not in boxes:
                    arrow.tail, arrow.note = rest, ""

    def _node(self, node):
        key, options = self.keys[node], self.options
        lines = node_lines(node, options.max_attr_chars) if options.show_attrs else []
        lines += _retained(node)
        self.picture.boxes[key] = Box(key, _kind(node), node.name(), _shapes_of(node), lines)
        own = self.kinds.get(node)
        inputs = _input_dtypes(node, own)
        leaves = {}
        for index, (target, number) in enumerate(
            zip(node.edges[::2], node.edges[1::2], strict=True)
        ):
            if target is None:
                continue
            if isinstance(target, Tensor):
                leaves[index] = self._leaf(target)
                self._arrow(leaves[index], key)
                continue
            dtype = inputs[index] if index < len(inputs) else own
            self.kinds.setdefault(target, dtype)
            words = in_words(_shape_of(target, number), dtype)
            self._arrow(self._reach(target), key, _which(target, number), words)
        if options.show_saved:
            self._saved(node, key, leaves)

    def _saved(self, node, key, leaves):
        """Boxes for what a node saved; a leaf is pointed at instead."""
        if node.saved is None:
            self.picture.boxes[key].lines.append("saved values released")
            return
        for item in saved_of(node, self.names):
            if item.edge in leaves:
                self._arrow(leaves[item.edge], key, f"saved as {item.name}", kind="saved")
                continue
            title = item.name if item.known_as is None else f"{item.name} = {item.known_as}"
            tail = self._add("saved", title, item.shape, item.lines)
            self._arrow(tail, key, kind="saved")


def _kind(node):
    if isinstance(node, FunctionCtx):
        return "custom"
    if isinstance(node, CopySlices):
        return "in place"
    if isinstance(node, AsStridedBackward0) or isinstance(getattr(node, "op", None), View):
        return "view"
    return "node"


def _grad(tensor):
    return getattr(tensor, "_grad", None)


def _shape_of(target, number):
    return target.shape[number] if target.n_outputs > 1 else target.shape


def _shapes_of(node):
    """The shapes of everything that a node computed."""
    if node.n_outputs == 1:
        return in_words(node.shape)
    return ", ".join("none" if shape is None else in_words(shape) for shape in node.shape)


def _which(target, number):
    return f"output {number}" if target.n_outputs > 1 else ""


def _input_dtypes(node, own):
    """The dtypes of a node's inputs; straight-line nodes have one dtype throughout."""
    if node.general is not None:
        return node.general.input_dtypes
    if isinstance(node, FunctionCtx):
        return node.input_dtypes
    return [own] * (len(node.edges) // 2)


def _retained(node):
    """The gradients that tensors computed by a node retained."""
    lines = []
    if node.hooks is not None:
        for reference in node.hooks.retained.values():
            tensor = reference()
            if tensor is not None:
                lines += gradient_lines(_grad(tensor))
    return lines


def _count(nodes, known):
    """How many nodes there are from these on, themselves included, that `known` has no box for."""
    seen = set(nodes)
    stack = list(nodes)
    while stack:
        for target in stack.pop().edges[::2]:
            if isinstance(target, Node) and target not in seen and target not in known:
                seen.add(target)
                stack.append(target)
    return len(seen)
