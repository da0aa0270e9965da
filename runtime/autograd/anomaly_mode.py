"""Anomaly mode, as programs switch it: errors of a backward pass tell where the forward was."""

from __future__ import annotations

import contextlib
import warnings

from ..anomaly import Anomaly, switch
from ..modes import modes

__all__ = [
    "detect_anomaly",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "set_detect_anomaly",
]


def is_anomaly_enabled():
    """Whether anomaly mode is on in this thread."""
    return modes.anomaly is not None


def is_anomaly_check_nan_enabled():
    """Whether anomaly mode, if it is on, takes NaN in a gradient for an error."""
    return modes.anomaly is None or modes.anomaly.check_nan


class detect_anomaly(contextlib.ContextDecorator):
    """Look for the operations at fault while this context is open.

    Each node remembers the calls that made it. An error in a backward pass, and with `check_nan`
    a gradient that holds NaN, then names the node and shows those calls, in a warning and in the
    error's notes. It slows everything down.
    """

    def __init__(self, check_nan=True):
        self.check_nan = check_nan
        self.before = []
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        self.before.append(switch(Anomaly(self.check_nan)))

    def __exit__(self, *error):
        switch(self.before.pop())


class set_detect_anomaly:
    """Switch anomaly mode on or off, at once; as a context manager until its end."""

    def __init__(self, mode, check_nan=True):
        self.before = switch(Anomaly(check_nan) if mode else None)

    def __enter__(self):
        pass

    def __exit__(self, *error):
        switch(self.before)
