"""Checkpointing: a part of a program is computed again in the backward pass instead of saved.

`checkpoint` has two variants. The reentrant one is a custom Function whose backward runs the part
again and starts a backward pass of its own. The other leaves a placeholder where a node would save
a tensor; the first placeholder that is read runs the part again and fills the others.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref

from .. import random
from ..anomaly import calling_line
from ..autograd import backward, enable_grad
from ..autograd.function import Function
from ..autograd.graph import saved_tensors_hooks
from ..engine import queue_callback
from ..factories import empty
from ..modes import modes
from ..tensor import Tensor

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]


class CheckpointError(RuntimeError):
    """Computing a checkpointed part again did not save the same tensors as the first time."""


def noop_context_fn():
    """Two contexts that do nothing, for the first computation and for the second."""
    return contextlib.nullcontext(), contextlib.nullcontext()


_early_stop = None


@contextlib.contextmanager
def set_checkpoint_early_stop(enable):
    """Overrule `early_stop` of the checkpoints that are made inside."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


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
    """Call `function(*args, **kwargs)` without keeping what its operations save.

    The backward pass calls it a second time; memory falls, time grows.

    Parameters
    ----------
    function : callable
        Must compute the same each time. It is called with random numbers as they were unless
        `preserve_rng_state=False` is given.
    use_reentrant : bool
        True runs a backward pass inside the backward pass. It takes no keyword arguments, needs an
        input that requires gradients, and works with `backward()` only. False is recommended.
    context_fn : callable
        Returns two context managers: around the first and around the second computation.
    determinism_check : {"default", "none"}
        Whether shapes and dtypes of what is saved are compared with those of the first time.
    debug : bool
        Say in the message which lines of the program saved what.
    early_stop : bool
        Stop the second computation as soon as all that was saved is there.

    Raises
    ------
    CheckpointError
        In the backward pass, if the second computation saves other tensors than the first.
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant is None:
        warnings.warn(
            "checkpoint: the use_reentrant parameter should be passed explicitly. use_reentrant="
            "False is recommended, but if you need to preserve the current default behavior, you "
            "can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    if not use_reentrant:
        if determinism_check not in ("default", "none"):
            raise ValueError(
                "determinism_check should be one of ('default', 'none'), but got "
                f"{determinism_check}"
            )
        stop = early_stop if _early_stop is None else _early_stop
        part = _Part(function, args, kwargs, context_fn, preserve, determinism_check, debug, stop)
        return part.first()
    if kwargs:
        raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
    if context_fn is not noop_context_fn or debug is not False:
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    return CheckpointFunction.apply(function, preserve, *args)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Apply functions (or the modules of a Sequential) in turn, checkpointing all but the last
    of `segments` parts of about equal length.

    Keyword argument: `preserve_rng_state=True`.
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
    functions = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(functions) // segments

    def segment(begin, end):
        def run(value):
            for function in functions[begin:end]:
                value = function(value)
            return value

        return run

    begin = 0
    for _ in range(segments - 1):
        run = segment(begin, begin + size)
        input = checkpoint(run, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
        begin += size
    return segment(begin, len(functions))(input)


@contextlib.contextmanager
def _random_state(state):
    """Random numbers as in `state` inside, and afterwards as they were; None changes nothing."""
    if state is None:
        yield
        return
    before = random.get_rng_state()
    random.set_rng_state(state)
    try:
        yield
    finally:
        random.set_rng_state(before)


# --- reentrant -----------------------------------------------------------------------------------


class CheckpointFunction(Function):
    """The reentrant variant."""

    @staticmethod
    def forward(ctx, function, preserve, *args):
        """Call the function unrecorded."""
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4
            )
        ctx.run = function
        ctx.state = random.get_rng_state() if preserve else None
        ctx.args = [None if isinstance(a, Tensor) else a for a in args]
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return function(*args)

    @staticmethod
    def backward(ctx, *grads):
        """Call it again, recorded, and run a backward pass through that."""
        if modes.task is None or modes.task.inputs is not None:
            raise RuntimeError(
                "When use_reentrant=True, checkpoint is incompatible with .grad() or passing an "
                "`inputs` parameter to .backward(). To resolve this error, you can either set "
                "use_reentrant=False, or call .backward() without passing the `inputs` argument."
            )
        args = list(ctx.args)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = tensor.detach().requires_grad_(tensor.requires_grad)
        with _random_state(ctx.state), enable_grad():
            outputs = ctx.run(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [
            (output, grad)
            for output, grad in zip(outputs, grads, strict=True)
            if isinstance(output, Tensor) and output.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([output for output, _ in pairs], [grad for _, grad in pairs])
        found = (a.grad if isinstance(a, Tensor) else None for a in args)
        return None, None, *found


# --- by placeholders -----------------------------------------------------------------------------


class _Inputs(Function):
    """Saves the inputs of a part, so that hooks around the part see them, and gives nothing."""

    @staticmethod
    def forward(ctx, *tensors):
        ctx.save_for_backward(*tensors[1:])
        return empty(0)

    @staticmethod
    def backward(ctx, *grads):
        raise AssertionError("nothing is computed from the output")


class _Placeholder:
    """What a node keeps in the place of a tensor: its number among those of the part."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number):
        self.number = number


class _Stop(Exception):
    """Everything that was saved the first time is there."""


class _Part:
    """A checkpointed call: how to repeat it, and what it saved the first time."""

    def __init__(self, function, args, kwargs, context_fn, preserve, check, debug, early_stop):
        self.function = function
        self.context, self.again = context_fn()
        self.state = random.get_rng_state() if preserve else None
        self.check = check == "default"
        self.debug = debug
        self.early_stop = early_stop
        self.placeholders = []  # weak references, in the order of saving
        self.described = []  # of each, its shape, dtype and (with debug) the line that saved it
        self.filled = None
        self.task = None
        self._keep(args, kwargs)

    def _keep(self, args, kwargs):
        """Remember the arguments, tensors as an outer checkpoint would want them saved."""
        self.kwargs = dict(kwargs)
        values = [*args, *kwargs.values()]
        tensors = [v for v in values if isinstance(v, Tensor)]
        self.values = [None if isinstance(v, Tensor) else v for v in values]
        self.places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        self.given = args, kwargs
        with enable_grad():
            # the first makes sure that there is a node to save anything
            self.inputs = _Inputs.apply(empty(0, requires_grad=True), *tensors).grad_fn
        self.count = len(args)

    def first(self):
        """The call as the program sees it."""
        args, kwargs = self.given
        del self.given
        with saved_tensors_hooks(self._pack, self._unpack), self.context:
            return self.function(*args, **kwargs)

    def _pack(self, tensor):
        placeholder = _Placeholder(len(self.placeholders))
        self.placeholders.append(weakref.ref(placeholder))
        self.described.append(self._description(tensor))
        return placeholder

    def _description(self, tensor):
        return tensor.dtype, list(tensor.shape), calling_line() if self.debug else ""

    def _unpack(self, placeholder):
        task = modes.task
        if self.filled is None or task is None or self.task is None or self.task() is not task:
            self._fill()
            if task is not None:
                self.task = weakref.ref(task)
                queue_callback(self._forget)
        value = self.filled.get(placeholder)
        if value is None:
            raise CheckpointError(
                "checkpoint: a tensor that was saved in the forward pass was not saved again when "
                "the part was recomputed"
            )
        if task is None:
            self._forget()
        return value

    def _forget(self):
        self.filled = self.task = None

    def _fill(self):
        """Repeat the call, and put what it saves where the placeholders are read."""
        values = list(self.values)
        for place, tensor in zip(self.places, self.inputs.saved_tensors, strict=True):
            values[place] = tensor.detach().requires_grad_(tensor.requires_grad)
        args = values[: self.count]
        kwargs = dict(zip(self.kwargs, values[self.count :], strict=True))
        self.filled = weakref.WeakKeyDictionary()
        self.repeated = []
        hooks = saved_tensors_hooks(self._pack_again, lambda value: value)
        with (
            enable_grad(),
            _random_state(self.state),
            contextlib.suppress(_Stop),
            hooks,
            self.again,
        ):
            self.function(*args, **kwargs)
        repeated = self.repeated
        del self.repeated
        self._compare(repeated)

    def _pack_again(self, tensor):
        number = len(self.repeated)
        self.repeated.append(self._description(tensor))
        kept = tensor.detach()
        if number < len(self.placeholders):
            placeholder = self.placeholders[number]()
            if placeholder is not None:
                self.filled[placeholder] = kept
            if self.early_stop and number == len(self.placeholders) - 1:
                raise _Stop
        return kept

    def _lines(self, repeated):
        """With debug, what was saved each time."""
        if not self.debug:
            return ""
        first, second = ("\n  ".join(map(_shown, found)) for found in (self.described, repeated))
        return f"\nforward:\n  {first}\nrecomputation:\n  {second}"

    def _compare(self, repeated):
        """CheckpointError unless the same was saved as the first time."""
        if len(repeated) != len(self.described):
            raise CheckpointError(
                "checkpoint: a different number of tensors was saved during the original forward "
                f"and recomputation. Number of tensors saved during forward: "
                f"{len(self.described)}. Number of tensors saved during recomputation: "
                f"{len(repeated)}." + self._lines(repeated)
            )
        if not self.check:
            return
        wrong = [
            f"tensor at position {i}: saved {_shown(first)}, recomputed {_shown(second)}"
            for i, (first, second) in enumerate(zip(self.described, repeated, strict=True))
            if first[:2] != second[:2]
        ]
        if wrong:
            raise CheckpointError(
                "checkpoint: Recomputed values for the following tensors have different metadata "
                "than during the forward pass.\n" + "\n".join(wrong)
            )


def _shown(description):
    dtype, shape, line = description
    return f"{dtype} {shape}" + (f" ({line})" if line else "")
