"""`backward` and `grad`: what programs give and get; the passes themselves are the engine's."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from .. import dtypes, engine, late
from ..factories import zeros_like
from ..tensor import Tensor, from_flat

GradientEdge = namedtuple("GradientEdge", "node output_nr ownership_token", defaults=(None,))
GradientEdge.__doc__ = """Where a gradient arrives: an output of a node.

Attributes
----------
node : Node
output_nr : int
    Which output of the node.
ownership_token
    Nothing; an edge keeps its node.
"""


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Accumulate the gradients of `tensors` into the `.grad` of the leaves they depend on.

    Parameters
    ----------
    tensors : Tensor, GradientEdge or sequence of them
        Roots; a root with more than one element needs its entry of `grad_tensors`.
    grad_tensors : Tensor, None, or sequence of them
        Gradients of the roots, of their shapes.
    retain_graph : bool, optional
        Keep what the graph saved; by default as `create_graph`.
    create_graph : bool
        Record the backward pass, so that it can be differentiated.
    inputs : Tensor, GradientEdge or sequence of them, optional
        Accumulate only into these.
    """
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None and type(tensors) is Tensor and tensors._requires_grad:
        # what most programs do, without the lists
        gradient = grad_tensors
        flat = tensors._flat
        if gradient is None and flat is not None and len(flat) == 1:
            gradient = from_flat(np.ones(1, flat.dtype), tensors.shape, tensors.dtype)
        elif (
            type(gradient) is not Tensor
            or gradient._requires_grad
            or gradient.shape != tensors.shape
            or gradient.dtype is not tensors.dtype
        ):
            gradient = None
        if gradient is not None:
            start = tensors._grad_fn or tensors, tensors._output_nr
            engine.run((start,), (gradient,), retain, create_graph)
            return
    roots, starts = _starts(_sequence(tensors))
    gradients = _initial(roots, _sequence(grad_tensors), create_graph)
    if inputs is None:
        engine.run(starts, gradients, retain, create_graph)
        return
    inputs = _sequence(inputs)
    if len(inputs) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for tensor in inputs:
        if isinstance(tensor, Tensor):
            # a computed tensor gets its gradient where retained ones do
            tensor.retain_grad()
    targets = list(dict.fromkeys(_target(tensor) for tensor in inputs))
    found = engine.run(starts, gradients, retain, create_graph, set(targets))
    for (leaf, _), gradient in found.items():
        if gradient is not None and isinstance(leaf, Tensor):
            engine.deliver(leaf, gradient, create_graph)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    is_grads_batched=False,
    allow_unused=None,
    materialize_grads=False,
):
    """Gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` is left alone.

    Parameters
    ----------
    outputs, inputs : Tensor, GradientEdge or sequence of them
    grad_outputs : Tensor, None, or sequence of them
        Gradients of the outputs, of their shapes.
    retain_graph : bool, optional
        Keep what the graph saved; by default as `create_graph`.
    create_graph : bool
        Record the backward pass, so that it can be differentiated.
    is_grads_batched : bool
        The first dimension of `grad_outputs` is a batch; so is that of the results. One backward
        pass is run for each.
    allow_unused : bool, optional
        Give None for an input that the outputs do not depend on, instead of an error.
    materialize_grads : bool
        Give zeros in its place.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, starts = _starts(_sequence(outputs))
    sources = _sequence(inputs)
    if not sources:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    targets = [_source(source) for source in sources]
    retain = create_graph if retain_graph is None else retain_graph
    given = _sequence(grad_outputs)
    if is_grads_batched:
        result = _batched(roots, starts, given, targets, retain, create_graph)
    else:
        gradients = _initial(roots, given, create_graph)
        found = engine.run(starts, gradients, retain, create_graph, set(targets))
        result = [found.get(target) for target in targets]
    if materialize_grads:
        pairs = zip(result, sources, strict=True)
        return tuple(zeros_like(s) if g is None else g for g, s in pairs)
    if not allow_unused:
        for index, gradient in enumerate(result):
            if gradient is None:
                raise RuntimeError(
                    f"The differentiated Tensor at index {index} appears to not have been used in "
                    "the graph. Set allow_unused=True if this is the desired behavior."
                )
    return tuple(result)


def _sequence(values):
    if isinstance(values, Tensor | GradientEdge) or values is None:
        return (values,)
    return tuple(values)


def _target(value):
    """The (node or leaf, output number) that a tensor or a GradientEdge stands for."""
    if isinstance(value, Tensor):
        return value._grad_fn or value, value._output_nr
    if isinstance(value, GradientEdge):
        node = value.node
        return getattr(node, "variable", node), value.output_nr
    raise TypeError(f"expected a Tensor or a GradientEdge, got {type(value).__name__}")


def _source(value):
    """The target of an input, which must be part of a graph."""
    if isinstance(value, Tensor) and not value._requires_grad:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return _target(value)


def _starts(values):
    """The shape and dtype of each root, and the (target, output number) that it stands for."""
    roots, starts = [], []
    for index, value in enumerate(values):
        start = _target(value)
        if not isinstance(value, Tensor):
            node, number = start
            several = getattr(node, "n_outputs", 1) > 1
            # what dtype the output had is not known
            roots.append((node.shape[number] if several else node.shape, None))
        elif value._requires_grad:
            roots.append((value.shape, value.dtype))
        else:
            raise RuntimeError(
                f"element {index} of tensors does not require grad and does not have a grad_fn"
            )
        starts.append(start)
    return roots, starts


def _batched(roots, starts, given, targets, retain, create_graph):
    """The gradients for each gradient of a batch (their first dimension), stacked."""
    from .. import operators as ops

    given = given * len(roots) if len(given) == 1 and given[0] is None else given
    count = _batch_size(roots, given)
    rows = []
    for i in range(count):
        chosen = [None if g is None else ops.select(g, 0, i) for g in given]
        gradients = _initial(roots, chosen, create_graph)
        more = i < count - 1
        found = engine.run(starts, gradients, retain or more, create_graph, set(targets))
        rows.append([found.get(target) for target in targets])
    columns = zip(*rows, strict=True)
    return [None if column[0] is None else ops.stack(list(column)) for column in columns]


def _batch_size(roots, given):
    """The common first dimension of the gradients."""
    sizes = set()
    for index, ((shape, _), gradient) in enumerate(zip(roots, given, strict=True)):
        if gradient is None:
            continue
        if not gradient.shape:
            raise IndexError(
                f"grad_output[{index}] has no dimension; with is_grads_batched its first is the "
                "batch"
            )
        if gradient.shape[1:] != shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                "match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{index}] has a shape of {gradient.shape} and output[{index}] has a "
                f"shape of {shape}."
            )
        sizes.add(gradient.shape[0])
    if not sizes:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if len(sizes) > 1:
        raise ValueError(
            "is_grads_batched: all grad_outputs must have the same first dimension, got sizes "
            f"{sorted(sizes)}"
        )
    return sizes.pop()


def _initial(roots, given, create_graph):
    """The gradient that each root starts with, checked against the root."""
    if len(given) == 1 and given[0] is None:
        given = given * len(roots)
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    gradients = []
    for index, ((shape, dtype), gradient) in enumerate(zip(roots, given, strict=True)):
        if gradient is None:
            if shape.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            dtype = dtype or dtypes.get_default_dtype()
            gradient = from_flat(np.ones(1, dtype.numpy), shape, dtype)
        gradients.append(_checked(shape, dtype, gradient, index, create_graph))
    return gradients


def _checked(shape, dtype, gradient, index, create_graph):
    if not isinstance(gradient, Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient.shape != shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{index}] has a shape of {gradient.shape} and "
            f"output[{index}] has a shape of {shape}."
        )
    if dtype is not None and gradient.dtype is not dtype:
        gradient = gradient.to(dtype)
    return gradient if create_graph or not gradient._requires_grad else gradient.detach()


late.backward = backward
