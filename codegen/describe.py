"""Operators described as data: descriptors for the runtime, records of the registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .layout import listed
from .lower import node_name
from .lower_columns import Columns
from .lower_rowwise import Lane, LanePlan
from .model import Entry
from .plans import Backward, Kernel, Operator
from .printer import literal


def descriptor_class(op: Operator) -> str:
    if op.integer_errors:
        return "GuardedPointwise"
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
    optional = [a.name for a in op.operands if a.optional]
    if optional and not op.forms:
        lines.append(f"optional={_text(optional)},")
    scalars = [a.name for a in op.operands if a.or_scalar]
    if scalars and not op.forms:
        lines.append(f"or_scalar={_text(scalars)},")
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
    forms = [f"    {form}," for form in _forms(kernel)]
    return [f"{key}=(", *forms, f"    {_text(kernel.arguments)},", "),"]


def _forms(kernel: Kernel) -> list[str]:
    """The serial and the parallel kernel; of a rowwise one those of columns and runs, or None."""
    name = kernel.name
    found = [literal(name), literal(f"{name}_parallel")]
    if isinstance(kernel.lane, Lane):
        columns = kernel.lane.columns
        found = found if kernel.body else ["None", "None"]
        found.append(_columns(f"{name}_columns", columns) if columns else "None")
        found.append(literal(f"{name}_runs") if kernel.lane.runs else "None")
    return found


def _columns(kernel: str, columns: Columns) -> str:
    split = tuple(phase.split for phase in columns.phases)
    counts = columns.held, columns.ends, columns.sums, columns.scratch
    return listed("Columns(", [literal(kernel), repr(split), *map(str, counts)], ")")


def _pointwise_lines(op: Operator) -> list[str]:
    assert op.full
    lines = ["kernels=kernels,", f"masks={_text(op.masks)},"]
    kernel = op.full.forward
    lines += _kernel_line(kernel, "forward")
    rows = f"{kernel.name}_rows" if kernel.rows else None
    lines.append(f"rows={literal(rows)},")
    if op.integer_errors:
        lines.append(f"check_integers=_{op.entry.name}_check,")
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
            *(f"        {form}," for form in _forms(b.kernel)),
            f"        {_text(b.kernel.arguments)},",
            f"        {literal(b.computed)},",
            "    ),",
        ]
    return [*lines, "},"]


def _rowwise_lines(op: Operator) -> list[str]:
    plan = op.lane
    assert isinstance(plan, LanePlan)
    return [
        "kernels=kernels,",
        f"over={literal(plan.over)},",
        f"lane_outputs={literal(plan.lane_outputs)},",
        f"lane_parameters={_text(plan.lane_parameters)},",
        *([f"lane_numbers={_text(plan.lane_numbers)},"] if plan.lane_numbers else []),
        *([f"lane_runs={_text(plan.lane_runs)},"] if plan.lane_runs else []),
        f"saved_rows={_text(plan.saved_rows)},",
        f"nonempty={plan.nonempty},",
        *([] if plan.empty is None else [f"empty={literal(plan.empty)},"]),
        f"rules={literal(plan.rules)},",
        f"total={literal(plan.total)},",
        f"even={literal(plan.even)},",
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
