"""Whatever the input, reading it succeeds or raises SpecError: nothing else, and soon."""

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rederive.codegen import formula, signature
from rederive.codegen.check import load_checked
from rederive.codegen.errors import Mistake, SpecError
from rederive.codegen.model import FAMILIES
from stand_ins import SCALARS

SPECS = Path(__file__).parents[1] / "specs"
TEXTS = [p.read_text(encoding="utf-8") for p in sorted((SPECS / "good").glob("*.yaml"))]
TEXTS += [
    p.read_text(encoding="utf-8")
    for p in sorted((SPECS / "bad").glob("*.yaml"))
    if "utf8" not in p.stem
]
SCHEMA = json.loads((Path(__file__).parents[2] / "codegen" / "schema.json").read_text())
KEYS = [*SCHEMA["definitions"]["entry"]["properties"], "if", "over", "result", "shape", "below"]
NAMES = ["self", "other", "dim", "result", "grad", "tangent", "values", "position", "x"]
WORDS = [
    *("self", "grad", "result", "exp", "where", "sum", "f", "numpy.exp", "__import__", "lambda"),
    *("(", ")", "[", "]", "{", "}", ",", ":", "=", "*", "**", "-", "->", "|", "?", "...", ".", "/"),
    *("Tensor", "Scalar", "int", "int[]", "str", "1", "0.5", "1e999", "'a'", '"', "'", "\\", "#"),
    *(
        "and",
        "or",
        "not",
        "is",
        "None",
        "if",
        "else",
        "for",
        "in",
        " ",
        "\n",
        "  ",
        "- ",
        "é",
        "&a",
    ),
]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def read(text):
    try:
        load_checked(text, SCALARS)
    except SpecError as error:
        assert error.diagnostics
        assert str(error)


words = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)
joined = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([*NAMES, *FAMILIES, "auto", "all", "tanh(self)", "grad * result"]),
    words,
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*KEYS, *NAMES]), inner, max_size=4),
    ),
    max_leaves=12,
)
operators = st.sampled_from(
    [
        "f(Tensor self) -> Tensor",
        "max.dim(Tensor self, int dim) -> (Tensor values, Tensor indices)",
        "g(Tensor[] self, Tensor? other=None) -> Tensor[]",
        "h() -> Tensor",
    ]
)
entries = st.fixed_dictionaries(
    {"op": st.one_of(operators, words), "doc": st.just("Text.")},
    optional={key: values for key in KEYS[2:]},
)


@QUICK
@given(st.one_of(st.text(max_size=200), words, joined))
def test_any_text(text):
    read(text)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path, data):
    path = tmp_path / "any.yaml"
    path.write_bytes(data)
    read(path)


@QUICK
@given(st.one_of(values, st.lists(entries, max_size=3)))
def test_any_structure(structure):
    # JSON is YAML, and its writer accepts everything that the strategies make.
    read(json.dumps(structure, ensure_ascii=False))


@QUICK
@given(st.data())
def test_mutated_specifications(data):
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 4))):
        first = data.draw(st.integers(0, len(text)))
        last = min(len(text), first + data.draw(st.integers(0, 12)))
        middle = data.draw(st.one_of(st.sampled_from(WORDS), st.just(text[first:last] * 2)))
        text = text[:first] + middle + text[last:]
    read(text)


@QUICK
@given(st.one_of(words, joined, st.text(max_size=60)))
def test_any_formula_and_signature(text):
    for parse in (formula.parse, formula.parse_reference, signature.parse):
        try:
            parse(text)
        except Mistake as mistake:
            assert mistake.message
            assert mistake.mark is not None
