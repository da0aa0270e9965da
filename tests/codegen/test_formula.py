"""Formulas: trees, places, and what is refused."""

import pytest
from rederive.codegen.errors import Mistake
from rederive.codegen.formula import DEEPEST, LONGEST, dotted_problem, parse, parse_reference
from rederive.codegen.model import (
    Binary,
    Call,
    Constant,
    Index,
    Mark,
    Name,
    Sequence,
    Unary,
)

A, B, C = Name("a"), Name("b"), Name("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("1", Constant(1)),
        ("0.5", Constant(0.5)),
        ("True", Constant(True)),
        ("None", Constant(None)),
        ("'mean'", Constant("mean")),
        ("inf", Constant(float("inf"))),
        ("-a", Unary("-", A)),
        ("not a", Unary("not", A)),
        ("a ** b", Binary("**", A, B)),
        ("a // b", Binary("//", A, B)),
        ("a @ b", Binary("@", A, B)),
        ("a != b", Binary("!=", A, B)),
        ("a and b and c", Binary("and", Binary("and", A, B), C)),
        ("a is None", Binary("is", A, Constant(None))),
        ("a is not None", Unary("not", Binary("is", A, Constant(None)))),
        ("f(a, k=b)", Call("f", (A,), (("k", B),))),
        ("(a, b)", Sequence((A, B))),
        ("[a]", Sequence((A,))),
        ("a[0]", Index(A, Constant(0))),
        ("a - b - c", Binary("-", Binary("-", A, B), C)),
    ],
)
def test_formula_becomes_its_tree(text, tree):
    assert parse(text).tree == tree


def test_text_is_kept_verbatim_but_for_its_ends():
    assert parse("  a  *  b ").text == "a  *  b"


def test_marks_count_from_the_given_place():
    tree = parse(" a + bcd", Mark(7, 10, 8)).tree
    assert tree.mark == Mark(7, 11, 7)
    assert tree.right.mark == Mark(7, 15, 3)


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "__import__('os')",
        "_a",
        "lambda: a",
        "[x for x in a]",
        "{x for x in a}",
        "(x for x in a)",
        "{}",
        "{1: a}",
        "f(*a)",
        "f(**a)",
        "f(k=a, k=b)",
        "f()()",
        "(a)(b).c",
        "a if b else c",
        "(a := b)",
        "f'{a}'",
        "'a' f'{b}'",
        "b'a'",
        "...",
        "1j",
        "+a",
        "~a",
        "a & b",
        "a | b",
        "a ^ b",
        "a << b",
        "a < b < c",
        "a in b",
        "a is b",
        "a is not 1",
        "a[1:2]",
        "a[1, 2]",
        "a[...]",
        "yield a",
        "await a",
        "a; b",
        "a = b",
        "import os",
        "pass",
        "del a",
        "a #",
        "a \\ b",
        "'\\n'",
        "'{a}'",
        "ａ",
        "a\x00b",
        "a\nb",
        "1if a else b",
        "0777",
        "1e999",
        "9" * 30,
        "'" + "x" * 65 + "'",
        '"""a"""',
        "",
        "   ",
        "(",
        ")",
        "a b",
    ],
)
def test_everything_else_is_refused(text):
    with pytest.raises(Mistake) as caught:
        parse(text, Mark(3, 5, 1))
    assert caught.value.mark.line == 3
    assert caught.value.mark.column >= 5


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "a" + ")" * 5000,
        "-" * 999 + "a",
        "not " * 249 + "a",
        "[" * 101 + "]" * 101,
        "f(" * 300 + ")" * 300,
        "a" + "[0]" * 300,
        "a" + " + a" * 240,
        "a" + " ** a" * 190,
        "a" + " and a" * 160,
        "a" + "()" * 400,
        "x" * (LONGEST + 1),
        "(" * 99,
    ],
    ids=lambda text: text[:6],
)
def test_hostile_nesting_is_a_clean_mistake(text):
    with pytest.raises(Mistake):
        parse(text)


def test_nesting_within_the_limit_is_accepted():
    parse("-" * DEEPEST + "a")
    parse("(" * DEEPEST + "a" + ")" * DEEPEST)


def test_reference_keeps_dotted_names():
    tree = parse_reference("numpy.exp(a) + numpy.inf * scipy.special.erf(b, out=c)").tree
    assert tree.left == Call("numpy.exp", (A,))
    assert tree.right.left == Name("numpy.inf")
    assert tree.right.right.function == "scipy.special.erf"


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "numpy",
        "numpy.load",
        "numpy.save",
        "numpy.linalg",
        "numpy.random.rand",
        "numpy.ndarray.tofile",
        "numpy.lib.format.open_memmap",
        "numpy.ctypeslib.os.system",
        "numpy.__loader__",
        "numpy.linalg.__builtins__.eval",
        "numpy.f2py.compile",
        "numpy.vectorize",
        "scipy.io.loadmat",
        "scipy.special.test",
        "scipy.LowLevelCallable",
        "numpy..exp",
        "numpy.exp ",
        "numpy.if",
        "",
    ],
)
def test_functions_that_reach_outside_are_refused(name):
    assert dotted_problem(name)


@pytest.mark.parametrize("name", ["numpy.matmul", "numpy.linalg.inv", "scipy.special.erf"])
def test_functions_of_arithmetic_are_accepted(name):
    assert dotted_problem(name) == ""


@pytest.mark.parametrize(
    "text", ["numpy.exp(a).tofile(b)", "a.sum()", "numpy.exp.__call__(a)", "(a + b).T", "f().g"]
)
def test_reference_has_no_attributes_of_values(text):
    with pytest.raises(Mistake):
        parse_reference(text)
