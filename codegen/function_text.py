"""Parts of the generated functions: parameter lists, docstrings, unpacking, comments."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Sequence

from .fast_path import unpacking, variable
from .layout import condition, conjuncts, listed
from .lower_rowwise import LanePlan
from .model import COMPOSED, Argument
from .plans import Kernel, Operator
from .printer import literal


def _default(argument: Argument) -> str:
    return f"={literal(argument.default)}" if argument.has_default else ""


def parameters(op: Operator, inplace: bool = False, out: bool = False) -> str:
    """The parameter list of the public function, on a line of its own when it is long."""
    parts = _parameters(op, inplace)
    if out:
        starred = any(part.startswith("*") for part in parts)
        parts += ["out=None"] if starred else ["*", "out=None"]
    text = ", ".join(parts)
    start = len(f"def {op.entry.name}{'_' if inplace else '_out' if out else ''}(")
    if start + len(text) + 2 <= 100:
        return text
    if len(text) + 4 > 100:
        text = ",\n    ".join(parts) + ","
    return f"\n    {text}\n"


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
            parts += (
                ["*given", f"{argument.name}=None"] if named(argument) else [f"*{argument.name}"]
            )
            starred = True
            continue
        parts.append(variable(argument.name) + _default(argument))
    return parts


def named(argument: Argument) -> bool:
    """Whether varargs may also be given as one sequence, by name."""
    return argument.variadic and argument.type == "int"


def signature(kernel: Kernel, names: Sequence[str], ending: str = "") -> str:
    """`name(a, b)` of a kernel's definition, its arguments on a line of their own if long."""
    text = ", ".join(names)
    start = f"{kernel.name}{ending}("
    if len("def ") + len(start) + len(text) + 2 <= 100:
        return f"{start}{text})"
    if len(text) + 4 > 100:
        text = ",\n    ".join(names) + ","
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
    if op.entry.family == "view" and not op.entry.signature.outputs[0].many:
        return "GeometryNode"
    if op.on_arrays:
        return "ArrayNode"
    several = len(op.differentiable_outputs) > 1
    family = op.entry.family if not several else "several"
    return {"pointwise": "PointwiseNode", "rowwise": "RowwiseNode"}.get(family, "TensorNode")


def argument_lines(op: Operator) -> list[str]:
    """What comes first in a function: varargs in one tuple, `inplace=True` handed on."""
    return _spread_lines(op) + _inplace_argument(op)


def _spread_lines(op: Operator) -> list[str]:
    lines = []
    for a in op.arguments:
        if a.variadic:
            given = f"given if {a.name} is None else ({a.name},)" if named(a) else a.name
            lines.append(f"{a.name} = spread({given})")
    return lines


def _inplace_argument(op: Operator) -> list[str]:
    if not any(a.name == "inplace" for a in op.arguments):
        return []
    names = [a.name for a in op.arguments if a.name != "inplace"]
    return ["if inplace:", f"    return {op.entry.name}_({', '.join(map(variable, names))})"]


def inplace_call(op: Operator) -> str:
    """What an in-place form does: the geometry of a view, or the values of a result, taken over."""
    name = literal(op.entry.signature.name)
    if op.entry.family == "view":
        return f"inplace_view({name}, {op.entry.name}, {arguments(op)})"
    return f"inplace({name}, {op.entry.name}, {_readers(op)}, {arguments(op)})"


def _readers(op: Operator) -> tuple[int, ...]:
    """Positions of the arguments whose gradients may read the first one, which is overwritten."""
    inputs = [i for i, a in enumerate(op.arguments) if a.is_tensor]
    if op.entry.family in COMPOSED:
        return tuple(inputs)
    named = {a.name: i for i, a in enumerate(op.arguments)}
    first = op.operands[0].name
    readers = {
        named[op.differentiable[i]]
        for s in op.saved
        if s.kind == "input" and s.source == first
        for i in s.needed_by
    }
    return tuple(sorted(readers))


def has_out(op: Operator) -> bool:
    """Whether the result can be written where the caller says: not that of a view, or of several.

    Only functions of a namespace take `out`; methods and nn.functional do without, as in PyTorch.
    """
    entry = op.entry
    return (
        entry.out
        and entry.family != "view"
        and not any(output.many for output in entry.signature.outputs)
        and not any(a.name == "inplace" for a in op.arguments)
        and not {"torch", "special", "linalg"}.isdisjoint(entry.namespace)
    )


def out_calls(op: Operator) -> list[str]:
    """What a function with `out` does: the plain call, or the one whose result is written."""
    name = literal(op.entry.signature.name)
    given = [
        f"{variable(a.name)}={variable(a.name)}" if a.keyword_only else variable(a.name)
        for a in op.arguments
    ]
    spread = _spread_lines(op)
    # a call into NumPy, and one with several results, do not convert what they write
    several = len(op.entry.signature.outputs) > 1
    exact = op.entry.exact or op.entry.family == "library" or several
    return [
        *spread,
        "if out is None:",
        listed(f"    return {op.entry.name}(", given, ")"),
        listed("return write_out(", [name, str(exact), op.entry.name, "out", *given], ")"),
    ]


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
        lines.append("lanes = node.general.details")
        if names:
            lines += unpacking(names, "unpack(node)")
        outputs = [o.name for o in op.entry.signature.outputs]
        saved = {s.name for s in op.saved}
        lines += [f"{n} = lanes.keep({n})" for n in plan.lane_numbers if n in saved]
        lines += [f"{n} = lanes.keep_runs({n})" for n in plan.lane_runs if n in saved]
        for index, (name, lane) in enumerate(zip(outputs, plan.lane_outputs, strict=True)):
            if not lane and name in saved:
                lines.append(f"{name} = lanes.keep({name})")
            if not lane and op.differentiable_outputs == (index,):
                lines.append("grad = lanes.keep(grad)")
    elif names:
        lines += unpacking(names, "unpack(node)")
    if len(op.differentiable_outputs) > 1:
        lines += unpacking(_incoming(op), "grad")
    return lines


def _incoming(op: Operator) -> list[str]:
    """The gradients of the outputs, "_" for those that no formula reads."""
    read = {name for line in op.prelude for name in words(line)}
    read |= {name for gradient in op.gradients for line in gradient.lines for name in words(line)}
    names = [f"grad_{op.entry.signature.outputs[i].name}" for i in op.differentiable_outputs]
    return [name if name in read else "_" for name in names]


def jvp_unpack_lines(op: Operator) -> list[str]:
    used = {name for g in (*op.jvp,) for line in g.lines for name in words(line)}
    used |= {name for line in op.jvp_prelude for name in words(line)}
    names = [a.name if a.name in used else "_" for a in op.arguments if a.name != "inplace"]
    lines = [f"lanes = {op.constant}.lanes(arguments)"] if "lanes" in used else []
    if all(name == "_" for name in names):
        return lines
    return lines + unpacking(names, "arguments")


def words(line: str) -> Iterable[str]:
    tree = ast.parse(line)
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def profiled_lines(op: Operator) -> list[str]:
    """A composite never dispatches, so it asks itself for a row of the profile."""
    name = op.entry.name
    passed = [a for a in op.arguments if a.name != "inplace"]
    given = [variable(a.name) for a in passed if not a.keyword_only]
    keywords = [variable(a.name) for a in passed if a.keyword_only]
    parts = [literal(op.entry.signature.name), name, f"({listing(given)})"]
    if keywords:
        parts.append(f"{{{', '.join(f'{literal(k)}: {k}' for k in keywords)}}}")
    return [
        "if profiling.on:",
        listed("    row = profiled(", parts, ")"),
        "    if row:",
        "        return row[0]",
    ]


def listing(items: Sequence[str]) -> str:
    """The inside of a tuple."""
    return f"{items[0]}," if len(items) == 1 else ", ".join(items)


def results_name(op: Operator) -> str:
    """The class of a composite's named results, "" for a single one."""
    several = len(op.entry.signature.outputs) > 1
    return f"{op.entry.name.upper()}_RESULTS" if several else ""


def results_type(op: Operator) -> str:
    """What `return_type` needs to know of it; PyTorch's names say which are of linalg."""
    prefix = "linalg_" if op.entry.namespace[0] == "linalg" else ""
    outputs = literal(tuple(o.name for o in op.entry.signature.outputs))
    return f"{literal(prefix + op.entry.signature.name)}, {outputs}"


def program_lines(op: Operator) -> list[str]:
    """The call of a program, by position and by name as its arguments are declared."""
    lines = tensor_checks(op)
    given = [variable(a.name) for a in op.arguments if not a.keyword_only]
    given += [f"{variable(a.name)}={variable(a.name)}" for a in op.arguments if a.keyword_only]
    call = f"programs.{op.entry.target}({', '.join(given)})"
    name = results_name(op)
    return [*lines, f"return {name}({call})" if name else f"return {call}"]


def tensor_checks(op: Operator) -> list[str]:
    """Errors for something else where an argument is a tensor."""
    lines: list[str] = []
    for argument in op.arguments:
        if argument.type != "Tensor" or argument.or_scalar or argument.many or argument.variadic:
            continue
        name = variable(argument.name)
        call = f"wrong_type({literal(op.entry.signature.name)}, {literal(name)}, {name})"
        given = f"{name} is not None and " if argument.optional else ""
        lines += [f"if {given}not isinstance({name}, Tensor):", f"    queries.{call}"]
    return lines


def composite_lines(op: Operator) -> list[str]:
    if op.entry.family == "program":
        return program_lines(op)
    lines = tensor_checks(op)
    several = results_name(op)
    names = {a.name for a in op.arguments}
    if "self" in names:
        lines.append("self = input")
    for test, code in op.cases:
        value = f"{several}({code.values[0]})" if several else code.values[0]
        body = [*code.lines, f"return {value}"]
        if test:
            lines += [condition(conjuncts(test)), *(f"    {line}" for line in body)]
        else:
            lines += body
    return lines
