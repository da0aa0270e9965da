"""Writes the text of scalar functions into a file of kernels."""

import ast
from collections.abc import Iterable

from .catalogue import SCALARS
from .sources import closure, definitions, external_names, variants

# The stubs need these; no module of functions imports the first.
_STUBS = {"overload": "from numba.extending import", "types": "from numba.core import"}


def preamble(names: Iterable[str]) -> str:
    """The imports that the text of these functions needs, as `ruff check` wants them."""
    tree = ast.parse(emit(names))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    plain: set[str] = set()
    grouped: dict[str, list[str]] = {}
    for name, line in {**external_names(), **_STUBS}.items():
        if name not in used:
            continue
        if line.endswith(" import"):
            grouped.setdefault(line, []).append(name)
        else:
            plain.add(line)
    lines = sorted(plain) + [
        f"{line} {', '.join(sorted(grouped[line]))}" for line in sorted(grouped)
    ]
    return "".join(f"{line}\n" for line in lines)


def emit(names: Iterable[str]) -> str:
    """The text of these functions and of all that they need, dependencies first.

    The order of `names` does not matter. Raises KeyError for a name that is not in SCALARS.
    """
    chosen = sorted(set(names))
    known = definitions()
    pieces: list[str] = []
    constants = False
    for name in _closure(chosen):
        definition = known[name]
        joined = constants and not definition.is_function and not definition.text.startswith("#")
        pieces.append(("\n" if joined else "\n\n\n") + definition.text)
        constants = not definition.is_function
    pieces.extend("\n\n\n" + _stub(name) for name in chosen)
    return "".join(pieces).lstrip("\n") + "\n" if pieces else ""


def _closure(names: Iterable[str]) -> tuple[str, ...]:
    needed: dict[str, None] = {}
    for name in sorted(set(names)):
        needed.update(dict.fromkeys(SCALARS[name].requires))
    return closure(tuple(needed))


def _stub(name: str) -> str:
    """The function that kernels call, and how Numba chooses the one that does the work."""
    choices = variants(name)
    parameters = definitions()[choices[0]].parameters
    arguments = ", ".join(parameters)
    lines = [f"def {name}({arguments}):", "    raise NotImplementedError", "", ""]
    lines += [f"@overload({name}, jit_options=CONTRACT)", f"def {name}_overload({arguments}):"]
    if choices == (f"{name}_any",):
        return "\n".join([*lines, f"    return {choices[0]}"])
    if f"{name}_integer" in choices:
        test = " and ".join(f"isinstance({p}, types.Integer)" for p in parameters)
        lines += [f"    if {test}:", f"        return {name}_integer"]
    if len(parameters) > 1:
        lines += [f"    if {' != '.join(parameters)}:", "        return None"]
    first = parameters[0]
    pairs = ", ".join(f"types.{kind}: {name}_{kind}" for kind in ("float32", "float64"))
    return "\n".join([*lines, f"    return {{{pairs}}}.get({first})"])


PREAMBLE: str = preamble(SCALARS)
