"""Hooks of every module."""

from __future__ import annotations

from ..module import Module
from ..module_calls import register_for_every_module

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]


def register_module_forward_pre_hook(hook):
    """Call `hook(module, args)` before the `forward` of every module, before its own hooks."""
    return register_for_every_module("_forward_pre_hooks", hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Call `hook(module, args, output)` after the `forward` of every module."""
    return register_for_every_module("_forward_hooks", hook, with_kwargs, always_call)


def register_module_full_backward_pre_hook(hook):
    """Call `hook(module, grad_output)` before gradients go through any module."""
    return register_for_every_module("_backward_pre_hooks", hook)


def register_module_full_backward_hook(hook):
    """Call `hook(module, grad_input, grad_output)` when the gradients of any module are known."""
    return register_for_every_module("_backward_hooks", hook)
