"""Finds specifications and registries, and the lines of a specification that formulas stand on.

The generated registry holds everything that checks and tables need, so nothing here is needed to
run them; a specification that is found only adds `file:line` to messages.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

BUILT_IN = "rederive"


class Mistake(Exception):
    """The user asked for something that cannot be done; the command line prints it, status 2."""


def checkout_specification() -> Path | None:
    """The checkout's own derivatives.yaml, or None when rederive is installed from a wheel."""
    import rederive.codegen

    beside = Path(rederive.codegen.__file__).parents[1] / "derivatives.yaml"
    return beside if beside.is_file() else None


def built_in_specification() -> Path | None:
    """The specification of rederive's own operators, from the checkout or inside the wheel."""
    import rederive.codegen

    inside = Path(rederive.codegen.__file__).parents[1] / "specification" / "derivatives.yaml"
    return checkout_specification() or (inside if inside.is_file() else None)


def operators_of(package: str) -> tuple[Any, ...]:
    """The operators that a package declares: rederive's own, or those of a user's package.

    package: "rederive", an importable package that `rederive generate` wrote, or its folder.
    """
    if package == BUILT_IN:
        module = _imported("rederive.generated.registry", package)
    else:
        name = package
        if Path(package).is_dir():
            folder = Path(package).resolve()
            if not (folder / "registry.py").is_file():
                raise Mistake(f"{package}: has no registry.py; run `rederive generate` first")
            name = folder.name
            sys.path.insert(0, str(folder.parent))
        else:
            sys.path.insert(0, str(Path.cwd()))
        module = _imported(f"{name}.registry", package)
    return tuple(module.OPERATORS)


def _imported(name: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise Mistake(
                f"{package}: there is no module {error.name!r}; run `rederive generate` first"
            ) from None
        raise
    except ImportError as error:  # an operator whose name is taken, say
        raise Mistake(str(error)) from None


def select(operators: tuple[Any, ...], names: list[str]) -> tuple[Any, ...]:
    """The operators of these names: internal ("max_dim"), or public with all overloads ("max")."""
    if not names:
        return operators
    known = {operator.name for operator in operators} | {operator.public for operator in operators}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise Mistake(f"no operator is named {name!r}{hint}")
    return tuple(o for o in operators if o.name in names or o.public in names)


@dataclass(frozen=True)
class Places:
    """Where the operators of a specification stand; knows nothing if the file was not found."""

    path: str
    entries: dict[str, Any]

    def entry(self, operator: str) -> str:
        """`derivatives.yaml:12`, or "" if unknown."""
        found = self.entries.get(operator)
        return self._place(found.mark) if found is not None else ""

    def gradient(self, operator: str, argument: str) -> str:
        """The place of the gradient formula of an argument, else that of its entry."""
        found = self.entries.get(operator)
        formula = dict(found.gradients).get(argument) if found is not None else None
        if formula is None or formula.mark is None:
            return self.entry(operator)
        return self._place(formula.mark)

    def _place(self, mark: Any) -> str:
        return f"{self.path}:{mark.line}" if mark is not None else ""


def places(package: str, given: str | None = None) -> Places:
    """Read the specification of a package, if it can be found, for the places of its formulas.

    given: its path, if the user said it. Otherwise rederive's own specification, or
    `<package>.yaml` beside the package's folder or in the working directory.
    """
    if given is not None:
        if not Path(given).is_file():
            raise Mistake(f"{given}: no such file")
        found: Path | None = Path(given)
    elif package == BUILT_IN:
        found = built_in_specification()
    else:
        stem = package.rstrip("/").rpartition(".")[2]
        candidates = (Path(f"{stem}.yaml"), Path(f"{Path(stem).name}.yaml"))
        found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        return Places("", {})
    try:
        from rederive.codegen.load import load

        loaded = load(found)
        return Places(str(shown(found)), {entry.name: entry for entry in loaded.entries})
    except Exception:  # places only decorate messages: a file that cannot be read adds none
        return Places("", {})


def shown(path: Path) -> Path:
    """The path relative to the working directory, where it lies within: messages quote it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
