"""In which order the elements of a new tensor lie; here always in that of the dimensions."""

from __future__ import annotations


class memory_format(str):
    """A name for an order of elements in memory."""

    __slots__ = ()

    def __repr__(self):
        return f"rederive.{self}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


def row_major(given):
    """True; NotImplementedError for a format in which the elements would lie otherwise."""
    if given is None or given in (contiguous_format, preserve_format):
        return True
    raise NotImplementedError(
        f"memory_format is {given!r}; rederive has contiguous_format and preserve_format"
    )
