"""Statements of the straight lines of rowwise operators: lanes that lie dense, one result."""

from __future__ import annotations

from collections.abc import Sequence

from .fast_path import call, unpacking, variable
from .layout import condition, disjunction, listed
from .lower_rowwise import LanePlan
from .model import Argument
from .plans import Operator, Saved

LOCAL = frozenset({"general", "node", "out", "result", "rows", "n", "sizes", "counter"})
"""What straight-line functions call their own values."""


def straight(op: Operator) -> bool:
    """Whether calls on dense lanes of plain tensors go past the general path."""
    plan = op.lane
    if not isinstance(plan, LanePlan) or len(op.entry.signature.outputs) > 1:
        return False
    first, *others = op.operands
    inputs = {s.source for s in op.saved if s.kind == "input"}
    return (
        plan.rules[0] not in ("bool", "index")
        and not (first.optional or first.many)
        and all(a.name in plan.lane_parameters and not a.many for a in others)
        and inputs <= set(op.differentiable)
        and not any(s.kind in ("shape", "dtype") for s in op.saved)
        and LOCAL.isdisjoint(a.name for a in op.arguments)
    )


def _given(op: Operator) -> list[Argument]:
    """Parameters that the forward kernel reads."""
    plan = op.lane
    assert isinstance(plan, LanePlan)
    return [a for a in op.parameters if a.name in plan.forward_arguments]


# --- the function ------------------------------------------------------------------------------


def function_lines(op: Operator) -> list[str]:
    """Body of the public function up to the general path."""
    plan = op.lane
    if not isinstance(plan, LanePlan) or not straight(op):
        return []
    first, *others = op.operands
    x = variable(first.name)
    over = variable(plan.over)
    tests = [f"type({x}) is Tensor"]
    if plan.over == "normalized_shape":
        tests.append(f"isinstance({over}, tuple)")
    else:
        default = next(a.default for a in op.parameters if a.name == plan.over)
        every = f" or (type({over}) is tuple and not {over})" if default == () else ""
        tests.append(f"({over} is None or type({over}) is int{every})")
    tests += [f"{variable(a.name)} is None" for a in op.parameters if a.type == "Dtype"]
    for a in _given(op):
        v = variable(a.name)
        number = f"(type({v}) is float or type({v}) is int)"
        tests.append(f"type({v}) is bool" if a.type == "bool" else number)
    for a in others:
        v = variable(a.name)
        one = f"type({v}) is Tensor"
        tests.append(f"({v} is None or {one})" if a.optional else one)
    keys = [f"{x}.shape", f"{x}.dtype", over]
    for a in others:
        v = variable(a.name)
        for slot in ("shape", "dtype"):
            keys.append(f"None if {v} is None else {v}.{slot}" if a.optional else f"{v}.{slot}")
    lines = [condition([*tests, "not modes.active"])]
    lines.append(f"    flat_{x} = {x}._flat")
    for a in others:
        v = variable(a.name)
        flat = f"{v}._flat"
        lines.append(
            f"    flat_{v} = " + (f"None if {v} is None else {flat}" if a.optional else flat)
        )
    lines.append(listed("    sizes = (", keys, ")"))
    lines.append(f"    general = {op.constant}.straight.get(sizes)")
    tests = ["general is not None", f"flat_{x} is not None", "general.n < threads.rows"]
    for a in others:
        v = variable(a.name)
        tests.append(
            f"({v} is None or flat_{v} is not None)" if a.optional else f"flat_{v} is not None"
        )
    lines.append("    " + condition(tests))
    return lines + _in(_call_lines(op, plan, x), 2)


def _in(lines: Sequence[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]


def _call_lines(op: Operator, plan: LanePlan, x: str) -> list[str]:
    lane = plan.lane_outputs[0]
    absent = dict(op.entry.absent)
    lines = ["rows, n = general.rows, general.count"]
    for a in op.operands[1:]:
        if a.optional:
            v = variable(a.name)
            value = f"general.constant({a.name!r})".replace("'", '"')
            lines += [f"if {v} is None:", f"    flat_{v} = {value}"] if a.name in absent else []
    size = "general.n" if lane else "rows"
    lines.append(f"out = empty({size}, flat_{x}.dtype)")
    lines += [f"row_{name} = empty(rows, flat_{x}.dtype)" for name in plan.saved_rows]
    numbers = {a.name for a in _given(op)}
    arguments = [
        f"float({variable(name)})" if name in numbers else f"flat_{variable(name)}"
        for name in plan.forward_arguments
    ]
    arguments += ["rows", "n", "out", *(f"row_{name}" for name in plan.saved_rows)]
    lines += call(f"kernels.{plan.forward.name}", arguments)
    keep = any(a.name == "keepdim" for a in op.parameters)
    shape = f"{x}.shape" if lane else "general.kept if keepdim else general.without"
    if not lane and not keep:
        shape = "general.without"
    lines += [
        "result = new(Tensor)",
        "result._data = result._flat = out",
        "result._counter = counter = [0]" if _keeps(op) else "result._counter = [0]",
        f"result.shape = {shape}",
        f"result._strides = {x}._strides" if lane else "result._strides = strides(result.shape)",
        "result._offset = result._output_nr = 0",
        f"result.dtype = {x}.dtype",
    ]
    plain = ["result._requires_grad = False", "result._grad_fn = None"]
    if not op.node:
        return [*lines, *plain, "return result"]
    return [*lines, *_record(op, plain), "return result"]


def _keeps(op: Operator) -> bool:
    return bool(op.node) and any(s.kind == "output" for s in op.saved)


def _record(op: Operator, otherwise: list[str]) -> list[str]:
    optional = {a.name for a in op.operands if a.optional}
    lines = []
    for d in op.differentiable:
        v = variable(d)
        given = f"{v} is not None and " if d in optional else ""
        lines.append(f"need_{v} = {given}{v}._requires_grad")
    asked = [f"need_{variable(d)}" for d in op.differentiable]
    if len(asked) == 1:
        lines.append(f"if {asked[0]} and modes.grad:")
    else:
        lines.append(disjunction("if (", asked, ") and modes.grad:"))
    edges = []
    for d in op.differentiable:
        v = variable(d)
        edges.append(f"({v}._grad_fn or {v}) if need_{v} else None")
        edges.append(f"{v}._output_nr if need_{v} else 0" if d in optional else f"{v}._output_nr")
    saved = [item for s in op.saved for item in _triple(op, s)]
    body = [
        f"node = new({op.node})",
        "node.sequence = next_sequence()",
        listed("node.edges = (", edges, ")"),
        listed("node.saved = (", saved, ")") if saved else "node.saved = ()",
        "node.shape = result.shape",
        "node.general = general",
        "node.hooks = None",
        "result._requires_grad = True",
        "result._grad_fn = node",
    ]
    return [*lines, *_in(body), "else:", *_in(otherwise)]


def _triple(op: Operator, s: Saved) -> list[str]:
    v = variable(s.source)
    match s.kind:
        case "row":
            return [f"row_{s.name}", "None", "0"]
        case "output":
            return ["out", "counter", "0"]
        case "value":
            return [v, "None", "0"]
    asked = [f"need_{variable(op.differentiable[i])}" for i in s.needed_by]
    tests = [] if len(asked) == len(op.differentiable) else [" or ".join(asked)]
    if op.entry.signature.argument(s.source).optional:
        tests.append(f"{v} is not None")
    if not tests:
        return [f"flat_{v}", f"{v}._counter", f"{v}._counter[0]"]
    test = " and ".join(f"({t})" if " or " in t and len(tests) > 1 else t for t in tests)
    # the version of an inference tensor may not be read, unless the tensor is not saved either
    return [
        f"flat_{v} if {test} else None",
        f"{v}._counter if {test} else None",
        f"{v}._counter[0] if {test} else 0",
    ]


# --- the node ----------------------------------------------------------------------------------


def straight_node(op: Operator) -> bool:
    """Whether the backward pass of one input is printed out."""
    plan = op.lane
    return (
        isinstance(plan, LanePlan)
        and straight(op)
        and len(op.differentiable) == 1
        and not plan.lane_parameters
        and len(plan.backward) == 1
    )


def apply_lines(op: Operator) -> list[str]:
    """Body of `apply`: the kernel on dense lanes."""
    plan = op.lane
    assert isinstance(plan, LanePlan)
    kernel = plan.backward[0].kernel
    lines = ["general = node.general", "if not general.direct:"]
    lines.append("    return rowwise.backward(node, grad)")
    reads = set(kernel.arguments) - {"grad"} if kernel else set()
    if reads:
        lines += ["saved = node.saved", "if saved is None:", "    freed(node)"]
        names: list[str] = []
        for s in op.saved:
            used = s.name in reads
            checked = used and s.kind in ("input", "output")
            names.append(s.name if used else "_")
            names += [f"{s.name}_counter", f"{s.name}_version"] if checked else ["_", "_"]
        lines += unpacking(names, "saved")
        for s in op.saved:
            if s.name in reads and s.kind in ("input", "output"):
                test = f"{s.name}_counter[0] != {s.name}_version"
                lines += [f"if {test}:", "    expired(node)"]
    lines += ["if type(grad) is not ndarray:", "    grad = grad._dense()"]
    if kernel is None:
        return [*lines, "return rowwise.repeated(grad, general)"]
    values = {s.name for s in op.saved if s.kind == "value"}
    arguments = [f"float({a})" if a in values else a for a in kernel.arguments]
    size = "general.rows" if plan.even[0] else "general.n"
    lines += [
        f"out = empty({size}, grad.dtype)",
        f"run = kernels.{kernel.name}",
        "if general.n >= threads.rows:",
        f"    run = kernels.{kernel.name}_parallel",
        *call("run", [*arguments, "general.rows", "general.count", "out"]),
    ]
    return [*lines, "return rowwise.repeated(out, general)" if plan.even[0] else "return out"]
