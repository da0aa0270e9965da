"""Views that must not be changed in place: several of one call, made in a mode or a Function."""

import pytest
import rederive as rd
from rederive.autograd import Function

MANY = "This view is the output of a function that returns multiple views"
LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
LEAF_VIEW = "a view of a leaf Variable that requires grad is being used in an in-place operation."


def leaf(n=4):
    return rd.arange(1.0, n + 1, requires_grad=True)


SEVERAL = {
    "unbind": (lambda t: t.unbind()[1], "Output 1 of Unbind is a view"),
    "split": (lambda t: t.split(2)[0], "Output 0 of Split is a view"),
    "split sizes": (lambda t: t.split([1, 3])[1], "Output 1 of Split is a view"),
    "chunk": (lambda t: t.chunk(2)[1], "Output 1 of Chunk is a view"),
    "iteration": (lambda t: list(t)[2], "Output 2 of Unbind is a view"),
    "a view of one": (lambda t: t.split(2)[0][1:], "Output 0 of Slice is a view"),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_changing_one_of_several_views_raises(name):
    make, start = SEVERAL[name]
    base = leaf() * 1
    view = make(base)
    for change in (lambda: view.mul_(2), lambda: view.zero_(), lambda: view.fill_(1)):
        with pytest.raises(RuntimeError) as error:
            change()
        assert str(error.value).startswith(f"{start} and is being modified inplace. {MANY}")
    assert base._version == 0
    with rd.no_grad():
        view.mul_(2)
    assert base._version == 1


@pytest.mark.parametrize("name", SEVERAL)
def test_using_one_of_several_views_after_its_base_changed_raises(name):
    make, start = SEVERAL[name]
    x = leaf()
    base = x * 1
    view = make(base)
    base.mul_(2)
    uses = [lambda: view * 2, lambda: view.sum(), lambda: view.grad_fn, lambda: view.is_leaf]
    uses += [lambda: view.clone(), lambda: view.backward(rd.ones(view.shape)), lambda: view[...]]
    for use in uses:
        with pytest.raises(RuntimeError) as error:
            use()
        assert str(error.value).startswith(
            f"{start} and its base or another view of its base has been modified inplace. {MANY}"
        )
    assert view.requires_grad and "grad_fn=<Invalid>" in repr(view)
    assert not view.detach().requires_grad
    with rd.no_grad():
        assert not (view * 2).requires_grad
    base.sum().backward()
    assert x.grad.tolist() == [2.0] * 4


def test_several_views_without_a_graph_may_change_until_one_is_recorded():
    base = rd.ones(4)
    first, second = base.split(2)
    first.mul_(3)
    assert base.tolist() == [3.0, 3.0, 1.0, 1.0]
    with pytest.raises(RuntimeError, match="created in no_grad mode and is being modified"):
        second.mul_(leaf(2))
    base.mul_(leaf())
    with pytest.raises(RuntimeError, match="created in no_grad mode and its base or another"):
        first + 1


MODES = {
    "no_grad": (rd.no_grad, "no_grad mode", "with grad mode enabled"),
    "inference_mode": (rd.inference_mode, "inference mode", "in normal mode"),
}


@pytest.mark.parametrize("name", MODES)
def test_changing_a_view_that_a_mode_made_raises(name):
    mode, where, how = MODES[name]
    base = leaf() * 1
    with mode():
        view = base[1:]
    with pytest.raises(RuntimeError) as error:
        view.mul_(2)
    assert str(error.value).startswith(
        f"A view was created in {where} and is being modified inplace {how}. Given that this use "
        "case is ambiguous and error-prone, it is forbidden."
    )
    with mode():
        view.mul_(2)
    assert base.tolist() == [1.0, 4.0, 6.0, 8.0] and base._version == 1


@pytest.mark.parametrize("name", MODES)
def test_view_that_a_mode_made_of_a_tensor_without_graph(name):
    mode, where, _ = MODES[name]
    base = rd.ones(4)
    with mode():
        view = base[1:]
    view.mul_(2)
    assert base.tolist() == [1.0, 2.0, 2.0, 2.0]
    with pytest.raises(RuntimeError, match=f"created in {where} and is being modified"):
        view.mul_(leaf(3))
    view_of_view = view[1:]
    with pytest.raises(RuntimeError, match=f"created in {where} and is being modified"):
        view_of_view.mul_(leaf(2))


@pytest.mark.parametrize("name", MODES)
def test_view_that_a_mode_made_requires_grad_and_its_gradient_goes_nowhere(name):
    mode, where, _ = MODES[name]
    x = leaf()
    with mode():
        view = x[:2]
    assert view.requires_grad and view.is_leaf and view.grad_fn is None
    y = view * 3
    assert y.requires_grad and y.grad_fn.next_functions[0] == (None, 0)
    y.sum().backward()
    assert x.grad is None and view.grad is None
    with pytest.raises(RuntimeError, match=f"A view was created in {where}"):
        view.add_(1)


def test_view_that_no_grad_made_is_out_of_date_once_its_base_changed():
    base = leaf() * 1
    with rd.no_grad():
        view = base[:2]
    base.mul_(2)
    with pytest.raises(RuntimeError, match="created in no_grad mode and its base or another view"):
        view * 2
    assert view.detach().tolist() == [2.0, 4.0]


def test_view_made_in_a_custom_function_must_not_change():
    class Head(Function):
        @staticmethod
        def forward(ctx, t):
            return t[:2]

        @staticmethod
        def backward(ctx, g):
            return rd.cat([g, rd.zeros(2)])

    x = leaf()
    view = Head.apply(x * 1)
    with pytest.raises(RuntimeError, match="This view was created inside a custom Function"):
        view.mul_(2)
    part = view[1:]
    with pytest.raises(RuntimeError, match="This view was created inside a custom Function"):
        part.mul_(2)


# --- leaves --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.mul_(2), LEAF),
        (lambda x: x.zero_(), LEAF),
        (lambda x: x.copy_(rd.ones(4)), LEAF),
        (lambda x: x.uniform_(), LEAF),
        (lambda x: x.unsqueeze_(0), LEAF),
        (lambda x: x.__setitem__(slice(None), 1.0), LEAF),
        (lambda x: x.__setitem__(..., 1.0), LEAF),
        (lambda x: x.__setitem__([0], 1.0), LEAF),
        (lambda x: x.__setitem__(x > 2, 1.0), LEAF),
        (lambda x: x.__setitem__(0, 1.0), LEAF_VIEW),
        (lambda x: x.__setitem__(slice(0, 2), 1.0), LEAF_VIEW),
        (lambda x: x.__setitem__(None, 1.0), LEAF_VIEW),
        (lambda x: x[1:].mul_(2), LEAF_VIEW),
        (lambda x: x.view(2, 2).t().zero_(), LEAF_VIEW),
    ],
)
def test_changing_a_leaf_raises_and_changes_nothing(change, message):
    x = leaf()
    with pytest.raises(RuntimeError) as error:
        change(x)
    assert str(error.value) == message
    assert x.tolist() == [1.0, 2.0, 3.0, 4.0] and x._version == 0
    with rd.no_grad():
        change(x)
    assert x.is_leaf and x.requires_grad and x._version == 1


def test_view_of_what_becomes_a_leaf_that_requires_grad():
    base = rd.ones(4)
    view = base[:2]
    base.requires_grad_()
    assert view.requires_grad and view.is_leaf
    with pytest.raises(RuntimeError) as error:
        view.mul_(2)
    assert str(error.value) == LEAF_VIEW
    base.requires_grad_(False)
    assert not view.requires_grad
    view.mul_(2)


def test_view_that_requires_grad_of_a_base_that_does_not():
    base = rd.ones(4)
    view = base[:2].requires_grad_()
    with pytest.raises(RuntimeError) as error:
        view.mul_(2)
    assert str(error.value) == LEAF_VIEW
    (view * 2).sum().backward()
    assert view.grad.tolist() == [2.0, 2.0]


def test_view_of_a_detached_base_does_not_change():
    x = leaf()
    base = x * 1
    view = base[:2]
    base.detach_()
    with pytest.raises(RuntimeError) as error:
        view.mul_(2)
    assert str(error.value) == LEAF_VIEW
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        view.detach_()
