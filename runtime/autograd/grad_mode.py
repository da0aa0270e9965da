"""Whether operations are recorded: no_grad, enable_grad, set_grad_enabled, inference_mode.

Each is a context manager and a decorator, and holds for the thread that enters it. What a tensor
made in inference mode may not do is in `inference` and where the errors arise.
"""

from __future__ import annotations

import functools
import inspect
import warnings

from .. import inference
from ..modes import modes


def is_grad_enabled():
    """Whether grad mode is on in this thread."""
    return modes.grad or modes.grad_asked


def is_inference_mode_enabled():
    """Whether inference mode is on in this thread."""
    return modes.inference


def _switch(grad):
    """Turn grad mode on or off; in inference mode only what is asked is noted."""
    if modes.inference:
        modes.grad_asked = grad
    else:
        modes.grad = grad


class _Mode:
    """A context manager that is also a decorator, of functions and of generators."""

    def __enter__(self):
        raise NotImplementedError

    def __exit__(self, *error):
        raise NotImplementedError

    def clone(self):
        """Another context manager of the same mode: each call of a decorated function takes one."""
        return type(self)()

    def __call__(self, function):
        if inspect.isclass(function):
            return _decorated_class(self.clone, function)
        if inspect.isgeneratorfunction(function):
            return _decorated_generator(self.clone, function)
        return _decorated(self.clone, function)


def _decorated(mode, function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with mode():
            return function(*args, **kwargs)

    return wrapper


def _decorated_class(mode, kind):
    """A function that makes the object in the mode, which says nothing of the object's methods."""
    warnings.warn(
        f"Decorating classes is deprecated and will be disabled: {kind.__name__} becomes a "
        "function, in which only __init__ runs in the mode. Decorate the methods instead.",
        FutureWarning,
        stacklevel=3,
    )

    def make(*args, **kwargs):
        with mode():
            return kind(*args, **kwargs)

    return make


def _decorated_generator(mode, function):
    """Only the generator's own code runs in the mode, not the code that consumes it."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        generator = function(*args, **kwargs)
        value, error = None, None
        while True:
            try:
                with mode():
                    item = generator.send(value) if error is None else generator.throw(error)
            except StopIteration as stop:
                return stop.value
            value, error = None, None
            try:
                value = yield item
            except GeneratorExit:
                with mode():
                    generator.close()
                raise
            except BaseException as raised:
                error = raised

    return wrapper


class no_grad(_Mode):
    """Operations inside are not recorded: `with no_grad():`, `@no_grad()` or `@no_grad`."""

    _wanted = False

    def __new__(cls, function=None):
        mode = super().__new__(cls)
        mode._before = []
        return mode if function is None else mode(function)

    def __enter__(self):
        self._before.append(is_grad_enabled())
        _switch(self._wanted)

    def __exit__(self, *error):
        _switch(self._before.pop())


class enable_grad(no_grad):
    """Operations inside are recorded, also within `no_grad`, but not within inference mode."""

    _wanted = True


class set_grad_enabled(_Mode):
    """Switch grad mode: as a function at once, as a context manager until its end."""

    def __init__(self, mode):
        if not isinstance(mode, bool):
            raise TypeError(
                "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not "
                f"{type(mode).__name__}"
            )
        self.mode = mode
        self._before = is_grad_enabled()
        _switch(mode)

    def __enter__(self):
        _switch(self.mode)

    def __exit__(self, *error):
        _switch(self._before)

    def __call__(self, function):
        # as a decorator it says what happens in the function, and nothing here
        _switch(self._before)
        return super().__call__(function)

    def clone(self):
        return type(self)(self.mode)

    def __repr__(self):
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}(mode={self.mode})"


class inference_mode(_Mode):
    """Nothing is recorded, and what is computed may never become part of a graph.

    `with inference_mode():`, `@inference_mode()` or `@inference_mode`; `inference_mode(False)`
    returns to recording. The tensors made inside are inference tensors: they have no version,
    and outside of the mode they may neither be changed in place nor saved for a backward pass.
    Views of normal tensors stay normal. A clone made outside is normal.
    """

    def __new__(cls, mode=True):
        context = super().__new__(cls)
        context._before = []
        context.mode = True
        return context if isinstance(mode, bool) else context(mode)

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        inference.used = True
        self._before.append((modes.grad, modes.inference, modes.grad_asked))
        modes.inference = self.mode
        modes.grad, modes.grad_asked = not self.mode, False
        modes.update()

    def __exit__(self, *error):
        modes.grad, modes.inference, modes.grad_asked = self._before.pop()
        modes.update()

    def clone(self):
        return type(self)(self.mode)
