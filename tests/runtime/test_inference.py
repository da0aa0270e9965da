"""Inference mode: what it makes, and where inference tensors may go."""

import copy
import pickle
import threading

import pytest
import rederive as rd

SAVED = "Inference tensors cannot be saved for backward"
INPLACE = "Inplace update to inference tensor outside InferenceMode is not allowed"


def made(make=lambda: rd.ones(3)):
    """What `make` returns in inference mode."""
    with rd.inference_mode():
        return make()


# --- the mode ------------------------------------------------------------------------------------


def test_mode_switches_grad_mode_off_and_both_back():
    assert not rd.is_inference_mode_enabled()
    with rd.inference_mode():
        assert rd.is_inference_mode_enabled() and not rd.is_grad_enabled()
        with rd.inference_mode(False):
            assert not rd.is_inference_mode_enabled() and rd.is_grad_enabled()
        assert rd.is_inference_mode_enabled() and not rd.is_grad_enabled()
    assert not rd.is_inference_mode_enabled() and rd.is_grad_enabled()
    with rd.no_grad():
        with rd.inference_mode(False):
            assert rd.is_grad_enabled()
        assert not rd.is_grad_enabled()


def test_mode_ends_with_an_exception():
    with pytest.raises(ValueError), rd.inference_mode():
        raise ValueError
    assert not rd.is_inference_mode_enabled() and rd.is_grad_enabled()


def test_one_context_manager_may_be_entered_twice():
    mode = rd.inference_mode()
    with mode, rd.inference_mode(False), mode:
        assert rd.is_inference_mode_enabled()
    assert not rd.is_inference_mode_enabled()


@pytest.mark.parametrize("decorator", [rd.inference_mode, rd.inference_mode()])
def test_decorated_function_makes_inference_tensors(decorator):
    @decorator
    def double(x):
        return x * 2

    assert double(rd.ones(2)).is_inference()
    assert double.__name__ == "double"


def test_decorated_with_false_records_in_the_mode():
    @rd.inference_mode(mode=False)
    def double(x):
        return x * 2

    x = rd.ones(2, requires_grad=True)
    with rd.inference_mode():
        assert double(x).requires_grad


def test_decorated_generator_runs_only_its_own_steps_in_the_mode():
    @rd.inference_mode()
    def numbers():
        yield rd.ones(1)
        yield rd.ones(1)

    for number in numbers():
        assert number.is_inference()
        assert not rd.is_inference_mode_enabled()
        assert not rd.ones(1).is_inference()


def test_enable_grad_inside_is_noted_but_records_nothing():
    x = rd.ones(2, requires_grad=True)
    with rd.inference_mode():
        with rd.enable_grad():
            assert rd.is_grad_enabled()
            y = x * 2
            assert not y.requires_grad and y.is_inference()
        assert not rd.is_grad_enabled()
        rd.set_grad_enabled(True)
        assert not (x * 2).requires_grad
    assert rd.is_grad_enabled() and (x * 2).requires_grad


def test_each_thread_has_its_own_mode():
    seen = []
    with rd.inference_mode():
        thread = threading.Thread(target=lambda: seen.append(rd.ones(1).is_inference()))
        thread.start()
        thread.join()
    assert seen == [False]


# --- which tensors are inference tensors ---------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda n: rd.ones(2),
        lambda n: rd.tensor([1.0]),
        lambda n: rd.rand(2),
        lambda n: rd.arange(3),
        lambda n: n * 2,
        lambda n: n + n,
        lambda n: n.sum(),
        lambda n: n.clone(),
        lambda n: n.reshape(3, 1).expand(3, 2).contiguous(),
        lambda n: rd.cat([n, n]),
        lambda n: n[[0, 1]],
        lambda n: n > 0,
        lambda n: rd.ones(2).view(2, 1),
        lambda n: rd.ones(2).detach(),
        lambda n: rd.ones(2).data,
    ],
)
def test_what_is_made_inside_is_an_inference_tensor(make):
    n = rd.ones(3)
    assert not make(n).is_inference()
    with rd.inference_mode():
        t = make(n)
        assert t.is_inference() and rd.is_inference(t)
    assert t.is_inference()
    assert not n.is_inference()


@pytest.mark.parametrize(
    "make", [lambda n: n.view(3, 1), lambda n: n[1:], lambda n: n.detach(), lambda n: n.data]
)
def test_views_of_normal_tensors_are_normal(make):
    n = rd.ones(3)
    with rd.inference_mode():
        assert not make(n).is_inference()


def test_what_is_the_same_object_stays_normal():
    n = rd.ones(3)
    with rd.inference_mode():
        assert n.contiguous() is n and n.to(rd.float32) is n and rd.as_tensor(n) is n


def test_copies_made_outside_are_normal():
    i = made()
    assert not i.clone().is_inference()
    assert not copy.deepcopy(i).is_inference()
    assert not pickle.loads(pickle.dumps(i)).is_inference()
    assert not (i * 2).is_inference()
    assert i.view(3, 1).is_inference() and i[0].is_inference() and i.detach().is_inference()


# --- what they may do ----------------------------------------------------------------------------


def test_version_is_not_tracked():
    i = made()
    for read in (lambda: i._version, lambda: made(lambda: i._version)):
        with pytest.raises(RuntimeError, match=r"Inference tensors do not track version counter\."):
            read()


def test_arithmetic_without_a_graph_makes_normal_tensors():
    i, n = made(), rd.ones(3)
    for result in (i * n, n * i, i + 1, i.exp(), i.sum()):
        assert not result.is_inference() and not result.requires_grad


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, i: x * i,
        lambda x, i: i * x,
        lambda x, i: x.view(3, 1) * i,
        lambda x, i: x / i,
        lambda x, i: i**x,
        lambda x, i: rd.addcmul(x, x, i),
        lambda x, i: rd.lerp(i, i, x),
        lambda x, i: rd.dot(x, i),
        lambda x, i: (x.clone()).mul_(i),
    ],
)
def test_saving_one_for_backward_raises(compute):
    x, i = rd.ones(3, requires_grad=True), made()
    with pytest.raises(RuntimeError, match=SAVED):
        compute(x, i)
    assert rd.is_grad_enabled()


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda x, i: x + i, [1.0, 1.0, 1.0]),
        (lambda x, i: i - x, [-1.0, -1.0, -1.0]),
        (lambda x, i: rd.lerp(i, x, rd.full((3,), 0.25)), [0.25, 0.25, 0.25]),
        (lambda x, i: rd.where(i > 0, i, x), [0.0, 0.0, 0.0]),
        (lambda x, i: rd.cat([i, x]), [1.0, 1.0, 1.0]),
        (lambda x, i: x.clone().add_(i), [1.0, 1.0, 1.0]),
        (lambda x, i: rd.add(x, i, alpha=2), [1.0, 1.0, 1.0]),
        (lambda x, i: rd.maximum(x, i * 1) * 1, [0.5, 0.5, 0.5]),
    ],
)
def test_a_graph_that_does_not_save_one_is_allowed(compute, expected):
    x, i = rd.ones(3, requires_grad=True), made()
    compute(x, i).sum().backward()
    assert x.grad.tolist() == expected


def test_an_inference_leaf_in_a_graph_is_saved_only_where_it_is_needed():
    i, n = made(lambda: rd.ones(3, requires_grad=True)), rd.full((3,), 2.0)
    assert i.requires_grad and i.is_leaf
    (i * n).sum().backward()
    assert i.grad.tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(RuntimeError, match=SAVED):
        i * i
    with pytest.raises(RuntimeError, match=SAVED):
        i.sin()


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.add_(1),
        lambda i: i.exp_(),
        lambda i: i.zero_(),
        lambda i: i.fill_(2),
        lambda i: i.copy_(rd.zeros(3)),
        lambda i: i.__setitem__(0, 1.0),
        lambda i: i.__setitem__([0], 1.0),
        lambda i: i[0].add_(1),
        lambda i: i.detach().mul_(2),
        lambda i: i.uniform_(),
        lambda i: i.unsqueeze_(0),
        lambda i: rd.add(rd.ones(3), 1, out=i),
        lambda i: rd.no_grad()(lambda: i.mul_(3))(),
    ],
)
def test_changing_one_outside_raises_and_changes_nothing(change):
    i = made()
    with pytest.raises(RuntimeError, match=INPLACE):
        change(i)
    assert i.tolist() == [1.0, 1.0, 1.0] and i.shape == (3,)


def test_changing_one_inside_is_allowed():
    i = made()
    with rd.inference_mode():
        i.add_(1)
        i[0] = 5
        i[1:].mul_(2)
        rd.add(rd.zeros(3), i, out=i)
    assert i.tolist() == [5.0, 4.0, 4.0]
    with rd.inference_mode(), rd.inference_mode(False), pytest.raises(RuntimeError, match=INPLACE):
        i.add_(1)


def test_changing_a_normal_tensor_inside_counts_and_records_nothing():
    x = rd.ones(2, requires_grad=True)
    y = x * 2
    node = y.grad_fn
    with rd.inference_mode():
        y.add_(rd.ones(2))
        x.mul_(3)
    assert y.grad_fn is node and y._version == 1 and y.tolist() == [3.0, 3.0]
    assert x.requires_grad and x.is_leaf and x._version == 1 and x.tolist() == [3.0, 3.0]


def test_change_of_a_saved_tensor_inside_is_noticed():
    x, w = rd.ones(2, requires_grad=True), rd.ones(2)
    y = x * w
    with rd.inference_mode():
        w.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_requiring_gradients():
    i = made()
    message = "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed"
    with pytest.raises(RuntimeError, match=message):
        i.requires_grad_()
    with pytest.raises(RuntimeError, match=message):
        i.requires_grad = True
    assert i.requires_grad_(False) is i and not i.requires_grad
    with rd.inference_mode():
        assert i.requires_grad_().requires_grad


def test_backward_inside_gives_an_inference_gradient():
    x = rd.ones(2, requires_grad=True)
    y, z = (x * x).sum(), (x * x).sum()
    with rd.inference_mode():
        y.backward()
    assert x.grad.is_inference() and x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match=INPLACE):
        z.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_grad_with_create_graph_inside_records_nothing():
    x = rd.ones(2, requires_grad=True)
    y = (x * x).sum()
    with rd.inference_mode():
        (gradient,) = rd.autograd.grad(y, x, create_graph=True)
    assert not gradient.requires_grad and gradient.is_inference()


def test_forward_mode_is_off_inside():
    from rederive.autograd import forward_ad

    with forward_ad.dual_level():
        dual = forward_ad.make_dual(rd.ones(2), rd.ones(2))
        with rd.inference_mode():
            assert forward_ad.unpack_dual(dual * 2).tangent is None
        assert forward_ad.unpack_dual(dual * 2).tangent.tolist() == [2.0, 2.0]
