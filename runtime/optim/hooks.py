"""Hooks before and after the steps of an optimizer and the loading and saving of its state."""

from __future__ import annotations

import functools
from collections import OrderedDict

from ..graph import RemovableHandle
from ..modes import modes

KINDS = (
    "step_pre",
    "step_post",
    "state_dict_pre",
    "state_dict_post",
    "load_state_dict_pre",
    "load_state_dict_post",
)
_before_all, _after_all = OrderedDict(), OrderedDict()


def register_optimizer_step_pre_hook(hook):
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return RemovableHandle(_before_all, hook)


def register_optimizer_step_post_hook(hook):
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return RemovableHandle(_after_all, hook)


def with_hooks(step):
    """A `step` method that calls the hooks and has a row in a profile."""

    @functools.wraps(step)
    def hooked(self, *args, **kwargs):
        own = self._hooks
        self._stepped = True
        if modes.active and modes.profiler is not None:
            from ..profiler import record_function

            name = type(self).__name__
            with record_function(f"Optimizer.step#{name}.step"):
                return _observed(step, self, args, kwargs)
        if _before_all or _after_all or own["step_pre"] or own["step_post"]:
            return _observed(step, self, args, kwargs)
        return step(self, *args, **kwargs)

    hooked.hooked = True
    return hooked


def _observed(step, self, args, kwargs):
    given = (self, *args)
    for hook in [*_before_all.values(), *self._hooks["step_pre"].values()]:
        result = hook(self, given, kwargs)
        if result is not None:
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{result}."
                )
            given, kwargs = result
    out = step(*given, **kwargs)
    for hook in [*self._hooks["step_post"].values(), *_after_all.values()]:
        hook(self, given, kwargs)
    return out


class Hooked:
    """The hooks of one optimizer: a dictionary of ordered dictionaries by kind."""

    _stepped = False  # whether `step` was called, which schedulers ask

    def _no_hooks(self):
        self._hooks = {kind: OrderedDict() for kind in KINDS}

    def _register(self, kind, hook, prepend=False):
        hooks = self._hooks[kind]
        handle = RemovableHandle(hooks, hook)
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def _passed(self, kind, state_dict):
        """The state after the hooks of a kind, each of which may return another."""
        for hook in list(self._hooks[kind].values()):
            result = hook(self, state_dict)
            if result is not None:
                state_dict = result
        return state_dict

    def register_step_pre_hook(self, hook):
        """Call `hook(optimizer, args, kwargs)` before a step.

        It may return a pair that replaces args, which begin with the optimizer, and kwargs.
        """
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook):
        """Call `hook(optimizer, args, kwargs)` after a step."""
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """Call `hook(optimizer)` before `state_dict` collects the state."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """Call `hook(optimizer, state_dict)` after that; what it returns is taken instead."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """Call `hook(optimizer, state_dict)` before loading; what it returns is loaded instead."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """Call `hook(optimizer)` after a state was loaded."""
        return self._register("load_state_dict_post", hook, prepend)
