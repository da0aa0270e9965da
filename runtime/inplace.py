"""In-place forms: the operator's result written into its first argument's memory."""

from __future__ import annotations

from . import dtypes
from .dispatch import profiled, profiling
from .modes import modes
from .tensor import Tensor, from_flat


def inplace(name, function, reads, target, *args):
    """Compute `function(target, *args)` into `target` and rewrite its history.

    reads: the gradients read the target's old values, so a graph gets a copy of them.
    """
    if profiling.on:
        given = name, function, reads, target, *args
        if row := profiled(f"{name}_", inplace, given, shown=(target, *args)):
            return row[0]
    if not isinstance(target, Tensor):
        raise TypeError(f"{name}_(): the target must be Tensor, not {type(target).__name__}")
    check(name, target, args)
    positional, keywords = _split(function, args)
    source = _original(target) if reads and modes.grad and _recorded(target, args) else target
    result = function(source, *positional, **keywords)
    if result.shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}"
        )
    if not dtypes.can_cast(result.dtype, target.dtype):
        raise RuntimeError(
            f"result type {result.dtype} can't be cast to the desired output type {target.dtype}"
        )
    target._nd()[...] = result._nd()
    target._counter[0] += 1
    if modes.grad and (result._requires_grad or target._requires_grad):
        rebase(target, result)
    return target


def _recorded(target, others):
    return target._requires_grad or any(isinstance(o, Tensor) and o._requires_grad for o in others)


def _original(target):
    """The target's values in memory of their own, at the same place of the graph."""
    copy = from_flat(target._dense().copy(), target.shape, target.dtype)
    copy._requires_grad = target._requires_grad
    copy._grad_fn = target._grad_fn
    copy._output_nr = target._output_nr
    return copy


def _split(function, args):
    code = function.__code__
    n = code.co_argcount - 1
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return args[:n], dict(zip(names, args[n:], strict=False))


def check(name, target, others=()):
    """Errors of in-place operations that autograd cannot follow."""
    if modes.before_write is not None:
        modes.before_write(target)
    if not modes.grad:
        return
    wants = _recorded(target, others)
    if target._requires_grad and target._grad_fn is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    if wants and target._is_view():
        from .view_history import check_view

        check_view(name, target)


def rebase(target, result):
    """Give `target` the history of `result`; what its node saved of `result` is now `target`."""
    from . import view_history

    node = result._grad_fn
    if target._is_view():
        view_history.written(target, result)
    else:
        target._requires_grad = result._requires_grad
        target._grad_fn = node
        target._output_nr = result._output_nr
        if len(target._counter) > 1 and result._requires_grad:
            view_history.refresh(target)
    if node is not None and node.saved and node.op is not None:
        _adopt(node, target, result)


def _adopt(node, target, result):
    """Let the node's saved result be the target's memory, at its new version."""
    saved = list(node.saved)
    for index, (_, kind, _, _) in enumerate(node.op.saved):
        if kind == "output" and saved[3 * index + 1] is result._counter:
            held = target._flat
            if held is None or node.general is not None:
                from .operator import shell

                held = shell(target)
            saved[3 * index : 3 * index + 3] = held, target._counter, target._counter[0]
    node.saved = tuple(saved)
