"""Inference tensors: what inference mode makes, told from others by their version counter.

A node that saves a tensor notes its version. The counter of an inference tensor refuses to be
read outside of the mode, so the straight-line functions need not ask what they save.
"""

from __future__ import annotations

from .modes import modes

used = False
"""Whether a thread has entered inference mode: until then nobody asks whether it is on."""

_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
    "inference mode in computation tracked by autograd. To work around this, you can make a clone "
    "to get a normal tensor and use it in autograd, or use `rederive.no_grad()` instead of "
    "`rederive.inference_mode()`."
)
_INPLACE = (
    "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a "
    "clone to get a normal tensor before doing inplace update."
)
_REQUIRES_GRAD = (
    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
)
_VERSION = "Inference tensors do not track version counter."


class InferenceCounter(list):
    """The version counter of an inference tensor, which counts for nobody."""

    __slots__ = ()

    def __getitem__(self, index):
        if index == 0 and not (modes.inference or modes.transforming):
            raise RuntimeError(_SAVED)
        return list.__getitem__(self, index)


def new_counter():
    """The version counter of a tensor made now."""
    return InferenceCounter((0,)) if modes.inference else [0]


def is_inference(tensor):
    """Whether the tensor was made in inference mode."""
    return type(tensor._counter) is InferenceCounter


def check_inplace(tensor):
    """RuntimeError if the tensor may not be changed here."""
    if not modes.inference and type(tensor._counter) is InferenceCounter:
        raise RuntimeError(_INPLACE)


def check_requires_grad(tensor):
    """RuntimeError if the tensor may not begin to require gradients here."""
    if not modes.inference and type(tensor._counter) is InferenceCounter:
        raise RuntimeError(_REQUIRES_GRAD)


def version(tensor):
    """The version of a tensor; RuntimeError for an inference tensor, also in the mode."""
    if type(tensor._counter) is InferenceCounter:
        raise RuntimeError(_VERSION)
    return tensor._counter[0]
