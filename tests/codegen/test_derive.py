"""`gradients: auto`: derived formulas are right, finite where they should be, and short."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from rederive.codegen.derive import Underivable, derive
from rederive.codegen.expressions import transform
from rederive.codegen.formula import parse
from rederive.codegen.model import (
    Argument,
    Binary,
    Call,
    Constant,
    Entry,
    Formula,
    Name,
    Output,
    Signature,
    Unary,
)
from rederive.codegen.printer import Printer

show = Printer(lambda node: None)
FUNCTIONS = {
    "abs": np.abs,
    "cos": np.cos,
    "erf": scipy.special.erf,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "maximum": np.maximum,
    "pow": np.power,
    "reciprocal": np.reciprocal,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": scipy.special.expit,
    "sign": np.sign,
    "sin": np.sin,
    "softplus": lambda x, beta=1, threshold=20: np.logaddexp(0, beta * x) / beta,
    "sqrt": np.sqrt,
    "square": np.square,
    "tanh": np.tanh,
    "where": np.where,
}


def entry_of(formula, arguments=("self",), let=()):
    """A pointwise entry of tensors; formulas are text or trees."""

    def made(part):
        return Formula(show(part), part) if not isinstance(part, str) else parse(part)

    tensors = tuple(Argument(name, "Tensor") for name in arguments)
    signature = Signature("f", "", tensors, (Output("result"),), "f")
    return Entry(
        signature=signature,
        doc="",
        family="pointwise",
        group="",
        let=tuple((name, made(part)) for name, part in let),
        results=(("result", made(formula)),),
        auto=True,
    )


@pytest.fixture(scope="session")
def known(own_entries):
    found = {entry.name: entry for entry in own_entries}
    return Known((name, derive(entry, found)) for name, entry in found.items())


class Known(dict):
    """The entries by name; what is printed of them when a test fails is their number."""

    def __repr__(self):
        return f"<{len(self)} entries>"


def value(entry, tree, values):
    """A tree of an entry in float64, with the names of its let and its result."""
    scope = dict(values)
    with np.errstate(all="ignore"):
        for name, part in entry.let:
            scope[name] = eval(show(part.tree), FUNCTIONS, scope)
        scope["result"] = eval(show(entry.results[0][1].tree), FUNCTIONS, scope)
        return np.asarray(eval(show(transform(tree, _elementwise)), FUNCTIONS, scope), float)


def _elementwise(node):
    """Conditions on arrays are joined by & and |."""
    if isinstance(node, Binary) and node.operator in ("and", "or"):
        return Binary({"and": "&", "or": "|"}[node.operator], node.left, node.right)
    return node


def agree(entry, known, values, step=1e-6, tolerance=1e-6):
    """The derived gradients of an entry against central differences, for a random cotangent."""
    grad = np.random.default_rng(7).normal(size=len(next(iter(values.values()))))
    forward = entry.results[0][1].tree
    for name, formula in derive(entry, known).gradients:
        sides = [value(entry, forward, values | {name: values[name] + s}) for s in (step, -step)]
        numeric = grad * (sides[0] - sides[1]) / (2 * step)
        found = value(entry, formula.tree, values | {"grad": grad})
        scale = 1 + np.abs(numeric) + np.abs(grad) * np.maximum(*map(np.abs, sides))
        assert np.all(np.abs(found - numeric) <= tolerance * scale), (name, formula.text)


POINTS = {
    "self": np.array([0.3, 1.1, 1.9, 0.7, 2.4]),
    "other": np.array([1.2, 0.4, 2.2, 1.6, 0.9]),
}


@pytest.mark.parametrize(
    "formula",
    [
        "exp(-square(self) / 2)",
        "self * sigmoid(self)",
        "log(1 + exp(self))",
        "softplus(self, beta=3)",
        "softplus(self, 2)",
        "self ** other",
        "(self + other) / (self * other + 1)",
        "sqrt(square(self) + square(other))",
        "where(self > other, self * other, tanh(self))",
        "self - 3 * self // 1 + other",
        "maximum(self, other) * self",
        "-(-self) * -other",
        "sin(self) ** 2 + cos(self) ** 2",
        "2 ** self - self ** 2 + self ** -1",
        "0.5 * self * (1 + erf(self * 0.7071067811865476))",
        "rsqrt(self) * log1p(other)",
    ],
)
def test_derived_gradient_agrees_with_finite_differences(formula, known):
    agree(entry_of(formula, ("self", "other")), known, POINTS)


def test_let_names_are_followed(known):
    let = (("shifted", "self * other + self"), ("wave", "sin(shifted) * shifted"))
    entry = entry_of("wave / (1 + square(shifted)) + shifted", ("self", "other"), let)
    agree(entry, known, POINTS)


def _positive(tree):
    return Binary("+", Call("square", (tree,)), Constant(1))


leaves = st.sampled_from([Name("self"), Name("other"), Constant(2), Constant(0.5)])
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Binary, st.sampled_from("+-*"), inner, inner),
        st.builds(lambda a: Unary("-", a), inner),
        st.builds(
            lambda f, a: Call(f, (a,)), st.sampled_from(["tanh", "sin", "sigmoid", "erf"]), inner
        ),
        st.builds(lambda a, b: Binary("/", a, Call("sqrt", (b,))), inner, inner.map(_positive)),
        st.builds(
            lambda a, b: Call("where", (Binary(">", Name("self"), Name("other")), a, b)),
            inner,
            inner,
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(formulas)
def test_derived_gradients_of_any_formula_agree(known, tree):
    agree(entry_of(tree, ("self", "other")), known, POINTS, tolerance=1e-4)


@settings(deadline=None)
@given(formulas, formulas)
def test_naming_a_part_changes_no_gradient(known, tree, part):
    inlined = entry_of(Binary("*", tree, part), ("self", "other"))
    named = entry_of(Binary("*", tree, Name("named")), ("self", "other"), (("named", part),))
    grad = np.random.default_rng(3).normal(size=5)
    pairs = zip(derive(inlined, known).gradients, derive(named, known).gradients, strict=True)
    for (name, one), (_, other) in pairs:
        found = [
            value(e, f.tree, POINTS | {"grad": grad}) for e, f in ((inlined, one), (named, other))
        ]
        assert np.allclose(*found, rtol=1e-9, atol=1e-9), name


# --- the text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "gradient"),
    [
        ("exp(self)", "grad * result"),
        ("-self", "-grad"),
        ("self + 1", "grad"),
        ("3 * self", "grad * 3"),
        ("self / other", "grad / other"),
        ("where(other > 0, self, 0)", "where(other > 0, grad, 0)"),
        ("other > 0", "0"),
        ("exp(self * other)", "grad * result * other"),
    ],
)
def test_derived_formula_is_what_one_would_write(formula, gradient, known):
    entry = derive(entry_of(formula, ("self", "other")), known)
    assert dict(entry.gradients)["self"].text == gradient


def test_gradients_do_not_grow_with_the_paths_to_an_argument(known):
    let = [("part_a", "self * self")]
    for i in range(1, 20):
        before = let[-1][0]
        let.append((f"part_{chr(97 + i)}", f"{before} * {before} + {before}"))
    entry = derive(entry_of(let[-1][0], let=let), known)
    assert len(dict(entry.gradients)["self"].text) < 1000


def test_branch_not_taken_sends_no_nan(known):
    entry = entry_of("where(self > 0, sqrt(self) / self + log(self), self)")
    gradient = dict(derive(entry, known).gradients)["self"]
    values = {"self": np.array([0.0, -1.0]), "grad": np.array([2.0, 3.0])}
    assert value(entry, gradient.tree, values).tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("self % 2", "op 'f', 'gradients': 'auto' has no rule for '%'"),
        (
            "unheard_of(self)",
            "op 'f', 'gradients': 'auto' has no rule for 'unheard_of', "
            "which is no declared operator",
        ),
    ],
)
def test_formula_without_a_rule_is_refused(formula, message, known):
    with pytest.raises(Underivable) as caught:
        derive(entry_of(formula), known)
    assert str(caught.value) == message


def test_refusal_is_an_error_of_the_specification(tmp_path, capsys):
    from rederive.codegen.command import generate

    spec = tmp_path / "ops.yaml"
    spec.write_text(
        "- op: f(Tensor self) -> Tensor\n"
        "  doc: Text.\n"
        "  pointwise: 1 + self * self\n"
        "  gradients: auto\n"
    )
    assert generate(spec, tmp_path / "ops") == 1
    assert capsys.readouterr().err == (
        f"{spec}:3:14: error: op 'f', 'gradients': 'auto' has no rule for 'add', "
        "which is no declared operator\n"
        "    pointwise: 1 + self * self\n"
        "               ^^^^^^^^^^^^^^^\n"
        "  write the gradients out\n"
    )
    assert not (tmp_path / "ops").exists()
