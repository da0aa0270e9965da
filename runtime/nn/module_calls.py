"""Calling a module: `forward` between its hooks."""

from __future__ import annotations

import warnings
from collections import OrderedDict

from ..graph import RemovableHandle
from .backward_hooks import BackwardHooks

# the hooks that nn.modules.module registers for every module, by kind
of_every_module = {
    kind: OrderedDict()
    for kind in ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
}
every_with_kwargs = set()
every_always_called = set()


class ModuleCalls:
    """`__call__` and the hooks before, after and behind it."""

    def __init__(self):
        own = self.__dict__
        own["_forward_pre_hooks"] = OrderedDict()
        own["_forward_hooks"] = OrderedDict()
        own["_backward_pre_hooks"] = OrderedDict()
        own["_backward_hooks"] = OrderedDict()
        # ids of the hooks that were registered with these options
        own["_hooks_with_kwargs"] = set()
        own["_hooks_always_called"] = set()

    def forward(self, *args, **kwargs):
        """What calling the module computes; every module defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args, **kwargs):
        own = self.__dict__
        if "_forward_hooks" not in own:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '_forward_hooks': call "
                "super().__init__() first"
            )
        if not (
            own["_forward_hooks"]
            or own["_forward_pre_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
        ):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args, kwargs):
        ran = set()
        try:
            for key, hook in self._hooks_of("_forward_pre_hooks"):
                args, kwargs = self._before(key, hook, args, kwargs)
            backward, before = (
                [hook for _, hook in self._hooks_of(name)]
                for name in ("_backward_hooks", "_backward_pre_hooks")
            )
            behind = None
            if backward or before:
                behind = BackwardHooks(self, backward, before)
                args = behind.take_inputs(args)
            result = self.forward(*args, **kwargs)
            for key, hook in self._hooks_of("_forward_hooks"):
                ran.add(key)
                result = self._after(key, hook, args, kwargs, result)
            return result if behind is None else behind.take_outputs(result)
        except Exception:
            self._call_remaining(ran, args, kwargs)
            raise

    def _hooks_of(self, kind):
        """The hooks of every module, and then the module's own, with their keys."""
        return [*of_every_module[kind].items(), *getattr(self, kind).items()]

    def _before(self, key, hook, args, kwargs):
        """The arguments after a forward pre-hook."""
        if key in self._hooks_with_kwargs:
            got = hook(self, args, kwargs)
            if got is None:
                return args, kwargs
            if isinstance(got, tuple) and len(got) == 2:
                return got
            raise RuntimeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                f"{got}."
            )
        got = hook(self, args)
        if got is None:
            return args, kwargs
        return got if isinstance(got, tuple) else (got,), kwargs

    def _after(self, key, hook, args, kwargs, result):
        """The result after a forward hook."""
        with_kwargs = key in self._hooks_with_kwargs or key in every_with_kwargs
        got = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
        return result if got is None else got

    def _call_remaining(self, ran, args, kwargs):
        """After an error, call the hooks that are always called and have not been yet."""
        for key, hook in self._hooks_of("_forward_hooks"):
            always = key in self._hooks_always_called or key in every_always_called
            if key in ran or not always:
                continue
            try:
                self._after(key, hook, args, kwargs, None)
            except Exception as error:
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error!s}",
                    stacklevel=2,
                )

    # --- registration ------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)`, and it returns both or None.
        `prepend` puts the hook before those already there. Returns a handle with `remove()`.
        """
        return self._register("_forward_pre_hooks", hook, prepend, with_kwargs)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`. With `always_call` it is
        called after an error, too.
        """
        return self._register("_forward_hooks", hook, prepend, with_kwargs, always_call)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call `hook(module, grad_output)` before gradients go through the module.

        grad_output is a tuple; what the hook returns replaces it.
        """
        return self._register("_backward_pre_hooks", hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        Both are tuples, with None for what is no tensor. What the hook returns replaces
        grad_input.
        """
        return self._register("_backward_hooks", hook, prepend)

    def _register(self, name, hook, prepend, with_kwargs=False, always_call=False):
        hooks = getattr(self, name)
        handle = RemovableHandle(hooks, hook)
        if with_kwargs:
            self._hooks_with_kwargs.add(handle.id)
        if always_call:
            self._hooks_always_called.add(handle.id)
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle


_call = ModuleCalls.__call__


def _call_with_every_hook(self, *args, **kwargs):
    if any(of_every_module.values()):
        return self._call_with_hooks(args, kwargs)
    ModuleCalls.__call__ = _call
    return _call(self, *args, **kwargs)


def register_for_every_module(kind, hook, with_kwargs=False, always_call=False):
    """Add a hook of every module. Calls look for such hooks only from the first one on."""
    handle = RemovableHandle(of_every_module[kind], hook)
    if with_kwargs:
        every_with_kwargs.add(handle.id)
    if always_call:
        every_always_called.add(handle.id)
    ModuleCalls.__call__ = _call_with_every_hook
    return handle
