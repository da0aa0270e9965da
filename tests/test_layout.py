"""The import rules between the folders, found by walking the imports of every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"runtime": "rederive", "generated": "rederive.generated", "codegen": "rederive.codegen"}
PACKAGES["tools"] = "rederive.tools"


def modules(folder: str) -> Iterator[Path]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "__pycache__" not in path.parts:
            yield path


def imported(path: Path) -> set[str]:
    """The modules of rederive that a file imports, at any depth, as absolute names.

    `from a import b` counts as `a` and as `a.b`, since b may be a module.
    """
    folder = path.relative_to(ROOT).parts[0]
    inner = path.relative_to(ROOT / folder).parent.parts
    package = [*PACKAGES[folder].split("."), *inner]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.partition(".")[0] == "rederive"}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def strays(folder: str, allowed: tuple[str, ...]) -> dict[str, set[str]]:
    """Files of a folder that import something of rederive outside `allowed`."""
    found = {}
    for path in modules(folder):
        bad = {
            name
            for name in imported(path)
            if name != "rederive" and not any(within(name, package) for package in allowed)
        }
        if bad:
            found[str(path.relative_to(ROOT))] = bad
    return found


def importers(folder: str, package: str) -> list[str]:
    """Files of a folder that import `package`."""
    return [
        str(path.relative_to(ROOT))
        for path in modules(folder)
        if any(within(name, package) for name in imported(path))
    ]


def test_codegen_imports_only_itself():
    assert strays("codegen", ("rederive.codegen",)) == {}
    assert [p for p in modules("codegen") if "rederive" in imported(p) - {"rederive.codegen"}] == []


def test_generated_imports_only_the_door():
    assert strays("generated", ("rederive.door", "rederive.generated")) == {}


def test_runtime_imports_generated_in_one_module():
    assert importers("runtime", "rederive.generated") in ([], ["runtime/operators.py"])


def test_runtime_imports_no_tools():
    assert importers("runtime", "rederive.tools") == ["runtime/__main__.py"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import rederive.a", {"rederive.a"}),
        ("from . import b", {"rederive", "rederive.b"}),
        ("from .b import c", {"rederive.b", "rederive.b.c"}),
        ("def f():\n    from rederive import d", {"rederive", "rederive.d"}),
        ("import numpy", set()),
    ],
)
def test_walk_finds_imports(tmp_path, monkeypatch, source, names):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "runtime" / "module.py"
    path.parent.mkdir()
    path.write_text(source)
    assert imported(path) == names
