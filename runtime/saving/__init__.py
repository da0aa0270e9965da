"""Tensors and containers of them as files: `rederive.save` and `rederive.load`.

Two formats, neither of which can carry code: safetensors (which PyTorch, JAX and others read) and
npz (which NumPy reads). Pickle only where it is asked for by name.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from .errors import SavedFileError

__all__ = ["SavedFileError", "load", "save"]

FORMATS = ("safetensors", "npz", "pickle")
_CHOICE = "'safetensors', 'npz' or 'pickle'"


def save(obj, f, *, format=None, pickle_protocol=2):
    """Write a tensor, a state dict or a container of tensors to a file.

    A container is made of dicts, lists and tuples, with numbers, strings, None, Size and dtypes
    between the tensors; keys are strings or ints. Values, dtypes, shapes, `requires_grad` and
    which tensors are parameters or buffers come back from `load`; so does that two tensors are
    the same memory seen in the same way. Other views of common memory come back with memory of
    their own, everything is dense, graphs, gradients, hooks and attributes are not kept, and an
    OrderedDict comes back as a dict.

    A path gets its new contents at once or not at all; a file object gets them as they come.

    Parameters
    ----------
    f : path or binary file object
    format : str, optional
        "safetensors", "npz" or "pickle"; by default what the name ends in (.safetensors, .npz),
        and npz for a file object without such a name. Pickle keeps any object, but opening such
        a file runs the code in it.
    pickle_protocol : int
        For `format="pickle"`.
    """
    format = _chosen(format, f, "save")
    if format == "pickle":
        import pickle

        def write(file):
            pickle.dump(obj, file, protocol=pickle_protocol)

    else:
        from .containers import take_apart

        tensors, notes = take_apart(obj)
        writer = _module(format).writer(tensors, notes)

        def write(file):
            writer(file)

    if not _is_path(f):
        write(f)
        return
    from .replacing import replacing

    with replacing(f) as file:
        write(file)


def load(f, map_location=None, *, weights_only=True, format=None, max_bytes=None):
    """What `save` wrote; a file of another program is a dict of its tensors by name.

    Nothing in the file is executed, and everything is checked before anything is returned;
    SavedFileError, a RuntimeError, says what is wrong with it.

    Parameters
    ----------
    f : path or binary file object
    map_location : str or device, optional
        Only the CPU is there.
    weights_only : bool
        False also opens pickles, which run the code they carry: never for files of strangers.
    format : str, optional
        By default what the name ends in, otherwise what the contents look like.
    max_bytes : int, optional
        The most that a compressed npz may unpack to; by default 100 times its size, and 256 MiB
        always.
    """
    if map_location is not None:
        from ..device import check_device

        check_device(map_location)
    wanted = _chosen(format, f, "load")
    if _is_path(f):
        with open(f, "rb") as file:
            return _load(file, wanted, weights_only, max_bytes)
    if not hasattr(f, "read"):
        raise TypeError(f"load: got {type(f).__name__}; a path or a binary file is required")
    return _load(f if _seekable(f) else io.BytesIO(f.read()), wanted, weights_only, max_bytes)


def _load(file, wanted, weights_only, max_bytes):
    start = file.tell()
    beginning = file.read(8)
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    if not isinstance(beginning, bytes):
        raise TypeError("load: the file is opened as text; open it with mode 'rb'")
    if not beginning:
        raise SavedFileError("load: the file is empty")
    found = _look(beginning)
    format = "pickle" if found == "pickle" else wanted or found
    if format == "pickle":
        if weights_only:
            raise SavedFileError(
                "load: the file is a pickle, and opening a pickle runs the code in it. Where you "
                "trust its author: load(..., weights_only=False)"
            )
        import pickle

        return pickle.load(file)
    from .containers import put_together

    limit = max(256 << 20, 100 * size) if max_bytes is None else max_bytes
    return put_together(*_module(format).read(file, size, limit))


def _look(beginning):
    """The format of a file that begins so."""
    if beginning.startswith(b"PK"):
        return "npz"
    # a safetensors file begins with eight bytes of length and a JSON object
    if beginning[:1] == b"\x80" and beginning[1:2] <= b"\x05" and beginning[3:] != bytes(5):
        return "pickle"
    return "safetensors"


def _module(format):
    if format == "npz":
        from . import npz

        return npz
    from . import safetensors

    return safetensors


def _chosen(format, f, where):
    """The format that is asked for, or that the name of a file tells; None is "look and see"."""
    if format is not None:
        if format not in FORMATS:
            raise ValueError(f"{where}: format is {format!r}; it is one of {_CHOICE}")
        return format
    name = f if _is_path(f) else getattr(f, "name", "")
    ending = Path(os.fsdecode(name)).suffix.lower() if isinstance(name, str | bytes | Path) else ""
    if ending in (".safetensors", ".npz"):
        return ending[1:]
    if where == "load":
        return None
    if not _is_path(f):
        if not hasattr(f, "write"):
            raise TypeError(f"save: got {type(f).__name__}; a path or a binary file is required")
        return "npz"
    raise ValueError(
        f"save: the ending of {os.fspath(f)!r} names no format; let it end in .safetensors or "
        f".npz, or give format={_CHOICE}"
    )


def _is_path(f):
    return isinstance(f, str | bytes | os.PathLike)


def _seekable(f):
    return hasattr(f, "seekable") and f.seekable()
