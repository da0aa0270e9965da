"""Formulas: text -> `Formula`, through `ast` and a whitelist.

Owns the syntax only; what a name or a function means is `check`'s business. The tree handed on is
rebuilt from the checked nodes, so nothing that is not listed here can reach generated code.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from rederive.codegen import names
from rederive.codegen.errors import Mistake
from rederive.codegen.model import (
    Binary,
    Call,
    Constant,
    Expr,
    Formula,
    Index,
    Mark,
    Name,
    Sequence,
    Unary,
)

LONGEST = 1000  # characters of a whole formula
DEEPEST = 100  # nested operations
LARGEST_INT = 2**63

Locate = Callable[[int, int], Mark]

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Attribute: ("attribute access is not allowed", "call operators by their plain names"),
    ast.Lambda: ("'lambda' is not allowed", ""),
    ast.IfExp: ("'if ... else' is not allowed", "use where(condition, a, b)"),
    ast.NamedExpr: ("':=' is not allowed", "name a shared part in 'let:'"),
    ast.JoinedStr: ("an f-string is not allowed", ""),
    ast.Starred: ("'*' before an argument is not allowed", ""),
    ast.Dict: ("a dictionary is not allowed", ""),
    ast.Set: ("a set is not allowed", ""),
    ast.ListComp: ("a comprehension is not allowed", ""),
    ast.SetComp: ("a comprehension is not allowed", ""),
    ast.DictComp: ("a comprehension is not allowed", ""),
    ast.GeneratorExp: ("a comprehension is not allowed", ""),
    ast.Slice: ("a slice is not allowed", "only single items of a sequence can be taken"),
    ast.Await: ("'await' is not allowed", ""),
    ast.Yield: ("'yield' is not allowed", ""),
    ast.YieldFrom: ("'yield' is not allowed", ""),
}

# Where functions of a reference or of a `library` target may live: modules of arithmetic only.
MODULES = frozenset(
    {
        "numpy",
        "numpy.fft",
        "numpy.linalg",
        "scipy.fft",
        "scipy.linalg",
        "scipy.linalg.blas",
        "scipy.linalg.lapack",
        "scipy.ndimage",
        "scipy.signal",
        "scipy.spatial.distance",
        "scipy.special",
    }
)
# Names of those modules that touch files, settings or code instead of numbers.
_OUTWARD = frozenset(
    (
        "DataSource",
        "apply_along_axis",
        "apply_over_axes",
        "bmat",
        "char",
        "core",
        "ctypeslib",
        "distutils",
        "errstate",
        "exceptions",
        "f2py",
        "fromfile",
        "frompyfunc",
        "fromregex",
        "genfromtxt",
        "get_include",
        "info",
        "lib",
        "load",
        "loadtxt",
        "lookfor",
        "memmap",
        "printoptions",
        "random",
        "rec",
        "save",
        "savetxt",
        "savez",
        "savez_compressed",
        "set_printoptions",
        "set_string_function",
        "setbufsize",
        "seterr",
        "seterrcall",
        "show_config",
        "show_runtime",
        "source",
        "test",
        "testing",
        "vectorize",
        "who",
    )
)


def dotted_problem(name: str) -> str:
    """Why `name` ("numpy.linalg.inv") cannot be used from generated code or tests, or ""."""
    parts = name.split(".")
    if parts[0] not in ("numpy", "scipy"):
        return f"'{name}' is not a function of numpy or scipy"
    for part in parts:
        problem = names.lexical_problem(part)
        if problem:
            return f"'{part}' {problem}"
    module = ".".join(parts[:-1])
    if module not in MODULES:
        return f"'{name}' is not in a module that may be used"
    if parts[-1] in _OUTWARD or name in MODULES:
        return f"'{name}' may not be used"
    return ""


REFERENCES = "references"  # the functions that tools/references.py writes out in NumPy
DOTTED_HINT = "a dotted name of " + ", ".join(sorted(MODULES))


def parse(text: str, mark: Mark | None = None, locate: Locate | None = None) -> Formula:
    """Parse a formula of the language; raises `Mistake`.

    mark: where `text` starts. locate: maps a range of characters of `text` to a place in the
    file, for text that does not stand in one piece on one line.
    """
    return _parse(text, mark, locate, False)


def parse_reference(text: str, mark: Mark | None = None, locate: Locate | None = None) -> Formula:
    """Parse a reference expression, where calls and constants may be rooted in numpy or scipy."""
    return _parse(text, mark, locate, True)


def _parse(text: str, mark: Mark | None, locate: Locate | None, dotted: bool) -> Formula:
    mark = mark or Mark(1, 1, max(1, len(text)))
    if locate is None:
        start = mark
        cut = len(text) - len(text.lstrip())

        def locate(first: int, last: int) -> Mark:
            return Mark(start.line, start.column + cut + first, max(1, last - first))

    text = text.strip()
    _check_text(text, mark, locate)
    tree = _tree(text, mark, locate)
    return Formula(text, _Builder(locate, dotted).build(tree, 0), mark)


def _check_text(text: str, mark: Mark, locate: Locate) -> None:
    """Refuse what `ast` would accept: comments, escapes, other scripts, endless nesting."""
    if not text:
        raise Mistake("the formula is empty", mark)
    if len(text) > LONGEST:
        raise Mistake(f"the formula is longer than {LONGEST} characters", mark, _SPLIT)
    depth = 0
    for i, character in enumerate(text):
        if character == "#":
            raise Mistake("a comment is not allowed in a formula", locate(i, i + 1))
        if character == '"':
            raise Mistake("a double quotation mark", locate(i, i + 1), "use single ones")
        if character == "\\" or not " " <= character <= "~":
            shown = character if character.isprintable() else f"U+{ord(character):04X}"
            raise Mistake(f"the character '{shown}' is not allowed", locate(i, i + 1))
        depth += (character in "([{") - (character in ")]}")
        if depth > DEEPEST:
            raise Mistake(_TOO_DEEP, locate(i, i + 1), _SPLIT)


_SPLIT = "name a shared part in 'let:'"
_TOO_DEEP = f"nested more than {DEEPEST} deep"


def _tree(text: str, mark: Mark, locate: Locate) -> ast.expr:
    try:
        with warnings.catch_warnings():
            # `1if x` and the like only warn; here they are mistakes.
            warnings.simplefilter("error")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        # Offset 0 stands for the end of the text.
        first = min(error.offset - 1 if error.offset else len(text), len(text))
        last = (error.end_offset or 0) - 1 if error.end_lineno == error.lineno else first + 1
        where = locate(first, min(max(last, first + 1), len(text)))
    except (ValueError, RecursionError, MemoryError, OverflowError, Warning):
        where = mark
    closed = text.count("(") == text.count(")")
    hint = "" if closed else "count the parentheses"
    raise Mistake("not a formula: the syntax is wrong here", where, hint)


@dataclass(frozen=True)
class _Builder:
    """Rebuilds a Python tree as model expressions, refusing everything else."""

    locate: Locate
    dotted: bool

    def mark(self, node: ast.expr | ast.keyword) -> Mark:
        return self.locate(node.col_offset, node.end_col_offset or node.col_offset + 1)

    def build(self, node: ast.expr, depth: int) -> Expr:
        if depth > DEEPEST:
            raise Mistake(_TOO_DEEP, self.mark(node), _SPLIT)
        deeper = depth + 1
        match node:
            case ast.Name():
                return self.name(node)
            case ast.Constant():
                return self.constant(node)
            case ast.Call():
                return self.call(node, deeper)
            case ast.UnaryOp(op=ast.USub() | ast.Not()):
                sign = "-" if isinstance(node.op, ast.USub) else "not"
                return Unary(sign, self.build(node.operand, deeper), mark=self.mark(node))
            case ast.BinOp() if type(node.op) in _BINARY:
                left, right = self.build(node.left, deeper), self.build(node.right, deeper)
                return Binary(_BINARY[type(node.op)], left, right, mark=self.mark(node))
            case ast.BoolOp():
                return self.boolean(node, deeper)
            case ast.Compare():
                return self.compare(node, deeper)
            case ast.Tuple() | ast.List():
                items = tuple(self.build(item, deeper) for item in node.elts)
                return Sequence(items, mark=self.mark(node))
            case ast.Subscript():
                value, index = self.build(node.value, deeper), self.build(node.slice, deeper)
                if isinstance(index, Sequence):
                    raise Mistake("an index is one number", self.mark(node.slice))
                return Index(value, index, mark=self.mark(node))
            case ast.Attribute() if self.dotted:
                return Name(self.path(node), mark=self.mark(node))
        raise self.refusal(node)

    def refusal(self, node: ast.expr) -> Mistake:
        if type(node) in _REFUSED:
            message, hint = _REFUSED[type(node)]
            return Mistake(message, self.mark(node), hint)
        if isinstance(node, ast.BinOp):
            return Mistake("this operator is not allowed", self.mark(node), _OPERATORS)
        if isinstance(node, ast.UnaryOp):
            return Mistake("this sign is not allowed", self.mark(node), "use '-' or 'not'")
        return Mistake("this is not allowed in a formula", self.mark(node))

    def name(self, node: ast.Name) -> Expr:
        if node.id in names.CONSTANTS:
            return Constant(names.CONSTANTS[node.id], mark=self.mark(node))
        problem = names.lexical_problem(node.id)
        if problem:
            raise Mistake(f"the name '{node.id}' {problem}", self.mark(node))
        return Name(node.id, mark=self.mark(node))

    def constant(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, str) and (len(value) > 64 or set(value) & set("{}\"'`")):
            raise Mistake("this text is not allowed in a formula", self.mark(node))
        if isinstance(value, int) and abs(value) >= LARGEST_INT:
            raise Mistake("this whole number does not fit 64 bits", self.mark(node))
        if isinstance(value, float) and value == float("inf"):
            raise Mistake("this number is too large", self.mark(node), "for infinity write inf")
        if value is None or isinstance(value, bool | int | float | str):
            return Constant(value, mark=self.mark(node))
        what = type(value).__name__
        raise Mistake(f"a constant of type {what} is not allowed", self.mark(node))

    def call(self, node: ast.Call, depth: int) -> Expr:
        if isinstance(node.func, ast.Name):
            function = node.func.id
            problem = names.lexical_problem(function)
            if problem:
                raise Mistake(f"the name '{function}' {problem}", self.mark(node.func))
        elif isinstance(node.func, ast.Attribute) and self.dotted:
            function = self.path(node.func)
        elif isinstance(node.func, ast.Attribute):
            raise self.refusal(node.func)
        else:
            raise Mistake("only a function named here can be called", self.mark(node.func))
        arguments = tuple(self.build(argument, depth) for argument in node.args)
        keywords: dict[str, Expr] = {}
        for item in node.keywords:
            if item.arg is None:
                raise Mistake("'**' before an argument is not allowed", self.mark(item))
            problem = names.lexical_problem(item.arg)
            if problem:
                raise Mistake(f"the name '{item.arg}' {problem}", self.mark(item))
            if item.arg in keywords:
                raise Mistake(f"a second '{item.arg}='", self.mark(item))
            keywords[item.arg] = self.build(item.value, depth)
        return Call(function, arguments, tuple(keywords.items()), mark=self.mark(node))

    def boolean(self, node: ast.BoolOp, depth: int) -> Expr:
        sign = "and" if isinstance(node.op, ast.And) else "or"
        tree = self.build(node.values[0], depth)
        for count, value in enumerate(node.values[1:]):
            tree = Binary(sign, tree, self.build(value, depth + count), mark=self.mark(node))
        return tree

    def compare(self, node: ast.Compare, depth: int) -> Expr:
        if len(node.ops) > 1:
            hint = "write a < b and b < c"
            raise Mistake("a comparison has one operator", self.mark(node), hint)
        sign, left = node.ops[0], self.build(node.left, depth)
        right = self.build(node.comparators[0], depth)
        if type(sign) in _COMPARE:
            return Binary(_COMPARE[type(sign)], left, right, mark=self.mark(node))
        if isinstance(sign, ast.In | ast.NotIn):
            raise Mistake("'in' is not allowed", self.mark(node))
        if not (isinstance(right, Constant) and right.value is None):
            raise Mistake("'is' compares with None only", self.mark(node), "use ==")
        same = Binary("is", left, right, mark=self.mark(node))
        return same if isinstance(sign, ast.Is) else Unary("not", same, mark=self.mark(node))

    def path(self, node: ast.Attribute) -> str:
        parts = [node.attr]
        inner = node.value
        while isinstance(inner, ast.Attribute) and len(parts) < 8:
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise self.refusal(node)
        name = ".".join([inner.id, *reversed(parts)])
        if inner.id == REFERENCES and len(parts) == 1:
            problem = names.lexical_problem(node.attr)
            problem = problem and f"'{node.attr}' {problem}"
        else:
            problem = dotted_problem(name)
        if problem:
            raise Mistake(problem, self.mark(node), DOTTED_HINT)
        return name


_OPERATORS = "the operators are + - * / // % ** @"
