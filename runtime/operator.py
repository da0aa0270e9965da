"""Descriptors of declared operators.

A descriptor knows how to compute an operator on any arguments (the general path) and what its
node saves. The generated functions handle the common case themselves and reach a descriptor
only for the rest.
"""

from __future__ import annotations

import math
from threading import RLock

from . import dtypes, graph
from .modes import modes
from .tensor import Tensor, from_flat

new = object.__new__
next_sequence = graph.next_sequence


class General:
    """What a node of the general path remembers beyond its saved values.

    `details` is what else its family needs of the call: how the lanes lie, the call of a view.
    """

    __slots__ = ("details", "input_dtypes", "input_shapes")
    direct = False
    flat = False

    def __init__(self, input_shapes, input_dtypes, details=None):
        self.input_shapes = input_shapes
        self.input_dtypes = input_dtypes
        self.details = details

    def shape_of(self, op, source):
        """The shape of a differentiable input."""
        return self.input_shapes[op.differentiable.index(source)]


class Direct(General):
    """The same of every straight-line call on arrays of certain shapes: many nodes share it.

    What such a node saved of tensors are arrays of their shapes.
    """

    __slots__ = ()
    direct = True


class Operator:
    """A declared operator: its names, its node class and what the node saves."""

    def __init__(
        self,
        *,
        name,
        node,
        arguments,
        tensors,
        differentiable,
        outputs,
        differentiable_outputs,
        saved,
        jvp,
        rule,
        absent=None,
        many=(),
        optional=(),
        or_scalar=(),
        listed=False,
        shapes=None,
    ):
        self.name = name
        self.node = node
        self.arguments = arguments
        self.tensors = tensors
        self.differentiable = differentiable
        self.outputs = outputs
        self.differentiable_outputs = differentiable_outputs
        self.saved = saved
        self.jvp = jvp
        self.rule = rule
        self.absent = absent or {}
        self.many = many
        self.optional = optional
        self.or_scalar = or_scalar
        self.listed = listed
        self.shapes = tuple((shapes or {}).items())
        self.positions = {argument: i for i, argument in enumerate(arguments)}
        self.differentiable_positions = tuple(self.positions[d] for d in differentiable)
        self.tensor_positions = tuple(self.positions[t] for t in tensors)
        self.places = {item[0]: 3 * i for i, item in enumerate(saved)}
        self.saving = [self._saving(*item) for item in saved]
        self.result_type = return_type(name, outputs) if len(outputs) > 1 else None
        if node is not None:
            node.op = self

    def _saving(self, name, kind, source, needed_by):
        """An item of `saved` by positions: of its source, and of the edges that ask for it."""
        place = source
        if kind == "output":
            place = self.outputs.index(source)
        elif source in self.positions:
            place = self.positions[source]
        # one input may be many tensors, so that edges say nothing
        return name, kind, place, None if self.many else tuple(2 * i for i in needed_by)

    def check_shapes(self, args):
        """Compare the sizes of tensor arguments with the letters that the entry gives them."""
        sizes = {}
        for name, letters in self.shapes:
            value = args[self.positions[name]]
            if value is None:
                continue
            shape = value.shape
            open_ended = letters[0] == "..."
            letters = letters[1:] if open_ended else letters
            if len(shape) < len(letters) or (not open_ended and len(shape) > len(letters)):
                wanted = f"at least {len(letters)}" if open_ended else str(len(letters))
                raise RuntimeError(
                    f"{self.name}: {public_name(name)} is {tuple(shape)}; it must have {wanted} "
                    f"dimension{'s' * (len(letters) != 1)}"
                )
            for letter, size in zip(letters[::-1], shape[::-1], strict=False):
                known = sizes.setdefault(letter, (size, name))
                if known[0] != size:
                    other = args[self.positions[known[1]]]
                    raise RuntimeError(
                        f"{self.name}: {public_name(known[1])} is {tuple(other.shape)} and "
                        f"{public_name(name)} is {tuple(shape)}; inner sizes {known[0]} and {size} "
                        "must be equal"
                    )

    def needs_graph(self, args):
        """Whether an input of this call requires grad and grad mode is on."""
        if self.node is None or not modes.grad:
            return False
        for position in self.differentiable_positions:
            value = args[position]
            if isinstance(value, Tensor):
                if value._requires_grad:
                    return True
            elif isinstance(value, list | tuple):
                for item in value:
                    if isinstance(item, Tensor) and item._requires_grad:
                        return True
        return False

    def record(self, args, results, rows=None, details=None):
        """Make the node of a call and tie `results` (tensors) to it."""
        node = new(self.node)
        node.sequence = next_sequence()
        node.hooks = None
        if modes.anomaly is not None:
            graph.begin(node)
        edges, shapes, kinds = [], [], []
        for position in self.differentiable_positions:
            value = args[position]
            for item in value if self.many and self.arguments[position] in self.many else (value,):
                if isinstance(item, Tensor):
                    shapes.append(item.shape)
                    kinds.append(item.dtype)
                    if item._requires_grad:
                        edges.append(item._grad_fn or item)
                        edges.append(item._output_nr)
                        continue
                else:
                    shapes.append(None)
                    kinds.append(None)
                edges.append(None)
                edges.append(0)
        node.edges = tuple(edges)
        attach = results
        if not self.listed and len(results) > 1:
            attach = [results[i] for i in self.differentiable_outputs]
        node.shape = attach[0].shape if len(attach) == 1 else tuple(r.shape for r in attach)
        node.general = General(shapes, kinds, details)
        for number, result in enumerate(attach):
            result._requires_grad = True
            result._grad_fn = node
            result._output_nr = number
        node.saved = self.save(args, results, rows, edges)
        if modes.saved_hooks is not None:
            graph.hooks_of(node).unpacking = RLock()
        return node

    def save(self, args, results, rows, edges):
        """Triples (value, counter, version) for everything the gradient formulas read."""
        saved = []
        for name, kind, source, needed_by in self.saving:
            if kind == "input":
                value = args[source]
                if not isinstance(value, Tensor):
                    saved += (value, None, 0)
                elif needed_by is None or [i for i in needed_by if edges[i] is not None]:
                    saved += kept(value)
                else:
                    saved += (None, None, 0)
            elif rows and name in rows:
                saved += kept_row(rows[name])
            elif kind == "output":
                saved += kept(results[source])
            elif kind == "shape":
                saved += (_shapes(args[source]), None, 0)
            elif kind == "dtype":
                saved += (args[source].dtype, None, 0)
            else:
                saved += (args[source], None, 0)
        return tuple(saved)


def kept(value):
    """The triple of a saved tensor, packed where hooks ask for it."""
    if modes.saved_hooks is not None:
        from .saved_values import packed

        return packed(value)
    return shell(value), value._counter, value._counter[0]


def kept_row(array):
    """The triple of an array that no tensor shows."""
    if modes.saved_hooks is not None:
        from .saved_values import packed_row

        return packed_row(array)
    return array, None, 0


def public_name(name):
    return "input" if name == "self" else name


def _shapes(value):
    return [item.shape for item in value] if isinstance(value, list | tuple) else value.shape


def shell(tensor):
    """The same memory without graph: what a node may keep without keeping the tensor."""
    copy = new(Tensor)
    copy._data = tensor._data
    copy._flat = tensor._flat
    copy._counter = tensor._counter
    copy.shape = tensor.shape
    copy._strides = tensor._strides
    copy._offset = tensor._offset
    copy.dtype = tensor.dtype
    copy._requires_grad = False
    copy._grad_fn = None
    copy._output_nr = 0
    if modes.openings:
        _keep_tangent(tensor, copy)
    return copy


def _keep_tangent(tensor, copy):
    """What a node saves under forward mode keeps its tangents: gradients have tangents too."""
    extra = getattr(tensor, "_extra", None)
    if extra is not None and extra.tangent is not None:
        graph.extra_of(copy).tangent = extra.tangent.copy()


def return_type(name, outputs):
    """A tuple with names, printed as PyTorch prints the results of max, sort, ..."""

    def __new__(cls, values):
        return tuple.__new__(cls, values)

    def __repr__(self):
        fields = ",\n".join(f"{n}={v!r}" for n, v in zip(outputs, self, strict=True))
        return f"rederive.return_types.{name}(\n{fields})"

    def __reduce__(self):
        return _named_results, (name, tuple(outputs), tuple(self))

    members = {n: property(lambda self, i=i: self[i]) for i, n in enumerate(outputs)}
    members |= {"__new__": __new__, "__repr__": __repr__, "__slots__": (), "_fields": outputs}
    members["__reduce__"] = __reduce__
    made = _RETURN_TYPES[name, tuple(outputs)] = type(name, (tuple,), members)
    return made


_RETURN_TYPES = {}


def _named_results(name, outputs, values):
    """A named tuple of results out of a pickle; the operator may come from a later import."""
    made = _RETURN_TYPES.get((name, outputs)) or return_type(name, outputs)
    return made(values)


def as_tensor(flat, shape):
    return from_flat(flat, shape, dtypes.from_numpy_dtype(flat.dtype))


def spread(values):
    """Sizes given one by one or as one sequence, as a tuple."""
    if len(values) == 1 and isinstance(values[0], list | tuple):
        return tuple(values[0])
    return values


def total(terms):
    """The sum of tangent terms; None when there are none."""
    if not terms:
        return None
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def numel(shape):
    return math.prod(shape)
