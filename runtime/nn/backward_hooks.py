"""Hooks on the gradients that pass through a module.

The tensors that go into the module and those that come out pass through a node each, which does
nothing but be a place for hooks.
"""

from __future__ import annotations

import warnings

from ..autograd.forward_ad import copy_tangents
from ..factories import zeros
from ..graph import Node, begin
from ..modes import modes
from ..tensor import Tensor, alias


class BackwardHookFunctionBackward(Node):
    """Gradients pass unchanged, each to the tensor that stands at its place."""

    __slots__ = ("n_outputs",)

    def apply(self, grad):
        return tuple(grad) if self.n_outputs > 1 else grad

    apply_differentiable = apply


class _Places:
    """Where gradients flow among the values that go into a module or come out of it.

    It does not hold the values, nor their node, whose hooks hold it: that would be a cycle.
    """

    def __init__(self, values):
        self.recorded = [
            i for i, v in enumerate(values) if isinstance(v, Tensor) and v._requires_grad
        ]
        if not modes.grad:
            self.recorded = []
        self.kinds = [
            (v.shape, v.dtype) if isinstance(v, Tensor) and v.dtype.is_floating_point else None
            for v in values
        ]

    def passed(self, values):
        """The values behind a node, and that node; None where there are no gradients."""
        if not self.recorded:
            return values, None
        node = _insert(values, self.recorded)
        values = list(values)
        for number, place in enumerate(self.recorded):
            out = copy_tangents(values[place], alias(values[place], values[place]._counter))
            out._requires_grad, out._grad_fn, out._output_nr = True, node, number
            values[place] = out
        return tuple(values), node

    def packed(self, gradients, with_zeros=False):
        """The node's gradients at their places; None, or zeros for other tensors, elsewhere."""
        packed = [None] * len(self.kinds)
        for place, gradient in zip(self.recorded, gradients, strict=True):
            packed[place] = gradient
        if with_zeros:
            for place, kind in enumerate(self.kinds):
                if packed[place] is None and kind is not None:
                    packed[place] = zeros(kind[0], dtype=kind[1])
        return tuple(packed)

    def unpacked(self, packed):
        """The node's gradients again."""
        return tuple(packed[place] for place in self.recorded)


def _insert(values, places):
    """A node that the tensors at these places are to pass through."""
    wanted = [values[place] for place in places]
    node = BackwardHookFunctionBackward.__new__(BackwardHookFunctionBackward)
    begin(node)
    node.n_outputs = len(wanted)
    node.edges = tuple(e for t in wanted for e in (t._grad_fn or t, t._output_nr))
    node.saved = ()
    node.shape = wanted[0].shape if len(wanted) == 1 else tuple(t.shape for t in wanted)
    node.general = None
    return node


class BackwardHooks:
    """The backward hooks of one call of a module."""

    def __init__(self, module, hooks, pre_hooks):
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs = None
        self.inputs = self.outputs = None

    def take_inputs(self, args):
        """The arguments for `forward`; when their gradients are known, the hooks are called."""
        self.inputs = _Places(args)
        args, node = self.inputs.passed(args)
        if node is not None:
            node.register_hook(self._arrived_at_inputs)
        return args

    def take_outputs(self, result):
        """The module's result; when its gradients are known, the hooks before are called."""
        several = isinstance(result, tuple)
        if not several and not isinstance(result, Tensor):
            return result
        values = result if several else (result,)
        self.outputs = _Places(values)
        values, node = self.outputs.passed(values)
        if node is not None:
            node.register_prehook(self._arrived_at_outputs)
        return values if several else values[0]

    def _arrived_at_outputs(self, grads):
        packed = self.outputs.packed(grads)
        for hook in self.pre_hooks:
            got = hook(self.module, packed)
            if got is not None:
                packed = _checked(got, len(packed), "Backward pre hook", "grad_output")
        self.grad_outputs = packed
        if not self.inputs.recorded and self.hooks:
            self._call_without_inputs()
        return self.outputs.unpacked(packed)

    def _call_without_inputs(self):
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients.",
            UserWarning,
            stacklevel=2,
        )
        for hook in self.hooks:
            got = hook(self.module, (None,) * len(self.inputs.kinds), self.grad_outputs)
            if got is not None and not (
                isinstance(got, tuple) and all(gradient is None for gradient in got)
            ):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None

    def _arrived_at_inputs(self, grad_inputs, _):
        # a hook of an input alone, without a gradient of an output, is not about this module
        if self.grad_outputs is None:
            return None
        packed = self.inputs.packed(grad_inputs, with_zeros=True)
        for hook in self.hooks:
            got = hook(self.module, packed, self.grad_outputs)
            if got is not None:
                packed = _checked(got, len(packed), "Backward hook", "grad_input")
        self.grad_outputs = None
        return self.inputs.unpacked(packed)


def _checked(got, count, what, name):
    got = got if isinstance(got, tuple) else (got,)
    if len(got) != count:
        raise RuntimeError(
            f"{what} returned an invalid number of {name}, got {len(got)}, but expected {count}"
        )
    return got
