"""The safetensors format: eight bytes of length, a JSON header, and the elements in one piece.

Written here rather than with the `safetensors` package, because what a hostile header says has to
be checked against the file before anything of its size is allocated, and so that saving needs no
extra. The notes and a checksum stand in the header's `__metadata__`, which other readers skip.
"""

from __future__ import annotations

import json
import struct
import zlib
from math import prod

import numpy as np

from .. import dtypes
from ..geometry import Size
from ..tensor import from_flat
from .errors import SavedFileError

TAGS = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "I16": dtypes.int16,
    "I32": dtypes.int32,
    "I64": dtypes.int64,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
}
TAG_OF = {dtype: tag for tag, dtype in TAGS.items()}

_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # the limit of the format's own library
_METADATA, _NOTES, _CHECKSUM = "__metadata__", "rederive", "rederive.crc32"


def writer(tensors, notes):
    """A function that writes the tensors to a binary file."""
    if _METADATA in tensors:
        raise ValueError(f"save: no tensor of a safetensors file may be called {_METADATA!r}")
    # elements of a size lie together, the widest first, so that all of them are aligned
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    places, end = {}, 0
    for name in order:
        places[name] = [end, end + tensors[name].nbytes]
        end += tensors[name].nbytes
    metadata = {"format": "pt"} | ({_NOTES: notes} if notes else {})
    header = {_METADATA: metadata} | {
        name: {
            "dtype": TAG_OF[t.dtype],
            "shape": list(t.shape),
            "data_offsets": places[name],
        }
        for name, t in tensors.items()
    }
    checksum = zlib.crc32(_canonical(header))
    for name in order:
        checksum = zlib.crc32(_bytes(tensors[name]), checksum)
    metadata[_CHECKSUM] = f"{checksum:08x}"
    text = _canonical(header)
    text += b" " * (-len(text) % 8)
    if len(text) > _LONGEST_HEADER:
        raise ValueError(f"save: the header has {len(text)} bytes; 100 MB are the most")

    def write(file):
        file.write(_LENGTH.pack(len(text)))
        file.write(text)
        for name in order:
            file.write(_bytes(tensors[name]))

    return write


def _canonical(header):
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def _bytes(t):
    return memoryview(np.ascontiguousarray(t._dense()).view(np.uint8))


def read(file, size, limit):
    """({name: tensor}, notes) of the `size` bytes that a file still has."""
    header, begin = _header(file, size)
    metadata = header.pop(_METADATA, {})
    if type(metadata) is not dict or any(type(v) is not str for v in metadata.values()):
        raise SavedFileError("load: the metadata of the file is no table of texts")
    rows = {name: _row(name, entry) for name, entry in header.items()}
    order = sorted(rows, key=lambda name: rows[name][2:])
    end = 0
    for name in order:
        if rows[name][2] != end:
            raise SavedFileError(f"load: the elements of {name!r} do not follow on others")
        end = rows[name][3]
    if begin + end != size:
        raise SavedFileError(
            f"load: the file has {size} bytes, and its header speaks of {begin + end}; it is cut "
            "off, or something was added"
        )
    wanted = metadata.pop(_CHECKSUM, None)
    entire = {_METADATA: metadata, **header}
    checksum = zlib.crc32(_canonical(entire)) if wanted is not None else 0
    flats = {}
    for name in order:
        dtype, _, first, last = rows[name]
        raw = np.empty(last - first, np.uint8)
        _fill(file, raw)
        if wanted is not None:
            checksum = zlib.crc32(raw, checksum)
        if dtype is dtypes.bool_ and raw.size and raw.max() > 1:
            raise SavedFileError(f"load: {name!r} is BOOL and holds other bytes than 0 and 1")
        flats[name] = raw.view(dtype.numpy)
    if wanted is not None and wanted != f"{checksum:08x}":
        raise SavedFileError("load: the file is damaged: its checksum does not agree")
    tensors = {name: from_flat(flats[name], rows[name][1], rows[name][0]) for name in rows}
    return tensors, metadata.get(_NOTES)


def _header(file, size):
    """The JSON header as a dict, and where it ends; nothing is allocated that is not there."""
    if size < 8:
        raise SavedFileError(f"load: the file has {size} bytes; it is neither safetensors nor npz")
    (length,) = _LENGTH.unpack(file.read(8))
    if length > min(_LONGEST_HEADER, size - 8):
        raise SavedFileError(
            f"load: the file begins with a header length of {length} bytes and has {size}; it is "
            "cut off, or no safetensors file"
        )
    text = file.read(length)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_without_repetition)
    except SavedFileError:
        raise
    except (ValueError, RecursionError):
        raise SavedFileError("load: the header of the file is no JSON; it is damaged") from None
    if type(header) is not dict:
        raise SavedFileError("load: the header of the file is no JSON object")
    return header, 8 + length


def _without_repetition(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SavedFileError(f"load: the name {twice!r} stands in the header twice")
    return found


def _row(name, entry):
    """(dtype, shape, first byte, last byte) of a tensor, as its entry says, once it is sound."""
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise SavedFileError(f"load: the entry of {name!r} is not dtype, shape and data_offsets")
    dtype = TAGS.get(entry["dtype"]) if type(entry["dtype"]) is str else None
    if dtype is None:
        raise SavedFileError(
            f"load: {name!r} has the dtype {entry['dtype']!r}; rederive has {', '.join(TAGS)}"
        )
    shape, offsets = checked_shape(name, entry["shape"], dtype), entry["data_offsets"]
    if (
        type(offsets) is not list
        or len(offsets) != 2
        or any(type(n) is not int for n in offsets)
        or offsets[1] - offsets[0] != prod(shape) * dtype.itemsize
    ):
        raise SavedFileError(
            f"load: {name!r} of shape {tuple(shape)} takes {prod(shape) * dtype.itemsize} bytes, "
            f"and its place is {offsets}"
        )
    return dtype, shape, *offsets


def checked_shape(name, shape, dtype):
    """A list of sizes from a file as a Size, if an array may have it."""
    if (
        not isinstance(shape, list | tuple)
        or len(shape) > 64
        or any(type(n) is not int or n < 0 for n in shape)
        or prod(n for n in shape if n) * dtype.itemsize >= 2**63
    ):
        raise SavedFileError(f"load: {name!r} has the shape {str(shape)[:200]}; no tensor has it")
    return Size(shape)


def _fill(file, raw):
    view = memoryview(raw)
    while len(view):
        count = file.readinto(view) if hasattr(file, "readinto") else _copy(file, view)
        if not count:
            raise SavedFileError("load: the file ended while it was read")
        view = view[count:]


def _copy(file, view):
    got = file.read(min(len(view), 1 << 24))
    view[: len(got)] = got
    return len(got)
