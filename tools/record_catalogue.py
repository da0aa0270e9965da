"""Record which operators a catalogue of PyTorch's interface asks for first, as test data.

Run `python tools/record_catalogue.py CATALOGUE.yaml`. The tests compare what is recorded with what
is here: names, namespaces, aliases, arguments with their defaults, methods and in-place forms.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

RECORDED = Path(__file__).resolve().parents[1] / "tests" / "data" / "catalogue.json"
KEPT = ("name", "namespace", "args", "method", "inplace", "differentiable", "aliases", "also")


def first_tier(catalogue: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The entries of tier 1, without what is judgement about them."""
    entries = [*catalogue["ops"], *catalogue["nondifferentiable"]]
    return [{k: e[k] for k in KEPT if k in e} for e in entries if e["tier"] == 1]


def main() -> None:
    catalogue = yaml.safe_load(Path(sys.argv[1]).read_text())
    lines = ",\n".join(json.dumps(entry) for entry in first_tier(catalogue))
    RECORDED.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
