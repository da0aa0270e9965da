"""Where compiled kernels are kept, and how processes that start together share that place.

Numba keeps them beside the source, or in the user's cache folder where the source cannot be
written. What it leaves open is closed here.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys

from .idling import nesting


def _probe():
    pass


def ensure_folder():
    """Let Numba cache in a private temporary folder if there is none that it can write to.

    Without one, Numba refuses to declare a cached kernel at all.
    """
    try:
        FunctionCache(_probe)
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="rederive-")
        numba.config.CACHE_DIR = folder
        atexit.register(_remove, folder, os.getpid())


def _remove(folder, owner):
    if os.getpid() == owner:  # not in a forked child
        shutil.rmtree(folder, ignore_errors=True)


_mark = uuid.uuid4().hex[:12]


def _new_mark():
    global _mark
    _mark = uuid.uuid4().hex[:12]


os.register_at_fork(after_in_child=_new_mark)


class Cache(FunctionCache):
    """Numba's cache, but loading fills no tables that only compiling needs.

    They know every NumPy function and import SciPy, 0.25 s for the first kernel that a program
    calls. The compiler fills them itself. Machine code needs the memory manager. A parallel kernel
    that is loaded or compiled starts Numba's threads.
    """

    def load_overload(self, sig, target_context):
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
        nesting.restore()
        return found

    def save_overload(self, sig, data):
        nesting.restore()
        super().save_overload(sig, data)


def separate(module, *used):
    """Give the module's kernels the cache above, with data files that no other process names.

    used: modules whose compiled functions the kernels call. Numba looks only at the kernel's own
    file to see whether a cached version is out of date; with these it looks at theirs, too.

    Numba numbers the compiled versions of a kernel 1, 2, ... Two processes that compile one
    kernel for different dtypes at the same time would both take the same number, and the index
    could then name the code of one dtype as that of the other.
    """
    for kernel in vars(module).values():
        if isinstance(kernel, Dispatcher):
            file = getattr(kernel._cache, "_cache_file", None)
            if file is not None:
                kernel._cache.__class__ = Cache
                file._data_name = _Name(file._data_name)
                if used:
                    stamps = [os.stat(other.__file__) for other in used]
                    sources = [(stamp.st_mtime, stamp.st_size) for stamp in stamps]
                    file._source_stamp = (file._source_stamp, *sources)


class _Name:
    """Numba's name for a data file, with the mark of this process."""

    __slots__ = ("plain",)

    def __init__(self, plain):
        self.plain = plain

    def __call__(self, number):
        stem, ending = os.path.splitext(self.plain(number))
        return f"{stem}-{_mark}{ending}"


ensure_folder()
