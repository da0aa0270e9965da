"""Layers against what PyTorch's computed for the same weights: tests/data/layers.npz.

tools/record_layers.py recorded it in float64; in float32 it must hold to rounding.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import rederive as rd
from rederive import nn

with np.load(Path(__file__).parents[1] / "data" / "layers.npz") as recorded:
    NUMBERS, CASES = recorded["numbers"], json.loads(str(recorded["index"]))


def array(row, dtype=None):
    """A recorded array; floating ones in the dtype that is tested."""
    size = int(np.prod(row["shape"]))
    values = NUMBERS[row["start"] : row["start"] + size].reshape(row["shape"])
    kind = row["dtype"]
    return values.astype(dtype if dtype and kind.startswith("float") else kind)


def as_tensor(value, dtype):
    return rd.from_numpy(array(value, dtype)) if isinstance(value, dict) else value


def make(case, dtype):
    """The layer with the recorded state."""
    module = eval(case["make"], {"nn": nn, "torch": rd}).to(dtype)
    state = {name: as_tensor(row, module_dtype(dtype)) for name, row in case["state"].items()}
    assert list(module.state_dict()) == list(state)
    module.load_state_dict(state)
    return module.train(case["train"])


def module_dtype(dtype):
    return {rd.float32: np.float32, rd.float64: np.float64}[dtype]


def check(found, row, tolerance, what):
    """A tensor or None agrees with what was recorded."""
    if row is None:
        assert found is None, what
        return
    wanted = array(row)
    assert tuple(found.shape) == wanted.shape, what
    assert found.dtype.is_floating_point == (wanted.dtype.kind == "f"), what
    np.testing.assert_allclose(
        found.detach().numpy(), wanted, rtol=tolerance, atol=tolerance, err_msg=what
    )


@pytest.mark.parametrize("dtype", [rd.float64, rd.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(name, dtype):
    case, tolerance = CASES[name], 1e-11 if dtype is rd.float64 else 3e-5
    module = make(case, dtype)
    assert repr(module) == case["text"]
    inputs = [as_tensor(row, module_dtype(dtype)) for row in case["inputs"]]
    for tensor in inputs:
        tensor.requires_grad_(tensor.is_floating_point())
    options = {key: as_tensor(value, module_dtype(dtype)) for key, value in case["options"].items()}
    result = module(*inputs, **options)
    outputs = [t for t in (result if isinstance(result, tuple) else (result,)) if t is not None]
    assert len(outputs) == len(case["outputs"])
    for output, row in zip(outputs, case["outputs"], strict=True):
        check(output, row, tolerance, "output")
    floating = [t for t in outputs if t.requires_grad]
    flows = [as_tensor(row, module_dtype(dtype)) for row in case["flows"]]
    rd.autograd.backward(floating, flows)
    for tensor, row in zip(inputs, case["input_gradients"], strict=True):
        check(tensor.grad, row, tolerance, "gradient of an input")
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    assert set(gradients) == set(case["gradients"])
    for key, row in case["gradients"].items():
        check(gradients[key], row, tolerance, f"gradient of {key}")
    after = module.state_dict()
    for key, row in case["state_after"].items():
        check(after[key], row, tolerance, f"{key} afterwards")


def test_every_layer_is_recorded():
    containers = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
    layers = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    recorded = " ".join(case["make"] for case in CASES.values())
    assert {name for name in layers if f"nn.{name}(" not in recorded} == containers
