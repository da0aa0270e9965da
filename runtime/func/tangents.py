"""The tangents of a tensor at all levels of forward mode that are open."""

from __future__ import annotations

from ..graph import extra_of


def tangents_of(tensor):
    """(level, tangent) pairs, for every open level at which the tensor has a tangent."""
    extra = getattr(tensor, "_extra", None)
    return () if extra is None or extra.tangent is None else (extra.tangent,)


def copy_tangents(source, target):
    """Give `target` the tangents of `source`, and return it."""
    for level, tangent in tangents_of(source):
        set_tangent(target, tangent, level)
    return target


def set_tangent(tensor, tangent, level):
    extra_of(tensor).tangent = (level, tangent)
