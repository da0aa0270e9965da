"""In-place operations under forward mode: the tangent changes with the values.

The tangent of a view is a view of the tangent of its base, so it is written in place too.
"""

from __future__ import annotations

from .factories import empty_strided, zeros
from .forward import outer_levels
from .modes import modes
from .operator_nodes import tie
from .seeing import register
from .tensor import Tensor, view_of
from .view_history import AsStridedBackward0, region


def written(target, tangent):
    """All of `target` was overwritten by values with this tangent; None stands for constants."""
    place = _place(target, tangent is not None)
    if place is not None:
        with outer_levels():
            if tangent is None:
                place.zero_()
            else:
                place.copy_(tangent)


def move(target, source):
    """Let the tangents of `target`, in all levels, be those of `source`, whose values it has.

    source: a tensor, or anything else, which is constant.
    """
    from .autograd.forward_ad import tangent_of

    if modes.dual_level < 0 or modes.inference:
        return
    written(target, tangent_of(source) if isinstance(source, Tensor) else None)
    with outer_levels():
        move(target, source)


def written_at(target, key, value):
    """`target[key] = value` took place."""
    from .autograd.forward_ad import tangent_of

    tangent = tangent_of(value) if isinstance(value, Tensor) else None
    place = _place(target, tangent is not None)
    if place is not None:
        with outer_levels():
            place[key] = 0 if tangent is None else tangent


def _place(target, needed):
    """The tangent of `target`, to be written in place; if `needed`, made where there is none."""
    from .autograd.forward_ad import set_tangent, tangent_of

    held = tangent_of(target)
    if held is not None:
        if held._requires_grad and held.is_leaf:
            held = held.clone()
            set_tangent(target, held)
        return held
    if not needed or not target.dtype.is_floating_point:
        return None
    base = target._base if target._is_view() and not _has_own(target) else target
    if base._flat is None:
        whole = empty_strided(base.shape, base._strides, dtype=base.dtype)
        whole._nd()[...] = 0
    else:
        whole = zeros(base.shape, dtype=base.dtype)
    set_tangent(base, whole)
    for reference in base._counter[1:]:
        view = reference()
        if view is not None and view._view is base and not _has_own(view):
            set_tangent(view, _same_view(whole, base, view))
    return tangent_of(target)


def _has_own(view):
    """Whether the tangent of a view is its own business, or known already."""
    from .autograd.forward_ad import tangent_of

    extra = getattr(view, "_extra", None)
    return extra is not None and (extra.own_tangent or tangent_of(view) is not None)


def _same_view(whole, base, view):
    """The part of the tangent of `base` that belongs to `view`, as a view that can be written."""
    part = view_of(whole, view.shape, view._strides, view._offset - base._offset)
    register(whole._counter, part)
    if whole._requires_grad and modes.grad:
        tie(AsStridedBackward0, part, whole, region(whole, part))
    return part
