"""Checkpointed calls by hooks: what nodes save inside is dropped, and computed again when needed.

A node keeps a `Place` where it would keep a tensor. When a backward pass asks for the first tensor
of a call, the call is repeated and all its places are filled, for that pass alone.
"""

from __future__ import annotations

import contextlib
import weakref

from .. import anomaly, graph
from ..autograd import saved
from ..autograd.grad_mode import enable_grad
from ..autograd.graph import saved_tensors_hooks
from ..device import cpu
from ..modes import modes
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor

_PREFIX = "torch.utils.checkpoint: "
_MORE = "trying to save more tensors during recomputation than during the original forward pass."
_UNPACKED = (
    "Unpack is being triggered for a tensor that was already unpacked once. If you are calling "
    "ctx.saved_tensors in backward, make sure to do so only once."
)
_HINT = (
    "\nPass debug=True to checkpoint(), or use set_checkpoint_debug_enabled(True), to see where in "
    "the program each tensor was saved."
)
_LISTED = 30


class CheckpointError(RuntimeError):
    """The repetition of a checkpointed call did not save what the call itself had saved."""


# what must be the same of a tensor the second time
DETERMINISM_CHECKS = {
    "default": lambda tensor: (tensor.shape, tensor.dtype),
    "none": lambda tensor: None,
}


@contextlib.contextmanager
def random_state(state):
    """Inside, random numbers go on from `state`; None changes nothing."""
    before = None if state is None else get_rng_state()
    try:
        if state is not None:
            set_rng_state(state)
        yield
    finally:
        if before is not None:
            set_rng_state(before)


class _Argument:
    """Stands for a tensor among the arguments."""

    __slots__ = ("index",)

    def __init__(self, index):
        self.index = index


class Recipe:
    """How to repeat a call: the function, its arguments, and the state of the random numbers.

    Tensors are kept as a node keeps them: their version is checked, and the hooks of an outer
    checkpoint may drop them in turn.
    """

    def __init__(self, function, args, kwargs, preserve_rng_state):
        tensors = []

        def kept(value):
            if not isinstance(value, Tensor):
                return value
            tensors.append(value)
            return _Argument(len(tensors) - 1)

        self.function = function
        self.args = [kept(value) for value in args]
        self.kwargs = {key: kept(value) for key, value in kwargs.items()}
        self.tensors = saved.pack(tensors, ())
        self.random = get_rng_state() if preserve_rng_state else None

    def name(self):
        """What errors about the arguments call this, as if it were a node."""
        return "checkpoint"

    def repeat(self, context):
        """Call the function again."""
        tensors = saved.unpack(self, self.tensors)

        def given(value):
            return tensors[value.index] if type(value) is _Argument else value

        args = [given(value) for value in self.args]
        kwargs = {key: given(value) for key, value in self.kwargs.items()}
        with random_state(self.random), enable_grad(), context:
            self.function(*args, **kwargs)


class Place:
    """What a node keeps in the place of a saved tensor."""

    __slots__ = ("__weakref__", "call", "position")

    def __init__(self, call, position):
        self.call = call
        self.position = position


class Log:
    """The tensors that a call saved, in order: what is known of each."""

    def __init__(self, describe, debug):
        self.describe = describe
        self.debug = debug
        self.descriptions = []
        self.lines = []

    def add(self, tensor):
        self.descriptions.append(self.describe(tensor))
        if self.debug:
            frames = anomaly.program_frames()
            where = frames[-1] if frames else None
            self.lines.append(f"{where.filename}:{where.lineno}: {where.line}" if where else "?")

    def listing(self):
        """One line for each tensor, at most `_LISTED`."""
        rows = []
        for position, description in enumerate(self.descriptions[:_LISTED]):
            known = "tensor" if description is None else f"{tuple(description[0])} {description[1]}"
            line = f" at {self.lines[position]}" if self.debug else ""
            rows.append(f"  {position}: {known}{line}")
        more = len(self.descriptions) - _LISTED
        return "\n".join([*rows, *([f"  ... and {more} more"] if more > 0 else [])] or ["  none"])


def _as_dictionary(description):
    return {"shape": description[0], "dtype": description[1], "device": cpu}


class Call:
    """A checkpointed call: how to repeat it, and which tensors were saved in it."""

    def __init__(self, recipe, context, describe, early_stop, debug):
        self.recipe = recipe
        self.context = context
        self.early_stop = early_stop
        self.places = []  # weak references, in the order of saving
        self.log = Log(describe, debug)
        # a backward pass under way -> position -> (tensor, version); gone when the pass ends
        self.passes = weakref.WeakKeyDictionary()

    def pack(self, tensor):
        """Forget a tensor that a node saves."""
        place = Place(self, len(self.places))
        self.places.append(weakref.ref(place))
        self.log.add(tensor)
        return place

    def unpack(self, place):
        """The tensor that belongs in a place."""
        task = modes.task
        values = None if task is None else self.passes.get(task)
        if values is None:
            values = _Repetition(self).run()
            if task is not None:
                self.passes[task] = values
        if place.position not in values:
            raise CheckpointError(_PREFIX + _UNPACKED)
        tensor, version = values.pop(place.position)
        if tensor._counter[0] != version:
            name = f"saved tensor {place.position}"
            facts = (tensor.shape, tensor.dtype, version, tensor._counter[0])
            graph.stale(self.recipe, name, *facts)
        return tensor


class _Enough(BaseException):
    """Ends a repetition that has found all it looks for; programs catch no such thing."""

    def __init__(self, repetition):
        self.repetition = repetition


class _Repetition:
    """A checkpointed call run again for the tensors that its nodes want back."""

    def __init__(self, call):
        self.call = call
        self.wanted = len(call.places)
        self.log = Log(call.log.describe, call.log.debug)
        self.count = 0
        self.values = {}

    def run(self):
        """The tensors of all places that are still in use."""
        call = self.call
        try:
            # within a pass without create_graph, grad mode is off: `repeat` turns it on
            with saved_tensors_hooks(self.pack, lambda tensor: tensor):
                call.recipe.repeat(call.context)
        except _Enough as enough:
            if enough.repetition is not self:
                raise
        self._compare()
        return self.values

    def pack(self, tensor):
        tensor = tensor.detach()
        position, self.count = self.count, self.count + 1
        if position < self.wanted:
            self.log.add(tensor)
            if self.call.places[position]() is not None:
                self.values[position] = tensor, tensor._counter[0]
        elif not self.call.early_stop:
            raise CheckpointError(_PREFIX + _MORE + self._both())
        if self.call.early_stop and self.count >= self.wanted:
            raise _Enough(self)
        return tensor

    def _compare(self):
        """CheckpointError unless this saved as many tensors as the call, of the same kinds."""
        if self.count != self.wanted:
            raise CheckpointError(
                f"{_PREFIX}A different number of tensors was saved during the original forward "
                f"and recomputation.\nNumber of tensors saved during forward: {self.wanted}\n"
                f"Number of tensors saved during recomputation: {self.count}.{self._both()}"
            )
        pairs = zip(self.call.log.descriptions, self.log.descriptions, strict=False)
        different = [
            f"tensor at position {position}:\nsaved metadata: {_as_dictionary(first)}\n"
            f"recomputed metadata: {_as_dictionary(second)}\n"
            for position, (first, second) in enumerate(pairs)
            if first != second
        ]
        if different:
            raise CheckpointError(
                f"{_PREFIX}Recomputed values for the following tensors have different metadata "
                f"than during the forward pass.\n{''.join(different)}{self._both()}"
            )

    def _both(self):
        """Both lists of saved tensors, for errors."""
        log = self.call.log
        return (
            f"\nSaved during forward:\n{log.listing()}\n"
            f"Saved during recomputation:\n{self.log.listing()}{'' if log.debug else _HINT}"
        )
