"""The library, kernel and view families: calls on NumPy arrays, and geometry without data."""

from __future__ import annotations

import importlib

import numpy as np

from . import dtypes, views
from .blocks import summed
from .dispatch import dispatch
from .geometry import Size, contiguous_strides
from .graph import Nowhere
from .modes import modes
from .operator import Direct, Operator, as_tensor
from .operator import public_name as _public
from .operator_nodes import TensorNode, fit, tie
from .placing import placed
from .pointwise import NUMBERS
from .quiet import ERRORS, attempt, quietly
from .seeing import GeometryNode, found, register
from .tensor import Tensor, from_array, view_of
from .view_marks import INFERENCE, MANY, NO_GRAD

new = object.__new__
ndarray = np.ndarray


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
SMALL = 4096  # elements of a gradient that are rather copied than shown as a strided tensor


class ArrayOperator(Operator):
    """An operator that calls a function on arrays (NumPy, SciPy or a hand-written kernel)."""

    def __init__(self, *, call, **common):
        super().__init__(**common)
        self.function = self.on_arrays = call
        self.known = {}  # shapes and dtypes that were found right as they are -> their Direct

    def call(self, *args):
        """Call the function on arrays, wrap what it returns and record the node."""
        key = self._key(args)
        if key not in self.known:
            promoted = self._promoted(args)
            if self.shapes:
                self.check_shapes(promoted)
            if key is not None and self._unchanged(args, promoted):
                if len(self.known) >= KNOWN:
                    self.known.clear()
                self.known[key] = self._direct(args)
            args = promoted
        plain = [self._plain(name, value) for name, value in zip(self.arguments, args, strict=True)]
        try:
            returned = quietly(self.function, *plain)
        except ERRORS as error:
            raise _explained(self, args, error) from error
        several = self.result_type is not None
        results = [from_array(value) for value in (returned if several else (returned,))]
        if self.needs_graph(args):
            self.record(args, results)
        return self.result_type(results) if several else results[0]

    def _unchanged(self, args, promoted):
        """Whether no tensor had to be converted."""
        pairs = [*zip(args, promoted, strict=True)]
        if self.many:
            pairs[0:1] = zip(*pairs[0], strict=True)
        return all(a is b for a, b in pairs)

    def joined(self, tensors, *rest):
        """The call for a list of plain tensors that fitted before, recorded; None for others."""
        shapes, recorded = [], False
        for t in tensors:
            if type(t) is not Tensor:
                return None
            shapes.append(t.shape)
            shapes.append(t.dtype)
            recorded = recorded or t._requires_grad
        general = self.known.get(tuple(shapes))
        if general is None or not general.direct:
            return None
        out = attempt(self.function, [t._nd() for t in tensors], *rest)
        if out is None:
            return None
        result = wrapped(out)
        if recorded and modes.grad and self.node is not None:
            self.record((tensors, *rest), (result,))
        return result

    def record(self, args, results, rows=None, details=None):
        """Make the node of a call; as straight-line calls make it, where it is one of those."""
        node = super().record(args, results, rows, details)
        general = None
        if issubclass(self.node, ArrayNode) and not (modes.active or modes.openings):
            general = self.known.get(self._key(args))
        if general is not None:
            node.general = general
            node.saved = tuple([v._nd() if isinstance(v, Tensor) else v for v in node.saved])
        return node

    def _key(self, args):
        """What decides whether tensors are converted and fit each other; None if not that alone."""
        key = []
        for position in self.tensor_positions:
            value = args[position]
            if self.many:
                if len(self.tensors) > 1 or not isinstance(value, list | tuple):
                    return None
                if not all(isinstance(t, Tensor) for t in value):
                    return None
                for t in value:
                    key += (t.shape, t.dtype)
            elif isinstance(value, Tensor):
                key.append(value.shape)
                key.append(value.dtype)
            elif value is None:
                key += (None, None)
            else:
                return None
        return tuple(key)

    def _direct(self, args):
        """What the nodes of all calls on such tensors have in common."""
        values = args[0] if self.many else [args[p] for p in self.differentiable_positions]
        return Direct(
            [None if value is None else value.shape for value in values],
            [None if value is None else value.dtype for value in values],
        )

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


def wrapped(array):
    """A tensor without graph over what an array function returned."""
    if type(array) is not ndarray or not array.flags.carray:
        return from_array(array)
    result = new(Tensor)
    result._data = result._flat = array.ravel()
    result._counter = [0]
    result.shape = shape = Size(array.shape)
    result._strides = contiguous_strides(shape)
    result._offset = result._output_nr = 0
    result.dtype = dtypes.from_numpy_dtype(array.dtype)
    result._requires_grad = False
    result._grad_fn = None
    return result


class ArrayNode(TensorNode):
    """A node whose gradient formulas can be computed on arrays."""

    __slots__ = ()

    def apply(self, grad):
        if not self.general.direct:
            return self.by_formulas(grad)
        return quietly(self.on_arrays, grad)


def fitted(array, general, index):
    """A gradient on its way to input `index`: flat, of its dtype, summed where it was broadcast."""
    if type(array) is not ndarray:
        array = np.asarray(array)
    shape, kind = general.input_shapes[index], general.input_dtypes[index].numpy
    if array.shape != shape:
        total = summed(array, shape) if array.dtype is kind else None
        if total is not None:
            return total
        total = fit(from_array(array), shape, general.input_dtypes[index])
        return total if total._flat is None else total._flat
    if array.dtype is not kind:
        array = array.astype(kind, copy=False)
    if array.flags.c_contiguous or array.size <= SMALL:
        return array.ravel()
    return from_array(array)


def fitted_list(arrays, general, edges):
    """Gradients on their ways to the tensors of a list, None where none is needed."""
    gradients = [
        None if edges[2 * i] is None else fitted(array, general, i)
        for i, array in enumerate(arrays)
    ]
    return tuple(gradients) if len(gradients) > 1 else gradients[0]


class View(Operator):
    """A view: new geometry over the same storage."""

    def __init__(self, *, geometry, auto=False, **common):
        super().__init__(**common)
        self.geometry = getattr(views, geometry)
        self.on_arrays = getattr(self.geometry, "on_arrays", self._on_arrays)
        self.auto = auto
        self.plans = {}  # geometry and arguments -> their Seen; None where they came once only
        self.places = {}  # shape and arguments -> where the views lie of a dense array
        if self.listed:
            kind = self.node.__name__
            self.node_of_several = type(kind, (self.node,), {"__slots__": ("n_outputs",)})

    def recipe(self, shape, args):
        """What the node of a view keeps whose gradient is inferred."""
        return Recipe(self, shape, args, 0)

    def _remember(self, base, args):
        """Let calls like this one go straight when they come again."""
        key = (base.shape, base._strides, base.dtype, *args)
        try:
            again = key in self.plans
        except TypeError:  # a list, which the straight lines do not take
            return
        if again and self.plans[key] is not None:
            return
        if len(self.plans) >= KNOWN:
            self.plans.clear()
        # a loop over all indices shall not work out a plan for each
        self.plans[key] = found(self, base, args) if again else None

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
        if not self.listed and not getattr(self.geometry, "warns", False):
            self._remember(base, args[1:])
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

    def _on_arrays(self, array, *args):
        """The same view of an array, or the same views."""
        if not array.flags.c_contiguous or not array.flags.writeable:
            array = array.copy()
        arguments = tuple([tuple(a) if type(a) is list else a for a in args])
        key = array.shape, array.dtype, arguments
        places = self.places.get(key)
        if places is None:
            shape = Size(array.shape)
            made = self.geometry(shape, contiguous_strides(shape), 0, *args)
            size = array.itemsize
            places = [
                (tuple(shape), offset * size, tuple([step * size for step in steps]))
                for shape, steps, offset in (made if self.listed else [made])
            ]
            if len(self.places) >= KNOWN:
                self.places.clear()
            self.places[key] = places
        views = [
            # where there is nothing to see, no place lies inside the memory
            ndarray(shape, array.dtype, array, offset if array.size else 0, steps)
            for shape, offset, steps in places
        ]
        return views if self.listed else views[0]

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
        made = self.op.geometry(self.shape, contiguous_strides(self.shape), 0, *self.args)
        places = made if self.op.listed else [made]
        if self.index is not None:
            places = [places[self.index]]
        return placed(self.shape, places, grads)


class ViewNode(GeometryNode):
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
