"""The rules of the language over a specification that was read: the second stage of the generator.

Owns the rules of entries together; `check_entry` owns those of one entry, `check_formulas` those of
formulas, `check_growth` what becomes of them, `check_calls` sample calls. Collects every mistake.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from rederive.codegen import load
from rederive.codegen.check_entry import EntryCheck
from rederive.codegen.check_formulas import Operators
from rederive.codegen.check_growth import Edge, check_growth, context
from rederive.codegen.errors import Problems, TooMany
from rederive.codegen.model import Entry, Specification


def check(specification: Specification, scalars: Mapping[str, int]) -> None:
    """Verify a specification; raises `SpecError` with every mistake.

    scalars: the scalar functions that kernels may call, with their numbers of arguments.
    """
    problems = Problems(specification.path, specification.lines)
    _check(specification, scalars, problems, frozenset())
    problems.raise_if_any()


def load_checked(
    source: str | os.PathLike[str],
    scalars: Mapping[str, int],
    name: str = "derivatives.yaml",
    imported: tuple[Entry, ...] = (),
) -> Specification:
    """Read and verify; one `SpecError` holds the mistakes of both stages."""
    specification, problems, damaged = load.read(source, name, imported)
    _check(specification, scalars, problems, damaged)
    problems.raise_if_any()
    return specification


def _check(
    specification: Specification,
    scalars: Mapping[str, int],
    problems: Problems,
    damaged: frozenset[str],
) -> None:
    with contextlib.suppress(TooMany):
        _check_all(specification, scalars, problems, damaged)


def _check_all(
    specification: Specification,
    scalars: Mapping[str, int],
    problems: Problems,
    damaged: frozenset[str],
) -> None:
    _check_names(specification, problems)
    _check_symbols(specification, problems)
    operators = Operators((*specification.entries, *specification.imported), damaged)
    edges: list[Edge] = []
    for entry in specification.entries:
        EntryCheck(entry, operators, scalars, problems, edges).run()
    check_growth(specification.entries, edges, operators, scalars, problems)


# --- entries together ----------------------------------------------------------------------


def _check_names(specification: Specification, problems: Problems) -> None:
    """No two operators, aliases or internal names coincide."""
    internal = {entry.name: entry.signature.label for entry in specification.imported}
    public = {}
    for entry in specification.imported:
        for qualified in _qualified(entry):
            public[qualified] = entry.signature.name
    for entry in specification.entries:
        label = entry.signature.label
        if entry.name in internal:
            other = internal[entry.name]
            message = f"{context(entry)}: declared twice"
            if other != label:
                message = f"{context(entry)}: has the same internal name as '{other}'"
            problems.add(message, entry.mark)
            continue
        internal[entry.name] = label
        for qualified in _qualified(entry):
            owner = public.setdefault(qualified, entry.signature.name)
            if owner != entry.signature.name:
                own = qualified.rpartition(".")[2] == entry.signature.name
                mark = entry.mark if own else entry.places.value("aliases")
                what = f"'{qualified}' is already a name of '{owner}'"
                problems.add(f"{context(entry)}: {what}", mark)


def _qualified(entry: Entry) -> list[str]:
    """The public names of an operator, namespace included."""
    found = [f"{namespace}.{entry.signature.name}" for namespace in entry.namespace]
    for alias in entry.aliases:
        found.append(alias if "." in alias else f"{entry.namespace[0]}.{alias}")
    return found


def _check_symbols(specification: Specification, problems: Problems) -> None:
    """A Python operator stands for one operator (whose overloads may share it)."""
    owners: dict[str, str] = {}
    for entry in (*specification.imported, *specification.entries):
        if entry.operator:
            owner = owners.setdefault(entry.operator, entry.signature.name)
            if owner != entry.signature.name:
                message = f"'{entry.operator}' is already the operator of '{owner}'"
                where = entry.places.value("operator")
                problems.add(f"{context(entry)}, 'operator': {message}", where)
