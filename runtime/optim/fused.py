"""One kernel call for all parameters of a group: the table of arrays that a kernel is handed.

The usual case, all tensors dense and of one dtype, is found out with a few passes over flat
lists. Everything else, also every mistake, is sorted out by `_apart`.
"""

from __future__ import annotations

import numpy as np

from .. import dtypes, inference, inplace
from ..modes import modes
from ..tensor import Tensor, from_flat
from ..threads import threads
from ..view_marks import outdate

_samples = {kind: np.empty(0, kind.numpy) for kind in (dtypes.float32, dtypes.float64)}
_NO_STEPS = _samples[dtypes.float32]


def update(kernels, tensors, steps, numbers, marks=()):
    """Change parameters and state in place, and count their versions up.

    kernels: for the calling thread, and for several. tensors: lists as long as each other, of
    parameters, of their gradients, then whatever the kernel keeps. steps: the list of the 0-d
    tensors that count the steps, or (). numbers: what becomes a tuple of floats. marks: an
    integer for each parameter, or ().
    """
    params = tensors[0]
    if inference.used or modes.before_write is not None:
        _check(params)
    count = len(params)
    every = [t for column in tensors for t in column]
    kinds = {t.dtype for t in every}
    flats = [t._flat for t in every]
    kind = params[0].dtype
    try:
        sizes = list(map(len, flats))
        counters = [t._flat for t in steps]
        usual = sizes == sizes[:count] * len(tensors) and len(kinds) == 1 and kind in _samples
        if steps:
            step_kinds = {t.dtype for t in steps}
            usual = usual and len(step_kinds) == 1 and step_kinds <= _samples.keys()
            usual = usual and set(map(len, counters)) == {1}
    except (TypeError, AttributeError):  # a tensor that is not dense; a step that is no tensor
        usual = False
    if not usual:
        _apart(kernels, tensors, steps, numbers, marks)
        return
    identities = list(map(id, flats))
    identities[2 * count : 2 * count] = map(id, counters)
    identities += marks
    table = np.array(identities, np.uint64).reshape(-1, count)
    alone = sum(sizes[:count]) < threads.minimum or len(set(identities[:count])) < count
    like_step = _samples[steps[0].dtype] if steps else _NO_STEPS
    kernels[not alone](table, _samples[kind], like_step, tuple(map(float, numbers)))
    for t in (*params, *every[2 * count :], *steps):
        counter = t._counter
        counter[0] += 1
        if len(counter) > 1:
            outdate(t)


def _check(params):
    """RuntimeError if a parameter may not be changed here."""
    for param in params:
        if inference.used:
            inference.check_inplace(param)
        if modes.before_write is not None:
            modes.before_write(param)


def _apart(kernels, tensors, steps, numbers, marks):
    """Update parameters dtype by dtype, those that are not dense by way of dense copies."""
    if not all(isinstance(t, Tensor) and t.numel() == 1 and t.dtype in _samples for t in steps):
        raise RuntimeError("`step` in an optimizer's state must be a floating tensor of 1 element")
    sets = {}
    for at, row in enumerate(zip(*tensors, strict=True)):
        _check_row(*row)
        kind = (row[0].dtype, steps[at].dtype if steps else None)
        sets.setdefault(kind, []).append(at)
    for places in sets.values():
        dense = {}  # by id: one tensor may stand in several columns
        columns = [[_dense(column[at], dense) for at in places] for column in tensors]
        counts = [_dense(steps[at], dense) for at in places] if steps else ()
        chosen = [marks[at] for at in places] if marks else ()
        update(kernels, columns, counts, numbers, chosen)
        gradients = {id(tensors[1][at]) for at in places}
        for identity, (tensor, copy) in dense.items():
            if copy is not tensor and identity not in gradients:
                tensor._nd()[...] = copy._nd()
                inplace.bump(tensor)


def _check_row(param, grad, *state):
    """RuntimeError if the gradient or the state does not fit the parameter."""
    if param.dtype not in _samples:
        raise RuntimeError(
            f"an optimizer updates parameters of floating point dtype, but got {param.dtype}"
        )
    if param._flat is None:
        inplace.check_overlap(param)
    for what, t in (("gradient", grad), *(("state", t) for t in state)):
        if t.shape != param.shape or t.dtype is not param.dtype:
            raise RuntimeError(
                f"the {what} of a parameter of shape {list(param.shape)} and {param.dtype} has "
                f"shape {list(t.shape)} and {t.dtype}; they must be the same"
            )


def _dense(tensor, known):
    if id(tensor) not in known:
        copy = tensor
        if tensor._flat is None:
            copy = from_flat(tensor._dense(), tensor.shape, tensor.dtype)
        known[id(tensor)] = (tensor, copy)
    return known[id(tensor)][1]
