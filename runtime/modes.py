"""The modes that change what an operation does; each thread has its own."""

from __future__ import annotations

import threading


class Modes(threading.local):
    """Thread-local switches, read on every call.

    `grad` is grad mode; in inference mode it stays off, and `grad_asked` is what `enable_grad`
    inside asked for. `active` says that something needs the general path, and is what the
    straight-line functions test: a level of forward mode is open, anomalies are looked for, a
    profiler watches, saved tensors are packed, inference mode is on. Whoever changes one of
    these calls `update`.
    """

    grad = True
    grad_asked = False
    inference = False
    active = False
    dual_level = -1  # the innermost level of forward mode that operators see
    openings = ()  # what identifies each level that is open
    anomaly = None
    profiler = None
    saved_hooks = None
    saved_hooks_disabled = None
    before_write = None
    evaluating = None
    task = None
    transforming = False  # a function is being transformed, by a thread that knows inference

    def update(self):
        """Set `active` to what the other switches say."""
        self.active = (
            self.dual_level >= 0
            or self.inference
            or self.anomaly is not None
            or self.profiler is not None
            or self.saved_hooks is not None
        )


modes = Modes()
