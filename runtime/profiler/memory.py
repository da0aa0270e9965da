"""How many bytes each row allocates and frees: the storages of tensors, gradients, saved arrays.

A storage is seen when the call that made it returns it, and seen again when it dies. What a
kernel allocates and gives back before it returns is not seen, nor are storages older than the
profiler.
"""

from __future__ import annotations

import threading
import time
import weakref

import numpy as np

from ..tensor import Tensor

ndarray = np.ndarray


class Storage(weakref.ref):
    """A living storage: its size, and the key under which it is noted."""

    __slots__ = ("key", "nbytes")


class Memory:
    """The storages that came to life while a recorder watched."""

    def __init__(self, recorder):
        self.recorder = weakref.proxy(recorder)
        self.thread = threading.get_ident()
        self.alive = {}
        self.total = 0
        self.events = []  # (nanoseconds, bytes, bytes alive, row or None)

    def claim(self, row, values, inputs):
        """Charge a row with the storages of `values` that are neither known nor inputs."""
        given = None
        for owner in owners(values):
            if id(owner) in self.alive or not owner.nbytes:
                continue
            if given is None:
                given = {id(array) for array in owners(inputs)}
            if id(owner) in given:
                continue
            storage = Storage(owner, self._died)
            storage.key = id(owner)
            storage.nbytes = owner.nbytes
            self.alive[storage.key] = storage
            row.allocated += owner.nbytes
            self._changed(row, owner.nbytes)

    def _died(self, storage):
        """A storage was freed: that is charged to the row that is open, if one is."""
        if self.alive.pop(storage.key, None) is None:
            return
        row = None
        if threading.get_ident() == self.thread and self.recorder.open:
            row = self.recorder.open[-1]
            row.allocated -= storage.nbytes
        self._changed(row, -storage.nbytes)

    def _changed(self, row, nbytes):
        self.total += nbytes
        self.events.append((time.perf_counter_ns(), nbytes, self.total, row))

    def close(self):
        """Watch the storages no longer."""
        self.alive.clear()


def owners(value):
    """The arrays that own the memory of tensors and arrays, also of those in sequences."""
    if isinstance(value, Tensor):
        value = value._data
    if type(value) is ndarray:
        while type(value.base) is ndarray:
            value = value.base
        if value.base is None:
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from owners(item)
