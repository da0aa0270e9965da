"""Signatures: `max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, ...)`.

Owns the syntax of signatures and of default values: a tokenizer and a recursive parser, both by
hand, so that every message points at the character that is wrong.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass

from rederive.codegen import names
from rederive.codegen.errors import Mistake, hints, nearest
from rederive.codegen.model import TYPES, Argument, Mark, Output, Signature

LONGEST = 1000
Locate = Callable[[int, int], Mark]
Default = int | float | str | bool | tuple[int, ...] | None

_WORD = frozenset(string.ascii_letters + string.digits + "_")
_DIGITS = frozenset(string.digits)
_PUNCTUATION = ("->", "...", "[]", "(", ")", "[", "]", ",", ".", "*", "=", "|", "?", "-")
_OPTIONAL = ("Tensor", "Scalar", "int", "float", "bool", "str", "Dtype")
_EXAMPLE = "for example: mul(Tensor self, Tensor|Scalar other) -> Tensor"


@dataclass(frozen=True)
class _Token:
    kind: str  # "name", "number", "text", a punctuation mark, or "end"
    text: str
    first: int
    last: int


def parse(text: str, mark: Mark | None = None, locate: Locate | None = None) -> Signature:
    """Parse a signature; raises `Mistake`. The arguments are those of `formula.parse`."""
    mark = mark or Mark(1, 1, max(1, len(text)))
    if locate is None:
        start = mark
        cut = len(text) - len(text.lstrip())

        def locate(first: int, last: int) -> Mark:
            return Mark(start.line, start.column + cut + first, max(1, last - first))

    text = text.strip()
    if len(text) > LONGEST:
        raise Mistake(f"the signature is longer than {LONGEST} characters", mark)
    return _Parser(text, _tokens(text, locate), locate, mark).signature()


def _tokens(text: str, locate: Locate) -> list[_Token]:
    tokens: list[_Token] = []
    i = 0
    while i < len(text):
        if text[i] == " ":
            i += 1
            continue
        last, kind = _token_end(text, i)
        if not kind:
            raise Mistake(f"the character {text[i]!r} is not expected", locate(i, i + 1), _EXAMPLE)
        tokens.append(_Token(kind, text[i:last], i, last))
        i = last
    tokens.append(_Token("end", "", len(text), len(text)))
    return tokens


def _token_end(text: str, i: int) -> tuple[int, str]:
    """Where the token that starts at `i` ends, and its kind ("" if none starts there)."""
    if text[i] in _DIGITS or (text[i] == "." and text[i + 1 : i + 2] in _DIGITS):
        last = i + 1
        while last < len(text) and (
            text[last] in _WORD or text[last] == "." or (text[last] in "+-" and _power(text, last))
        ):
            last += 1
        return last, "number"
    if text[i] in _WORD:
        last = i + 1
        while last < len(text) and text[last] in _WORD:
            last += 1
        return last, "name"
    if text[i] == "'":
        last = text.find(text[i], i + 1) + 1
        return (last, "text") if last else (i, "")
    for mark in _PUNCTUATION:
        if text.startswith(mark, i):
            return i + len(mark), mark
    return i, ""


def _power(text: str, i: int) -> bool:
    """Whether the sign at `i` belongs to the exponent of a number, as in 1e-05."""
    return text[i - 1] in "eE" and text[i - 2] in _DIGITS | {"."}


class _Parser:
    def __init__(self, text: str, tokens: list[_Token], locate: Locate, mark: Mark) -> None:
        self.text = text
        self.tokens = tokens
        self.locate = locate
        self.mark = mark
        self.at = 0

    # -- small steps ------------------------------------------------------------------------

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def next(self) -> _Token:
        token = self.token
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def accept(self, kind: str) -> bool:
        found = self.token.kind == kind
        if found:
            self.next()
        return found

    def expect(self, kind: str, what: str) -> _Token:
        if self.token.kind != kind:
            raise self.unexpected(what)
        return self.next()

    def place(self, token: _Token) -> Mark:
        return self.locate(token.first, max(token.last, token.first + 1))

    def unexpected(self, what: str) -> Mistake:
        found = f"'{self.token.text}'" if self.token.text else "the end"
        return Mistake(f"expected {what}, found {found}", self.place(self.token), _EXAMPLE)

    # -- grammar ----------------------------------------------------------------------------

    def signature(self) -> Signature:
        name = self.operator_name()
        overload = ""
        if self.accept("."):
            token = self.expect("name", "the overload's name")
            overload = token.text
            problem = names.lexical_problem(overload)
            if problem:
                raise Mistake(f"the overload name '{overload}' {problem}", self.place(token))
        self.expect("(", "'('")
        arguments = self.arguments()
        self.expect("->", "'->' and the outputs")
        outputs = self.outputs()
        if self.token.kind != "end":
            raise self.unexpected("the end of the signature")
        self.check_outputs(arguments, outputs)
        return Signature(name, overload, arguments, outputs, self.text, self.mark)

    def operator_name(self) -> str:
        token = self.expect("name", "the operator's name")
        problem = names.operator_problem(token.text)
        if problem:
            raise Mistake(f"the operator name '{token.text}' {problem}", self.place(token))
        return token.text

    def arguments(self) -> tuple[Argument, ...]:
        found: list[Argument] = []
        keyword_only = False
        while not self.accept(")"):
            if self.token.kind == "*":
                if keyword_only:
                    raise Mistake("a second '*'", self.place(self.token))
                keyword_only = True
                self.next()
            else:
                self.add(found, self.argument(keyword_only))
            if self.token.kind != ")":
                self.expect(",", "',' or ')'")
                if self.token.kind == ")":
                    raise self.unexpected("an argument")
        return tuple(found)

    def add(self, found: list[Argument], new: Argument) -> None:
        if any(a.name == new.name for a in found):
            raise Mistake(f"a second argument '{new.name}'", new.mark)
        if found and found[-1].variadic and not new.keyword_only:
            hint = "put '*,' before it"
            raise Mistake(f"'{new.name}' follows '{found[-1].name}...'", new.mark, hint)
        late = found and found[-1].has_default and not new.keyword_only
        if late and not new.has_default:
            raise Mistake(f"'{new.name}' has no default but follows one that has", new.mark)
        found.append(new)

    def argument(self, keyword_only: bool) -> Argument:
        kind = self.type_name()
        or_scalar = optional = many = variadic = False
        if self.accept("|"):
            token = self.expect("name", "'Scalar'")
            if kind != "Tensor" or token.text != "Scalar":
                raise Mistake("the only alternative is Tensor|Scalar", self.place(token))
            or_scalar = True
        if self.token.kind == "[]":
            many = self.sequence(kind in ("Tensor", "int", "float") and not or_scalar, kind)
        elif self.token.kind == "...":
            variadic = self.sequence(kind in ("Tensor", "int") and not or_scalar, kind)
        if self.token.kind == "?":
            if variadic or kind not in _OPTIONAL:
                raise Mistake("this argument cannot be optional", self.place(self.token))
            optional = True
            self.next()
        token = self.expect("name", "the argument's name")
        problem = names.variable_problem(token.text)
        if problem:
            raise Mistake(f"the argument name '{token.text}' {problem}", self.place(token))
        bare = Argument(token.text, kind, or_scalar, optional, many, variadic, keyword_only)
        default: Default = None
        has_default = self.token.kind == "="
        if has_default:
            default = self.default(bare)
        return Argument(
            bare.name,
            kind,
            or_scalar,
            optional,
            many,
            variadic,
            keyword_only,
            has_default,
            default,
            self.place(token),
        )

    def type_name(self) -> str:
        token = self.expect("name", "a type")
        if token.text not in TYPES:
            hint = hints(nearest(token.text, TYPES), f"the types are {', '.join(TYPES)}")
            raise Mistake(f"unknown type '{token.text}'", self.place(token), hint)
        return token.text

    def sequence(self, allowed: bool, kind: str) -> bool:
        if not allowed:
            text = f"{kind}{self.token.text}"
            raise Mistake(f"'{text}' is not a type", self.place(self.token))
        self.next()
        return True

    def outputs(self) -> tuple[Output, ...]:
        if not self.accept("("):
            mark = self.place(self.token)
            return (Output("result", self.output_type(), mark),)
        found: list[Output] = []
        while True:
            many = self.output_type()
            token = self.expect("name", "the output's name")
            problem = names.variable_problem(token.text)
            if problem:
                raise Mistake(f"the output name '{token.text}' {problem}", self.place(token))
            found.append(Output(token.text, many, self.place(token)))
            if self.accept(")"):
                break
            self.expect(",", "',' or ')'")
        if len(found) == 1:
            hint = "write '-> Tensor'; a single output is called result"
            raise Mistake("one output in parentheses", found[0].mark, hint)
        return tuple(found)

    def output_type(self) -> bool:
        token = self.expect("name", "Tensor, Tensor[] or (Tensor a, Tensor b)")
        if token.text != "Tensor":
            hint = "outputs are Tensor or Tensor[]"
            raise Mistake(f"'{token.text}' is not an output type", self.place(token), hint)
        return self.accept("[]")

    def check_outputs(self, arguments: tuple[Argument, ...], outputs: tuple[Output, ...]) -> None:
        seen = {a.name for a in arguments}
        for output in outputs:
            if output.name in seen:
                raise Mistake(f"a second '{output.name}'", output.mark)
            seen.add(output.name)

    # -- defaults ---------------------------------------------------------------------------

    def default(self, argument: Argument) -> Default:
        self.next()
        first = self.token
        value = self.literal()
        last = self.tokens[self.at - 1]
        if not _fits(argument, value):
            where = self.locate(first.first, last.last)
            shown = self.text[first.first : last.last]
            raise Mistake(
                f"the default {shown} of '{argument.name}' is not {_wanted(argument)}", where
            )
        if argument.type == "float" and isinstance(value, int):
            return float(value)
        return value

    def literal(self) -> Default:
        if self.token.kind == "[]":
            self.next()
            return ()
        if self.accept("["):
            items = [self.integer()]
            while self.accept(","):
                items.append(self.integer())
            self.expect("]", "',' or ']'")
            return tuple(items)
        if self.token.kind == "text":
            return self.text_literal()
        if self.token.kind == "name" and self.token.text in ("True", "False", "None"):
            return {"True": True, "False": False, "None": None}[self.next().text]
        return self.number()

    def text_literal(self) -> str:
        token = self.next()
        value = token.text[1:-1]
        if not value.isprintable() or set(value) & set("\\{}`"):
            raise Mistake("this text is not allowed as a default", self.place(token))
        return value

    def integer(self) -> int:
        token = self.token
        value = self.number()
        if not isinstance(value, int):
            raise Mistake("a list holds whole numbers", self.place(token))
        return value

    def number(self) -> int | float:
        negative = self.accept("-")
        token = self.token
        value: int | float
        if token.kind == "name" and token.text in ("inf", "nan"):
            value = float(token.text)
        elif token.kind == "number":
            value = self.digits(token)
        else:
            raise self.unexpected("a default value")
        self.next()
        return -value if negative else value

    def digits(self, token: _Token) -> int | float:
        whole = _DIGITS.issuperset(token.text)
        try:
            value = int(token.text) if whole else float(token.text)
        except ValueError:
            raise Mistake(f"'{token.text}' is not a number", self.place(token)) from None
        if abs(value) >= 2**63 if whole else value == float("inf"):
            raise Mistake("this number is too large", self.place(token))
        return value


def _fits(argument: Argument, value: Default) -> bool:
    if value is None:
        return argument.optional
    if argument.variadic:
        return False
    if argument.many:
        single = isinstance(value, int) and not isinstance(value, bool)
        return argument.type == "int" and (single or isinstance(value, tuple))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match argument.type:
        case "Tensor":
            return argument.or_scalar and number
        case "Scalar":
            return isinstance(value, int | float)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return number
        case "bool":
            return isinstance(value, bool)
        case "str":
            return isinstance(value, str)
    return False


def _wanted(argument: Argument) -> str:
    if argument.variadic:
        return "allowed; '...' arguments have none"
    kind = argument.type + ("|Scalar" if argument.or_scalar else "")
    kind += "[]" if argument.many else ""
    return f"of type {kind}{'?' if argument.optional else ''}"
