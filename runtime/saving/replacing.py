"""Writing a file so that at every moment its name shows all of the old or all of the new."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat


@contextlib.contextmanager
def replacing(path):
    """A binary file that takes the place of `path` once the block ends without an error.

    Until then it lies beside it, under a name that begins with a dot. Links are followed; what
    is no regular file (/dev/stdout, a pipe) gets the contents and is not replaced.
    """
    path = os.path.realpath(os.fsdecode(path))
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        whole = io.BytesIO()
        yield whole
        with open(path, "wb") as file:
            file.write(whole.getbuffer())
        return
    folder, name = os.path.split(path)
    # a name may be as long as the file system allows: leave room for the rest
    beside = os.path.join(folder, f".{name[:60]}.{secrets.token_hex(6)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(beside, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, stat.S_IMODE(mode))
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def _sync_folder(folder):
    """Let the new name outlast a power failure too, where folders can be synchronised."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
