"""In-place forms: the operator's result written into its first argument's memory.

What every operation in place shares is here: the errors before it, and the history after it.
"""

from __future__ import annotations

from . import dtypes, inference
from .dispatch import profiled, profiling
from .graph import begin, retain_grad
from .kernels.accumulate import copy_into, dense_copy
from .modes import modes
from .operator import General, new, shell
from .operator_nodes import TensorNode
from .tensor import Tensor, from_flat
from .view_marks import outdate

_LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
_OVERLAP = (
    "unsupported operation: more than one element of the written-to tensor refers to a single "
    "memory location. Please clone() the tensor before performing the operation."
)


def inplace(name, function, readers, target, *args):
    """Compute `function(target, *args)` into `target` and rewrite its history.

    readers: positions among the arguments of those whose gradients read the target's old values,
    so that a graph gets a copy of them.
    """
    if profiling.on:
        given = name, function, readers, target, *args
        if row := profiled(f"{name}_", inplace, given, shown=(target, *args)):
            return row[0]
    if not isinstance(target, Tensor):
        raise TypeError(f"{name}_(): the target must be Tensor, not {type(target).__name__}")
    recorded = check(target, args)
    if target._flat is None:
        check_overlap(target)
    positional, keywords = _split(function, args)
    source = target
    if recorded or modes.dual_level >= 0:
        source = history_source(target, _old_values_read(readers, target, *args))
    result = function(source, *positional, **keywords)
    check_result(result, target.shape, target.dtype)
    write(target, result)
    if modes.dual_level >= 0:
        from .forward_inplace import move

        move(target, result)
    if recorded:
        rebase(target, result, name)
    return target


def inplace_view(name, function, target, *args):
    """Give `target` the geometry of its view `function(target, *args)`, graph included."""
    if profiling.on:
        given = name, function, target, *args
        if row := profiled(f"{name}_", inplace_view, given, shown=(target, *args)):
            return row[0]
    if not isinstance(target, Tensor):
        raise TypeError(f"{name}_(): the target must be Tensor, not {type(target).__name__}")
    recorded = check(target)
    view = function(target, *args)
    if modes.dual_level >= 0:
        from .autograd.forward_ad import copy_tangents

        copy_tangents(view, target)
    for slot in ("shape", "_strides", "_offset", "_flat"):
        setattr(target, slot, getattr(view, slot))
    bump(target)
    if recorded:
        set_history(target, view._grad_fn, view._output_nr)
        _refresh_views(target)
    return target


# --- before --------------------------------------------------------------------------------------


def check(target, others=()):
    """Whether changing `target` is recorded; RuntimeError where autograd forbids the change.

    others: the other arguments, of which those that require gradients count.
    """
    if inference.used:
        inference.check_inplace(target)
    if modes.before_write is not None:
        modes.before_write(target)
    if not modes.grad or not target.dtype.is_floating_point:
        return False
    wanted = target._requires_grad
    for other in others:
        wanted = wanted or (isinstance(other, Tensor) and other._requires_grad)
    if not wanted:
        return False
    if target._is_view():
        from .view_history import check_view

        check_view(target)
    if target._requires_grad and target._grad_fn is None:
        raise RuntimeError(_LEAF)
    return True


def check_overlap(target):
    """RuntimeError if several elements of `target` lie at one place, as after `expand`."""
    pairs = zip(target.shape, target._strides, strict=True)
    if any(size > 1 and stride == 0 for size, stride in pairs):
        raise RuntimeError(_OVERLAP)


def check_result(result, shape, dtype):
    """RuntimeError if `result` does not fit into a tensor of this shape and dtype."""
    if result.shape != shape:
        raise RuntimeError(
            f"output with shape {list(shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}"
        )
    check_castable(result.dtype, dtype)


def check_castable(dtype, wanted):
    """RuntimeError if a result of one dtype may not be written into a tensor of another."""
    if not dtypes.can_cast(dtype, wanted):
        raise RuntimeError(f"result type {dtype} can't be cast to the desired output type {wanted}")


def apart(target, other):
    """Whether a dense tensor may be read while another of as many elements is written.

    Not if they overlap in part; an element that is read where it is written does no harm.
    """
    read, written = other._flat, target._flat
    if read is None:
        return False
    owner = read.base
    return owner is None or owner is not written.base or read.ctypes.data == written.ctypes.data


def _old_values_read(readers, *args):
    """Whether the gradient of an argument at one of these places will be asked for."""
    if modes.dual_level >= 0:
        return bool(readers)
    return any(isinstance(args[i], Tensor) and args[i]._requires_grad for i in readers)


def _split(function, args):
    code = function.__code__
    n = code.co_argcount - 1
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return args[:n], dict(zip(names, args[n:], strict=False))


def history_source(target, reads=False):
    """The target as the operator's input: at its place in the graph, maybe in memory of its own.

    The history of a view is taken from its base, so that the hooks of the view as it was do not
    become part of the new history.
    """
    if target._is_view() and target._requires_grad:
        from .view_history import seen_from_base

        source = seen_from_base(target)
    elif reads:
        source = shell(target)
        source._requires_grad = target._requires_grad
        source._grad_fn, source._output_nr = target._grad_fn, target._output_nr
    else:
        return target
    if reads:
        copy = from_flat(dense_copy(target._nd()).reshape(-1), target.shape, target.dtype)
        source._data = source._flat = copy._flat
        source._counter, source._strides, source._offset = copy._counter, copy._strides, 0
    return source


# --- after ---------------------------------------------------------------------------------------


def write(target, result):
    """Write the values of `result` into `target`, which counts a version more."""
    if target._flat is not None and result._flat is not None:
        copy_into(target._flat, result._flat)
    else:
        target._nd()[...] = result._nd()
    bump(target)


def changed(target):
    """`target`, whose memory was written to."""
    bump(target)
    return target


def bump(target):
    """Count a version more of the memory of `target`, which was changed."""
    counter = target._counter
    counter[0] += 1
    if len(counter) > 1:
        outdate(target)


def rebase(target, result, name=""):
    """Give `target` the history of `result`; what its node saved of `result` is now `target`.

    name: the operator's, for the node of a target whose result has no gradient.
    """
    node = result._grad_fn
    if target._is_view():
        from .view_history import written

        written(target, result)
    elif not result._requires_grad:
        set_history(target, severed(name, target), 0)
        _refresh_views(target)
    else:
        set_history(target, node, result._output_nr)
        _refresh_views(target)
    if node is not None and node.saved and node.op is not None:
        _adopt(node, target, result)


def set_history(tensor, node, number):
    """Make `tensor` the output `number` of `node`; its retained gradient is then that one's."""
    old, old_number = tensor._grad_fn, tensor._output_nr
    tensor._requires_grad = True
    tensor._grad_fn, tensor._output_nr = node, number
    extra = getattr(tensor, "_extra", None)
    if extra is not None and extra.retains_grad:
        retained = getattr(getattr(old, "hooks", None), "retained", {})
        reference = retained.get(old_number)
        if reference is not None and reference() is tensor:
            del retained[old_number]
        retain_grad(tensor)


def _refresh_views(target):
    """Give the views of `target`, or if it is a view those beside it, their new history."""
    if len(target._counter) > 1:
        from .view_history import refresh

        refresh(target._view if target._is_view() else target, target)


class Severed(TensorNode):
    """A tensor that was overwritten: its past gets zeros, the value written what is its share.

    Edges to the past and, where the value is a tensor in the graph, to the value.
    """

    __slots__ = ()

    def apply_differentiable(self, grad):
        from .factories import zeros
        from .operator_nodes import fit

        general = self.general
        past = None
        if self.edges[0] is not None:
            past = zeros(general.input_shapes[0], dtype=general.input_dtypes[0])
        if len(self.edges) == 2:
            return past
        return past, fit(grad, general.input_shapes[1], general.input_dtypes[1])


_kinds = {}


def severed(name, target, value=None):
    """The node of `target` after `value` (a tensor in the graph, or None) was written into it."""
    label = "CopyBackwards" if name == "copy" else f"{_camel(name)}Backward0"
    kind = _kinds.get(label)
    if kind is None:
        kind = _kinds[label] = type(label, (Severed,), {"__slots__": ()})
    node = new(kind)
    begin(node)
    past = (target._grad_fn or target) if target._requires_grad else None
    node.edges = (past, target._output_nr)
    shapes, kinds = [target.shape], [target.dtype]
    if value is not None:
        node.edges += (value._grad_fn or value, value._output_nr)
        shapes.append(value.shape)
        kinds.append(value.dtype)
    node.saved = ()
    node.shape = target.shape
    node.general = General(shapes, kinds)
    return node


def _camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def _adopt(node, target, result):
    """Let the node's saved result be the target's memory, at its new version."""
    saved = list(node.saved)
    for index, (_, kind, _, _) in enumerate(node.op.saved):
        if kind == "output" and saved[3 * index + 1] is result._counter:
            held = target._flat
            general = node.general
            if general is not None and general.direct:
                held = target._dense() if general.flat else target._nd()
            elif held is None or general is not None:
                held = shell(target)
            saved[3 * index : 3 * index + 3] = held, target._counter, target._counter[0]
    node.saved = tuple(saved)
