"""Signatures: arguments, defaults, outputs, and where a mistake is reported."""

import math

import pytest
from rederive.codegen.errors import Mistake
from rederive.codegen.model import Argument, Mark, Output
from rederive.codegen.signature import parse


def argument(text):
    return parse(f"f({text}) -> Tensor").arguments[-1]


def test_signature_with_overload_and_outputs():
    found = parse("max.dim(Tensor self, int dim) -> (Tensor values, Tensor indices)")
    assert (found.name, found.overload, found.label) == ("max", "dim", "max.dim")
    assert found.outputs == (Output("values"), Output("indices"))
    assert found.argument("dim") == Argument("dim", "int")


def test_single_output_is_called_result():
    assert parse("f() -> Tensor").outputs == (Output("result"),)
    assert parse("f() -> Tensor[]").outputs == (Output("result", True),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tensor self", Argument("self", "Tensor")),
        ("Tensor|Scalar other", Argument("other", "Tensor", or_scalar=True)),
        (
            "Tensor|Scalar? min=None",
            Argument("min", "Tensor", or_scalar=True, optional=True, has_default=True),
        ),
        ("Tensor[] tensors", Argument("tensors", "Tensor", many=True)),
        ("int... shape", Argument("shape", "int", variadic=True)),
        (
            "int[]? dim=None",
            Argument("dim", "int", many=True, optional=True, has_default=True),
        ),
        ("int[] dim=[]", Argument("dim", "int", many=True, has_default=True, default=())),
        ("int[] k=[1, -2]", Argument("k", "int", many=True, has_default=True, default=(1, -2))),
        ("int[] stride=1", Argument("stride", "int", many=True, has_default=True, default=1)),
        ("float eps=1e-05", Argument("eps", "float", has_default=True, default=1e-05)),
        ("float p=2", Argument("p", "float", has_default=True, default=2.0)),
        ("float low=-inf", Argument("low", "float", has_default=True, default=-math.inf)),
        ("Scalar alpha=1", Argument("alpha", "Scalar", has_default=True, default=1)),
        ("bool keepdim=False", Argument("keepdim", "bool", has_default=True, default=False)),
        ("str mode='mean'", Argument("mode", "str", has_default=True, default="mean")),
        ("Dtype? dtype=None", Argument("dtype", "Dtype", optional=True, has_default=True)),
        ("Tensor self, *, int dim", Argument("dim", "int", keyword_only=True)),
    ],
)
def test_argument(text, expected):
    found = argument(text)
    assert found == expected
    assert type(found.default) is type(expected.default)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("f(Tensor self, int dim=x) -> Tensor", 24, "expected a default value, found 'x'"),
        ("f(Tensor self -> Tensor", 15, "expected ',' or ')', found '->'"),
        ("f(Tensor self) Tensor", 16, "expected '->' and the outputs, found 'Tensor'"),
        ("f(Tensor self) ->", 18, "expected Tensor, Tensor[] or (Tensor a, Tensor b), found"),
        ("f(Tensor) -> Tensor", 9, "expected the argument's name, found ')'"),
        ("f(Tensor|int a) -> Tensor", 10, "the only alternative is Tensor|Scalar"),
        ("f(bool[] a) -> Tensor", 7, "'bool[]' is not a type"),
        ("f(float... a) -> Tensor", 8, "'float...' is not a type"),
        ("f(int... a, int b) -> Tensor", 17, "'b' follows 'a...'"),
        ("f(int... a?) -> Tensor", 11, "expected ',' or ')', found '?'"),
        ("f(*, *, int a) -> Tensor", 6, "a second '*'"),
        ("f(int a=True) -> Tensor", 9, "the default True of 'a' is not of type int"),
        ("f(bool a=1) -> Tensor", 10, "the default 1 of 'a' is not of type bool"),
        ("f(str a=1) -> Tensor", 9, "the default 1 of 'a' is not of type str"),
        ("f(int a=None) -> Tensor", 9, "the default None of 'a' is not of type int"),
        ("f(int[] a=[1.5]) -> Tensor", 12, "a list holds whole numbers"),
        ("f(int a=99999999999999999999) -> Tensor", 9, "this number is too large"),
        ("f(float a=1e999) -> Tensor", 11, "this number is too large"),
        ("f(float a=1x) -> Tensor", 11, "'1x' is not a number"),
        ("f(str a='x) -> Tensor", 9, 'the character "\'" is not expected'),
        ("f(str a='{x}') -> Tensor", 9, "this text is not allowed as a default"),
        ("f(Tensor a) -> (Tensor b)", 24, "one output in parentheses"),
        ("f(Tensor a) -> (Tensor a, Tensor b)", 24, "a second 'a'"),
        ("f.if(Tensor a) -> Tensor", 3, "the overload name 'if' is a Python keyword"),
        ("f(Tensor a, int inf) -> Tensor", 17, "is a constant of the formula language"),
        ("f(Tensor a) -> (Tensor len, Tensor b)", 24, "the output name 'len' hides a Python"),
        ("(Tensor a) -> Tensor", 1, "expected the operator's name, found '('"),
        ("f(Tensor " + "a" * 65 + ") -> Tensor", 10, "is longer than 64 characters"),
        ("f(" + "Tensor a, " * 200 + ") -> Tensor", 1, "longer than 1000 characters"),
    ],
)
def test_mistake_is_reported_where_it_is(text, column, message):
    with pytest.raises(Mistake) as caught:
        parse(text, Mark(4, 1, len(text)))
    assert message in caught.value.message
    assert (caught.value.mark.line, caught.value.mark.column) == (4, column)


@pytest.mark.parametrize(
    "name", ["min", "max", "input", "sum", "abs", "all", "any", "pow", "round"]
)
def test_names_that_pytorch_gives_to_arguments_are_allowed(name):
    assert argument(f"int {name}").name == name


@pytest.mark.parametrize("name", ["abs", "sum", "max", "pow", "all", "any", "round", "min"])
def test_names_that_pytorch_gives_to_operators_are_allowed(name):
    assert parse(f"{name}(Tensor self) -> Tensor").name == name


@pytest.mark.parametrize("name", ["eval", "exec", "open", "compile", "getattr", "print", "type"])
def test_operators_do_not_hide_other_builtins(name):
    with pytest.raises(Mistake, match="hides a Python builtin"):
        parse(f"{name}(Tensor self) -> Tensor")
