"""Every public operator against PyTorch's of that name, on calls drawn at random.

Values, dtypes, shapes, gradients, and whether there is an error. Shapes, dtypes, layouts,
dimensions and flags are varied around the samples that the entry declares.
"""

import random
import warnings
import zlib

import numpy as np
import pytest
import rederive
from random_calls import DTYPES, Drawing, by_position, counterpart
from rederive.generated.registry import OPERATORS
from rederive.tools import samples

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

CALLS = 60  # drawn for each operator


def outcome(module, function, operator, sample):
    """What a call gives: ("error", its type) or ("value", outputs, gradients)."""
    leaves = []

    def given(name, value):
        if isinstance(value, np.ndarray):
            made = module.from_numpy(value)
            if value.dtype.kind == "f" and name in operator.differentiable:
                leaves.append(made.requires_grad_())
            return (made + made.mT) / 2 if name in sample.symmetric else made
        if samples.is_arrays(value):
            return [given(name, item) for item in value]
        kind = next(a.type for a in operator.arguments if a.name == name)
        return getattr(module, value) if kind == "Dtype" and isinstance(value, str) else value

    values = {name: given(name, value) for name, value in sample.values.items()}
    positional, left = by_position(operator, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(*positional, **left)
        except Exception as error:
            return "error", error
        outputs = list(result) if isinstance(result, tuple | list) else [result]
        kept = [o for o in outputs if o.requires_grad]
        gradients = []
        if kept and leaves:
            generator = np.random.default_rng(7)
            cotangents = [
                module.from_numpy(np.asarray(generator.normal(size=tuple(o.shape))).astype(kind(o)))
                for o in kept
            ]
            try:
                gradients = module.autograd.grad(kept, leaves, cotangents, allow_unused=True)
            except RuntimeError as error:
                gradients = error  # PyTorch lacks the derivative, or nobody has it
    return "value", outputs, gradients


def kind(tensor):
    return str(tensor.dtype).rpartition(".")[2]


def accepted(error, dtypes):
    """Whether we may take a call that PyTorch refuses.

    It has no kernels for some dtypes and promotes less than we do, and its overloads do not
    combine all arguments.
    """
    unusual = len(dtypes) > 1 or not dtypes <= {"float32", "float64"}
    return isinstance(error, TypeError) or unusual


def difference(ours, theirs, dtypes):
    """What two outcomes differ in, or nothing."""
    if ours[0] != theirs[0]:
        if theirs[0] == "error" and accepted(theirs[1], dtypes):
            return ""
        if ours[0] == "error" and "must have the same dtype" in str(ours[1]):
            return ""  # PyTorch promotes in some of the branches of linear
        return f"ours: {ours[0]} {ours[1]!r:.300}; PyTorch: {theirs[0]} {theirs[1]!r:.300}"
    if ours[0] == "error":
        return ""
    if len(ours[1]) != len(theirs[1]):
        return f"{len(ours[1])} outputs, PyTorch has {len(theirs[1])}"
    kinds = [("output", ours[1], theirs[1])]
    if isinstance(ours[2], Exception) and not isinstance(theirs[2], Exception):
        return f"gradient: ours: {ours[2]!r:.300}"
    if not isinstance(theirs[2], Exception) and not isinstance(ours[2], Exception):
        dense = [g.to_dense() if g is not None and g.is_sparse else g for g in theirs[2]]
        kinds.append(("gradient", ours[2], dense))
    for what, mine, other in kinds:
        for number, (a, b) in enumerate(zip(mine, other, strict=True)):
            if a is None or b is None:
                nonzero = next((t for t in (a, b) if t is not None), None)
                if nonzero is not None and bool((nonzero != 0).any()):
                    return f"{what} {number}: {a} and {b}"
                continue
            if kind(a) != kind(b) or tuple(a.shape) != tuple(b.shape):
                mine, other = (f"{kind(t)} {tuple(t.shape)}" for t in (a, b))
                return f"{what} {number}: {mine}, PyTorch {other}"
            x, y = a.detach().numpy(), b.detach().numpy()
            narrow = "float32" in {*dtypes, kind(a)}
            tolerance = 2e-4 if narrow else 1e-9
            if not np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True):
                return f"{what} {number}: {x.tolist()}, PyTorch {y.tolist()}"
    return ""


PECULIAR = {
    "dropout": "random",
    "dropout_train": "random",
    "scatter": "which of several values for one place stays",
    "sort": "the order of equal elements",
    "topk": "which of equal elements is taken, and their order",
    "det": "PyTorch's gradient of singular matrices is 0 where the cofactors are not",
    "svd": "the signs of singular vectors are free",
    "svd_torch": "the signs of singular vectors are free",
    "norm_named": "the gradient of the nuclear norm of singular matrices is free",
    "eigh": "the signs of eigenvectors are free",
    "batch_norm_torch": "PyTorch misreads weights that lie with gaps; batch_norm is the same",
}
"""Operators that have tests of their own, and why."""

ONE_DTYPE = {
    "huber_loss": "PyTorch computes it in the dtype of the input",
    "binary_cross_entropy_with_logits": "PyTorch computes it in the dtype of the target",
    "binary_cross_entropy_with_logits_torch": "as above",
}
"""Operators whose operands have one dtype here, and why."""

AS_DECLARED = {
    "max_pool2d": "PyTorch writes outside of its memory where dilation steps over a whole image",
    "max_pool2d_with_indices": "as above",
    "conv1d": "without channels PyTorch gives results without channels; other shapes are drawn in "
    "test_convolution_against_torch",
    "conv1d_padding": "as above",
    "conv2d": "as above",
    "conv2d_padding": "as above",
    "batch_norm": "PyTorch does not check the statistics of nothing",
    "linear": "PyTorch takes a vector for the weight and a number for the bias",
    "pad": "PyTorch's gradient of circular padding by a negative size is not that of the values",
    "scaled_dot_product_attention": "without keys PyTorch neither checks nor broadcasts the others",
}
"""Operators that are called with the declared shapes and arguments only, and why."""

PUBLIC = [
    o
    for o in OPERATORS
    if counterpart(o, torch) is not None
    and "internal" not in o.namespace
    and o.name not in PECULIAR
]


@pytest.mark.parametrize("operator", PUBLIC, ids=lambda operator: operator.name)
def test_operator_agrees_with_pytorch(operator):
    draw = random.Random(zlib.crc32(operator.name.encode()))
    dtypes = () if operator.name in ONE_DTYPE else DTYPES
    drawing = Drawing(operator, draw, varied=operator.name not in AS_DECLARED, dtypes=dtypes)
    theirs = counterpart(operator, torch)
    found = []
    for _ in range(CALLS):
        sample = drawing.sample()
        ours = outcome(rederive, operator.function, operator, sample)
        dtypes = {str(array.dtype) for array in sample.arrays()}
        wrong = difference(ours, outcome(torch, theirs, operator, sample), dtypes)
        if wrong:
            shown = {
                n: f"{v.dtype}{list(v.shape)}" if isinstance(v, np.ndarray) else v
                for n, v in sample.values.items()
            }
            found.append(f"{shown}: {wrong}")
    assert not found, f"{len(found)} of {CALLS}:\n" + "\n".join(found[:4])
