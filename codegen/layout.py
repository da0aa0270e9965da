"""Line breaking: what does not fit on a line is laid out as `ruff format` would.

Statements are built without knowing how far they will be indented. Where one may be broken it
carries marks, and `lay_out` decides once the whole text stands.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

WIDTH = 100

_OPEN, _NEXT, _CLOSE = "\x01", "\x02", "\x03"  # a bracketed list
_IF, _AND, _THEN = "\x04", "\x05", "\x06"  # a conjunction
_GROUP, _OR, _END = "\x0e", "\x0f", "\x10"  # a disjunction within a condition


def listed(prefix: str, items: Sequence[str], suffix: str) -> str:
    """`prefix items suffix` in one line, or one item a line; the ends hold the brackets."""
    return f"{prefix}{_OPEN}{_NEXT.join(items)}{_CLOSE}{suffix}" if items else prefix + suffix


def condition(tests: Sequence[str]) -> str:
    """`if a and b:`, one test a line in parentheses when it is long."""
    return f"if {_IF}{_AND.join(tests)}{_THEN}:"


def conjuncts(test: str) -> list[str]:
    """What a test joins by `and`."""
    tree = ast.parse(test, mode="eval").body
    if not (isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)):
        return [test]
    parts = [ast.get_source_segment(test, part) or "" for part in tree.values]
    loose = ast.BoolOp | ast.IfExp
    return [
        f"({p})" if isinstance(v, loose) else p for p, v in zip(parts, tree.values, strict=True)
    ]


def disjunction(prefix: str, tests: Sequence[str], suffix: str) -> str:
    """`prefix a or b suffix`; the ends hold the parentheses, on lines of their own if long."""
    return f"{prefix}{_GROUP}{_OR.join(tests)}{_END}{suffix}"


def lay_out(text: str) -> str:
    """Break marked lines where needed; no trailing blanks, two blank lines in a row at most."""
    lines: list[str] = []
    blank = 0
    for line in text.splitlines():
        line = line.rstrip()
        blank = blank + 1 if not line else 0
        if blank <= 2:
            lines += _broken(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def _broken(line: str) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    if _OPEN in line:
        before, _, rest = line.partition(_OPEN)
        inner, _, after = rest.rpartition(_CLOSE)
        items = inner.split(_NEXT)
        single = f"{items[0]}," if len(items) == 1 and before.endswith("= (") else ""
        flat = before + (single or ", ".join(items)) + after
        if len(flat) <= WIDTH:
            return [flat]
        return [before, *(f"{indent}    {item}," for item in items), indent + after]
    if _IF in line:
        before, _, rest = line.partition(_IF)
        inner, _, after = rest.rpartition(_THEN)
        tests = inner.split(_AND)
        flat = before + " and ".join(tests) + after
        if len(flat) <= WIDTH:
            return [flat]
        more = [f"{indent}    and {test}" for test in tests[1:]]
        return [f"{before}(", f"{indent}    {tests[0]}", *more, f"{indent}){after}"]
    if _GROUP in line:
        before, _, rest = line.partition(_GROUP)
        inner, _, after = rest.rpartition(_END)
        tests = inner.split(_OR)
        flat = " or ".join(tests)
        if len(before + flat + after) <= WIDTH:
            return [before + flat + after]
        first, *others = [flat] if len(indent + flat) + 4 <= WIDTH else tests
        more = [f"{indent}    or {test}" for test in others]
        return [before, f"{indent}    {first}", *more, indent + after]
    return _broken_statement(line, indent) if len(line) > WIDTH else [line]


def _broken_statement(line: str, indent: str) -> list[str]:
    """A long line without marks: `name = f(a, b)`, `return f(a, b)`, or `key=(a, b),` of a call."""
    text = line.strip()
    for before in ("", "_("):  # the second makes a whole of an item of a call
        try:
            (statement,) = ast.parse(f"{before}{text})" if before else text).body
        except (SyntaxError, ValueError):
            continue
        value = getattr(statement, "value", None)
        if before and isinstance(value, ast.Call):
            items = [*value.args, *(keyword.value for keyword in value.keywords)]
            value = items[0] if len(items) == 1 else None
        if isinstance(value, ast.Call):
            return _broken_call(before, text, value, indent)
        if before and isinstance(value, ast.Tuple):
            return _broken_tuple(before, text, value, indent)
    return [line]


def _broken_call(before: str, text: str, call: ast.Call, indent: str) -> list[str]:
    """The arguments on a line of their own, or one a line."""
    whole = before + text
    start = (call.func.end_col_offset or 0) + 1
    parts = [ast.get_source_segment(whole, item) or "" for item in (*call.args, *call.keywords)]
    flat = f"{indent}    {', '.join(parts)}"
    inner = [flat] if len(flat) <= WIDTH else [f"{indent}    {part}," for part in parts]
    rest = whole[(call.end_col_offset or 0) - 1 :]
    return [indent + whole[len(before) : start], *inner, indent + rest]


def _broken_tuple(before: str, text: str, tree: ast.Tuple, indent: str) -> list[str]:
    """One item a line."""
    whole = before + text
    parts = [ast.get_source_segment(whole, item) or "" for item in tree.elts]
    head = whole[len(before) : tree.col_offset + 1]
    rest = whole[(tree.end_col_offset or 0) - 1 :]
    return [indent + head, *(f"{indent}    {part}," for part in parts), indent + rest]
