"""Python operators between tensors and objects that they do not know."""

import pytest
import rederive as rd


class Other:
    """An object that knows what to do with a tensor."""

    def answer(self, other):
        return "answered"

    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = answer
    __rpow__ = __rmatmul__ = __rand__ = __ror__ = __rxor__ = answer
    __lt__ = __le__ = __gt__ = __ge__ = answer


OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "@": lambda a, b: a @ b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@pytest.mark.parametrize("symbol", OPERATIONS)
def test_operators_leave_other_operands_to_them(symbol):
    x = rd.ones(2)
    assert OPERATIONS[symbol](x, Other()) == "answered"
    with pytest.raises(TypeError):
        OPERATIONS[symbol](x, object())
    with pytest.raises(TypeError):
        OPERATIONS[symbol](object(), x)


def test_methods_and_functions_do_not_leave_them():
    for call in (lambda: rd.ones(2).mul(Other()), lambda: rd.mul(rd.ones(2), Other())):
        with pytest.raises(TypeError, match="must be Tensor"):
            call()


def test_augmented_assignment_leaves_other_operands_to_them():
    x = rd.ones(2)
    x *= Other()
    assert x == "answered"
    y = rd.ones(2)
    with pytest.raises(TypeError):
        y += None


def test_comparison_with_anything():
    x = rd.ones(2)
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert x.__eq__("a") is NotImplemented and x.__mul__(object()) is NotImplemented
    assert (x == x).tolist() == [True, True]
