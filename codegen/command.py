"""The only stage that touches the disk: read, generate in memory, compare or replace."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .check import load_checked
from .emit import emit
from .errors import SpecError
from .load import load
from .lower import lower
from .model import Entry
from .scalars import SCALARS

HEADER = "Generated"


def render(path: Path, imported: tuple[Entry, ...] = ()) -> dict[str, str]:
    """File name -> text of the package that a specification describes; raises SpecError."""
    scalars = {name: scalar.arity for name, scalar in SCALARS.items()}
    specification = load_checked(path, scalars, imported=imported)
    return emit(specification, lower(specification))


def generate(
    spec: str | Path, out: str | Path, check: bool = False, builtin: str | Path | None = None
) -> int:
    """Generate `out` from `spec` and return the exit status.

    `builtin` is the specification whose operators the formulas may also call (rederive's own,
    for a package of a user's operators). With `check` nothing is written: differences are
    printed and the status is 1.
    """
    out = Path(out)
    try:
        imported = load(Path(builtin)).entries if builtin is not None else ()
        files = render(Path(spec), imported)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{spec}: {error.strerror}", file=sys.stderr)
        return 1
    changed = differences(out, files)
    if check:
        for name in changed:
            print(_diff(out, name, files.get(name, "")), end="")
        if changed:
            print(f"{len(changed)} files differ; run: rederive generate", file=sys.stderr)
        return 1 if changed else 0
    write(out, files, changed)
    print(f"{out}: {len(files)} files, {len(changed)} changed")
    return 0


def differences(out: Path, files: Mapping[str, str]) -> list[str]:
    """Names of files that are missing, differ, or that no entry produces any longer."""
    names = [name for name, text in files.items() if _read(out / name) != text]
    orphans = [p.name for p in sorted(out.glob("*.py")) if p.name not in files and _ours(p)]
    return names + orphans


def write(out: Path, files: Mapping[str, str], changed: list[str]) -> None:
    """Replace what differs, each file atomically, and remove orphans."""
    out.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name not in files:
            (out / name).unlink()
            continue
        handle, temporary = tempfile.mkstemp(dir=out, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(files[name])
            os.chmod(temporary, 0o644)
            os.replace(temporary, out / name)
        except BaseException:
            os.unlink(temporary)
            raise


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _ours(path: Path) -> bool:
    """Whether the generator wrote a file: it says so at its top."""
    with open(path, encoding="utf-8") as stream:
        return HEADER in stream.read(400)


def _diff(out: Path, name: str, new: str) -> str:
    old = _read(out / name) or ""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        f"{out.name}/{name}",
        f"{out.name}/{name} (from the specification)",
    )
    return "".join(lines)
