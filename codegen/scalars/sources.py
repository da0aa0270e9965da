"""Reads the modules of scalar functions as text: each definition, and the names that it needs."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# What a stub can be implemented by: `exp_float32`, `abs_any`, ...
VARIANTS = ("float32", "float64", "integer", "any")

MODULES = (
    "combined",
    "division",
    "error_function",
    "exponential",
    "hyperbolic",
    "inverse_trigonometric",
    "logarithm",
    "power",
    "primitives",
    "rare",
    "short",
    "simple",
    "trigonometric",
)


@dataclass(frozen=True)
class Definition:
    """A top-level function or constant: its text with the comments above it, and what it uses."""

    text: str
    uses: tuple[str, ...]
    is_function: bool
    parameters: tuple[str, ...]


@cache
def definitions() -> dict[str, Definition]:
    """Every definition of every module, by name."""
    found: dict[str, Definition] = {}
    for module in MODULES:
        text = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
        for name, definition in _read(text).items():
            if name in found:
                raise ValueError(f"scalars: {name} is defined twice, the second time in {module}")
            found[name] = definition
    return found


@cache
def external_names() -> dict[str, str]:
    """The import line of each name that comes from outside this package."""
    found: dict[str, str] = {}
    for module in MODULES:
        text = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name] = ast.unparse(node)
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level == 0:
                    found.update({alias.name: f"from {origin} import" for alias in node.names})
    return found


def _read(text: str) -> dict[str, Definition]:
    lines = text.splitlines()
    found: dict[str, Definition] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            name = node.name
            first = min([node.lineno] + [d.lineno for d in node.decorator_list])
            parameters = tuple(argument.arg for argument in node.args.args)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, first, parameters = node.targets[0].id, node.lineno, ()
        else:
            continue
        while lines[first - 2].startswith("#"):
            first -= 1
        body = "\n".join(lines[first - 1 : node.end_lineno])
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {name}
        is_function = isinstance(node, ast.FunctionDef)
        found[name] = Definition(body, tuple(sorted(names)), is_function, parameters)
    return found


def variants(name: str) -> tuple[str, ...]:
    """The functions that implement a scalar function."""
    return tuple(f"{name}_{kind}" for kind in VARIANTS if f"{name}_{kind}" in definitions())


def closure(names: tuple[str, ...]) -> tuple[str, ...]:
    """The definitions that `names` need, themselves included, dependencies first."""
    known = definitions()
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in known and name not in done:
            for use in known[name].uses:
                visit(use)
            done[name] = None

    for name in names:
        visit(name)
    return tuple(done)


def requirements(name: str) -> tuple[str, ...]:
    """The definitions that a scalar function needs, dependencies first."""
    return closure(("CONTRACT", *variants(name)))
