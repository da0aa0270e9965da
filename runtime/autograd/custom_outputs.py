"""What the outputs of a custom Function become: tied to its node, views, or left alone."""

from __future__ import annotations

import warnings

from .. import inplace
from ..geometry import Size
from ..graph import begin
from ..operator import shell
from ..seeing import register
from ..tensor import Tensor, view_of
from ..view_history import check_view
from ..view_marks import CUSTOM, MANY, NO_GRAD
from .custom_node import type_name
from .forward_ad import copy_tangents, tangents_of, until_closed
from .saved import pack

_DIRTY = (
    "Some elements marked as dirty during the forward method were not returned as output. "
    "The inputs that are modified inplace must all be outputs of the Function."
)
_DIRTY_LEAF = "a leaf Variable that requires grad has been used in an in-place operation."
_NOT_AN_INPUT = (
    "ctx.mark_dirty() received a tensor that was not an input; only inputs that forward changed "
    "need to be marked"
)
_SAVED_AS_IS = (
    "An input that has been returned as-is as output is being saved for backward. This is not "
    "supported if you override setup_context. You should return and save a view of the input "
    "instead, e.g. with x.view_as(x) or setup ctx inside the forward function itself."
)


def edges_of(inputs):
    """The flat tuple of edges to the tensor arguments, as they are before `forward`."""
    edges = []
    for t in inputs:
        edges += (t._grad_fn or t, t._output_nr) if t._requires_grad else (None, 0)
    return tuple(edges)


class Outputs:
    """The outputs of a call on their way from `forward` to the caller.

    values: what the caller gets. differentiable: for each, whether it has a gradient.
    """

    def __init__(self, ctx, raw, inputs, recorded, separate):
        self.ctx, self.raw, self.inputs = ctx, raw, inputs
        self.dirty = _ids(ctx.dirty_tensors, "mark_dirty can only accept variables, but argument")
        self.constant = _ids(
            ctx.non_differentiable, "mark_non_differentiable only accepts variable arguments, but"
        )
        self.given = {id(t) for t in inputs}
        self.changed = []  # (output that was changed in place, its new history)
        self.recorded = recorded
        if self.dirty:
            self._check_dirty()
        saved = {id(t) for t in ctx.to_save or ()} if separate else ()
        self.differentiable = [
            isinstance(t, Tensor) and id(t) not in self.constant and t.dtype.is_floating_point
            for t in raw
        ]
        self.values = tuple(
            self._finished(number, t, saved) if isinstance(t, Tensor) else t
            for number, t in enumerate(raw)
        )
        if recorded:
            self._describe()

    def _check_dirty(self):
        if self.dirty - {id(t) for t in self.raw}:
            raise RuntimeError(_DIRTY)
        for t in self.ctx.dirty_tensors:
            if self.recorded and id(t) not in self.constant:
                if id(t) not in self.given:
                    warnings.warn(_NOT_AN_INPUT, UserWarning, stacklevel=5)
                elif t._is_view():
                    check_view(t)
                elif t._requires_grad and t.is_leaf:
                    raise RuntimeError(_DIRTY_LEAF)
            inplace.bump(t)

    def _finished(self, number, t, saved):
        """The output as the caller gets it."""
        given, dirty = id(t) in self.given, id(t) in self.dirty
        if not (self.recorded and self.differentiable[number]):
            return _constant(t, given, dirty)
        if dirty:
            # its history is rewritten, with that of its base and views, once all is saved
            result = shell(t)
            _tie(result, self.ctx, number)
            self.changed.append((t, result))
            return t
        if given:
            if id(t) in saved:
                raise RuntimeError(_SAVED_AS_IS)
            t = _whole_view(t)
        _tie(t, self.ctx, number)
        if t._is_view():
            t._mark = CUSTOM
        return t

    def _describe(self):
        """Let the node know its outputs."""
        ctx, tensors = self.ctx, [t if isinstance(t, Tensor) else None for t in self.values]
        shapes = tuple(None if t is None else Size(t.shape) for t in tensors)
        ctx.output_dtypes = [None if t is None else t.dtype for t in tensors]
        ctx.n_outputs = len(tensors)
        ctx.shape = shapes[0] if len(tensors) == 1 else shapes
        begin(ctx)

    def save(self):
        """Keep what `backward` wants, then give what was changed in place its new history."""
        ctx, replaced = self.ctx, {id(t): result for t, result in self.changed}
        own = [t for t in self.values if isinstance(t, Tensor) and t._grad_fn is ctx]
        to_save = ctx.to_save or ()
        if replaced:
            own += replaced.values()
            for t, result in self.changed:
                copy_tangents(t, result)
            to_save = [replaced.get(id(t), t) for t in to_save]
        ctx.saved = pack(to_save, own)
        for saved in ctx.saved:
            if saved is not None and saved.kept is not None and tangents_of(saved.kept):
                until_closed(saved.kept)
        for t, result in self.changed:
            inplace.rebase(t, result)
        if sum(self.differentiable) > 1:
            for t in self.values:
                if isinstance(t, Tensor) and t._is_view():
                    t._mark = MANY


def _ids(tensors, text):
    """The ids of the tensors that `forward` marked."""
    for number, t in enumerate(tensors or ()):
        if not isinstance(t, Tensor):
            where = f" {number} is of type" if text.endswith("argument") else " got"
            raise RuntimeError(f"{text}{where} {type_name(t)}")
    return {id(t) for t in tensors or ()}


def _tie(t, ctx, number):
    t._requires_grad = True
    t._grad_fn = ctx
    t._output_nr = number


def _constant(t, given, dirty):
    """An output without gradient: an input stays as it is, and the output is another tensor."""
    if t._requires_grad:
        if given:
            return t.detach()
        return t if t._is_view() else t.detach_()
    if given and not dirty:
        t = _whole_view(t)
        t._mark = t._mark or NO_GRAD
    return t


def _whole_view(t):
    view = view_of(t, t.shape, t._strides, t._offset)
    register(t._counter, view)
    return view
