"""Whether operations are recorded: no_grad, enable_grad, set_grad_enabled, inference_mode."""

from __future__ import annotations

import functools
import inspect

from ..modes import modes


def is_grad_enabled():
    """Whether grad mode is on in this thread."""
    return modes.grad


class _GradMode:
    """A context manager that is also a decorator, of functions and of generators."""

    wanted = True

    def __init__(self):
        self.before = []

    def __enter__(self):
        self.before.append(modes.grad)
        modes.grad = self.wanted

    def __exit__(self, *error):
        modes.grad = self.before.pop()

    def _clone(self):
        return type(self)()

    def __call__(self, function):
        if inspect.isclass(function):
            raise TypeError(
                f"{type(self).__name__} decorates functions; decorate the methods of "
                f"{function.__name__} instead of the class"
            )
        if inspect.isgeneratorfunction(function):
            return self._generator(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with self._clone():
                return function(*args, **kwargs)

        return wrapper

    def _generator(self, function):
        """Only the generator's own code runs in this mode, not the code that consumes it."""

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            generator = function(*args, **kwargs)
            value, error = None, None
            while True:
                try:
                    with self._clone():
                        if error is not None:
                            item = generator.throw(error)
                        else:
                            item = generator.send(value)
                except StopIteration as stop:
                    return stop.value
                value, error = None, None
                try:
                    value = yield item
                except GeneratorExit:
                    with self._clone():
                        generator.close()
                    raise
                except BaseException as raised:
                    error = raised

        return wrapper


class no_grad(_GradMode):
    """Operations inside are not recorded."""

    wanted = False

    def __new__(cls, function=None):
        instance = super().__new__(cls)
        if function is None:
            return instance
        instance.before = []
        return instance(function)

    def __init__(self, function=None):
        super().__init__()


class enable_grad(no_grad):
    """Operations inside are recorded, also within `no_grad`."""

    wanted = True


class inference_mode(_GradMode):
    """Operations inside are not recorded."""

    def __init__(self, mode=True):
        super().__init__()
        self.mode = mode
        self.wanted = not mode

    def _clone(self):
        return type(self)(self.mode)


class set_grad_enabled(_GradMode):
    """Switch grad mode: as a function at once, as a context manager until its end."""

    def __init__(self, mode):
        super().__init__()
        self.wanted = bool(mode)
        self.previous = modes.grad
        modes.grad = self.wanted

    def _clone(self):
        modes.grad = self.previous
        return type(self)(self.wanted)

    def __enter__(self):
        modes.grad = self.wanted

    def __exit__(self, *error):
        modes.grad = self.previous

    def __call__(self, function):
        modes.grad = self.previous
        return super().__call__(function)
