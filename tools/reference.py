"""Evaluates the `reference:` of an entry: an expression over NumPy and SciPy calls.

A reference comes from a file that someone else may have written, so it is never compiled: this
module walks its `ast`, and knows names, constants, arithmetic, subscripts and calls of functions
found in a fixed set of modules. It does not know attributes of values, lambdas or comprehensions,
and it refuses the few functions of NumPy that read files, write files or change global state.
"""

from __future__ import annotations

import ast
import importlib
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rederive.tools import layer_references, references

MODULES = frozenset(
    {
        "numpy",
        "numpy.fft",
        "numpy.lib.stride_tricks",
        "numpy.linalg",
        "scipy.fft",
        "scipy.linalg",
        "scipy.ndimage",
        "scipy.signal",
        "scipy.spatial.distance",
        "scipy.special",
        "scipy.stats",
    }
)

# Functions of `numpy` itself that touch files, the process or NumPy's global state.
FORBIDDEN = frozenset(
    (
        "errstate",
        "fromfile",
        "frompyfunc",
        "fromregex",
        "genfromtxt",
        "get_include",
        "info",
        "load",
        "loadtxt",
        "memmap",
        "printoptions",
        "save",
        "savetxt",
        "savez",
        "savez_compressed",
        "set_printoptions",
        "setbufsize",
        "seterr",
        "seterrcall",
        "show_config",
        "show_runtime",
        "test",
        "typename",
        "vectorize",
    )
)

UFUNC_METHODS = frozenset({"accumulate", "outer", "reduce", "reduceat"})

BINARY: dict[type[ast.operator], Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
COMPARE: dict[type[ast.cmpop], Callable] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
UNARY: dict[type[ast.unaryop], Callable] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}


class Refused(ValueError):
    """The reference uses something that references may not use, or a name that is not there."""


def evaluate(text: str, arguments: Mapping[str, Any]) -> Any:
    """The value of the reference `text`, with the operator's arguments by name.

    arguments: arrays and plain values. Returns an array, a scalar, or a tuple of these.
    Raises Refused for anything outside the language; what NumPy raises passes through.
    Floating warnings (division by zero, the mean of nothing) are silenced: limits are sampled on
    purpose.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise Refused(f"reference: {error.msg}: {text}") from None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return _Evaluator(text, arguments).value(tree.body)


class _Evaluator:
    def __init__(self, text: str, arguments: Mapping[str, Any]) -> None:
        self.text = text
        self.arguments = arguments

    def fail(self, node: ast.AST, what: str) -> Refused:
        source = ast.get_source_segment(self.text.strip(), node) or ""
        return Refused(f"reference: {what}: {source}")

    def value(self, node: ast.AST) -> Any:
        method = getattr(self, "visit_" + type(node).__name__, None)
        if method is None:
            raise self.fail(node, f"{type(node).__name__} is not allowed")
        return method(node)

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, bytes) or node.value is ...:
            raise self.fail(node, "this constant is not allowed")
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in self.arguments:
            return self.arguments[node.id]
        raise self.fail(node, f"unknown name {node.id!r} (in scope: {', '.join(self.arguments)})")

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return UNARY[type(node.op)](self.value(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        if type(node.op) not in BINARY:
            raise self.fail(node, "this operator is not allowed")
        return BINARY[type(node.op)](self.value(node.left), self.value(node.right))

    def visit_Compare(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1 or type(node.ops[0]) not in COMPARE:
            raise self.fail(node, "this comparison is not allowed")
        return COMPARE[type(node.ops[0])](self.value(node.left), self.value(node.comparators[0]))

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        result = None
        for part in node.values:
            result = self.value(part)
            if bool(result) is stop:
                break
        return result

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.value(item) for item in node.elts)

    def visit_List(self, node: ast.List) -> Any:
        return [self.value(item) for item in node.elts]

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self.value(node.value)[self.value(node.slice)]

    def visit_Slice(self, node: ast.Slice) -> slice:
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else self.value(end) for end in ends))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        found = self.lookup(node)
        if isinstance(found, float | int) or (
            isinstance(found, type) and issubclass(found, np.generic)
        ):
            return found
        if found is np.newaxis:
            return None
        raise self.fail(node, "only constants and dtypes may be used without a call")

    def visit_Call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Attribute):
            raise self.fail(node, "only functions of numpy and scipy may be called")
        function = self.lookup(node.func)
        if not callable(function):
            raise self.fail(node, "not a function")
        positional: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                positional.extend(self.value(argument.value))
            else:
                positional.append(self.value(argument))
        keywords = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.fail(node, "** is not allowed")
            keywords[keyword.arg] = self.value(keyword.value)
        return function(*positional, **keywords)

    def lookup(self, node: ast.Attribute) -> Any:
        """What a dotted name stands for: `numpy.exp`, `scipy.special.erf`, `numpy.add.reduce`."""
        names: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            names.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name) or inner.id in self.arguments:
            raise self.fail(node, "attributes of values are not allowed")
        names.insert(0, inner.id)
        if names[0] == "references" and len(names) == 2:
            for module in (references, layer_references):
                if names[1] in module.__all__:
                    return getattr(module, names[1])
        for end in range(len(names) - 1, 0, -1):
            if ".".join(names[:end]) in MODULES:
                return self._member(node, ".".join(names[:end]), names[end:])
        raise self.fail(node, "not in a module that references may use")

    def _member(self, node: ast.AST, module: str, names: list[str]) -> Any:
        name = names[0]
        if name.startswith("_") or name in FORBIDDEN or f"{module}.{name}" in MODULES:
            raise self.fail(node, "not a function that references may use")
        found = getattr(importlib.import_module(module), name, None)
        if len(names) == 2 and isinstance(found, np.ufunc) and names[1] in UFUNC_METHODS:
            return getattr(found, names[1])
        if len(names) > 1 or isinstance(found, type(np)):
            raise self.fail(node, "not a function that references may use")
        if found is None and name != "newaxis":
            raise self.fail(node, f"{module} has no {name!r}")
        return found
