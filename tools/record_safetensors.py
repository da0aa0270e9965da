"""Write tests/runtime/data/torch.safetensors: what PyTorch saves, for tests that run without it."""

import importlib
from pathlib import Path

FILE = Path(__file__).parent.parent / "tests" / "runtime" / "data" / "torch.safetensors"


def main() -> None:
    """Every dtype that both have, awkward shapes, and the bits of floats that are no numbers."""
    torch = importlib.import_module("torch")
    saving = importlib.import_module("safetensors.torch")
    bits = [0, -(2**31), 1, 0x7F800000, 0x7FC00001, 0x7F800001, 0x3F800000]
    tensors = {
        "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7,
        "bits": torch.tensor(bits, dtype=torch.int32).view(torch.float32),
        "double": torch.tensor([1 / 3, -0.0, 5e-324], dtype=torch.float64),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "bool": torch.tensor([True, False, True]),
    }
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        dtype = getattr(torch, name)
        limits = torch.iinfo(dtype)
        tensors[name] = torch.tensor([limits.min, limits.max, 3], dtype=dtype)
    FILE.parent.mkdir(exist_ok=True)
    saving.save_file(tensors, FILE, {"format": "pt"})


if __name__ == "__main__":
    main()
