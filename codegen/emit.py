"""Stage four: lowered operators become the text of the generated files, all in memory."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import array_path, describe, fast_path, function_text, kernel_text, row_path, view_path
from .fast_path import call
from .layout import lay_out, listed
from .lower import Module
from .lower_columns import FRAME
from .lower_rowwise import Lane
from .model import Specification
from .plans import Kernel, Operator
from .printer import literal
from .scalars import SCALARS
from .scalars import emit as emit_scalars
from .scalars import preamble as scalar_preamble


def emit(specification: Specification, modules: Sequence[Module]) -> dict[str, str]:
    """File name -> text, for a whole generated package."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(call=_parallel_call, row_call=_row_call)
    environment.globals.update(call_for_rows=_call_for_rows, column_frame=FRAME)
    source = Path(specification.path).name
    files: dict[str, str] = {}
    for module in modules:
        family = module.operators[0].entry.family
        common = {"title": module.name.replace("_", " "), "source": source, "family": family}
        kernels = module.kernels
        if kernels:
            called = _called(module)
            scalars = sorted(called & set(SCALARS))
            text = environment.get_template("kernels.py.j2").render(
                **common,
                kernels=kernels,
                called=called,
                preamble="IMPORTS",
                scalars=emit_scalars(scalars).strip(),
            )
            imports = _kernel_imports(lay_out(text), scalars)
            files[f"kernels_{module.name}.py"] = lay_out(text.replace("IMPORTS", imports, 1))
        body = lay_out(
            environment.get_template("functions.py.j2").render(
                **common, operators=module.operators, imports="IMPORTS"
            )
        )
        files[f"functions_{module.name}.py"] = lay_out(_with_imports(body, module))
        template = environment.get_template("registry_group.py.j2")
        files[f"registry_{module.name}.py"] = lay_out(
            template.render(**common, operators=module.operators)
        )
    ordered = sorted(modules, key=lambda module: module.name)
    for name in ("__init__", "registry"):
        template = environment.get_template(f"{name.strip('_')}.py.j2")
        files[f"{name}.py"] = lay_out(
            template.render(
                source=source, modules=modules, ordered=ordered, declared=_declared(modules)
            )
        )
    return files


def _declared(modules: Sequence[Module]) -> list[Operator]:
    """All operators in the order of the specification, in which overloads are tried."""
    found = [operator for module in modules for operator in module.operators]

    def line(operator: Operator) -> int:
        return operator.entry.mark.line if operator.entry.mark else 0

    return sorted(found, key=line)


DOOR = (
    "ArrayNode",
    "ArrayOperator",
    "Columns",
    "GeometryNode",
    "GuardedPointwise",
    "Kernels",
    "Pointwise",
    "PointwiseNode",
    "Rowwise",
    "RowwiseNode",
    "Tensor",
    "TensorNode",
    "View",
    "ViewNode",
    "apart",
    "array_function",
    "arrays",
    "attempt",
    "bool_dtype",
    "bool_numpy",
    "changed",
    "check",
    "dispatch",
    "empty",
    "expired",
    "fitted",
    "fitted_list",
    "freed",
    "hand_written",
    "inplace",
    "inplace_view",
    "ints",
    "modes",
    "ndarray",
    "new",
    "next_sequence",
    "ops",
    "pointwise",
    "profiled",
    "profiling",
    "programs",
    "queries",
    "register",
    "return_type",
    "rowwise",
    "see",
    "spread",
    "strides",
    "threads",
    "total",
    "unpack",
    "wrapped",
    "write_out",
)


def _with_imports(body: str, module: Module) -> str:
    tree = ast.parse(lay_out(body))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if "kernels" in used:
        used.add("Kernels")
    wanted = [name for name in DOOR if name in used]
    lines = f"from rederive.door import {', '.join(wanted)}"
    if len(lines) > 100:
        lines = listed("from rederive.door import (", wanted, ")")
    if "kernels" in used:
        lines += f'\n\nkernels = Kernels("kernels_{module.name}", globals())'
    head, _, rest = body.partition("IMPORTS")
    rest = rest.lstrip("\n")
    # As ruff has it: two blank lines before a definition, one before anything else.
    blank = "\n\n\n" if rest.startswith(("def ", "class ", "@")) else "\n\n"
    return head + (lines if wanted else "") + blank + rest


def _kernel_imports(text: str, scalars: Sequence[str]) -> str:
    """The imports that a kernels file uses: Numba's decorators and what scalar functions need."""
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    grouped: dict[str, set[str]] = {
        "llvmlite": {"ir"},
        "numba": {"njit", "prange"},
        "numba.core": {"types"},
        "numba.extending": {"intrinsic", "overload", "register_jitable"},
    }
    plain = {"import numpy as np"}
    for line in scalar_preamble(scalars).splitlines():
        if line.startswith("from "):
            module, _, listing = line.removeprefix("from ").partition(" import ")
            grouped.setdefault(module, set()).update(part.strip() for part in listing.split(","))
        else:
            plain.add(line)
    lines = [line for line in sorted(plain) if line.split()[-1] in used]
    for source, members in sorted(grouped.items()):
        if members & used:
            chosen = ", ".join(sorted(members & used, key=_isort))
            lines.append(f"from {source} import {chosen}")
    return "\n".join(sorted(lines, key=lambda line: line.split()[0] == "from"))


def _isort(name: str) -> tuple[int, str]:
    """ruff's order of imported members: constants, classes, then the rest."""
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, name


def _called(module: Module) -> set[str]:
    """The functions that the kernels of a module call."""
    used: set[str] = set()
    for kernel in module.kernels:
        lines = list(kernel.body)
        if isinstance(kernel.lane, Lane) and kernel.lane.runs:
            lines += kernel.lane.runs.body
        if isinstance(kernel.lane, Lane) and kernel.lane.columns:
            lines += [line for phase in kernel.lane.columns.phases for line in phase.lines]
        used |= kernel_text.called(lines)
    return used


def _parallel_call(kernel: Kernel) -> str:
    """The body of a parallel kernel's loop: the serial kernel on one part."""
    arguments = [f"{a}[low:high]" for a in kernel.inputs]
    arguments += list(kernel.scalars)
    arguments += [f"{a}[low:high]" for a in kernel.outputs]
    return "\n".join(call(kernel.name, arguments, indent=" " * 8))


def _call_for_rows(kernel: Kernel, alone: str = "", name: str = "") -> str:
    """The flat kernel on the rows that were found; `name` where `alone` is one number for each."""
    arguments = [f"part_{a}" for a in kernel.inputs if a != alone]
    arguments += [f"{alone}[start_{alone}]"] if alone else []
    arguments += [*kernel.scalars, *(f"{a}[begin_part:end_part]" for a in kernel.outputs)]
    return "\n".join(call(name or kernel.name, arguments, indent=" " * (12 if kernel.alone else 8)))


def _row_call(kernel: Kernel) -> str:
    """The same for a rowwise kernel: the parts are blocks of rows."""
    lane = kernel.lane
    assert isinstance(lane, Lane)

    def part(name: str) -> str:
        if name in lane.lanes:
            return f"{name}[low * n : high * n]"
        if name in lane.rows:
            return f"{name}[low:high]"
        return f"partial_{name}[part]" if name in lane.parameter_outputs else name

    arguments = [part(a) for a in (*kernel.inputs, *kernel.scalars)]
    arguments += ["high - low", "n", *(part(a) for a in kernel.outputs)]
    return "\n".join(call(kernel.name, arguments, indent=" " * 8))


FILTERS = {
    "apply_lines": fast_path.apply_lines,
    "argument_lines": function_text.argument_lines,
    "arguments": function_text.arguments,
    "array_case_lines": array_path.case_lines,
    "array_lines": array_path.function_lines,
    "on_arrays_lines": array_path.gradient_lines,
    "base": function_text.base,
    "comment": function_text.comment,
    "composite_lines": function_text.composite_lines,
    "results_name": function_text.results_name,
    "results_type": function_text.results_type,
    "descriptor_class": describe.descriptor_class,
    "descriptor_lines": describe.descriptor_lines,
    "docstring": function_text.docstring,
    "fast_forms": fast_path.fast_forms,
    "fast_lines": fast_path.function_lines,
    "has_out": function_text.has_out,
    "inplace_call": function_text.inplace_call,
    "inplace_lines": fast_path.inplace_lines,
    "interface_lines": describe.interface_lines,
    "jvp_unpack_lines": function_text.jvp_unpack_lines,
    "label": describe.label,
    "literal": literal,
    "out_calls": function_text.out_calls,
    "parameters": function_text.parameters,
    "profiled_lines": function_text.profiled_lines,
    "reflected": function_text.reflected,
    "registry_lines": describe.registry_lines,
    "reflected_lines": fast_path.reflected_lines,
    "row_apply_lines": row_path.apply_lines,
    "row_lines": row_path.function_lines,
    "straight_node": row_path.straight_node,
    "second": function_text.second,
    "signature": function_text.signature,
    "signature_lines": describe.signature_lines,
    "view_lines": view_path.function_lines,
    "unpack_lines": function_text.unpack_lines,
}
