"""Operators written by hand in Python: subclasses of `Function`.

The context that `forward` and `backward` receive is the node of the graph itself, as in PyTorch.
"""

from __future__ import annotations

import functools
import inspect

import numpy as np

from .. import inplace
from ..dispatch import profiled, profiling
from ..geometry import Size
from ..graph import Node, begin, freed
from ..modes import modes
from ..operator import shell
from ..tensor import Tensor, alias, from_flat, view_of
from ..view_marks import CUSTOM
from . import forward_ad
from .grad_mode import no_grad
from .saved import pack, unpack

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx(Node):
    """What `forward` leaves for `backward`; also the node of the graph.

    Attributes can be set freely. `needs_input_grad` says for each argument whether a gradient is
    wanted.
    """

    function = None
    materialize_grads = True
    needs_input_grad = ()
    op = None

    def __init__(self):
        self.sequence = None
        self.edges = ()
        self.saved = None
        self.shape = None
        self.general = None
        self.hooks = None
        self._to_save = ()
        self._for_forward = None
        self._dirty = ()
        self._constant = ()

    def save_for_backward(self, *tensors):
        """Keep inputs, outputs or other tensors (or None) for `saved_tensors`."""
        self._to_save = tensors

    def save_for_forward(self, *tensors):
        """Keep tensors for `saved_tensors` within `jvp`."""
        self._for_forward = tensors

    def mark_dirty(self, *tensors):
        """Say which inputs `forward` changed in place; they must be returned."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Say which outputs have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value):
        """Whether `backward` gets zeros (the default) or None for outputs that were not used."""
        self.materialize_grads = value

    @property
    def saved_tensors(self):
        """What `save_for_backward` was given; RuntimeError once released or written in place."""
        if self._for_forward is not None:
            return self._for_forward
        if self.saved is None:
            if self.sequence is not None:
                freed(self)
            return tuple(self._to_save)
        return unpack(self, self.saved)

    @property
    def _forward_cls(self):
        return self.function

    # --- running backward --------------------------------------------------------------------

    def apply(self, grad):
        gradients = [_detached(g) for g in self._call(grad)]
        return gradients[0] if len(gradients) == 1 else tuple(gradients)

    def apply_differentiable(self, grad):
        gradients = self._call(grad)
        return gradients[0] if len(gradients) == 1 else tuple(gradients)

    def _call(self, grad):
        """The gradient of each tensor argument, of its shape and dtype, or None."""
        grads = [grad] if self.n_outputs == 1 else grad
        shapes = [self.shape] if self.n_outputs == 1 else self.shape
        filled = [
            self._filled(*item) for item in zip(grads, shapes, self.output_dtypes, strict=True)
        ]
        results = self.function._run_backward(self, filled)
        results = results if isinstance(results, tuple | list) else (results,)
        return [self._fitted(i, g) for i, g in enumerate(self._for_tensors(results))]

    def _filled(self, grad, shape, dtype):
        if type(grad) is np.ndarray:
            return from_flat(grad, shape, dtype)
        if grad is None and shape is not None and self.materialize_grads:
            return from_flat(np.zeros(shape.numel(), dtype.numpy), shape, dtype)
        return grad

    def _for_tensors(self, results):
        """The gradients of the tensor arguments among those of all arguments."""
        places = self.tensor_places
        count = len(self.needs_input_grad)
        if len(results) > count and all(g is None for g in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{count}, got {len(results)})"
            )
        for position, g in enumerate(results):
            if g is None:
                continue
            if not isinstance(g, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
            if position not in places:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position "
                    f"{position + 1}, but the corresponding forward input was not a Variable"
                )
        return [results[position] for position in places]

    def _fitted(self, index, g):
        if g is None or self.edges[2 * index] is None:
            return None
        shape, dtype = self.input_shapes[index], self.input_dtypes[index]
        if g.shape != shape:
            from ..operator import sum_to_size

            if not _expands(shape, g.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {index} - got "
                    f"{list(g.shape)} but expected shape compatible with {list(shape)}"
                )
            g = sum_to_size(g, shape)
        return g if g.dtype is dtype else g.to(dtype)


def _expands(shape, target):
    """Whether a tensor of `shape` can be expanded to `target`."""
    extra = len(target) - len(shape)
    if extra < 0:
        return False
    return all(n in (1, m) for n, m in zip(shape, target[extra:], strict=True))


def _detached(g):
    if g is None:
        return None
    if g._flat is not None:
        return g._flat
    return g.detach() if g._requires_grad else g


class _FunctionType(type):
    """Gives each subclass of Function a node class of its own, named `<name>Backward`."""

    def __init__(cls, name, bases, members):
        super().__init__(name, bases, members)
        members = {"function": cls, "operator": name, "__module__": cls.__module__}
        cls._node_class = type(name + "Backward", (FunctionCtx,), members)


class Function(metaclass=_FunctionType):
    """An operator with a gradient written by hand; use `apply` of a subclass.

    Define the static methods `forward(ctx, *args)` and `backward(ctx, *grads)`, or in the newer
    style `forward(*args)`, `setup_context(ctx, inputs, output)` and `backward`. `jvp(ctx,
    *tangents)` adds forward mode. `backward` gives one gradient (or None) for each argument.
    Differentiating a second time works where `backward` uses differentiable operators.
    """

    @staticmethod
    def forward(*args, **kwargs):
        """Compute the outputs; nothing inside is recorded."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Save what `backward` needs, where `forward` takes no `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """The gradient of each argument from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """The tangent of each output from those of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @classmethod
    def _run_backward(cls, ctx, grads):
        """Call whichever of `backward` and `vjp` the class defines."""
        if cls.vjp is not Function.vjp:
            if cls.backward is not Function.backward:
                raise RuntimeError(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                    "You should only implement one of them."
                )
            return cls.vjp(ctx, *grads)
        return cls.backward(ctx, *grads)

    @classmethod
    def apply(cls, *args, **kwargs):
        """Call the operator."""
        if profiling.on and (row := profiled(cls.__name__, cls.apply, args, kwargs)):
            return row[0]
        separate = cls.setup_context is not Function.setup_context
        if separate:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        elif kwargs:
            bound = inspect.signature(cls.forward).bind(None, *args, **kwargs)
            args, kwargs = bound.args[1:], bound.kwargs
        ctx = cls._node_class()
        places = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a._requires_grad for a in args)
        record = modes.grad and any(ctx.needs_input_grad)
        with _Unrecorded():
            if separate:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        outputs = result if isinstance(result, tuple) else (result,)
        inputs = [args[i] for i in places]
        tangents = _tangents(args) if modes.dual_level >= 0 else None
        outputs = _wrapped(ctx, outputs, inputs, record)
        if record:
            _record(ctx, inputs, places, outputs)
        if tangents is not None:
            _set_tangents(cls, ctx, tangents, args, outputs)
        ctx._to_save, ctx._for_forward = (), None
        return outputs if isinstance(result, tuple) else outputs[0]


class _Unrecorded:
    """Neither a graph nor tangents are recorded inside."""

    def __enter__(self):
        self.grad, self.level = modes.grad, modes.dual_level
        modes.grad, modes.dual_level = False, -1
        modes.update()

    def __exit__(self, *error):
        modes.grad, modes.dual_level = self.grad, self.level
        modes.update()


def _wrapped(ctx, outputs, inputs, record):
    """The outputs as objects that may be tied to the node."""
    given = {id(t) for t in inputs}
    dirty = {id(t) for t in ctx._dirty}
    if dirty - {id(o) for o in outputs}:
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. "
            "The inputs that are modified inplace must all be outputs of the Function."
        )
    for t in ctx._dirty:
        if record and id(t) in given:
            if t._requires_grad and t.is_leaf and not t._is_view():
                raise RuntimeError(
                    "a leaf Variable that requires grad has been used in an in-place operation."
                )
            inplace.check(t, inputs)
        inplace.bump(t)
    seen, wrapped, saved = set(), [], {}
    for output in outputs:
        if isinstance(output, Tensor) and id(output) not in dirty:
            foreign = id(output) in given or id(output) in seen
            if foreign or (record and output._requires_grad):
                fresh = view_of(output, output.shape, output._strides, output._offset)
                saved[id(output)] = fresh
                output = fresh
        seen.add(id(output))
        wrapped.append(output)
    ctx._constant = [saved.get(id(t), t) for t in ctx._constant]
    return tuple(wrapped)


def _record(ctx, inputs, places, outputs):
    """Tie the outputs to the node `ctx`, and keep what is to be saved."""
    begin(ctx)
    edges = []
    for t in inputs:
        edges += (t._grad_fn or t, t._output_nr) if t._requires_grad else (None, 0)
    ctx.edges = tuple(edges)
    ctx.tensor_places = places
    ctx.input_shapes = [t.shape for t in inputs]
    ctx.input_dtypes = [t.dtype for t in inputs]
    tensors = [o if isinstance(o, Tensor) else None for o in outputs]
    shapes = tuple(None if o is None else Size(o.shape) for o in tensors)
    ctx.output_dtypes = [None if o is None else o.dtype for o in tensors]
    ctx.n_outputs = len(outputs)
    ctx.shape = shapes[0] if len(outputs) == 1 else shapes
    constant = {id(t) for t in ctx._constant}
    dirty = {id(t) for t in ctx._dirty}
    tied, changed = [], []
    for number, output in enumerate(tensors):
        if output is None:
            continue
        if id(output) in constant or not output.dtype.is_floating_point:
            continue
        if id(output) in dirty:
            # its history is rewritten, with that of its base and views, once all is saved
            result = shell(output)
            changed.append((output, result))
            result._requires_grad, result._grad_fn, result._output_nr = True, ctx, number
            continue
        output._requires_grad = True
        output._grad_fn = ctx
        output._output_nr = number
        if output._is_view():
            output._mark = CUSTOM
        tied.append(output)
    saved = [next((r for o, r in changed if o is t), t) for t in ctx._to_save]
    ctx.saved = pack(saved, tied + [result for _, result in changed])
    for output, result in changed:
        inplace.rebase(output, result)
    ctx._constant = ctx._dirty = ()


def _tangents(args):
    """The tangent of each argument; None if there are none at all."""
    tangents = [forward_ad.tangent_of(a) if isinstance(a, Tensor) else None for a in args]
    return None if all(t is None for t in tangents) else tangents


def _set_tangents(cls, ctx, tangents, args, outputs):
    """Give the outputs the tangents that `jvp` computes."""
    if ctx.materialize_grads:
        tangents = [
            _zeros_like(a) if t is None and isinstance(a, Tensor) else t
            for t, a in zip(tangents, args, strict=True)
        ]
    results = cls.jvp(ctx, *tangents)
    results = results if isinstance(results, tuple) else (results,)
    if len(results) != len(outputs):
        raise RuntimeError(
            f"{cls.__name__}.jvp: got {len(results)} tangents; one for each of the "
            f"{len(outputs)} outputs is required"
        )
    for number, (output, tangent) in enumerate(zip(outputs, results, strict=True)):
        if tangent is None or not isinstance(output, Tensor):
            continue
        if tangent.shape != output.shape:
            raise RuntimeError(
                f"{cls.__name__}.jvp: the tangent of output {number} has shape "
                f"{list(tangent.shape)}; the output has {list(output.shape)}"
            )
        forward_ad.set_tangent(output, tangent)


def _zeros_like(t):
    return from_flat(np.zeros(t.shape.numel(), t.dtype.numpy), t.shape, t.dtype)


def once_differentiable(backward):
    """Decorates a `backward` that cannot be differentiated itself: doing so is an error."""

    @functools.wraps(backward)
    def wrapper(ctx, *grads):
        with no_grad():
            results = backward(ctx, *grads)
        if not modes.grad or not any(isinstance(g, Tensor) and g._requires_grad for g in grads):
            return results
        several = isinstance(results, tuple)
        node = _NotTwice(ctx, grads)
        fresh = []
        for result in results if several else (results,):
            if isinstance(result, Tensor):
                result = alias(result, result._counter)
                result._requires_grad, result._grad_fn = True, node
            fresh.append(result)
        return tuple(fresh) if several else fresh[0]

    return wrapper


class _NotTwice(Node):
    """The node of what a once differentiable backward returned."""

    __slots__ = ()

    def __init__(self, ctx, grads):
        begin(self)
        edges = list(ctx.edges)
        for g in grads:
            if isinstance(g, Tensor) and g._requires_grad:
                edges += (g._grad_fn or g, g._output_nr)
        self.edges = tuple(edges)
        self.saved = ()
        self.shape = Size(())
        self.general = None

    def apply(self, grad):
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )

    apply_differentiable = apply
