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
from rederive.generated.registry import OPERATORS
from rederive.tools import samples

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

CALLS = 60  # drawn for each operator
SHAPES = ((), (3,), (1,), (2, 3), (3, 1), (1, 3), (2, 1, 3), (0, 3), (2, 3, 4))
DTYPES = ("float32", "float64", "float64", "float32", "int64", "int32")


def counterpart(operator):
    """PyTorch's function of the operator's public name, or None."""
    for space in operator.namespace:
        place = torch.Tensor if space == "Tensor" else torch
        if space not in ("torch", "Tensor"):
            for part in space.split("."):
                place = getattr(place, part, None)
        found = getattr(place, operator.public, None)
        if callable(found):
            return found
    return None


class Drawing:
    """Calls of an operator: argument name -> array, list of arrays, or plain value."""

    def __init__(self, operator):
        self.operator = operator
        self.declared = samples.draw(operator)
        self.random = random.Random(zlib.crc32(operator.name.encode()))
        self.kinds = {argument.name: argument for argument in operator.arguments}

    def call(self):
        sample = self.random.choice(self.declared)
        base, self.symmetric = sample.values, sample.symmetric
        values = {name: self.varied(name, value, base) for name, value in base.items()}
        for argument in self.operator.arguments:
            if argument.type == "bool" and argument.has_default and self.random.random() < 0.3:
                values[argument.name] = self.random.random() < 0.5
        return values

    def varied(self, name, value, base):
        if isinstance(value, np.ndarray):
            return self.array(name, value)
        if samples.is_arrays(value):
            dtype = self.dtype()
            return [self.retyped(item, dtype) for item in value]
        if name in ("dim", "dim0", "dim1") and isinstance(value, int):
            return value if self.random.random() < 0.5 else self.random.randint(-4, 3)
        return value

    def array(self, name, value):
        if value.dtype.kind != "f":
            return value
        free = self.operator.family == "pointwise" and not self.operator.calls
        if free and self.random.random() < 0.5:
            low, high = self.operator.samples.get(name, samples.INTERVAL)
            generator = np.random.default_rng(self.random.randrange(10**6))
            value = np.asarray(generator.uniform(low, high, self.random.choice(SHAPES)))
        value = self.retyped(value, self.dtype() if value.size else "float64")
        return samples.lay_out(value, self.random.random() < 0.4)

    def dtype(self):
        if self.operator.name in ONE_DTYPE:
            return "float64"
        return self.random.choice(DTYPES) if self.random.random() < 0.5 else "float64"

    @staticmethod
    def retyped(value, dtype):
        return np.asarray(value).astype(dtype) if value.dtype.kind == "f" else value


def outcome(module, function, operator, values, symmetric=frozenset()):
    """What a call gives: ("error", its type) or ("value", outputs, gradients)."""
    leaves = []

    def given(name, value):
        if isinstance(value, np.ndarray):
            made = module.from_numpy(value)
            if value.dtype.kind == "f" and name in operator.differentiable:
                leaves.append(made.requires_grad_())
            return (made + made.mT) / 2 if name in symmetric else made
        if samples.is_arrays(value):
            return [given(name, item) for item in value]
        kind = next(a.type for a in operator.arguments if a.name == name)
        return getattr(module, value) if kind == "Dtype" and isinstance(value, str) else value

    left = {name: given(name, value) for name, value in values.items()}
    positional = []
    for argument in operator.arguments:
        # what is not a tensor goes by name: PyTorch keeps abandoned arguments in some positions
        if argument.name not in left or argument.type not in ("Tensor", "Scalar", "int"):
            break
        positional.append(left.pop(argument.name))
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
        kinds.append(("gradient", ours[2], theirs[2]))
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
    "embedding": "PyTorch's gradient is sparse on request",
    "embedding_weight_first": "PyTorch's gradient is sparse on request",
    "scatter": "which of several values for one place stays",
    "sort": "the order of equal elements",
    "topk": "which of equal elements is taken, and their order",
    "det": "PyTorch's gradient of singular matrices is 0 where the cofactors are not",
    "svd": "the signs of singular vectors are free",
    "svd_torch": "the signs of singular vectors are free",
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

PUBLIC = [
    o
    for o in OPERATORS
    if counterpart(o) is not None and "internal" not in o.namespace and o.name not in PECULIAR
]


@pytest.mark.parametrize("operator", PUBLIC, ids=lambda operator: operator.name)
def test_operator_agrees_with_pytorch(operator):
    drawing, theirs = Drawing(operator), counterpart(operator)
    found = []
    for _ in range(CALLS):
        values = drawing.call()
        ours = outcome(rederive, operator.function, operator, values, drawing.symmetric)
        arrays = samples.Sample("", values, 0).arrays()
        dtypes = {str(array.dtype) for array in arrays}
        wrong = difference(
            ours, outcome(torch, theirs, operator, values, drawing.symmetric), dtypes
        )
        if wrong:
            shown = {
                n: f"{v.dtype}{list(v.shape)}" if isinstance(v, np.ndarray) else v
                for n, v in values.items()
            }
            found.append(f"{shown}: {wrong}")
    assert not found, f"{len(found)} of {CALLS}:\n" + "\n".join(found[:4])
