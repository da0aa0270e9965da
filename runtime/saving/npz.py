"""The npz format: a zip archive with an .npy file for each tensor, as `numpy.savez` writes it.

Members are read here and not with `numpy.load`, so that every size that the archive declares is
checked before memory is taken for it, and what a header says is looked up, never evaluated. The
notes are one more member, a text, written only where there are any.
"""

from __future__ import annotations

import ast
import struct
import zipfile
import zlib
from math import prod

import numpy as np

from .. import dtypes
from ..tensor import from_flat
from .errors import SavedFileError
from .safetensors import checked_shape

_NOTES = "__rederive__"
_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_TYPES = {d.numpy.newbyteorder(o).str: d for d in dtypes.all_dtypes for o in "<>"}
_DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
)


def writer(tensors, notes):
    """A function that writes the tensors to a binary file."""
    if _NOTES in tensors:
        raise ValueError(f"save: no tensor of an npz file may be called {_NOTES!r}")
    members = {name: np.asarray(t._dense()).reshape(t.shape) for name, t in tensors.items()}
    if notes is not None:
        members[_NOTES] = np.frombuffer(notes.encode(), np.uint8)

    def write(file):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, array in members.items():
                # a fixed date: the same tensors give the same bytes
                info = zipfile.ZipInfo(f"{name}.npy")
                with archive.open(info, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    return write


def read(file, size, limit):
    """({name: tensor}, notes) of the `size` bytes that a file still has."""
    try:
        with zipfile.ZipFile(file) as archive:
            infos = _members(archive, file, size, limit)
            tensors = {name: _tensor(archive, name, info) for name, info in infos.items()}
    except SavedFileError:
        raise
    except _DAMAGED as error:
        raise SavedFileError(f"load: the file is no sound npz: {error}") from error
    notes = tensors.pop(_NOTES, None)
    if notes is None:
        return tensors, None
    try:
        return tensors, notes._flat.tobytes().decode()
    except UnicodeDecodeError as error:
        raise SavedFileError("load: what the file says about its contents is damaged") from error


def _members(archive, file, size, limit):
    """{name: its entry} of the archive, after all that can be said without unpacking."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        raise SavedFileError(
            "load: the file is PyTorch's, with a pickle inside; write it there with "
            "safetensors.torch.save_file, and load that"
        )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SavedFileError(f"load: the name {twice!r} stands in the archive twice")
    for info in infos:
        if not info.filename.endswith(".npy"):
            raise SavedFileError(f"load: {info.filename!r} in the archive is no .npy array")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SavedFileError(f"load: {info.filename!r} is compressed in an unknown way")
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise SavedFileError(f"load: {info.filename!r} has two different sizes")
    if archive.comment or any(info.comment for info in infos) or len(infos) != _count(file):
        raise SavedFileError("load: the list of the archive's members is damaged")
    # members that lie over each other would let a small file unpack to a large one
    if sum(info.compress_size for info in infos) > size:
        raise SavedFileError("load: the members of the archive are larger than the file")
    total = sum(info.file_size for info in infos)
    if total > limit and any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise SavedFileError(
            f"load: the file of {size} bytes unpacks to {total}; where that is meant, "
            f"give load(..., max_bytes={total})"
        )
    return {info.filename.removesuffix(".npy"): info for info in infos}


def _count(file):
    """How many members the end of the archive speaks of; there is no comment after it."""
    file.seek(-22, 2)
    end = file.read(22)
    (count,) = struct.unpack("<H", end[10:12])
    if not end.startswith(b"PK\5\6"):
        raise SavedFileError("load: the end of the archive is damaged")
    if count < 0xFFFF:
        return count
    file.seek(-22 - 20 - 56, 2)
    return struct.unpack("<Q", file.read(56)[24:32])[0]


def _tensor(archive, name, info):
    with archive.open(info) as member:
        dtype, stored, shape, columns, offset = _header(name, member)
        wanted = prod(shape) * dtype.itemsize
        if info.file_size != offset + wanted:
            raise SavedFileError(
                f"load: {name!r} of shape {tuple(shape)} takes {offset + wanted} bytes, and "
                f"{info.file_size} are declared"
            )
        raw = np.empty(wanted, np.uint8)
        view = memoryview(raw)
        while len(view):
            got = member.read(min(len(view), 1 << 24))
            if not got:
                raise SavedFileError(f"load: {name!r} ended while it was read")
            view[: len(got)] = got
            view = view[len(got) :]
        if member.read(1):  # reaching the end also lets the archive compare its checksum
            raise SavedFileError(f"load: {name!r} is longer than declared")
    if dtype is dtypes.bool_ and raw.size and raw.max() > 1:
        raise SavedFileError(f"load: {name!r} is bool and holds other bytes than 0 and 1")
    array = raw.view(stored)
    if columns:
        array = array.reshape(shape[::-1]).T.ravel()
    return from_flat(array.astype(dtype.numpy, copy=False), shape, dtype)


def _header(name, member):
    """(dtype, NumPy's dtype, shape, whether column by column, length) as an .npy file begins."""
    start = member.read(10)
    if len(start) < 10 or not start.startswith(_MAGIC):
        raise SavedFileError(f"load: {name!r} in the archive is no .npy array")
    if start[6] == 1:
        length, offset = int.from_bytes(start[8:10], "little"), 10
    elif start[6] in (2, 3):
        length, offset = int.from_bytes(start[8:10] + member.read(2), "little"), 12
    else:
        raise SavedFileError(f"load: {name!r} is in version {start[6]} of the .npy format")
    if length > _LONGEST_HEADER:
        raise SavedFileError(f"load: the header of {name!r} has {length} bytes")
    text = member.read(length)
    try:
        header = ast.literal_eval(text.decode("latin1").strip())
        kind, columns, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise SavedFileError(f"load: the header of {name!r} is damaged") from None
    if len(text) != length or len(header) != 3 or type(columns) is not bool:
        raise SavedFileError(f"load: the header of {name!r} is damaged")
    dtype = _TYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        reason = "; it holds Python objects, as pickles" if kind == "|O" else ""
        raise SavedFileError(
            f"load: {name!r} has the dtype {str(kind)[:200]!r}{reason}; rederive has "
            f"{', '.join(d.name for d in dtypes.all_dtypes)}"
        )
    return dtype, np.dtype(kind), checked_shape(name, shape, dtype), columns, offset + length
