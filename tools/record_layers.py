"""Write what PyTorch's layers compute to tests/data/layers.npz: values, gradients, states, texts.

`numbers` holds all arrays one after another, `index` says in JSON where each lies, and which
program made it. Run it with PyTorch installed after changing the cases.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from rederive.tools.layer_cases import CASES, Case

TARGET = Path(__file__).parent.parent / "tests" / "data" / "layers.npz"


class Recorder:
    """Collects arrays, and where they lie."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.size = 0

    def place(self, array: Any) -> dict[str, Any]:
        """Keep an array; what the index says about it."""
        array = np.asarray(array)
        row = {"dtype": str(array.dtype), "shape": list(array.shape), "start": self.size}
        self.parts.append(array.astype(np.float64).reshape(-1))
        self.size += array.size
        return row


def record(torch: Any, case: Case, recorder: Recorder, random: np.random.Generator) -> dict:
    """The row of the index for one case."""
    module = eval(case.make, {"nn": torch.nn, "torch": torch}).double().train(case.train)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data.copy_(torch.from_numpy(random.uniform(0.2, 1.2, tensor.shape)))
    row = {"make": case.make, "train": case.train, "text": repr(module)}
    row["state"] = places(recorder, module.state_dict())
    given = [drawn(value, random) for value in case.inputs]
    row["inputs"] = [recorder.place(value) for value in given]
    row["options"] = {
        name: recorder.place(value) if isinstance(value, np.ndarray) else value
        for name, value in case.options.items()
    }
    inputs = [torch.from_numpy(value) for value in given]
    for tensor in inputs:
        tensor.requires_grad_(tensor.is_floating_point())
    options = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in case.options.items()
    }
    result = module(*inputs, **options)
    outputs = [t for t in (result if isinstance(result, tuple) else (result,)) if t is not None]
    row["outputs"] = [recorder.place(t.detach().numpy()) for t in outputs]
    floating = [t for t in outputs if t.requires_grad]
    flows = [random.uniform(-1, 1, tuple(t.shape)) for t in floating]
    row["flows"] = [recorder.place(flow) for flow in flows]
    torch.autograd.backward(floating, [torch.from_numpy(flow) for flow in flows])
    row["input_gradients"] = [
        None if t.grad is None else recorder.place(t.grad.numpy()) for t in inputs
    ]
    row["gradients"] = places(
        recorder, {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    )
    row["state_after"] = places(recorder, dict(module.named_buffers()))
    if case.train and "max_norm" in case.make:
        row["state_after"] = places(recorder, module.state_dict())
    return row


def drawn(value: Any, random: np.random.Generator) -> np.ndarray:
    """An input: an array as it is, or numbers of a shape."""
    return value if isinstance(value, np.ndarray) else random.uniform(-1.5, 1.5, value)


def places(recorder: Recorder, tensors: Any) -> dict[str, Any]:
    """Where the named tensors were put."""
    return {name: recorder.place(t.detach().numpy()) for name, t in tensors.items()}


def main() -> None:
    """Record all cases."""
    torch = importlib.import_module("torch")
    torch.backends.mha.set_fastpath_enabled(False)
    recorder, random = Recorder(), np.random.default_rng(0)
    rows = {case.name: record(torch, case, recorder, random) for case in CASES}
    TARGET.parent.mkdir(exist_ok=True)
    numbers = np.concatenate(recorder.parts)
    np.savez_compressed(TARGET, numbers=numbers, index=np.array(json.dumps(rows)))
    print(f"{len(rows)} layers, {TARGET.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
