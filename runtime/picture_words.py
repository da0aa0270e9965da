"""Words for pictures of the graph: names, shapes, gradients, and what nodes saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from . import dtypes
from .arrays import Recipe
from .autograd.function import FunctionCtx
from .lanes import Lanes
from .operator_nodes import saved_shape
from .saved_values import Packed
from .tensor import Tensor
from .view_history import Region

_FEW = 4  # so many elements are written out


def in_words(shape, dtype=None):
    """`(2, 3) float32`."""
    return str(tuple(shape)) + ("" if dtype is None else f" {dtype.name}")


def cut(text, length):
    """The text, with dots in its middle where it is longer than `length`."""
    if len(text) <= length:
        return text
    kept = max(length - 3, 0)
    return text[: kept - kept // 2] + "..." + (text[-(kept // 2) :] if kept > 1 else "")


def value_lines(tensor):
    """The elements of a tensor that has few of them."""
    if not 0 < tensor.shape.numel() <= _FEW:
        return []
    return [_numbers(tensor._nd())]


def _numbers(array):
    if array.ndim == 0:
        return f"{array.item():.4g}"
    return "[" + ", ".join(f"{value:.4g}" for value in array.ravel().tolist()) + "]"


def gradient_lines(grad):
    """What `.grad` holds; nothing for None."""
    if grad is None:
        return []
    array = grad._nd()
    if 0 < array.size <= _FEW:
        return [f"grad {_numbers(array)}"]
    norm = float(np.sqrt(np.square(array, dtype=np.float64).sum()))
    return [f"grad {in_words(grad.shape, grad.dtype)}, norm {norm:.4g}"]


class NameTable:
    """The names that a program gives to tensors.

    params: a dictionary from name to tensor, pairs of a name and a tensor, or a module.
    """

    def __init__(self, params):
        self.by_tensor, self.by_counter, self.owners = {}, {}, {}
        if hasattr(params, "named_parameters"):
            if hasattr(params, "named_modules"):
                modules = params.named_modules()
                self.owners = {name: type(module).__name__ for name, module in modules}
            params = params.named_parameters()
        for name, tensor in _pairs(params):
            if tensor is not None:
                self._add(name, tensor)

    def _add(self, name, tensor):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"params: {name!r} is a {type(tensor).__name__}; a dictionary from names to "
                "tensors, pairs of them, or a module is required"
            )
        owner = self.owners.get(str(name).rpartition(".")[0])
        shown = f"{owner} {name}" if owner else str(name)
        self.by_tensor.setdefault(tensor, shown)
        self.by_counter.setdefault(id(tensor._counter), []).append((tensor, shown))

    def of(self, tensor):
        """The name of a tensor, or of one that shows the same memory in the same way; or None."""
        if tensor in self.by_tensor:
            return self.by_tensor[tensor]
        place = _place(tensor)
        known = self.by_counter.get(id(tensor._counter), ())
        return next((name for other, name in known if _place(other) == place), None)

    def of_elements(self, array, counter):
        """The name of the tensor whose elements are in `array`; or None."""
        known = self.by_counter.get(id(counter), ())
        return next((name for tensor, name in known if tensor._flat is array), None)


def _pairs(params):
    if params is None:
        return ()
    pairs = list(params.items() if isinstance(params, Mapping) else params)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"params: got an entry of type {type(pair).__name__}; pairs of a name and a tensor "
                "are required"
            )
    return pairs


def _place(tensor):
    return tensor.shape, tensor._strides, tensor._offset


# --- what nodes saved ----------------------------------------------------------------------------


@dataclass
class Saved:
    """A tensor that a node saved."""

    name: str
    shape: str
    lines: list[str] = field(default_factory=list)
    known_as: str | None = None  # its name in the program
    edge: int | None = None  # the number of the input that it is


def saved_of(node, names):
    """The tensors that a node saved."""
    if isinstance(node, FunctionCtx):
        return _saved_by_function(node, names)
    if getattr(node, "op", None) is None:
        return []
    found = []
    for index, (name, kind, source, _) in enumerate(node.op.saved):
        value, counter, _ = node.saved[3 * index : 3 * index + 3]
        edge = None
        if kind == "input" and source in node.op.differentiable and not node.op.many:
            edge = node.op.differentiable.index(source)
        if isinstance(value, Packed):
            found.append(Saved(name, "packed by hooks", edge=edge))
        elif isinstance(value, Tensor):
            found.append(Saved(name, *_tensor_words(value), names.of(value), edge))
        elif isinstance(value, np.ndarray):
            shape = value.shape if kind == "row" else saved_shape(node, source, value)
            words = in_words(shape, dtypes.from_numpy_dtype(value.dtype))
            lines = [_numbers(value.reshape(shape))] if 0 < value.size <= _FEW else []
            known_as = None if counter is None else names.of_elements(value, counter)
            found.append(Saved(name, words, lines, known_as, edge))
    return found


def _tensor_words(tensor):
    return in_words(tensor.shape, tensor.dtype), value_lines(tensor)


def _saved_by_function(node, names):
    found = []
    for number, item in enumerate(node.saved):
        if item is None:
            continue
        name = f"tensor {number}"
        if item.packed is not None:
            found.append(Saved(name, "packed by hooks"))
            continue
        kept = item.kept
        edge = next((i for i, t in enumerate(node.edges[::2]) if t is kept), None)
        found.append(Saved(name, *_tensor_words(kept), names.of(kept), edge))
    return found


def node_lines(node, length):
    """The arguments that a node remembers, one a line, each cut to `length` characters."""
    attributes = {}
    op = getattr(node, "op", None)
    if op is not None and node.saved is not None:
        for index, (name, kind, _, _) in enumerate(op.saved):
            if kind in ("value", "shape", "dtype"):
                attributes[name] = node.saved[3 * index]
    # how the node was called, where it does not save that
    recipe = None if node.general is None else getattr(node.general, "details", None)
    if isinstance(recipe, Recipe):
        attributes |= dict(zip(recipe.op.arguments[1:], recipe.args, strict=False))
    elif isinstance(recipe, Lanes):
        attributes["dim"] = recipe.dims
    elif isinstance(recipe, Region):
        attributes |= dict(zip(("size", "stride", "storage_offset"), recipe.geometry, strict=True))
    return [f"{name} = {cut(_argument(value), length)}" for name, value in attributes.items()]


def _argument(value):
    if isinstance(value, dtypes.dtype):
        return value.name
    if isinstance(value, tuple):
        return str(tuple(value))
    return str(value)
