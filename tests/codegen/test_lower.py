"""Lowering: what is saved, which dtype comes out, which kernels there are and what they compute."""

import pytest

POINTWISE = """
- op: f({arguments}) -> Tensor
  doc: An operator of a test.
  {extra}
  pointwise: {formula}
  gradients: {gradients}
"""


@pytest.fixture
def pointwise(lowered):
    """The operator of a formula."""

    def run(formula, arguments="Tensor self", gradients="auto", extra="group: test"):
        text = POINTWISE.format(
            formula=formula, arguments=arguments, gradients=gradients, extra=extra
        )
        return lowered(text)["f"]

    return run


def saved(operator):
    return {s.name: (s.kind, s.needed_by) for s in operator.saved}


def statements(kernel):
    return [line.strip() for line in kernel.body]


# --- what is saved ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "gradient", "names"),
    [
        ("tanh(self)", "grad * (1 - result * result)", {"result"}),
        ("square(self)", "2 * grad * self", {"self"}),
        ("-self", "-grad", set()),
        (
            "self * sigmoid(self)",
            "grad * (result + sigmoid(self) * (1 - result))",
            {"self", "result"},
        ),
        ("exp(self)", "grad * 1 * result", {"result"}),
        ("self + 1", "grad + 0 * self", set()),
    ],
)
def test_only_what_a_gradient_names_is_saved(pointwise, formula, gradient, names):
    operator = pointwise(formula, gradients=f"{{self: {gradient}}}")
    assert set(saved(operator)) == names
    (backward,) = operator.forms[0].backward
    assert set(backward.saved) == names if backward.kernel else not names


def test_derived_gradients_prefer_the_result(pointwise):
    assert set(saved(pointwise("exp(self)"))) == {"result"}
    assert set(saved(pointwise("exp(-square(self))"))) == {"self", "result"}


def test_each_saved_value_knows_which_gradients_need_it(pointwise):
    operator = pointwise("self * other", "Tensor self, Tensor other")
    assert saved(operator) == {"self": ("input", (1,)), "other": ("input", (0,))}


def test_let_names_save_what_they_are_made_of(pointwise):
    operator = pointwise(
        "self * gate",
        "Tensor self, float beta=1.0",
        gradients="{self: grad * gate}",
        extra="let: {gate: sigmoid(beta * self)}",
    )
    assert saved(operator) == {"self": ("input", (0,)), "beta": ("value", (0,))}
    assert operator.prelude == ("gate = ops.sigmoid(beta * self)",)
    (backward,) = operator.forms[0].backward
    assert statements(backward.kernel)[0] == "gate = sigmoid(beta * self[i])"


def test_let_names_of_some_gradients_are_computed_where_one_is_needed(pointwise):
    operator = pointwise(
        "self * other",
        "Tensor self, Tensor other",
        gradients="{self: grad * twice / 2, other: grad * self}",
        extra="let: {twice: other * 2}",
    )
    assert operator.prelude == ("if needed[0]:", "    twice = other * 2")


def test_queries_save_shapes_instead_of_tensors(lowered):
    operators = lowered("""
        - op: f(Tensor self, Tensor other) -> Tensor
          doc: An operator of a test.
          library: numpy.matmul
          gradients:
            self: reshape(matmul(grad, mT(other)), shape(self)) * size(other, -1)
            other: matmul(mT(self), grad)
          calls: [{self: [3, 4], other: [4, 2]}]
    """)
    kinds = {name: kind for name, (kind, _) in saved(operators["f"]).items()}
    assert kinds["self_shape"] == "shape"
    assert kinds["self"] == kinds["other"] == "input"
    assert "numel" not in kinds


# --- dtypes and masks ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "arguments", "rule"),
    [
        ("self * 2", "Tensor self", "number"),
        ("self + other", "Tensor self, Tensor other", "promote"),
        ("where(self > 0, self, 0)", "Tensor self", "number"),
        ("self * alpha", "Tensor self, Scalar alpha=2", "promote"),
        ("self / 2", "Tensor self", "float"),
        ("self * 0.5", "Tensor self", "float"),
        ("self * beta", "Tensor self, float beta=2.0", "float"),
        ("exp(self)", "Tensor self", "float"),
        ("silu(self)", "Tensor self", "float"),
        ("square(self)", "Tensor self", "promote"),
    ],
)
def test_dtype_rule_follows_from_the_formula(pointwise, formula, arguments, rule):
    assert pointwise(formula, arguments).rule == rule


@pytest.mark.parametrize(
    "formula", ["self > 0", "not self", "self == 1 and self < 2", "isnan(self)"]
)
def test_conditions_are_bool(lowered, formula):
    text = POINTWISE.format(
        formula=formula, arguments="Tensor self", gradients="x", extra="group: test"
    ).replace("gradients: x", "not_differentiable: all")
    assert lowered(text)["f"].rule == "bool"


def test_declared_dtype_is_kept(pointwise):
    assert pointwise("self * 2", extra="dtype: float").rule == "float"


def test_operands_that_only_choose_are_masks(pointwise):
    arguments = "Tensor self, Tensor mask"
    extra = "not_differentiable: [mask]"
    assert pointwise("where(mask, self, 0)", arguments, extra=extra).masks == ("mask",)
    assert pointwise("where(mask, self, mask)", arguments, extra=extra).masks == ()
    assert pointwise("where(mask > 0, self, 0)", arguments, extra=extra).masks == ()


# --- kernels ---------------------------------------------------------------------------------


def test_default_of_one_is_folded_away(pointwise):
    operator = pointwise(
        "self + alpha * other",
        "Tensor self, Tensor other, *, Scalar alpha=1",
        gradients="{self: grad, other: alpha * grad}",
    )
    first = operator.forms[0]
    assert first.folded
    assert statements(first.forward) == ["out[i] = self[i] + other[i]"]
    assert first.forward.scalars == ()
    assert [b.kernel for b in first.backward] == [None, None, None]
    assert operator.full.forward.name == "f_forward_general"
    assert statements(operator.full.forward) == ["out[i] = self[i] + alpha * other[i]"]
    assert operator.full.forward.scalars == ("alpha",)


def test_default_that_removes_nothing_is_not_folded(pointwise):
    operator = pointwise("exp(self) * alpha", "Tensor self, Scalar alpha=3")
    assert not operator.forms[0].folded
    assert operator.forms[0].forward.name == operator.full.forward.name == "f_forward"


def test_scalar_operand_gets_kernels_of_its_own(pointwise):
    operator = pointwise("self * other", "Tensor self, Tensor|Scalar other")
    plain, scalar = operator.forms
    assert (plain.scalar, scalar.scalar) == ("", "other")
    assert statements(scalar.forward) == ["out[i] = self[i] * other"]
    assert scalar.forward.scalars == ("other",)
    assert [(s.name, s.kind) for s in scalar.saved] == [("other", "value")]
    assert scalar.forward.name == "f_forward_scalar_other"


def test_every_set_of_wanted_gradients_has_one_kernel(pointwise):
    operator = pointwise("self * other + third * self", "Tensor self, Tensor other, Tensor third")
    wanted = [b.wanted for b in operator.forms[0].backward]
    assert sorted(wanted) == [(0,), (0, 1), (0, 1, 2), (0, 2), (1,), (1, 2), (2,)]
    names = [b.kernel.name for b in operator.forms[0].backward]
    assert len(names) == len(set(names))


def test_gradient_that_is_the_incoming_one_needs_no_kernel(pointwise):
    operator = pointwise(
        "self + other * self",
        "Tensor self, Tensor other",
        gradients=("{self: grad * (1 + other), other: grad * self}"),
    )
    assert all(b.kernel for b in operator.forms[0].backward)
    operator = pointwise(
        "self + exp(other)",
        "Tensor self, Tensor other",
        gradients=("{self: grad, other: grad * exp(other)}"),
    )
    kernels = {b.wanted: b.kernel and b.kernel.name for b in operator.forms[0].backward}
    assert kernels == {(0, 1): "f_backward_other", (0,): None, (1,): "f_backward_other"}


def test_declared_operators_are_inlined_into_kernels(pointwise):
    kernel = pointwise("silu(self) + square(self)").forms[0].forward
    assert "silu" not in kernel.body[-1]
    assert statements(kernel) == ["out[i] = self[i] * sigmoid(self[i]) + square(self[i])"]


@pytest.mark.parametrize(
    ("formula", "statement"),
    [
        ("self ** 2", "out[i] = square(self[i])"),
        ("self ** 3", "out[i] = square(self[i]) * self[i]"),
        ("self ** 0.5", "out[i] = sqrt(self[i])"),
        ("self ** -1", "out[i] = number(1) / self[i]"),
        ("self ** 5", "out[i] = pow(self[i], number(5))"),
        ("self * True", "out[i] = self[i] * True"),
    ],
)
def test_powers_become_products_and_numbers_get_the_dtype(pointwise, formula, statement):
    operator = pointwise(formula, gradients="{self: grad}")
    assert statements(operator.forms[0].forward) == [statement]


def test_a_number_in_the_exponent_has_shorter_loops_where_it_is_2_3_or_minus_1(pointwise):
    operator = pointwise(
        "self ** other",
        "Tensor self, Tensor|Scalar other",
        gradients="{self: grad * other * self ** (other - 1), other: grad * result * log(self)}",
    )
    assert operator.forms[0].forward.cases == ()
    with_number = next(form for form in operator.forms if form.scalar == "other")
    assert dict(with_number.forward.cases) == {
        "other == 2": ("out[i] = square(self[i])",),
        "other == 3": ("out[i] = square(self[i]) * self[i]",),
        "other == -1": ("out[i] = number(1) / self[i]",),
    }
    (backward,) = [b.kernel for b in with_number.backward]
    assert dict(backward.cases)["other == 2"] == ("out[i] = grad[i] * number(2) * self[i]",)


def test_the_kernel_with_all_parameters_is_the_one_for_rows(pointwise):
    operator = pointwise("self * other", "Tensor self, Tensor other")
    assert operator.full.forward.rows
    assert [kernel.name for kernel in operator.kernels if kernel.rows] == ["f_forward"]


# --- forward mode and higher orders ----------------------------------------------------------


def test_tangents_of_pointwise_operators_are_the_same_partials(pointwise):
    operator = pointwise("tanh(self)", gradients="{self: grad * (1 - result * result)}")
    assert operator.jvp[0].lines == ("term = tangent * (1 - result * result)",)
    assert operator.gradients[0].lines == ("gradient_self = grad * (1 - result * result)",)


ROW = """
- op: f(Tensor self, int dim) -> Tensor
  doc: An operator of a test.
  rowwise: {{over: dim, result: {result}}}
  gradients: {{self: {gradient}}}
  {extra}
  calls: [{{self: [3, 4], dim: 1}}]
"""


@pytest.fixture
def rowwise(lowered):
    def run(result, gradient, extra="group: test"):
        text = ROW.format(result=result, gradient=gradient, extra=extra)
        return lowered(text)["f"]

    return run


def test_operator_linear_in_its_input_is_its_own_tangent(rowwise):
    operator = rowwise("self - mean(self)", "grad - mean(grad)", extra="linear: [self]")
    assert operator.jvp[0].lines == ("term = ops.f(tangent, dim)",)


# --- rowwise ---------------------------------------------------------------------------------


def test_numbers_of_a_row_that_cost_a_reduction_are_saved(rowwise):
    operator = rowwise(
        "log(weight)",
        "grad * exp(self) / weight * scaled / scaled",
        extra="let: {weight: sum(exp(self)), scaled: 2 * weight}",
    )
    assert operator.lane.saved_rows == ("weight",)
    assert [s.name for s in operator.saved if s.kind == "row"] == ["weight"]
    assert operator.lane.forward.outputs == ("out", "save_weight")
    assert operator.lane.lane_outputs == (False,)
    assert "exp(self" not in "".join(
        line for line in operator.lane.backward[0].kernel.body if "sum" in line
    )


def test_reductions_of_one_level_share_a_loop(rowwise):
    operator = rowwise("self * sum(self) + mean(square(self))", "grad")
    loops = [line for line in operator.lane.forward.body if line.lstrip().startswith("for ")]
    assert len(loops) == 2


def test_a_reduction_that_reads_another_waits_for_it(rowwise):
    operator = rowwise("sum(abs(self - mean(self)))", "grad * self")
    body = [line.strip() for line in operator.lane.forward.body]
    loops = [i for i, line in enumerate(body) if line.startswith("for ")]
    mean = next(i for i, line in enumerate(body) if line.startswith("mean_0 ="))
    assert len(loops) == 2 and loops[0] < mean < loops[1]


@pytest.mark.parametrize(
    "result",
    [
        "sum(square(self - mean(self)))",
        "mean((mean(self) - self) ** 2) + exp(mean(self))",
        "sum((self - 2 * mean(self)) * (self - 2 * mean(self)))",
        "sum(square(self - (mean(self) + mean(self - mean(self)))))",
    ],
)
def test_mean_and_squares_of_deviations_come_from_one_reading(rowwise, result):
    lane = rowwise(result, "grad * self").lane
    body = "\n".join(lane.forward.body)
    assert "lane_moments(" in body and "for " not in body
    phases = lane.forward.lane.columns.phases
    assert [phase.split for phase in phases] == [True, False]
    assert phases[0].lines[0].startswith("column_moments(")
    assert sum("lane_moments(" in line for line in lane.forward.lane.runs.body) == 1


@pytest.mark.parametrize(
    "result",
    [
        "mean(self) + mean(square(self))",
        "mean(self) + sum(self - mean(self))",
        "sum(square(self - mean(exp(self))))",
        "mean(self) * mean(square(2 * self - mean(self)))",
        "mean(self) + max(square(self - mean(self)))",
        "sum(square(self - self * mean(self)))",
    ],
)
def test_other_reductions_are_left_as_they_are(rowwise, result):
    assert "moments" not in "".join(rowwise(result, "grad * self").lane.forward.body)


@pytest.mark.parametrize(
    ("result", "some", "terms"),
    [
        ("sum(square(self))", True, False),
        ("max(self)", True, False),
        ("sum(exp(self))", False, True),
        ("sum(self * position)", False, False),
    ],
)
def test_columns_are_reduced_in_the_way_that_suits_the_work(rowwise, result, some, terms):
    phase = rowwise(result, "grad * self").lane.forward.lane.columns.phases[0]
    assert any("range(4)" in line for line in phase.lines) == some
    assert any("_term_each[c] = " in line for line in phase.lines) == terms


def test_a_part_that_is_one_reduction_names_it(rowwise):
    operator = rowwise(
        "weight * self + same", "grad", extra="let: {weight: mean(self), same: mean(self)}"
    )
    body = [line.strip() for line in operator.lane.forward.body]
    assert "weight = number(weight_sum / n)" in body and not any("mean_0" in line for line in body)


@pytest.mark.parametrize(
    ("result", "rule", "nonempty"),
    [
        ("max(self)", "promote", True),
        ("sum(self)", "sum", False),
        ("mean(self)", "floating", False),
        ("argmax(self)", "index", True),
        ("any(self)", "bool", False),
        ("self - mean(self)", "floating", False),
    ],
)
def test_dtype_and_empty_rows_follow_from_the_reduction(rowwise, result, rule, nonempty):
    operator = rowwise(result, "grad * 0 * self")
    assert operator.lane.rules == (rule,)
    assert operator.lane.nonempty == nonempty


def test_nodes_are_named_as_users_know_them(lowered):
    text = POINTWISE.format(
        formula="self * 2", arguments="Tensor self", gradients="auto", extra="group: test"
    ).replace("f(", "very_long_name.some_overload(")
    assert lowered(text)["very_long_name_some_overload"].node == "VeryLongNameSomeOverloadBackward0"
