"""Rows that a program names itself."""

from __future__ import annotations

import contextlib

from ..modes import modes
from .recorder import USER


class record_function(contextlib.ContextDecorator):
    """A row of the profile for a part of a program: `with record_function("loss"):`.

    It also decorates functions. Where nobody profiles it does nothing.

    Parameters
    ----------
    name : str
    args : str, optional
        A remark, kept with the row's inputs where these are recorded.
    """

    def __init__(self, name, args=None):
        self.name = name
        self.args = args
        self._rows = []

    def _recreate_cm(self):
        # each call of a decorated function has rows of its own, whatever thread it is in
        return type(self)(self.name, self.args)

    def __enter__(self):
        for argument, value in (("name", self.name), ("args", self.args)):
            if not isinstance(value, str) and not (value is None and argument == "args"):
                raise RuntimeError(
                    f"record_function: expected a value of type 'str' for argument '{argument}' "
                    f"but instead found type '{type(value).__name__}'"
                )
        recorder = modes.profiler
        if recorder is None:
            self._rows.append(None)
        else:
            inputs = () if self.args is None else (self.args,)
            self._rows.append((recorder, recorder.begin(self.name, inputs, USER)))
        return self

    def __exit__(self, *error):
        entered = self._rows.pop()
        if entered is not None:
            recorder, row = entered
            recorder.end(row)
