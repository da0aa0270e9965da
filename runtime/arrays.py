"""The library, kernel and view families: calls on NumPy arrays, and geometry without data."""

from __future__ import annotations

import importlib
import weakref

import numpy as np

from . import dtypes, views
from .dispatch import dispatch
from .geometry import Size
from .graph import Nowhere
from .modes import modes
from .operator import Operator, as_tensor
from .operator import public_name as _public
from .operator_nodes import TensorNode, tie
from .pointwise import NUMBERS
from .tensor import Tensor, from_array, view_of
from .view_marks import INFERENCE, MANY, NO_GRAD

new = object.__new__


def array_function(path):
    """The NumPy or SciPy function that a library entry names, looked up at first use."""
    module, _, name = path.rpartition(".")

    def call(*args):
        nonlocal found
        if found is None:
            found = getattr(importlib.import_module(module), name)
        return found(*args)

    found = getattr(np, name, None) if module == "numpy" else None
    return found if found is not None else call


def hand_written(name):
    """The hand-written kernel that an entry of the kernel family names."""
    from . import kernels

    return getattr(kernels, name)


KNOWN = 1024


class ArrayOperator(Operator):
    """An operator that calls a function on arrays (NumPy, SciPy or a hand-written kernel)."""

    def __init__(self, *, call, **common):
        super().__init__(**common)
        self.function = call
        self.known = set()  # shapes and dtypes that were found right as they are

    def call(self, *args):
        """Call the function on arrays, wrap what it returns and record the node."""
        key = None if self.many else self._key(args)
        if key not in self.known:
            promoted = self._promoted(args)
            if self.shapes:
                self.check_shapes(promoted)
            if key is not None and all(a is b for a, b in zip(args, promoted, strict=True)):
                if len(self.known) >= KNOWN:
                    self.known.clear()
                self.known.add(key)
            args = promoted
        plain = [self._plain(name, value) for name, value in zip(self.arguments, args, strict=True)]
        try:
            with np.errstate(all="ignore"):
                returned = self.function(*plain)
        except (ValueError, TypeError, IndexError, np.linalg.LinAlgError) as error:
            raise _explained(self, args, error) from error
        several = self.result_type is not None
        results = [from_array(value) for value in (returned if several else (returned,))]
        if self.needs_graph(args):
            self.record(args, results)
        return self.result_type(results) if several else results[0]

    def _key(self, args):
        """What decides whether tensors are converted and fit each other; None if not that alone."""
        key = [dtypes.default.dtype]
        for position in self.tensor_positions:
            value = args[position]
            if isinstance(value, Tensor):
                key.append(value.shape)
                key.append(value.dtype)
            elif value is None:
                key.append(None)
            else:
                return None
        return tuple(key)

    def _promoted(self, args):
        """Tensor arguments in one dtype where the entry asks for promotion."""
        from . import operators as ops

        args = list(args)
        for position, name in zip(self.tensor_positions, self.tensors, strict=True):
            value = args[position]
            if name in self.many:
                if not isinstance(value, list | tuple):
                    raise TypeError(
                        f"{self.name}(): argument '{name}' must be tuple of Tensors, not "
                        f"{type(value).__name__}"
                    )
                args[position] = list(value)
                if name in self.differentiable:
                    _require_tensors(self, name, value)
            elif name in self.or_scalar and isinstance(value, NUMBERS):
                args[position] = as_tensor(np.asarray(value).reshape(1), Size(()))
            elif not isinstance(value, Tensor) and (value is not None or name not in self.optional):
                raise TypeError(
                    f"{self.name}(): argument '{'input' if name == 'self' else name}' must be "
                    f"Tensor, not {type(value).__name__}"
                )
        if self.rule == "same":
            self._same_kind(args)
        elif self.rule == "promote":
            args = self._cast(args)
        elif self.rule in ("float", "floating"):
            for position in self.tensor_positions:
                value = args[position]
                if isinstance(value, Tensor) and not value.dtype.is_floating_point:
                    args[position] = ops.to(value, dtypes.get_default_dtype())
        return args

    def _items(self, args):
        """Every tensor among the arguments, with the argument's name."""
        for position, name in zip(self.tensor_positions, self.tensors, strict=True):
            value = args[position]
            for item in value if name in self.many else (value,):
                if isinstance(item, Tensor):
                    yield name, item

    def _same_kind(self, args):
        """The tensors that are differentiated must be of one dtype; indices may be of another."""
        found = [(n, t.dtype) for n, t in self._items(args) if n in self.differentiable]
        for name, kind in found[1:]:
            if kind is not found[0][1]:
                first, wanted = found[0]
                raise RuntimeError(
                    f"{self.name}: {_public(first)} is {wanted} and {_public(name)} is {kind}; "
                    "both must have the same dtype, convert one with .to()"
                )

    def _cast(self, args):
        from . import operators as ops

        kind = dtypes.result_type(*(t for _, t in self._items(args)))
        for position, name in zip(self.tensor_positions, self.tensors, strict=True):
            value = args[position]
            if name in self.many:
                args[position] = [t if t.dtype is kind else ops.to(t, kind) for t in value]
            elif isinstance(value, Tensor) and value.dtype is not kind:
                args[position] = ops.to(value, kind)
        return args

    def _plain(self, name, value):
        if name in self.many:
            return [None if item is None else item._nd() for item in value]
        if isinstance(value, Tensor):
            return value._nd()
        return value.numpy if isinstance(value, dtypes.dtype) else value


def _require_tensors(op, name, values):
    if not values:
        raise ValueError(f"{op.name}(): expected a non-empty list of Tensors")
    for index, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{op.name}(): expected Tensor as element {index} in argument '{name}', but got "
                f"{type(value).__name__}"
            )


def _explained(op, args, error):
    """The error of a NumPy call, with the operator's name and the shapes it was given."""
    given = []
    for name, value in zip(op.arguments, args, strict=True):
        if isinstance(value, Tensor):
            given.append(f"{_public(name)} is {tuple(value.shape)}")
        elif name in op.many:
            shapes = ", ".join(str(tuple(t.shape)) for t in value if isinstance(t, Tensor))
            given.append(f"{name} are {shapes}")
    kind = IndexError if isinstance(error, IndexError) else RuntimeError
    return kind(f"{op.name}: {' and '.join(given)}; {error}")


class View(Operator):
    """A view: new geometry over the same storage."""

    def __init__(self, *, geometry, auto=False, **common):
        super().__init__(**common)
        self.geometry = getattr(views, geometry)
        self.auto = auto
        if self.listed:
            kind = self.node.__name__
            self.node_of_several = type(kind, (self.node,), {"__slots__": ("n_outputs",)})

    def call(self, *args):
        """Make the view (or the views) and record the node."""
        base = args[0]
        if not isinstance(base, Tensor):
            raise TypeError(
                f"{self.name}(): argument 'input' must be Tensor, not {type(base).__name__}"
            )
        made = self.geometry(base.shape, base._strides, base._offset, *args[1:])
        pieces = made if self.listed else [made]
        results = [view_of(base, Size(shape), *rest) for shape, *rest in pieces]
        for result in results:
            register(base._counter, result)
        if self.listed or not modes.grad:
            self._mark(results, base)
        if base._requires_grad and modes.grad and self.node is not None and results:
            if not self.auto:
                self.record(args, results)
            elif len(results) == 1:
                tie(self.node, results[0], base, Recipe(self, base.shape, args[1:], 0))
            else:
                self._tie_several(results, base, Recipe(self, base.shape, args[1:], None))
        return tuple(results) if self.listed else results[0]

    def _mark(self, results, base):
        """Note that the views must not be changed in place where that is recorded."""
        mark = MANY if modes.grad else INFERENCE if modes.inference else NO_GRAD
        for result in results:
            result._mark = mark
            if base._requires_grad and not modes.grad:
                result._requires_grad, result._grad_fn = True, Nowhere(result.shape)

    def _tie_several(self, results, base, recipe):
        """One node for all the views that a call made."""
        tie(self.node_of_several, results[0], base, recipe)
        node = results[0]._grad_fn
        node.n_outputs = len(results)
        node.shape = tuple(result.shape for result in results)
        for number, result in enumerate(results):
            result._requires_grad = True
            result._grad_fn = node
            result._output_nr = number


PRUNE = 64


def register(counter, view):
    """Note a view beside the version counter that it shares with its base."""
    counter.append(weakref.ref(view))
    if len(counter) % PRUNE == 0:
        counter[1:] = [reference for reference in counter[1:] if reference() is not None]


class Recipe:
    """A view call without its tensor: enough to make the same view of another tensor."""

    __slots__ = ("args", "index", "op", "shape")

    def __init__(self, op, shape, args, index):
        self.op = op
        self.shape = shape
        self.args = args
        self.index = index

    def view(self, tensor):
        """The same view of `tensor` (graph included)."""
        result = dispatch(self.op, tensor, *self.args)
        return result[self.index] if self.op.listed else result

    def place(self, grads):
        """Zeros of the input's shape with each gradient (or None) where its view lies."""
        first = next(g for g in grads if g is not None)
        tensor = as_tensor(np.zeros(self.shape.numel(), first.dtype.numpy), self.shape)
        made = self.op.geometry(tensor.shape, tensor._strides, 0, *self.args)
        places = made if self.op.listed else [made]
        if self.index is not None:
            places = [places[self.index]]
        for grad, (shape, strides, offset) in zip(grads, places, strict=True):
            if grad is not None:
                view_of(tensor, Size(shape), strides, offset)._nd()[...] = grad._nd()
        return tensor


class ViewNode(TensorNode):
    """A view whose gradient is inferred: the gradient put back where the view lies."""

    __slots__ = ()

    def apply_differentiable(self, grad):
        recipe = self.general.details
        return _placed(grad if recipe.index is None else [grad], recipe)


def _placed(grads, recipe):
    """The gradients put back, tied to the graph and with the tangents they have."""
    result = recipe.place(grads)
    if modes.grad and any(g is not None and g._requires_grad for g in grads):
        _tie_placed(result, grads, recipe)
    if modes.dual_level >= 0:
        _place_tangents(result, grads, recipe)
    return result


def _place_tangents(result, grads, recipe):
    from .autograd import forward_ad

    for opening in modes.openings[: modes.dual_level + 1]:
        parts = [None if g is None else forward_ad.tangents_of(g).get(opening) for g in grads]
        if any(part is not None for part in parts):
            forward_ad.set_tangent(result, _placed(parts, recipe), opening)


def _tie_placed(result, grads, recipe):
    """Let the gradient of `result` flow to each of the gradients that were placed in it."""
    first = next(g for g in grads if g is not None)
    tie(PlaceBackward0, result, first, recipe)
    node = result._grad_fn
    edges = []
    for g in grads:
        wanted = g is not None and g._requires_grad
        edges += (g._grad_fn or g, g._output_nr) if wanted else (None, 0)
    node.edges = tuple(edges)


class PlaceBackward0(TensorNode):
    """Gradient of putting gradients back into views: the same views of its gradient."""

    __slots__ = ()

    def apply_differentiable(self, grad):
        recipe = self.general.details
        if recipe.index is not None:
            return recipe.view(grad)
        return tuple(dispatch(recipe.op, grad, *recipe.args))
