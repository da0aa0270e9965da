"""Forward mode: levels, dual tensors, and tangents through operators."""

import threading

import numpy as np
import pytest
import rederive as rd
from hand_nodes import leaf
from rederive.autograd import forward_ad as fwd
from rederive.autograd import grad
from rederive.modes import modes


def tangent_after(function, *pairs):
    """The tangent of a function of dual tensors made of (values, tangent) pairs."""
    with fwd.dual_level():
        duals = [fwd.make_dual(leaf(x, False), leaf(t, False)) for x, t in pairs]
        return fwd.unpack_dual(function(*duals)).tangent


def test_tangents_follow_the_chain_rule():
    got = tangent_after(lambda x: (x * x).exp(), ([0.5, 1.0], [1.0, 2.0]))
    x, t = np.array([0.5, 1.0]), np.array([1.0, 2.0])
    np.testing.assert_allclose(got.numpy(), np.exp(x * x) * 2 * x * t, rtol=1e-14)


def test_tangents_of_several_inputs_add_up():
    got = tangent_after(lambda x, w: x * w, ([2.0], [3.0]), ([5.0], [7.0]))
    assert got.item() == 3 * 5 + 2 * 7


def test_broadcast_reductions_views_and_products():
    x, t = np.arange(6.0).reshape(2, 3), np.cos(np.arange(6.0)).reshape(2, 3)
    got = tangent_after(lambda d: (d.t() @ d).sum(0) + d[0], (x, t))
    np.testing.assert_allclose(got.numpy(), (t.T @ x + x.T @ t).sum(0) + t[0], rtol=1e-14)


def test_without_dual_inputs_there_is_no_tangent():
    with fwd.dual_level():
        assert fwd.unpack_dual(leaf([1.0], False) * 2).tangent is None


def test_unpack_gives_the_values_without_the_tangent():
    with fwd.dual_level():
        x, t = leaf([1.0], False), leaf([2.0], False)
        dual = fwd.make_dual(x, t)
        primal, tangent = fwd.unpack_dual(dual)
        assert tangent is t
        assert fwd.unpack_dual(primal).tangent is None
        assert primal._data is x._data
        assert fwd.unpack_dual(x).tangent is None
        assert isinstance(fwd.unpack_dual(dual), fwd.UnpackedDualTensor)


def test_tangents_end_with_their_level():
    with fwd.dual_level():
        y = fwd.make_dual(leaf([1.0], False), leaf([2.0], False)) * 3
    assert fwd.unpack_dual(y).tangent is None
    with fwd.dual_level():
        assert fwd.unpack_dual(y).tangent is None
        assert fwd.unpack_dual(y * 2).tangent is None


def test_level_is_left_after_an_exception():
    with pytest.raises(KeyError), fwd.dual_level():
        raise KeyError
    assert (modes.dual_level, modes.active) == (-1, False)


def test_enter_and_exit_as_functions():
    assert fwd.enter_dual_level() == 0
    assert modes.active
    fwd.exit_dual_level()
    with pytest.raises(RuntimeError, match="Trying to exit a forward AD level that was not the"):
        fwd.exit_dual_level()


def test_levels_do_not_nest():
    with (
        fwd.dual_level(),
        pytest.raises(RuntimeError, match="Nested forward mode AD is not supported at the moment"),
    ):
        fwd.enter_dual_level()
    assert modes.dual_level == -1


def test_make_dual_needs_a_level():
    with pytest.raises(RuntimeError, match="no level exists, make sure to enter_dual_level"):
        fwd.make_dual(leaf([1.0]), leaf([1.0]))


@pytest.mark.parametrize(
    ("primal", "tangent", "error", "text"),
    [
        (rd.ones(2), rd.ones(3), RuntimeError, r"size \[2\] while the given .* of size \[3\]"),
        (rd.tensor([1]), rd.ones(1), ValueError, "Expected primal to be floating point or complex"),
        (rd.ones(1), rd.tensor([1]), ValueError, "Expected tangent to be floating point or compl"),
        (1.0, rd.ones(1), TypeError, "make_dual: primal is float; a Tensor is required"),
    ],
)
def test_what_make_dual_refuses(primal, tangent, error, text):
    with fwd.dual_level(), pytest.raises(error, match=text):
        fwd.make_dual(primal, tangent)


def test_a_dual_tensor_cannot_be_made_dual_again():
    with fwd.dual_level():
        dual = fwd.make_dual(rd.ones(1), rd.ones(1))
        with pytest.raises(RuntimeError, match="already has a forward gradient at the same level"):
            fwd.make_dual(dual, rd.ones(1))


def test_detach_leaves_the_tangent_behind():
    with fwd.dual_level():
        dual = fwd.make_dual(rd.ones(1), rd.ones(1))
        assert fwd.unpack_dual(dual.detach()).tangent is None


def test_levels_belong_to_their_thread():
    seen = []
    with fwd.dual_level():
        thread = threading.Thread(target=lambda: seen.append((modes.dual_level, modes.active)))
        thread.start()
        thread.join()
    assert seen == [(-1, False)]


def test_dual_tensors_take_part_in_reverse_mode():
    x = leaf([2.0, 3.0])
    with fwd.dual_level():
        dual = fwd.make_dual(x, leaf([1.0, 1.0], False))
        (dual * dual).sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_forward_over_reverse_is_a_hessian_vector_product():
    values, direction = np.array([0.5, 1.0, 2.0]), np.array([1.0, -1.0, 0.5])
    x = leaf(values)
    with fwd.dual_level():
        dual = fwd.make_dual(x, leaf(direction, False))
        y = (dual * dual).exp().sum() * dual.sum()
        (g,) = grad(y, dual)
        got = fwd.unpack_dual(g).tangent
    y = (x * x).exp().sum() * x.sum()
    (g,) = grad(y, x, create_graph=True)
    (expected,) = grad(g, x, leaf(direction, False))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-12)


def test_reverse_over_forward_differentiates_the_tangent():
    x = leaf([2.0])
    with fwd.dual_level():
        dual = fwd.make_dual(x, leaf([1.0], False))
        tangent = fwd.unpack_dual(dual * dual * dual).tangent
        (second,) = grad(tangent, x)
    assert second.item() == 12.0


def test_a_dual_tensor_shows_its_tangent():
    x = rd.ones(2)
    with fwd.dual_level():
        dual = fwd.make_dual(x, rd.full((2,), 3.0))
        assert repr(dual) == "tensor([1., 1.], tangent=tensor([3., 3.]))"
        assert repr(x) == "tensor([1., 1.])"
    assert repr(dual) == "tensor([1., 1.])"


def test_a_tangent_cannot_be_dual_itself():
    with fwd.dual_level():
        t = fwd.make_dual(rd.ones(2), rd.ones(2))
        with pytest.raises(RuntimeError, match="that itself has a forward gradient at the same"):
            fwd.make_dual(rd.ones(2), t)


def test_only_the_open_level_can_be_named():
    with fwd.dual_level():
        dual = fwd.make_dual(rd.ones(2), rd.ones(2), level=0)
        assert fwd.unpack_dual(dual, level=0).tangent.tolist() == [1.0, 1.0]
        with pytest.raises(RuntimeError, match="Invalid level given to _fw_primal"):
            fwd.unpack_dual(dual, level=1)
        with pytest.raises(RuntimeError, match="Invalid level given to _make_dual"):
            fwd.make_dual(rd.ones(2), rd.ones(2), level=1)


def test_a_dual_tensor_follows_what_it_is_a_view_of():
    x = leaf([1.0, 2.0])
    computed = x * 1
    with fwd.dual_level():
        dual = fwd.make_dual(computed, leaf([1.0, 1.0], False))
        computed.mul_(3)
        dual.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_dual_tensor_made_without_recording_still_requires_gradients():
    with fwd.dual_level(), rd.no_grad():
        dual = fwd.make_dual(leaf([1.0]), leaf([1.0], False))
        assert (dual.requires_grad, dual.is_leaf, dual.grad_fn) == (True, True, None)


def test_the_values_of_a_dual_tensor_have_tangents_of_their_own():
    with fwd.dual_level():
        x = leaf([1.0, 2.0], False)
        dual = fwd.make_dual(x, leaf([1.0, 1.0], False))
        primal = fwd.unpack_dual(dual).primal
        primal.mul_(fwd.make_dual(leaf([1.0, 1.0], False), leaf([5.0, 6.0], False)))
        assert fwd.unpack_dual(primal).tangent.tolist() == [5.0, 12.0]
        assert fwd.unpack_dual(dual).tangent.tolist() == [1.0, 1.0]
        assert fwd.unpack_dual(x).tangent is None


def test_operators_can_be_kept_from_seeing_the_level():
    with fwd.dual_level():
        dual = fwd.make_dual(leaf([1.0], False), leaf([1.0], False))
        with fwd._set_fwd_grad_enabled(False):
            result = dual * 2
            assert fwd.unpack_dual(dual).tangent is None
        assert fwd.unpack_dual(result).tangent is None
        assert fwd.unpack_dual(dual * 2).tangent.item() == 2.0


def test_out_is_refused_for_dual_tensors():
    with fwd.dual_level():
        dual = fwd.make_dual(leaf([1.0], False), leaf([1.0], False))
        with pytest.raises(NotImplementedError, match="Trying to use forward AD with mul_out"):
            rd.mul(dual, 2, out=rd.zeros(1, dtype=rd.float64))
        assert rd.mul(rd.ones(1), 2, out=rd.zeros(1)).item() == 2.0


def test_an_expanded_tangent_gets_memory_of_its_own():
    with fwd.dual_level():
        dual = fwd.make_dual(rd.ones(2, 3), rd.ones(3).expand(2, 3))
        dual[0].mul_(3)
        assert fwd.unpack_dual(dual).tangent.tolist() == [[3.0] * 3, [1.0] * 3]
        total = fwd.make_dual(rd.ones(3), rd.ones(3)) + rd.ones(2, 3)
        total[0].mul_(3)
        assert fwd.unpack_dual(total).tangent.tolist() == [[3.0] * 3, [1.0] * 3]


def test_a_tangent_is_viewed_as_its_value_is():
    value = rd.arange(6.0).reshape(3, 2).T
    with fwd.dual_level():
        for tangent in (rd.ones(2, 3), rd.arange(6.0).reshape(2, 3), rd.ones(1, 3).expand(2, 3)):
            dual = fwd.make_dual(value, tangent)
            moved = fwd.unpack_dual(dual.T.view(6)).tangent
            assert moved.tolist() == tangent.T.reshape(6).tolist()
        dual = fwd.make_dual(value.contiguous(), tangent.T.contiguous().T) + 0
        flat = dual.view(6)
        flat.mul_(2)
        assert rd.equal(fwd.unpack_dual(dual).tangent, tangent * 2)


def test_tangents_of_what_needs_no_gradient_need_none():
    with fwd.dual_level():
        for function in (rd.std, rd.exp, lambda t: rd.softmax(t, 0), lambda t: rd.cumprod(t, 0)):
            for value, tangent, expected in (
                (leaf([1.0, 2.0]).detach(), rd.ones(2, dtype=rd.float64), False),
                (leaf([1.0, 2.0]), rd.ones(2, dtype=rd.float64), True),
                (leaf([1.0, 2.0]).detach(), leaf([1.0, 3.0]), True),
            ):
                dual = fwd.make_dual(value, tangent)
                assert fwd.unpack_dual(function(dual)).tangent.requires_grad == expected
                with rd.no_grad():
                    assert not fwd.unpack_dual(function(dual)).tangent.requires_grad
