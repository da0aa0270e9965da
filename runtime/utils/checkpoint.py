"""Checkpointing: a call keeps its inputs only, and is repeated in the backward pass.

This trades time for memory: what the operations inside save for their gradients is not kept.
Selective checkpointing (policies that keep the results of chosen operators) is not provided.
"""

from __future__ import annotations

import contextlib
import warnings

from ..autograd import Function, backward
from ..autograd.grad_mode import enable_grad
from ..autograd.graph import saved_tensors_hooks
from ..modes import modes
from ..random import get_rng_state
from ..tensor import Tensor
from .recomputation import DETERMINISM_CHECKS, Call, CheckpointError, Recipe, random_state

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

_NOT_SAID = (
    "the use_reentrant parameter should be passed explicitly. use_reentrant=False is recommended; "
    "what is used now is use_reentrant=True."
)
_NO_INPUTS_ARGUMENT = (
    "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an "
    "`inputs` parameter to .backward(). To resolve this error, you can either set "
    "use_reentrant=False, or call .backward() without passing the `inputs` argument."
)

_early_stop = None
_debug = None


def noop_context_fn():
    """The contexts of a call and of its repetition by default: they do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=noop_context_fn,
    determinism_check="default",
    debug=False,
    early_stop=True,
    **kwargs,
):
    """`function(*args, **kwargs)`, whose intermediate values are computed again when needed.

    Parameters
    ----------
    function : callable
        Must do the same each time. It runs once here and once in each backward pass.
    use_reentrant : bool
        False, which is recommended: hooks drop what is saved inside. Everything that works
        without a checkpoint works with it. True: the call becomes one node, which runs a backward
        pass of its own; it takes no keyword arguments, and needs a tensor argument that requires
        grad, a `backward` without `inputs`, and no second derivative.
    context_fn : callable
        Returns two context managers, for the call and for its repetition.
    determinism_check : str
        "default" compares shape and dtype of what is saved with the first time; "none" only
        their number. CheckpointError if they differ.
    debug : bool
        Errors tell where in the program each tensor was saved.
    early_stop : bool
        Let the repetition end once everything needed has been computed.
    preserve_rng_state : bool
        A keyword; by default the repetition draws the same random numbers.
    """
    if use_reentrant is None:
        message = f"torch.utils.checkpoint: {_NOT_SAID}"
        warnings.warn(message, UserWarning, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    describe = DETERMINISM_CHECKS.get(determinism_check)
    if describe is None:
        raise ValueError(
            f"determinism_check should be one of {list(DETERMINISM_CHECKS)}, but got "
            f"{determinism_check}"
        )
    debug = debug if _debug is None else _debug
    if debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    if not modes.grad:
        return function(*args, **kwargs)
    context, again = context_fn()
    stop = early_stop if _early_stop is None else _early_stop
    call = Call(Recipe(function, args, kwargs, preserve), again, describe, stop, debug)
    with saved_tensors_hooks(call.pack, call.unpack), context:
        return function(*args, **kwargs)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Call `functions` one after the other, in `segments` checkpoints of equal length.

    functions: a sequence of callables, or a module with `children`. The last segment, which takes
    what is left over, runs as usual: its values are needed first.
    """
    if use_reentrant is None:
        message = f"torch.utils.checkpoint.checkpoint_sequential: {_NOT_SAID}"
        warnings.warn(message, UserWarning, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children() if hasattr(functions, "children") else functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(
            f"checkpoint_sequential: got {segments} segments for {len(functions)} functions; each "
            "segment needs at least one"
        )
    size = len(functions) // segments
    for start in range(0, size * (segments - 1), size):
        part = _one_after_the_other(functions[start : start + size])
        options = {"use_reentrant": use_reentrant, "preserve_rng_state": preserve}
        input = checkpoint(part, input, **options)
    return _one_after_the_other(functions[size * (segments - 1) :])(input)


def _one_after_the_other(functions):
    def run(input):
        for function in functions:
            input = function(input)
        return input

    return run


# --- the variant with a backward pass of its own -------------------------------------------------


class CheckpointFunction(Function):
    """A checkpointed call as one node of the graph."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        """Call without a graph, and keep the arguments."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.random = get_rng_state() if preserve_rng_state else None
        ctx.places = [i for i, value in enumerate(args) if isinstance(value, Tensor)]
        ctx.others = [None if isinstance(value, Tensor) else value for value in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        """Repeat the call with a graph, and run a backward pass through that."""
        if modes.task is not None and modes.task.inputs is not None:
            raise RuntimeError(_NO_INPUTS_ARGUMENT)
        args = list(ctx.others)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = tensor
        args = detach_variable(tuple(args))
        with random_state(ctx.random), enable_grad():
            outputs = ctx.run_function(*args)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [
            (output, grad)
            for output, grad in zip(outputs, grads, strict=False)
            if isinstance(output, Tensor) and output.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward(*map(list, zip(*pairs, strict=True)))
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))


def check_backward_validity(inputs):
    """Warn if no tensor among `inputs` requires grad."""
    if not any(isinstance(value, Tensor) and value.requires_grad for value in inputs):
        message = "None of the inputs have requires_grad=True. Gradients will be None"
        warnings.warn(message, UserWarning, stacklevel=2)


def detach_variable(inputs):
    """The tensors of a tuple without their graph, requiring grad as before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        value.detach().requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value
        for value in inputs
    )


# --- switches ------------------------------------------------------------------------------------


@contextlib.contextmanager
def set_checkpoint_early_stop(enable):
    """Calls checkpointed inside stop their repetition early or not, whatever they say."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled):
    """Calls checkpointed inside have `debug` on or off, whatever they say; None leaves it."""
    global _debug
    before, _debug = _debug, enabled
    try:
        yield
    finally:
        _debug = before
