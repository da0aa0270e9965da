"""Modules of kernels that are imported when one of their kernels is first asked for.

Declaring kernels takes Numba longer than all else that importing this library does.
"""

from __future__ import annotations

import os
from importlib import import_module
from threading import RLock

from . import kernel_cache

_loading = RLock()

# A thread that forks waits until no other one loads: the child would wait forever.
os.register_at_fork(
    before=_loading.acquire,
    after_in_parent=_loading.release,
    after_in_child=_loading.release,
)


class Kernels:
    """Stands for a module of kernels until it is needed, then puts the module in its own place.

    home: the names among which it stands as `kernels`; copies of them are added to `homes`.
    """

    def __init__(self, name, home):
        self.name = f"{home['__package__']}.{name}"
        self.homes = [home]
        self.module = None

    def __getattr__(self, name):
        if name.startswith("__"):  # who asks what kind of object this is wants no kernel
            raise AttributeError(name)
        # Other threads see the module once its kernels have their cache, not before.
        with _loading:
            if self.module is None:
                module = import_module(self.name)
                kernel_cache.separate(module)
                self.module = module
                for home in self.homes:
                    home["kernels"] = module
        return getattr(self.module, name)
