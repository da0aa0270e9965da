"""What the C library does with freed memory: keep it, up to a bound, for the next arrays.

By default glibc gives the end of its heap back to the system as soon as twice the largest array
freed so far lies there, and asks for it again a moment later; the system then clears every page.
A training step frees and takes that much all the time. A user's own choice stays.
"""

from __future__ import annotations

import ctypes
import os

KEPT = 128 << 20  # bytes at the end of the heap that are not given back
LARGE = 32 << 20  # bytes from which on an array is mapped by itself; the most that glibc takes
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of mallopt(3)
CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory():
    """Tell glibc; elsewhere nothing happens."""
    if any(name in os.environ for name in CHOICES) or os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_MMAP_THRESHOLD, LARGE)


keep_freed_memory()
