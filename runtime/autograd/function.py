"""Operators written by hand in Python: subclasses of `Function`.

The context that `forward` and `backward` receive is the node of the graph itself, as in PyTorch.
"""

from __future__ import annotations

import functools
import inspect
import warnings

from ..dispatch import profiled, profiling
from ..geometry import Size
from ..graph import Node, begin
from ..modes import modes
from ..tensor import Tensor, alias
from . import custom_tangents
from .custom_node import BackwardCFunction, FunctionCtx
from .custom_outputs import Outputs, edges_of
from .grad_mode import no_grad

__all__ = [
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "FunctionMeta",
    "InplaceFunction",
    "once_differentiable",
]


class FunctionMeta(type):
    """Gives each subclass of Function a node class of its own, named `<name>Backward`."""

    def __init__(cls, name, bases, members):
        super().__init__(name, bases, members)
        members = {"function": cls, "operator": name, "__module__": __name__}
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), members)


class Function(metaclass=FunctionMeta):
    """An operator with a gradient written by hand; use `apply` of a subclass.

    Define the static methods `forward(ctx, *args)` and `backward(ctx, *grads)`, or in the newer
    style `forward(*args)`, `setup_context(ctx, inputs, output)` and `backward`. `jvp(ctx,
    *tangents)` adds forward mode. `backward` gives one gradient (or None) for each argument.
    Differentiating a second time works where `backward` uses differentiable operators.

    Attributes
    ----------
    clear_saved_tensors_on_access : bool
        `ctx.saved_tensors` hands the tensors out once, so that `backward` may free them early.
    boxed_grads_call : bool
        `backward` gets the gradients of the outputs in one list, which it may empty.
    generate_vmap_rule : bool
        Of no effect: the transformations of `func` call a Function once for each sample.
    """

    clear_saved_tensors_on_access = False
    boxed_grads_call = False
    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        warnings.warn(
            f"{type(self)} should not be instantiated: its methods are static; call apply of the "
            "class",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method."
        )

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
        backward = cls.backward
        if cls.vjp is not Function.vjp:
            if backward is not Function.backward:
                raise RuntimeError(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                    "You should only implement one of them."
                )
            backward = cls.vjp
        return backward(ctx, grads) if cls.boxed_grads_call else backward(ctx, *grads)

    @classmethod
    def apply(cls, *args, **kwargs):
        """Call the operator."""
        if profiling.on and (row := profiled(cls.__name__, cls.apply, args, kwargs)):
            return row[0]
        separate = cls.setup_context is not Function.setup_context
        if separate or kwargs:
            args = _positional(cls.forward, args, kwargs, separate)
        ctx = cls._backward_cls()
        places = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        inputs = [args[i] for i in places]
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a._requires_grad for a in args)
        record = modes.grad and any(ctx.needs_input_grad)
        if record:
            ctx.edges = edges_of(inputs)
            ctx.tensor_places, ctx.n_arguments = places, len(args)
            ctx.input_shapes = [t.shape for t in inputs]
            ctx.input_dtypes = [t.dtype for t in inputs]
        with _Unrecorded():
            if separate:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        raw = result if isinstance(result, tuple) else (result,)
        outputs = Outputs(ctx, raw, inputs, record, separate)
        if modes.dual_level >= 0 and not modes.inference:
            custom_tangents.give(cls, ctx, args, outputs)
        if record:
            outputs.save()
        ctx.to_save = ctx.saved_for_forward = ctx.dirty_tensors = ctx.non_differentiable = None
        return outputs.values if isinstance(result, tuple) else outputs.values[0]


class InplaceFunction(Function):
    """A Function whose instances say `inplace`; nothing else sets it apart."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


def _positional(forward, args, kwargs, separate):
    """All arguments in the order of `forward`, with its defaults where it takes no `ctx`."""
    signature = inspect.signature(forward)
    if separate:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        args = bound.args
    else:
        bound = signature.bind(None, *args, **kwargs)
        args = bound.args[1:]
    if bound.kwargs:
        name = next(iter(bound.kwargs))
        raise TypeError(
            f"forward() got an unexpected keyword argument '{name}': arguments of a custom "
            "Function must have a position"
        )
    return args


class _Unrecorded:
    """Neither a graph nor tangents are recorded inside."""

    def __enter__(self):
        self.grad, self.level = modes.grad, modes.dual_level
        modes.grad, modes.dual_level = False, -1
        modes.update()

    def __exit__(self, *error):
        modes.grad, modes.dual_level = self.grad, self.level
        modes.update()


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

    def name(self):
        return "Error"

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
