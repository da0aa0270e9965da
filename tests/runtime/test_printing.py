"""The printed form, where no PyTorch is at hand to compare with."""

import pytest
import rederive
from rederive.printing import get_printoptions, printoptions


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rederive.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: rederive.tensor([1.0, -2.0]), "tensor([ 1., -2.])"),
        (lambda: rederive.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: rederive.tensor(3.5), "tensor(3.5000)"),
        (lambda: rederive.tensor([True, False]), "tensor([ True, False])"),
        (lambda: rederive.zeros(0), "tensor([])"),
        (lambda: rederive.zeros(0, 3), "tensor([], size=(0, 3))"),
        (lambda: rederive.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
        (lambda: rederive.tensor([float("nan"), 1.0]), "tensor([nan, 1.])"),
        (
            lambda: rederive.zeros(1, dtype=rederive.float64, requires_grad=True),
            "tensor([0.], dtype=rederive.float64, requires_grad=True)",
        ),
        (lambda: rederive.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBack"),
        (lambda: rederive.arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    ],
)
def test_text(make, text):
    assert repr(make()).startswith(text) and str(make()) == repr(make())


def test_options_are_restored():
    before = get_printoptions()
    with printoptions(precision=2, sci_mode=False):
        assert repr(rederive.tensor([1e-5, 1.5])) == "tensor([0.00, 1.50])"
    assert get_printoptions() == before
    with pytest.raises(ValueError, match="one of default, short, full is needed"):
        rederive.set_printoptions(profile="long")
