"""Expression trees as text: the text parses back to the tree, and ruff would not change it."""

import ast
import random
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rederive.codegen.expressions import substitute
from rederive.codegen.formula import parse
from rederive.codegen.model import Binary, Call, Constant, Index, Name, Sequence, Unary
from rederive.codegen.printer import Printer, literal

BINARY = ["+", "-", "*", "/", "//", "%", "**", "@"]
COMPARING = ["==", "!=", "<", "<=", ">", ">=", "and", "or"]
show = Printer(lambda node: None)

names = st.sampled_from(["self", "other", "grad", "x", "result"]).map(Name)
numbers = st.one_of(
    st.integers(0, 10**6), st.floats(0, 1e30, allow_nan=False, allow_infinity=False)
).map(Constant)
plain = st.sampled_from([True, False, None]).map(Constant)


def _grown(inner):
    return st.one_of(
        st.builds(Binary, st.sampled_from(BINARY + COMPARING), inner, inner),
        st.builds(Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(lambda a: Call("f", tuple(a)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda a, b: Call("g", (a,), (("dim", b),)), inner, inner),
        st.builds(lambda a: Sequence(tuple(a)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda a, i: Index(Call("shape", (a,)), i), inner, numbers),
    )


trees = st.recursive(st.one_of(names, numbers, plain), _grown, max_leaves=12)
arithmetic = st.recursive(
    st.one_of(names, numbers.filter(lambda c: isinstance(c.value, int) and c.value < 1000)),
    lambda inner: st.one_of(
        st.builds(Binary, st.sampled_from(BINARY[:4]), inner, inner),
        st.builds(lambda a: Unary("-", a), inner),
        st.builds(lambda a, b: Call("f", (a, b)), inner, inner),
    ),
    max_leaves=30,
)


@given(trees)
def test_text_parses_back_to_the_same_tree(tree):
    text = show(tree)
    assume(len(text) < 900)
    assert parse(text).tree == tree


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("(a + b) * c", "(a + b) * c"),
        ("a + (b * c)", "a + b * c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("-(x ** 2)", "-(x**2)"),
        ("(-x) ** 2", "(-x)**2"),
        ("(a ** b) ** c", "(a**b) ** c"),
        ("a ** b ** c", "a ** b**c"),
        ("2 ** -x", "2**-x"),
        ("not (a and b)", "not (a and b)"),
        ("(a < b) == c", "(a < b) == c"),
        ("a or b and c", "a or b and c"),
        ("f((a), key=(b + c))", "f(a, key=b + c)"),
        ("shape(a)[0]", "shape(a)[0]"),
        ("(a,)", "(a,)"),
        ("x is not None", "x is not None"),
        ("1e+20", "1e20"),
    ],
)
def test_brackets_stand_where_they_are_needed(text, printed):
    assert show(parse(text).tree) == printed


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_literals_evaluate_to_their_value(value):
    text = literal(value)
    assert "\n" not in text
    found = eval(text, {"float": float})
    assert found == value or value != value
    assert type(found) is type(value)


@given(st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=4).map(tuple))
def test_tuples_evaluate_to_their_value(value):
    assert ast.literal_eval(literal(value)) == value


@given(arithmetic)
def test_hoisted_parts_fit_and_put_together_are_the_tree(tree):
    width = 40
    statements, text = show.hoist(tree, width, "part")
    assert all(len(line) <= width for line in (text, *(value for _, value in statements)))
    whole = parse(text).tree
    for name, value in reversed(statements):
        whole = substitute(whole, {name: parse(value).tree})
    assert whole == tree


def test_hoisting_breaks_up_what_long_names_make_too_long():
    long = Printer(lambda n: f"{n.id}[at_{n.id}]" if isinstance(n, Name) else None)
    tree = parse("first_operand * second_operand + third_operand * fourth_operand").tree
    statements, text = long.hoist(tree, 40, "part")
    assert [name for name, _ in statements] == ["part_0", "part_1"]
    assert all("+" not in value for _, value in statements)
    assert len(text) <= 90


def _random_tree(source, depth):
    if depth == 0 or source.random() < 0.2:
        return source.choice([Name("self"), Name("x"), Constant(2), Constant(0.5), Constant(10)])
    kind = source.randrange(8)
    inner = [_random_tree(source, depth - 1) for _ in range(2)]
    if kind < 5:
        return Binary(source.choice([*BINARY, *COMPARING]), *inner)
    if kind == 5:
        return Unary(source.choice(["-", "not"]), inner[0])
    return Call("f", tuple(inner)) if kind == 6 else Index(Call("f", (inner[0],)), inner[1])


def test_ruff_keeps_printed_statements(tmp_path):
    source = random.Random(20)
    lines = [f"y = {show(_random_tree(source, 4))}" for _ in range(600)]
    lines = [line for line in dict.fromkeys(lines) if len(line) <= 100]
    assert len(lines) > 200
    path = tmp_path / "printed.py"
    path.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", "--line-length=100", "--isolated", path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[:3000]
