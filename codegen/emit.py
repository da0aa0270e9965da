"""Stage four: lowered operators become the text of the generated files, all in memory."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import fast_path
from .fast_path import call, unpacking, variable
from .layout import lay_out, listed
from .lower import Module, node_name
from .lower_rowwise import Lane, LanePlan
from .model import Argument, Entry, Specification
from .plans import Backward, Kernel, Operator
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
    source = Path(specification.path).name
    files: dict[str, str] = {}
    for module in modules:
        family = module.operators[0].entry.family
        common = {"title": module.name.replace("_", " "), "source": source, "family": family}
        kernels = module.kernels
        if kernels:
            scalars = _scalars(module)
            text = environment.get_template("kernels.py.j2").render(
                **common,
                kernels=kernels,
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
            template.render(source=source, modules=modules, ordered=ordered)
        )
    return files


DOOR = (
    "ArrayOperator",
    "Pointwise",
    "PointwiseNode",
    "Rowwise",
    "RowwiseNode",
    "Tensor",
    "TensorNode",
    "View",
    "ViewNode",
    "array_function",
    "bool_dtype",
    "bool_numpy",
    "dispatch",
    "empty",
    "expired",
    "freed",
    "hand_written",
    "inplace",
    "modes",
    "ndarray",
    "new",
    "next_sequence",
    "ops",
    "pointwise",
    "queries",
    "register",
    "spread",
    "threads",
    "total",
    "unpack",
)


def _with_imports(body: str, module: Module) -> str:
    tree = ast.parse(lay_out(body))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    wanted = [name for name in DOOR if name in used]
    lines = f"from rederive.door import {', '.join(wanted)}"
    if len(lines) > 100:
        lines = listed("from rederive.door import (", wanted, ")")
    if "kernels" in used:
        lines += f"\n\nfrom . import kernels_{module.name} as kernels"
    head, _, rest = body.partition("IMPORTS")
    rest = rest.lstrip("\n")
    # As ruff has it: two blank lines before a definition, one before anything else.
    blank = "\n\n\n" if rest.startswith(("def ", "class ", "@")) else "\n\n"
    return head + (lines if wanted else "") + blank + rest


def _kernel_imports(text: str, scalars: Sequence[str]) -> str:
    """The imports that a kernels file uses: Numba's decorators and what scalar functions need."""
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    grouped: dict[str, set[str]] = {
        "numba": {"njit", "prange"},
        "numba.core": {"types"},
        "numba.extending": {"overload", "register_jitable"},
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


def _scalars(module: Module) -> list[str]:
    """The scalar functions that the kernels of a module call."""
    used: set[str] = set()
    for kernel in module.kernels:
        for line in kernel.body:
            tree = ast.parse(f"if True:\n {line}\n  pass" if line.endswith(":") else line.strip())
            used |= {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
    return sorted(used & set(SCALARS))


def operands_read(kernel: Kernel) -> list[tuple[int, str]]:
    """(position, name) of the operands of a strided kernel that its statements read."""
    used = {name for line in kernel.body for name in _words(line)}
    return [(i, name) for i, name in enumerate(kernel.inputs) if name in used]


def _parallel_call(kernel: Kernel) -> str:
    """The body of a parallel kernel's loop: the serial kernel on one part."""
    arguments = [f"{a}[low:high]" for a in kernel.inputs]
    arguments += list(kernel.scalars)
    arguments += [f"{a}[low:high]" for a in kernel.outputs]
    return "\n".join(call(kernel.name, arguments, indent=" " * 8))


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


# --- filters -----------------------------------------------------------------------------------


def _default(argument: Argument) -> str:
    return f"={literal(argument.default)}" if argument.has_default else ""


def parameters(op: Operator, inplace: bool = False) -> str:
    """The parameter list of the public function, on a line of its own when it is long."""
    text = ", ".join(_parameters(op, inplace))
    start = len(f"def {op.entry.name}{'_' if inplace else ''}(")
    return text if start + len(text) + 2 <= 100 else f"\n    {text}\n"


def _parameters(op: Operator, inplace: bool) -> list[str]:
    parts: list[str] = []
    starred = False
    for argument in op.arguments:
        if inplace and argument.name == "inplace":
            continue
        if argument.keyword_only and not starred:
            parts.append("*")
            starred = True
        if argument.variadic:
            parts.append(f"*{variable(argument.name)}")
            starred = True
            continue
        parts.append(variable(argument.name) + _default(argument))
    return parts


def signature(kernel: Kernel, names: Sequence[str], ending: str = "") -> str:
    """`name(a, b)` of a kernel's definition, its arguments on a line of their own if long."""
    text = ", ".join(names)
    start = f"{kernel.name}{ending}("
    if len("def ") + len(start) + len(text) + 2 <= 100:
        return f"{start}{text})"
    return f"{start}\n    {text}\n)"


def arguments(op: Operator) -> str:
    return ", ".join(variable(a.name) for a in op.arguments if a.name != "inplace")


def docstring(op: Operator) -> str:
    """The entry's `doc`, wrapped; the first sentence stands alone."""
    words = " ".join(op.entry.doc.split())
    first, _, rest = words.partition(". ")
    head = first if first.endswith(".") else first + "."
    lines = textwrap.wrap(head, 90)
    if rest:
        lines += ["", *textwrap.wrap(rest, 92)]
    if len(lines) == 1:
        return f'    """{lines[0]}"""'
    body = "\n".join(f"    {line}" if line else "" for line in lines[1:])
    return f'    """{lines[0]}\n{body}\n    """'


def comment(text: str, indent: str = "") -> list[str]:
    """A formula as comment lines."""
    return [f"# {indent}{line}" for line in textwrap.wrap(text, 80)]


def base(op: Operator) -> str:
    if op.entry.family == "view" and op.entry.auto:
        return "ViewNode"
    several = len(op.differentiable_outputs) > 1
    family = op.entry.family if not several else "several"
    return {"pointwise": "PointwiseNode", "rowwise": "RowwiseNode"}.get(family, "TensorNode")


def has_inplace(op: Operator) -> bool:
    """Whether the operator gets a form that writes into its first argument."""
    return bool(op.forms) or op.entry.inplace


def argument_lines(op: Operator) -> list[str]:
    """What comes first in a function: varargs in one tuple, `inplace=True` handed on."""
    lines = [f"{a.name} = spread({a.name})" for a in op.arguments if a.variadic]
    return lines + _inplace_argument(op)


def _inplace_argument(op: Operator) -> list[str]:
    if not any(a.name == "inplace" for a in op.arguments):
        return []
    names = [a.name for a in op.arguments if a.name != "inplace"]
    return ["if inplace:", f"    return {op.entry.name}_({', '.join(map(variable, names))})"]


def inplace_arguments(op: Operator) -> str:
    """Name, function, whether gradients read the input (which is overwritten), arguments."""
    reads = op.entry.family == "composite" or any(
        s.kind == "input" and s.source == op.operands[0].name for s in op.saved
    )
    name = literal(op.entry.signature.name)
    return f"{name}, {op.entry.name}, {reads}, {arguments(op)}"


def reflected(op: Operator) -> bool:
    return bool(op.entry.operator) and len(op.operands) == 2


def second(op: Operator) -> str:
    """The name of a binary operator's second operand."""
    return op.operands[1].name


def unpack_lines(op: Operator) -> list[str]:
    lines: list[str] = []
    names = [s.name for s in op.saved if s.kind != "row"]
    if op.lane:
        plan = op.lane
        assert isinstance(plan, LanePlan)
        lines.append("lanes = node.general.lanes")
        if names:
            lines += unpacking(names, "unpack(node)")
        outputs = [o.name for o in op.entry.signature.outputs]
        saved = {s.name for s in op.saved}
        for index, (name, lane) in enumerate(zip(outputs, plan.lane_outputs, strict=True)):
            if not lane and name in saved:
                lines.append(f"{name} = lanes.keep({name})")
            if not lane and op.differentiable_outputs == (index,):
                lines.append("grad = lanes.keep(grad)")
    elif names:
        lines += unpacking(names, "unpack(node)")
    if len(op.differentiable_outputs) > 1:
        parts = [f"grad_{op.entry.signature.outputs[i].name}" for i in op.differentiable_outputs]
        lines += unpacking(parts, "grad")
    return lines


def jvp_unpack_lines(op: Operator) -> list[str]:
    used = {name for g in (*op.jvp,) for line in g.lines for name in _words(line)}
    used |= {name for line in op.jvp_prelude for name in _words(line)}
    names = [a.name if a.name in used else "_" for a in op.arguments if a.name != "inplace"]
    lines = [f"lanes = {op.constant}.lanes(arguments)"] if "lanes" in used else []
    if all(name == "_" for name in names):
        return lines
    return lines + unpacking(names, "arguments")


def _words(line: str) -> Iterable[str]:
    tree = ast.parse(line)
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def composite_lines(op: Operator) -> list[str]:
    lines: list[str] = []
    names = {a.name for a in op.arguments}
    for argument in op.arguments:
        if argument.type == "Tensor" and not (
            argument.or_scalar or argument.optional or argument.many
        ):
            name = variable(argument.name)
            call = f"wrong_type({literal(op.entry.name)}, {literal(name)}, {name})"
            lines += [f"if not isinstance({name}, Tensor):", f"    queries.{call}"]
    if "self" in names:
        lines.append("self = input")
    for condition, code in op.cases:
        body = [*code.lines, f"return {code.values[0]}"]
        if condition:
            lines += [f"if {condition}:", *(f"    {line}" for line in body)]
        else:
            lines += body
    return lines


def descriptor_class(op: Operator) -> str:
    return {
        "pointwise": "Pointwise",
        "rowwise": "Rowwise",
        "view": "View",
    }.get(op.entry.family, "ArrayOperator")


def descriptor_lines(op: Operator) -> list[str]:
    """Keyword arguments of the operator's descriptor."""
    entry = op.entry
    tensors = [a.name for a in op.arguments if a.name != "inplace"]
    lines = [
        f"name={literal(entry.signature.name)},",
        f"node={op.node or 'None'},",
        f"arguments={_text(tensors)},",
        f"tensors={_text([a.name for a in op.operands])},",
        f"differentiable={_text(op.differentiable)},",
        f"outputs={_text([o.name for o in entry.signature.outputs])},",
        f"differentiable_outputs={literal(op.differentiable_outputs)},",
    ]
    saved = [(s.name, s.kind, s.source, s.needed_by) for s in op.saved]
    lines += _listed("saved", [literal(item) for item in saved])
    lines.append(f"jvp={entry.name}_jvp," if op.jvp else "jvp=None,")
    lines.append(f"rule={literal(op.rule)},")
    if entry.shapes:
        lines += _mapping("shapes", entry.shapes)
    if entry.absent:
        lines.append(f"absent={{{', '.join(f'{literal(k)}: {v!r}' for k, v in entry.absent)}}},")
    many = [a.name for a in op.operands if a.many]
    if many:
        lines.append(f"many={_text(many)},")
    if entry.signature.outputs[0].many:
        lines.append("listed=True,")
    if op.forms:
        lines += _pointwise_lines(op)
    elif op.lane:
        lines += _rowwise_lines(op)
    elif entry.family == "view":
        lines.append(f"geometry={literal(entry.target)},")
        if entry.auto:
            lines.append("auto=True,")
    elif entry.family == "library":
        lines.append(f"call=array_function({literal(entry.target)}),")
    else:
        lines.append(f"call=hand_written({literal(entry.target)}),")
    return lines


def signature_lines(op: Operator) -> list[str]:
    """Argument names and type texts: "?" may be None, "=" may be left out."""
    names = [a.name for a in op.arguments if a.name != "inplace"]
    return [f"{_text(names)},", f"{_text(_types(op))},"]


def _types(op: Operator) -> list[str]:
    found = []
    for a in op.arguments:
        if a.name == "inplace":
            continue
        text = a.type + ("|Scalar" if a.or_scalar else "") + ("[]" if a.many else "")
        text += "..." if a.variadic else ""
        found.append(text + ("?" if a.optional else "") + ("=" if a.has_default else ""))
    return found


def _text(names: Sequence[str]) -> str:
    return literal(tuple(names))


def _listed(key: str, items: Sequence[str]) -> list[str]:
    if not items:
        return [f"{key}=(),"]
    if len(items) == 1:
        return [f"{key}=({items[0]},),"]
    return [f"{key}=(", *(f"    {item}," for item in items), "),"]


def _kernel_line(kernel: Kernel, key: str) -> list[str]:
    name = f"kernels.{kernel.name}"
    arguments = _text(kernel.arguments)
    return [f"{key}=(", f"    {name},", f"    {name}_parallel,", f"    {arguments},", "),"]


def _pointwise_lines(op: Operator) -> list[str]:
    assert op.full and op.strided
    lines = [f"masks={_text(op.masks)},"]
    lines += _kernel_line(op.full.forward, "forward")
    strided = op.strided
    lines += [
        "strided=(",
        f"    kernels.{strided.name},",
        f"    {_text(strided.inputs)},",
        f"    {_text(strided.scalars)},",
        "),",
    ]
    return lines + _backward_lines(op.full.backward)


def _backward_lines(backward: Sequence[Backward]) -> list[str]:
    if not backward:
        return ["backward={},"]
    lines = ["backward={"]
    for b in backward:
        if b.kernel is None:
            lines.append(f"    {literal(b.wanted)}: None,")
            continue
        lines += [
            f"    {literal(b.wanted)}: (",
            f"        kernels.{b.kernel.name},",
            f"        kernels.{b.kernel.name}_parallel,",
            f"        {_text(b.kernel.arguments)},",
            f"        {literal(b.computed)},",
            "    ),",
        ]
    return [*lines, "},"]


def _rowwise_lines(op: Operator) -> list[str]:
    plan = op.lane
    assert isinstance(plan, LanePlan)
    return [
        f"over={literal(plan.over)},",
        f"lane_outputs={literal(plan.lane_outputs)},",
        f"lane_parameters={_text(plan.lane_parameters)},",
        f"saved_rows={_text(plan.saved_rows)},",
        f"nonempty={plan.nonempty},",
        f"rules={literal(plan.rules)},",
        *_kernel_line(plan.forward, "forward"),
        *_backward_lines(plan.backward),
    ]


def label(entry: Entry) -> str:
    """The name that a node shows: overloads share it."""
    return node_name(replace(entry, signature=replace(entry.signature, overload="")))


def interface_lines(op: Operator) -> str:
    e = op.entry
    items = [
        e.name,
        e.signature.name,
        e.namespace,
        e.aliases,
        e.method,
        e.operator,
    ]
    return listed("    (", [literal(item) for item in items], "),")


FIELDS = (
    "type",
    "or_scalar",
    "optional",
    "many",
    "variadic",
    "keyword_only",
    "has_default",
    "default",
)


def registry_lines(op: Operator) -> list[str]:
    """Keyword arguments of the operator's record in the registry."""
    e = op.entry
    lines = [
        f"name={literal(e.name)},",
        f"public={literal(e.signature.name)},",
        f"overload={literal(e.signature.overload)},",
        f"family={literal(e.family)},",
        f"group={literal(e.group)},",
        f"namespace={literal(e.namespace)},",
        f"signature={literal(e.signature.text)},",
        f"doc={literal(' '.join(e.doc.split()))},",
    ]
    lines += _listed(
        "arguments",
        [literal((a.name, *(getattr(a, field) for field in FIELDS))) for a in op.arguments],
    )
    lines += _listed("outputs", [literal((o.name, o.many)) for o in e.signature.outputs])
    lines += _mapping("gradients", [(g.argument, g.text) for g in op.gradients])
    lines += _mapping("jvp", [(g.argument, g.text) for g in op.jvp])
    lines.append(f"differentiable={_text(op.differentiable)},")
    names = [e.signature.outputs[i].name for i in op.differentiable_outputs]
    lines.append(f"differentiable_outputs={_text(names)},")
    lines += _mapping("samples", e.samples)
    lines += _mapping("points", e.points)
    lines += _calls(e)
    lines.append(f"reference={literal(e.reference.text if e.reference else None)},")
    return lines


def _calls(entry: Entry) -> list[str]:
    """Sample calls, one a line; `#` forms keep ruff from joining them."""
    if not entry.calls:
        return ["calls=(),"]
    lines = ["calls=["]
    for given in entry.calls:
        items = [f"{literal(k)}: {_plain(v)}" for k, v in given]
        lines.append("    " + listed("{", items, "},"))
    return [*lines, "],"]


def _mapping(key: str, items: Sequence[tuple[str, object]]) -> list[str]:
    if not items:
        return [f"{key}={{}},"]
    return [f"{key}={{", *(f"    {literal(k)}: {literal(v)}," for k, v in items), "},"]


def _dictionary(items: Iterable[tuple[str, object]]) -> str:
    """A mapping; `lay_out` breaks it when it is a list item of its own that is too long."""
    return "{" + ", ".join(f"{literal(k)}: {_plain(v)}" for k, v in items) + "}"


def _plain(value: object) -> str:
    """Nested lists and mappings of a sample call."""
    if isinstance(value, dict):
        return _dictionary(value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return literal(value)


FILTERS = {
    "apply_lines": fast_path.apply_lines,
    "argument_lines": argument_lines,
    "arguments": arguments,
    "base": base,
    "comment": comment,
    "composite_lines": composite_lines,
    "descriptor_class": descriptor_class,
    "descriptor_lines": descriptor_lines,
    "docstring": docstring,
    "fast_forms": fast_path.fast_forms,
    "fast_lines": fast_path.function_lines,
    "has_inplace": has_inplace,
    "inplace_arguments": inplace_arguments,
    "interface_lines": interface_lines,
    "jvp_unpack_lines": jvp_unpack_lines,
    "label": label,
    "literal": literal,
    "operands_read": operands_read,
    "parameters": parameters,
    "reflected": reflected,
    "registry_lines": registry_lines,
    "reflected_lines": fast_path.reflected_lines,
    "second": second,
    "signature": signature,
    "signature_lines": signature_lines,
    "unpack_lines": unpack_lines,
}
