"""Every operator with tangents or gradients for each input alone, and for all of them."""

import numpy as np
import pytest
import rederive as rd
from rederive import autograd
from rederive.autograd import forward_ad
from rederive.generated.registry import OPERATORS
from rederive.tools import samples
from rederive.tools.binding import Bound


def calls(operator):
    """(sample call, positions of the inputs chosen)."""
    for sample in samples.draw(operator):
        bound = Bound(operator, sample)
        count = len(bound.leaves)
        if sample.empty or sample.kink or not count:
            continue
        yield bound, set(range(count))
        if count > 1:
            yield from ((bound, {i}) for i in range(count))


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_tangents_share_memory_just_as_values_do(operator):
    """The in-place operations that follow rely on it."""
    for bound, chosen in calls(operator):
        with forward_ad.dual_level():
            tangents = [rd.full(x.shape, 0.5, dtype=x.dtype) for x in bound.leaves]
            given = [
                forward_ad.make_dual(x.detach(), t) if i in chosen else x.detach()
                for i, (x, t) in enumerate(zip(bound.leaves, tangents, strict=True))
            ]
            for output in bound.differentiable(*given):
                moved = forward_ad.unpack_dual(output).tangent
                if moved is None:
                    continue
                assert (moved.shape, moved.dtype) == (output.shape, output.dtype)
                view = any(output._counter is x._counter for x in given)
                own = (forward_ad.unpack_dual(x).tangent for x in given)
                held = (*(t for t in own if t is not None), *given)
                assert view == any(np.shares_memory(moved._data, t._data) for t in held)
                assert view or moved.is_contiguous() or 0 not in moved.stride()


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_a_gradient_wanted_alone_is_the_same(operator):
    """A node saves only what the wanted gradients read; the formulas over tensors know that."""
    for bound, chosen in calls(operator):
        given = [x.detach().requires_grad_(i in chosen) for i, x in enumerate(bound.leaves)]
        outputs = [t for t in bound.differentiable(*given) if t.requires_grad]
        wanted = [given[i] for i in sorted(chosen)]
        cotangents = [rd.full(t.shape, 0.5, dtype=t.dtype) for t in outputs]
        options = {"allow_unused": True, "retain_graph": True}
        plain = autograd.grad(outputs, wanted, cotangents, **options)
        formulas = autograd.grad(outputs, wanted, cotangents, create_graph=True, **options)
        for one, other in zip(plain, formulas, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                assert rd.allclose(one, other.detach(), rtol=1e-9, atol=1e-9, equal_nan=True)
