"""Statements of the straight lines of library and kernel operators: calls on arrays, and nodes."""

from __future__ import annotations

from collections.abc import Sequence

from .fast_path import unpacking, variable
from .layout import condition, disjunction, listed
from .model import Argument
from .plans import Operator, Saved

LOCAL = frozenset({"general", "node", "out", "result", "results", "shapes"})
"""What straight-line functions call their own values."""


def straight(op: Operator) -> bool:
    """Whether calls on plain tensors go past the general path: no lists of tensors come out.

    Of several results only the first may have a gradient.
    """
    outputs = op.entry.signature.outputs
    return (
        op.entry.family in ("library", "kernel")
        and not any(output.many for output in outputs)
        and (len(outputs) == 1 or op.differentiable_outputs == (0,))
        and (listing(op) or not any(a.many for a in op.operands))
        and not any(a.or_scalar for a in op.operands)
        and not any(a.type == "Dtype" and not a.optional for a in op.parameters)
        and not op.entry.absent
        and bool(op.operands)
        and LOCAL.isdisjoint(a.name for a in op.arguments)
    )


def listing(op: Operator) -> bool:
    """Whether the only operand is a list of tensors."""
    return len(op.operands) == 1 and op.operands[0].many


# --- the function ------------------------------------------------------------------------------


def function_lines(op: Operator) -> list[str]:
    """Body of the public function up to the general path."""
    if not straight(op):
        return []
    if listing(op):
        return _list_lines(op)
    tests = [_type_test(a) for a in op.operands]
    tests += [f"{variable(a.name)} is None" for a in op.parameters if a.type == "Dtype"]
    lines = [condition([*tests, "not modes.active"])]
    keys = [part for a in op.operands for part in _key(a)]
    lines.append(listed("    shapes = (", keys, ")"))
    lines += [f"    general = {op.constant}.known.get(shapes)", "    if general is not None:"]
    return lines + ["        " + line for line in _call_lines(op)]


def _list_lines(op: Operator) -> list[str]:
    """The same for a list of tensors, which takes a method with a loop."""
    given = [variable(a.name) for a in op.arguments if a.name != "inplace"]
    tests = [f"{variable(a.name)} is None" for a in op.parameters if a.type == "Dtype"]
    return [
        condition([*tests, "not modes.active"]),
        listed(f"    result = {op.constant}.joined(", given, ")"),
        "    if result is not None:",
        "        return result",
    ]


def _type_test(a: Argument) -> str:
    name = variable(a.name)
    if a.optional:
        return f"({name} is None or type({name}) is Tensor)"
    return f"type({name}) is Tensor"


def _key(a: Argument) -> list[str]:
    name = variable(a.name)
    if a.optional:
        return [f"None if {name} is None else {name}.{slot}" for slot in ("shape", "dtype")]
    return [f"{name}.shape", f"{name}.dtype"]


def _array(name: str) -> str:
    return f"array_{variable(name)}"


def _call_lines(op: Operator) -> list[str]:
    """Run the function on arrays, wrap the result, record a node."""
    lines = []
    for a in op.operands:
        name = variable(a.name)
        value = f"{name}._nd()"
        if a.optional:
            value = f"None if {name} is None else {value}"
        lines.append(f"{_array(a.name)} = {value}")
    given = [
        _array(a.name) if a.is_tensor else variable(a.name)
        for a in op.arguments
        if a.name != "inplace"
    ]
    lines.append(listed("out = attempt(", [f"{op.constant}.function", *given], ")"))
    if len(op.entry.signature.outputs) == 1:
        body, returned = ["result = wrapped(out)"], "result"
    else:
        body = ["results = [wrapped(array) for array in out]", "result = results[0]"]
        returned = f"{op.constant}.result_type(results)"
    if op.node:
        body += _record(op)
    return [*lines, "if out is not None:", *_in([*body, f"return {returned}"])]


def _in(lines: Sequence[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]


def _record(op: Operator) -> list[str]:
    optional = {a.name for a in op.operands if a.optional}
    needs = []
    for d in op.differentiable:
        v = variable(d)
        given = f"{v} is not None and " if d in optional else ""
        needs.append(f"need_{v} = {given}{v}._requires_grad")
    asked = [f"need_{variable(d)}" for d in op.differentiable]
    if len(asked) == 1:
        test = f"if {asked[0]} and modes.grad:"
    else:
        test = disjunction("if (", asked, ") and modes.grad:")
    body = [
        f"node = new({op.node})",
        "node.sequence = next_sequence()",
        listed("node.edges = (", _edges(op, optional), ")"),
        listed("node.saved = (", _saved(op), ")") if op.saved else "node.saved = ()",
        "node.shape = result.shape",
        "node.general = general",
        "node.hooks = None",
        "result._requires_grad = True",
        "result._grad_fn = node",
    ]
    return [*needs, test, *_in(body)]


def _edges(op: Operator, optional: set[str]) -> list[str]:
    items: list[str] = []
    for d in op.differentiable:
        v = variable(d)
        items.append(f"({v}._grad_fn or {v}) if need_{v} else None")
        items.append(f"{v}._output_nr if need_{v} else 0" if d in optional else f"{v}._output_nr")
    return items


def _saved(op: Operator) -> list[str]:
    return [item for s in op.saved for item in _triple(op, s)]


def _triple(op: Operator, s: Saved) -> list[str]:
    v = variable(s.source)
    match s.kind:
        case "output":
            number = [output.name for output in op.entry.signature.outputs].index(s.source)
            found = f"results[{number}]" if number else "result"
            return [f"{found}._nd()", f"{found}._counter", "0"]
        case "value":
            return [v, "None", "0"]
        case "shape" | "dtype":
            return [f"{v}.{s.kind}", "None", "0"]
    argument = op.entry.signature.argument(s.source)
    asked = [f"need_{variable(op.differentiable[i])}" for i in s.needed_by]
    tests = [] if len(asked) == len(op.differentiable) else [" or ".join(asked)]
    if argument.optional:
        tests.append(f"{v} is not None")
    if not tests:
        return [_array(s.source), f"{v}._counter", f"{v}._counter[0]"]
    asked_for = " and ".join(f"({t})" if " or " in t and len(tests) > 1 else t for t in tests)
    # the version of an inference tensor may not be read, unless the tensor is not saved either
    return [
        f"{_array(s.source)} if {asked_for} else None",
        f"{v}._counter if {asked_for} else None",
        f"{v}._counter[0] if {asked_for} else 0",
    ]


# --- the node ----------------------------------------------------------------------------------


def gradient_lines(op: Operator) -> list[str]:
    """Body of `on_arrays`: the gradient formulas over the arrays that the node saved."""
    lines: list[str] = []
    if op.saved:
        lines += ["saved = node.saved", "if saved is None:", "    freed(node)"]
        names: list[str] = []
        for s in op.saved:
            checked = s.kind in ("input", "output")
            names += [s.name]
            names += [f"{s.name}_counter", f"{s.name}_version"] if checked else ["_", "_"]
        lines += unpacking(names, "saved")
    lines += [
        "general = node.general",
        "grad = grad.reshape(node.shape) if type(grad) is ndarray else grad._nd()",
    ]
    several = len(op.gradients) > 1
    if several:
        lines.append("edges = node.edges")
    for g in op.gradients:
        body = []
        for s in op.saved:
            if g.position in s.needed_by and s.kind in ("input", "output"):
                body += _checked(op, s)
        body += g.arrays
        name = f"gradient_{g.argument}"
        if listing(op):
            lines += [*body, f"return fitted_list({name}, general, node.edges)"]
        elif several:
            body.append(f"{name} = fitted({name}, general, {g.position})")
            lines += [f"{name} = None", f"if edges[{2 * g.position}] is not None:", *_in(body)]
        else:
            lines += [*body, f"return fitted({name}, general, {g.position})"]
    if several:
        lines.append(f"return {', '.join(f'gradient_{g.argument}' for g in op.gradients)}")
    return lines


def _checked(op: Operator, s: Saved) -> list[str]:
    """An error where a saved value was written in place."""
    test = f"{s.name}_counter[0] != {s.name}_version"
    if s.kind == "input" and op.entry.signature.argument(s.source).optional:
        test = f"{s.name} is not None and {test}"
    return [f"if {test}:", "    expired(node)"]


def case_lines(op: Operator) -> list[str]:
    """Body of a composite's form for arrays."""
    lines: list[str] = []
    for test, result in op.array_cases:
        lines += [f"if {test}:", f"    return {result}"] if test else [f"return {result}"]
    return lines
