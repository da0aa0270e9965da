"""Anomaly mode: where nodes were made, and gradients that are not a number."""

from __future__ import annotations

import os
import traceback
import warnings

import numpy as np

from .modes import modes

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_GENERATED = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "generated") + os.sep


def program_frames():
    """The calls that led here, outermost first, up to the program's last line."""
    frames = traceback.extract_stack()
    while frames and frames[-1].filename.startswith((_HERE, _GENERATED)):
        frames.pop()
    return frames


def note(node):
    """Remember the calls that led to a new node, and the node whose gradients it computes."""
    metadata = node.metadata
    metadata["traceback_"] = traceback.format_list(program_frames())
    if modes.evaluating is not None:
        metadata["parent_"] = modes.evaluating


def run(node, compute, *args):
    """`compute(*args)`, the gradients of a node; an error tells where the node was made.

    RuntimeError if a gradient holds NaN and those are looked for.
    """
    outer, modes.evaluating = modes.evaluating, node
    try:
        gradients = compute(*args)
        if modes.anomaly.check_nan:
            _check_numbers(node, gradients)
        return gradients
    except Exception as error:
        story = _story(node)
        warnings.warn(story, UserWarning, stacklevel=2)
        error.add_note(story)
        raise
    finally:
        modes.evaluating = outer


def _check_numbers(node, gradients):
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    for number, gradient in enumerate(gradients):
        if gradient is None:
            continue
        array = gradient if type(gradient) is np.ndarray else gradient._nd()
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number}th output."
            )


def _story(node):
    """Where the node was made, and the nodes whose gradients it belongs to."""
    parts = [f"Error detected in {node.name()}. {_place(node, 'caused the error')}"]
    seen = {node}
    hooks = node.hooks
    while hooks is not None and hooks.metadata and "parent_" in hooks.metadata:
        parent = hooks.metadata["parent_"]
        if parent in seen:
            break
        seen.add(parent)
        parts.append(
            f"The previous calculation was induced by {parent.name()}. "
            f"{_place(parent, 'induced the previous calculation')}"
        )
        hooks = parent.hooks
    return "\n\n".join(parts)


def _place(node, what):
    metadata = None if node.hooks is None else node.hooks.metadata
    if not metadata or "traceback_" not in metadata:
        return (
            "No forward pass information is available: the node was made outside of anomaly mode. "
            "Enable detect_anomaly during the forward pass."
        )
    return f"Traceback of forward call that {what}:\n{''.join(metadata['traceback_'])}"


class Anomaly:
    """What anomaly mode looks for."""

    __slots__ = ("check_nan",)

    def __init__(self, check_nan):
        self.check_nan = check_nan


def switch(settings):
    """Set the mode (an Anomaly, or None for off) and return what it was."""
    before, modes.anomaly = modes.anomaly, settings
    modes.update()
    return before
