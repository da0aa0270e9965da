"""Statements of the straight-line functions and nodes of pointwise operators."""

from __future__ import annotations

from collections.abc import Sequence

from .kernel_text import light
from .layout import condition, disjunction, listed
from .model import Argument
from .plans import Backward, Form, InPlace, Kernel, Operator, Saved
from .printer import literal

UNPACKED = 84


def variable(name: str) -> str:
    """Functions call their receiver `input`, as PyTorch's do."""
    return "input" if name == "self" else name


def fits(op: Operator) -> bool:
    """Whether the operator gets a straight-line path: one output, tensors only, numbers else."""
    return (
        bool(op.forms)
        and len(op.entry.signature.outputs) == 1
        and not any(a.optional or a.many for a in op.operands)
        and all(a.type in ("Scalar", "float") and not a.optional for a in numbers(op))
    )


def numbers(op: Operator) -> list[Argument]:
    """Parameters that kernels may read."""
    return [a for a in op.parameters if a.name != "inplace"]


def fast_forms(op: Operator) -> list[Form]:
    """Forms whose backward is printed out."""
    if not fits(op) or not op.node or len(op.differentiable) > 2:
        return []
    return [form for form in op.forms if form.backward]


def _run(kernel: Kernel, arguments: Sequence[str], size: str = "n") -> list[str]:
    bound = "light" if light(kernel.body) else "minimum"
    lines = [
        f"run = kernels.{kernel.name}",
        f"if {size} >= threads.{bound}:",
        f"    run = kernels.{kernel.name}_parallel",
    ]
    return [*lines, *call("run", arguments)]


def call(function: str, arguments: Sequence[str], indent: str = "") -> list[str]:
    """A call statement, one argument a line when it would be too long."""
    return [listed(f"{indent}{function}(", arguments, ")")]


def unpacking(names: Sequence[str], value: str) -> list[str]:
    """`a, b = value`; many names are read by position instead."""
    if len(names) == 1:
        return [f"({names[0]},) = {value}"]
    one = f"{', '.join(names)} = {value}"
    if len(one) <= UNPACKED:
        return [one]
    lines = [f"kept = {value}"]
    return lines + [f"{n} = kept[{i}]" for i, n in enumerate(names) if n != "_"]


# --- the function ------------------------------------------------------------------------------


def function_lines(op: Operator) -> list[str]:
    """Body of the public function up to the general path."""
    if not fits(op):
        return []
    operands = [variable(a.name) for a in op.operands]
    first = operands[0]
    parameters = numbers(op)
    folded = [a for a in parameters if op.forms[0].folded and a.type == "Scalar"]
    conditions = [f"type({first}) is Tensor", "not modes.active"]
    conditions += [f"{a.name} == {literal(a.default)}" for a in folded]
    lines = [condition(conditions)]
    lines += [f"    flat_{first} = {first}._flat", f"    if flat_{first} is not None:"]
    indent = " " * 8
    reference = next(a.name for a in op.operands if a.name not in op.masks)
    floating = op.rule in ("float", "floating") or any(a not in folded for a in parameters)
    body = _tensor_branch(op, operands, variable(reference), floating)
    lines += [indent + line for line in body]
    for form in op.forms[1:]:
        if form.scalar != op.operands[0].name:
            lines += [indent + line for line in _scalar_branch(op, form, first)]
    return lines


def inplace_lines(op: Operator) -> list[str]:
    """Body of the in-place form up to the general path, which records what is to be recorded."""
    if not op.inplace or not fits(op):
        return []
    first = variable(op.operands[0].name)
    outer = [f"type({first}) is Tensor", "not modes.active", f"{first}._flat is not None"]
    branches = [(_inplace_tests(op, form), form) for form in op.inplace]
    if not any("dtype" in test for tests, _ in branches for test in tests):
        ((tests, form),) = branches
        return [condition([*outer, *tests]), *_in(_inplace_done(op, form, first))]
    lines = [condition(outer), f"    dtype = {first}.dtype"]
    for tests, form in branches:
        lines += _in([condition(tests), *_in(_inplace_done(op, form, first))])
    return lines


def _inplace_tests(op: Operator, form: InPlace) -> list[str]:
    """What the kernel of an in-place form needs, the cheapest first."""
    floating = op.rule in ("float", "floating") or form.scalar or numbers(op) or op.integer_errors
    tests = ["dtype.is_floating_point"] if floating else []
    if op.rule == "number" and not floating:
        tests.append("dtype is not bool_dtype")
    first, *others = [variable(a.name) for a in op.operands if a.name != form.scalar]
    if form.scalar:
        name = variable(form.scalar)
        tests.append(f"(type({name}) is float or type({name}) is int)")
    for other in others:
        kind = "bool_dtype" if other in op.masks else "dtype"
        tests += [f"type({other}) is Tensor", f"{other}.dtype is {kind}"]
        tests += [f"{first}.shape == {other}.shape", f"apart({first}, {other})"]
    asked = [first, f"({', '.join(others)}{',' * (len(others) == 1)})"] if others else [first]
    return [*tests, f"not check({', '.join(asked)})"]


def _inplace_done(op: Operator, form: InPlace, first: str) -> list[str]:
    arguments = _arguments(op, form.scalar, form.kernel, "{}._flat")
    return [*_run(form.kernel, arguments, f"len({first}._flat)"), f"return changed({first})"]


def _tensor_branch(op: Operator, operands: list[str], reference: str, floating: bool) -> list[str]:
    first, *others = operands
    lines = [f"dtype = {reference}.dtype"]
    if reference != first:
        lines = [f"dtype = {reference}.dtype if type({reference}) is Tensor else None"]
    if op.rule == "bool" and not others and not floating:
        lines = []
    tests = []
    if others:
        tests += [f"type({o}) is Tensor" for o in others]
    if floating or op.integer_errors:
        tests.append("dtype.is_floating_point")
    elif op.rule == "number":
        tests.append("dtype is not bool_dtype")
    for argument, name in zip(op.operands, operands, strict=True):
        if argument.name in op.masks:
            tests.append(f"{name}.dtype is bool_dtype")
        elif name != reference:
            tests.append(f"{name}.dtype is dtype")
    tests += [f"{first}.shape == {o}.shape" for o in others]
    done = _form_lines(op, op.forms[0])
    for other in reversed(others):
        done = [f"flat_{other} = {other}._flat", f"if flat_{other} is not None:", *_in(done)]
    if not tests:
        return lines + done
    return [*lines, condition(tests), *_in(done)]


def _in(lines: Sequence[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]


def _scalar_branch(op: Operator, form: Form, first: str) -> list[str]:
    name = variable(form.scalar)
    tests = ["dtype.is_floating_point", f"(type({name}) is float or type({name}) is int)"]
    return [condition(tests), *_in(_form_lines(op, form, given=first))]


def reflected_lines(op: Operator) -> list[str]:
    """The function with a Python scalar as its first operand."""
    form = next((f for f in op.forms if f.scalar == op.operands[0].name), None)
    if form is None or not fits(op):
        return []
    other = variable(op.operands[1].name)
    lines = [f"if type({other}) is Tensor and not modes.active:"]
    lines += [f"    flat_{other} = {other}._flat", f"    dtype = {other}.dtype"]
    tests = [f"flat_{other} is not None", "dtype.is_floating_point"]
    tests.append("(type(input) is float or type(input) is int)")
    lines.append("    " + condition(tests))
    body = _form_lines(op, form, given=other)
    for parameter in numbers(op):
        text = literal(parameter.default)
        body = [f"{parameter.name} = {text}", *body]
    return lines + _in(body, 2)


def _form_lines(op: Operator, form: Form, given: str = "") -> list[str]:
    """Allocate, run the kernel, wrap the result, record a node."""
    tensors = [variable(a.name) for a in op.operands if a.name != form.scalar]
    first = given or tensors[0]
    dtype = "bool_numpy" if op.rule == "bool" else f"{_typed(op, form)}.dtype"
    lines = [f"n = len(flat_{first})", f"out = empty(n, {dtype})"]
    lines += _run(form.forward, [*_arguments(op, form.scalar, form.forward), "out"])
    lines += [
        "result = new(Tensor)",
        "result._data = result._flat = out",
        f"result._counter ={' counter =' if _keeps_result(op, form) else ''} [0]",
        f"result.shape = {first}.shape",
        f"result._strides = {first}._strides",
        "result._offset = 0",
        f"result.dtype = {'bool_dtype' if op.rule == 'bool' else 'dtype'}",
        "result._output_nr = 0",
    ]
    differentiable = [d for d in op.differentiable if d != form.scalar]
    if not op.node or not differentiable or op.rule == "bool":
        return [*lines, "result._requires_grad = False", "result._grad_fn = None", "return result"]
    return [*lines, *_record(op, form, differentiable), "return result"]


def _arguments(op: Operator, scalar: str, kernel: Kernel, flat: str = "flat_{}") -> list[str]:
    """What a kernel is called with in straight lines; flat: how an operand's array is called."""
    floats = {scalar, *(p.name for p in numbers(op))}
    forms = ["float({})" if name in floats else flat for name in kernel.arguments]
    return [f.format(variable(name)) for f, name in zip(forms, kernel.arguments, strict=True)]


def _keeps_result(op: Operator, form: Form) -> bool:
    differentiable = [d for d in op.differentiable if d != form.scalar]
    return bool(op.node and differentiable) and any(s.kind == "output" for s in op.saved)


def _typed(op: Operator, form: Form) -> str:
    name = next(a.name for a in op.operands if a.name not in op.masks and a.name != form.scalar)
    return f"flat_{variable(name)}"


def _record(op: Operator, form: Form, differentiable: list[str]) -> list[str]:
    several = len(differentiable) > 1
    lines = []
    if several:
        lines += [f"need_{variable(d)} = {variable(d)}._requires_grad" for d in differentiable]
        asked = [f"need_{variable(d)}" for d in differentiable]
        lines.append(disjunction("if (", asked, ") and modes.grad:"))
    else:
        lines.append(f"if {variable(differentiable[0])}._requires_grad and modes.grad:")
    node = op.node + (f"_{form.scalar}" if form.scalar and form.scalar in _labelled(op) else "")
    body = [
        f"node = new({node})",
        "node.sequence = next_sequence()",
        *_edges(op, form, differentiable),
        *_save(op, form, differentiable),
        f"node.shape = {variable(differentiable[0])}.shape",
        "node.general = None",
        "node.hooks = None",
        "result._requires_grad = True",
        "result._grad_fn = node",
    ]
    otherwise = ["result._requires_grad = False", "result._grad_fn = None"]
    return [*lines, *_in(body), "else:", *_in(otherwise)]


def _labelled(op: Operator) -> set[str]:
    return {form.scalar for form in fast_forms(op)[1:]}


def _edges(op: Operator, form: Form, differentiable: list[str]) -> list[str]:
    items: list[str] = []
    for d in op.differentiable:
        v = variable(d)
        if d == form.scalar:
            items += ["None", "0"]
        elif len(differentiable) > 1:
            items += [f"({v}._grad_fn or {v}) if need_{v} else None", f"{v}._output_nr"]
        else:
            items += [f"{v}._grad_fn or {v}", f"{v}._output_nr"]
    return [listed("node.edges = (", items, ")")]


def _save(op: Operator, form: Form, differentiable: list[str]) -> list[str]:
    items: list[str] = []
    positions = {d: i for i, d in enumerate(op.differentiable)}
    wanted = {positions[d] for d in differentiable}
    for s in op.saved:
        items += _saved_items(op, form, s, wanted, len(differentiable) > 1)
    return [listed("node.saved = (", items, ")")]


def _saved_items(op: Operator, form: Form, s: Saved, wanted: set[int], several: bool) -> list[str]:
    v = variable(s.name)
    if s.kind == "output":
        return ["out", "counter", "0"]
    if s.kind == "value" or s.name == form.scalar:
        return [v, "None", "0"]
    needed = set(s.needed_by) & wanted
    if not needed:
        return ["None", "None", "0"]
    if not several or needed == wanted:
        return [f"flat_{v}", f"{v}._counter", f"{v}._counter[0]"]
    asked = " or ".join(f"need_{variable(op.differentiable[i])}" for i in sorted(needed))
    # the version of an inference tensor may not be read, unless the tensor is not saved either
    version = f"{v}._counter[0] if {asked} else 0"
    return [f"flat_{v} if {asked} else None", f"{v}._counter", version]


# --- the node ----------------------------------------------------------------------------------


def apply_lines(form: Form, op: Operator) -> list[str]:
    """Body of `apply`: the kernel for the inputs that need a gradient."""
    reads = {name for b in form.backward for name in b.saved}
    lines: list[str] = []
    if reads:
        lines += ["saved = node.saved", "if saved is None:", "    freed(node)"]
    if any(b.kernel for b in form.backward):
        lines += ["if type(grad) is not ndarray:", "    grad = grad._dense()"]
    if reads:
        names: list[str] = []
        for s in op.saved:
            used = s.name in reads
            checked = used and s.kind != "value" and s.name != form.scalar
            names += [
                s.name if used else "_",
                f"{s.name}_counter" if checked else "_",
                f"{s.name}_version" if checked else "_",
            ]
        lines += unpacking(names, "saved")
    if any(b.kernel for b in form.backward):
        lines.append("n = len(grad)")
    if len(op.differentiable) == 1:
        return lines + _apply_one(form.backward[0], form, op, single=True)
    by_wanted = {b.wanted: b for b in form.backward}
    positions = sorted({i for wanted in by_wanted for i in wanted})
    if len(positions) == 1:
        return lines + _apply_one(by_wanted[(positions[0],)], form, op)
    lines.append("edges = node.edges")
    lines.append("if edges[0] is None:")
    lines += _in(_apply_one(by_wanted[(1,)], form, op))
    lines.append("if edges[2] is None:")
    lines += _in(_apply_one(by_wanted[(0,)], form, op))
    return lines + _apply_one(by_wanted[(0, 1)], form, op)


def _apply_one(b: Backward, form: Form, op: Operator, single: bool = False) -> list[str]:
    lines: list[str] = []
    kinds = {s.name: s.kind for s in op.saved}
    for name in b.saved:
        if kinds[name] != "value" and name != form.scalar:
            lines += [f"if {name}_counter[0] != {name}_version:", "    expired(node)"]
    outs = dict(zip(b.computed, b.kernel.outputs, strict=True)) if b.kernel else {}
    if b.kernel:
        lines += [f"{out} = empty(n, grad.dtype)" for out in b.kernel.outputs]
        scalars = set(b.kernel.scalars)
        arguments = [f"float({a})" if a in scalars else a for a in b.kernel.arguments]
        lines += _run(b.kernel, [*arguments, *b.kernel.outputs])
    values = [
        (outs.get(i, "grad") if i in b.wanted else "None") for i in range(len(op.differentiable))
    ]
    if single:
        return [*lines, f"return {values[0]}"]
    return [*lines, f"return {', '.join(values)}"]
