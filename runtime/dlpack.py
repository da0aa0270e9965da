"""DLPack: memory shared with NumPy, PyTorch, JAX and others, without a copy."""

from __future__ import annotations

import ctypes

import numpy as np

from .device import check_device
from .dispatch import profiled, profiling
from .tensor import Tensor, from_array

_CPU = (1, 0)
_INVALID = (
    "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only "
    "once, so you might have already constructed a tensor from it once."
)
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes = (ctypes.py_object, ctypes.c_char_p)


def capsule(tensor, stream=-1, max_version=None, dl_device=None, copy=None):
    """What `Tensor.__dlpack__` gives: the memory of a tensor, kept alive by the capsule.

    copy: True copies it, False and None share it. JAX takes shared memory as it is only where that
    begins at a multiple of 64 bytes and holds each element once, and copies it otherwise.
    """
    if tensor._requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if stream is not None and type(stream) is not int:
        raise TypeError("stream must be ``int`` or ``none``")
    if stream not in (None, -1):
        raise AssertionError("stream should be None on cpu.")
    if dl_device is not None and tuple(map(int, dl_device)) != _CPU:
        raise BufferError(
            f"__dlpack__: dl_device is {tuple(dl_device)}; rederive has only the CPU, {_CPU}"
        )
    array = tensor._nd()
    if copy:
        array = array.copy()
    return array.__dlpack__(max_version=max_version)


def to_dlpack(tensor):
    """A DLPack capsule of the tensor's memory; it can be taken once."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"to_dlpack: got {type(tensor).__name__}; a Tensor is required")
    # a tensor that requires gradients is refused, which PyTorch does in `__dlpack__` only
    return capsule(tensor)


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor that shares the memory of another library's array.

    The array may be deleted first. Memory that is marked read-only, lies backwards or is not
    aligned is copied, as kernels need it otherwise.

    Parameters
    ----------
    ext_tensor : object with `__dlpack__`, or a DLPack capsule
    device : optional
        Only the CPU is there.
    copy : bool, optional
        True always copies, False raises BufferError where it cannot be shared.
    """
    if profiling.on:
        given, keywords = (ext_tensor,), {"device": device, "copy": copy}
        if row := profiled("from_dlpack", from_dlpack, given, keywords, shown=()):
            return row[0]
    check_device(device)
    array = _array(_capsule_of(ext_tensor))
    if copy:
        array = array.copy()
    tensor = from_array(array)
    if copy is False and array.size and tensor.data_ptr() != array.ctypes.data:
        raise BufferError(
            "from_dlpack: the memory is read-only, lies backwards or is not aligned, so that it "
            "must be copied; leave `copy` away"
        )
    return tensor


def _capsule_of(source):
    if not hasattr(source, "__dlpack__"):
        return source
    if hasattr(source, "__dlpack_device__"):
        kind = int(source.__dlpack_device__()[0])
        if kind != _CPU[0]:
            raise BufferError(
                f"from_dlpack: the array is on a device of DLPack's type {kind}; rederive has only "
                "the CPU: move the array there first"
            )
    try:
        return source.__dlpack__(max_version=(1, 0))
    except TypeError:
        return source.__dlpack__()


class _Carrier:
    """Gives a capsule to NumPy, which takes objects only."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **options):
        return self.capsule

    def __dlpack_device__(self):
        return _CPU


class _Writable:
    """The memory of an array that NumPy holds for read-only, as it does where DLPack is silent."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__ | {
            "data": (array.ctypes.data, False),
            "strides": array.strides,
        }


def _array(capsule):
    """The array that a capsule holds; it is used up."""
    silent = _is_valid(capsule, b"dltensor")
    if not silent and not _is_valid(capsule, b"dltensor_versioned"):
        raise RuntimeError(_INVALID)
    array = np.from_dlpack(_Carrier(capsule))
    # before version 1.0 a capsule could not say whether its memory may be written: it may
    if silent and array.size:
        return np.asarray(_Writable(array))
    return array
