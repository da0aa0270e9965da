"""The checker is checked: each check has an operator that it must catch, and one it must pass."""

import json
import sys
from types import ModuleType

import pytest
import rederive
from rederive.codegen.model import Argument
from rederive.tools import cli
from rederive.tools.checks import check_operator
from rederive.tools.gradcheck import explain
from rederive.tools.specification import Places

ALL_CHECKS = {
    "forward float64",
    "forward float32",
    "lowerings",
    "forward mode",
    "gradient float32",
    "gradient",
    "second order",
}


class Square(rederive.autograd.Function):
    """x * x with derivatives that can be made wrong by a factor."""

    first = second = tangent = 1.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x * x

    @classmethod
    def backward(cls, ctx, grad):
        (x,) = ctx.saved_tensors
        return SquareBackward.apply(grad, x, cls.first, cls.second)

    @classmethod
    def jvp(cls, ctx, tangent):
        (x,) = ctx.saved_tensors
        return 2 * cls.tangent * tangent * x


class SquareBackward(rederive.autograd.Function):
    """2 * grad * x, whose own derivative may be wrong."""

    @staticmethod
    def forward(ctx, grad, x, first, second):
        ctx.save_for_backward(grad, x)
        ctx.factors = (first, second)
        return 2 * first * grad * x

    @staticmethod
    def backward(ctx, grad):
        outer, x = ctx.saved_tensors
        first, second = ctx.factors
        return 2 * first * grad * x, 2 * first * second * grad * outer, None, None


class FirstOrderOff(Square):
    first = 1.001


class SecondOrderOff(Square):
    second = 1.001


class TangentOff(Square):
    tangent = 1.001


def failed(operator):
    """The names of the checks that failed."""
    return {outcome.check for outcome in check_operator(operator) if not outcome.passed}


def test_right_operator_passes_every_check(declare):
    operator = declare("square", Square.apply, reference="self * self")
    outcomes = list(check_operator(operator))
    assert [o for o in outcomes if not o.passed] == []
    assert {outcome.check for outcome in outcomes} == ALL_CHECKS


def test_gradient_off_by_a_thousandth_fails(declare):
    assert "gradient" in failed(declare("square", FirstOrderOff.apply))


def test_second_derivative_off_by_a_thousandth_fails(declare):
    assert failed(declare("square", SecondOrderOff.apply)) == {"second order"}


def test_tangent_off_by_a_thousandth_fails(declare):
    assert failed(declare("square", TangentOff.apply)) == {"forward mode"}


def test_value_that_differs_from_the_reference_fails(declare):
    operator = declare("square", Square.apply, reference="self * self * 1.0001")
    assert failed(operator) == {"forward float64", "forward float32"}


def test_wrong_shape_fails(declare):
    operator = declare("square", Square.apply, reference="numpy.sum(self * self)")
    messages = [o.message for o in check_operator(operator) if not o.passed]
    assert messages[0] == "result has shape (3, 4); the shape expected is ()"


def test_operator_that_raises_fails_and_says_what(declare):
    def broken(self):
        raise RuntimeError("no such thing")

    outcomes = list(check_operator(declare("broken", broken)))
    assert {outcome.message for outcome in outcomes} == {"RuntimeError: no such thing"}


def test_operator_that_cannot_be_drawn_fails(declare):
    dims = Argument("dim", "int", many=True)
    (outcome,) = check_operator(declare(arguments=(Argument("self", "Tensor"), dims)))
    assert not outcome.passed and "declare `calls:`" in outcome.message


def test_kinks_are_not_compared_with_finite_differences(declare):
    operator = declare("relu", rederive.relu, points={"self": (-1.0, 0.0, 1.0)})
    at_points = {o.check for o in check_operator(operator) if o.sample == "points"}
    assert at_points == {"forward float64", "forward float32", "lowerings"}


def test_nan_gradient_at_a_declared_point_fails(declare):
    def root_of_square(self):
        return (self * self).sqrt()

    operator = declare("root", root_of_square, points={"self": (0.0,)})
    messages = [o.message for o in check_operator(operator) if not o.passed]
    assert messages == ["gradient of self is nan at a declared point: [nan]"]


def test_operator_without_gradients_is_only_compared(declare):
    operator = declare("sign", rederive.sign, differentiable=(), reference="numpy.sign(self)")
    outcomes = list(check_operator(operator))
    assert {outcome.check for outcome in outcomes} == {"forward float64", "forward float32"}
    assert all(outcome.passed for outcome in outcomes)


def test_failure_names_the_argument_the_element_and_the_formula(declare):
    def product(self, other):
        return FirstOrderOff.apply(self) * other

    operator = declare(
        "product",
        product,
        arguments=(Argument("self", "Tensor"), Argument("other", "Tensor")),
        gradients={"self": "grad * other * self", "other": "grad * self * self"},
    )
    outcomes = [o for o in check_operator(operator) if o.check == "gradient"]
    text = explain(outcomes, operator, Places("", {}))
    assert "gradient (contiguous): gradient of self: " in text
    assert "finite differences give " in text
    assert "  gradient of self: grad * other * self\n" in text
    assert "gradient of other" not in text
    assert f"seed {outcomes[0].seed}; repeat with: rederive gradcheck --op product" in text


@pytest.fixture
def registry(monkeypatch, declare):
    module = ModuleType("rederive.generated.registry")
    module.OPERATORS = (
        declare("square", Square.apply, reference="self * self"),
        declare("wrong", FirstOrderOff.apply, family="composite"),
    )
    monkeypatch.setitem(sys.modules, "rederive.generated.registry", module)


def test_status_is_0_when_all_passes_and_1_when_something_fails(registry, capsys):
    assert cli.main(["gradcheck", "--op", "square"]) == 0
    assert "1 operators, " in capsys.readouterr().out
    assert cli.main(["gradcheck", "--fast"]) == 1
    printed = capsys.readouterr().out
    assert "wrong: " in printed and " failed, " in printed
    assert printed.count("composite") == 1


def test_json_holds_every_check(registry, capsys):
    assert cli.main(["gradcheck", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["operators"] == 2 and document["passed"] is False
    bad = [check for check in document["checks"] if not check["passed"]]
    assert {check["operator"] for check in bad} == {"wrong"}
