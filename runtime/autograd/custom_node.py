"""The context of a custom Function, which is also its node in the graph.

What the outputs become belongs to `custom_outputs`, forward mode to `custom_tangents`.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..graph import Node, freed
from ..tensor import Tensor, from_flat
from .saved import unpack

_TAKEN = (
    "saved_tensors can only be accessed once when clear_saved_tensors_on_access=True is set on "
    "the autograd.Function. Either access saved_tensors only once, or set "
    "clear_saved_tensors_on_access=False."
)


class FunctionCtx:
    """What `forward` or `setup_context` leave for `backward` and `jvp`.

    Attributes can be set freely. `needs_input_grad` says for each argument whether a gradient is
    wanted.
    """

    to_save = None
    saved_for_forward = None
    dirty_tensors = None
    non_differentiable = None
    materialize_grads = True
    needs_input_grad = ()

    def save_for_backward(self, *tensors):
        """Keep inputs, outputs or other tensors (or None) for `saved_tensors`."""
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keep tensors for `saved_tensors` within `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors):
        """Say which inputs `forward` changed in place; they must be returned."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        """Say which outputs have no gradient."""
        self.non_differentiable = tensors

    def mark_shared_storage(self, *pairs):
        """Nothing: that tensors share memory is known without being told."""
        warnings.warn(
            "mark_shared_storage is deprecated: shared memory is tracked without it",
            FutureWarning,
            stacklevel=2,
        )

    def set_materialize_grads(self, value):
        """Whether `backward` and `jvp` get zeros (the default) or None where there is nothing."""
        if not isinstance(value, bool):
            raise TypeError(
                f"set_materialize_grads: got {type(value).__name__}; a bool is required"
            )
        self.materialize_grads = value


class BackwardCFunction(Node, FunctionCtx):
    """The node of a call of a custom Function."""

    function = None  # the Function; each has a subclass of its own
    op = None

    def __init__(self):
        self.sequence = None
        self.edges = ()
        self.saved = None
        self.shape = None
        self.general = None
        self.hooks = None

    def __repr__(self):
        return f"<{type(self).__module__}.{self.name()} object at {id(self):#x}>"

    @property
    def saved_tensors(self):
        """What `save_for_backward` was given; RuntimeError once released or written in place."""
        if self.saved_for_forward is not None:
            return self.saved_for_forward
        if self.saved is None:
            if self.sequence is not None:
                freed(self)
            return ()
        if self.saved is BackwardCFunction:
            raise RuntimeError(_TAKEN)
        tensors = unpack(self, self.saved)
        if self.function.clear_saved_tensors_on_access:
            # stands for tensors that were handed out
            self.saved = BackwardCFunction
        return tensors

    @property
    def saved_variables(self):
        """The old name of `saved_tensors`."""
        warnings.warn(
            "'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2
        )
        return self.saved_tensors

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
        results = results if isinstance(results, tuple) else (results,)
        return [self._fitted(i, g) for i, g in enumerate(self._for_tensors(results))]

    def _filled(self, grad, shape, dtype):
        if type(grad) is np.ndarray:
            return from_flat(grad, shape, dtype)
        if grad is None and shape is not None and self.materialize_grads:
            return from_flat(np.zeros(shape.numel(), dtype.numpy), shape, dtype)
        return grad

    def _for_tensors(self, results):
        """The gradients of the tensor arguments among those of all arguments."""
        places, count = self.tensor_places, self.n_arguments
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
            if position not in places:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position "
                    f"{position + 1}, but the corresponding forward input was not a Variable"
                )
            if not isinstance(g, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type_name(g)})")
        return [results[position] for position in places]

    def _fitted(self, index, g):
        if g is None or self.edges[2 * index] is None:
            return None
        shape, dtype = self.input_shapes[index], self.input_dtypes[index]
        if g.shape != shape:
            from ..operator_nodes import sum_to_size

            if not _expands(shape, g.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {index} - got "
                    f"{list(g.shape)} but expected shape compatible with {list(shape)}"
                )
            g = sum_to_size(g, shape)
        return g if g.dtype is dtype else g.to(dtype)


def type_name(value):
    """The name of the type of a value, with its module unless it is built in."""
    kind = type(value)
    module = kind.__module__
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"


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
