"""The modes that change what an operation does; each thread has its own."""

from __future__ import annotations

import threading


class Modes(threading.local):
    """Thread-local switches, read on every call.

    `grad` is grad mode. `active` says that something needs the general path: a forward-mode
    level is open, anomalies are looked for, a profiler watches, calls are traced.
    """

    grad = True
    inference = False
    active = False
    dual_level = -1
    dual_opening = 0
    anomaly = None
    callbacks = None


modes = Modes()
