"""Calls that come a second time take another way than the first; nobody must be able to tell."""

import threading
import warnings

import numpy as np
import pytest
import rederive as rd
from rederive.nn import functional as F
from rederive.quiet import quietly


def leaf(*shape):
    values = np.random.default_rng(sum(shape)).normal(size=shape)
    return rd.from_numpy(values).requires_grad_()


CALLS = {
    "linear": (lambda x, w, b: F.linear(x, w, b), [(3, 4), (2, 4), (2,)]),
    "linear of a batch": (lambda x, w: F.linear(x, w), [(2, 3, 4), (2, 4)]),
    "mm": (lambda x, y: x.mm(y), [(3, 4), (4, 2)]),
    "mm, transposed": (lambda x, y: x.t().mm(y), [(4, 3), (4, 2)]),
    "mv": (lambda x, y: x.mv(y), [(3, 4), (4,)]),
    "batch times matrix": (lambda x, y: x @ y, [(2, 3, 4), (4, 2)]),
    "sum": (lambda x: x.sum(), [(3, 4)]),
    "sum(0)": (lambda x: x.sum(0, keepdim=True), [(3, 4)]),
    "mean(1)": (lambda x: x.mean(1), [(3, 4)]),
    "softmax": (lambda x: x.softmax(-1), [(3, 4)]),
    "layer_norm": (lambda x, w: F.layer_norm(x, (4,), w), [(3, 4), (4,)]),
    "cat": (lambda x, y: rd.cat([x, y], 1), [(3, 4), (3, 2)]),
    "stack": (lambda x, y: rd.stack((x, y), 1), [(3, 4), (3, 4)]),
    "cumsum": (lambda x: x.cumsum(0), [(3, 4)]),
    "view": (lambda x: x.view(2, 6), [(3, 4)]),
    "transpose": (lambda x: x.transpose(0, 2), [(2, 3, 4)]),
    "slice": (lambda x: x[1:, ::2], [(3, 4)]),
    "select": (lambda x: x[:, 1], [(3, 4)]),
    "slice of nothing": (lambda x: x[:, 1:], [(0, 4)]),
    "nothing of something": (lambda x: x[3:], [(3, 4)]),
    "cat of nothing": (lambda x, y: rd.cat([x, y], 1), [(0, 4), (0, 2)]),
    "expand": (lambda x: x.expand(2, 3, 4), [(3, 1)]),
    "sort": (lambda x: x.sort(0, True)[0], [(3, 4)]),
    "topk": (lambda x: x.topk(2, 1).values, [(3, 4)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, [2, 1]), [(1, 2, 4, 3)]),
    "rows": (lambda x: x[rd.tensor([2, 0, -1, 0])], [(3, 4)]),
    "columns": (lambda x: x[:, [[1, 1], [0, 3]]], [(3, 4)]),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_second_call_computes_what_the_first_does(name):
    function, shapes = CALLS[name]
    leaves = [leaf(*shape) for shape in shapes]
    found = []
    for _ in range(3):
        for t in leaves:
            t.grad = None
        result = function(*leaves)
        result.backward(rd.arange(result.numel(), dtype=rd.float64).reshape(result.shape))
        node = result.grad_fn
        found.append([result.detach().numpy(), *(t.grad.numpy() for t in leaves), node.name()])
    for again in found[1:]:
        assert again[-1] == found[0][-1]
        for one, other in zip(found[0][:-1], again[:-1], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", CALLS)
def test_the_second_call_can_be_differentiated_twice(name):
    function, shapes = CALLS[name]
    leaves = [leaf(*shape) for shape in shapes]
    for _ in range(2):
        result = function(*leaves)
        weight = rd.arange(result.numel(), dtype=rd.float64).reshape(result.shape)
        gradients = rd.autograd.grad((result.tanh() * weight).sum(), leaves, create_graph=True)
        total = sum((g * g).sum() for g in gradients)
        second = rd.autograd.grad(total, leaves)
    for t, g in zip(leaves, second, strict=True):
        step = 1e-6 * rd.ones_like(t)

        def value(at, t=t):
            moved = [(at if x is t else x).detach().requires_grad_() for x in leaves]
            out = function(*moved)
            found = rd.autograd.grad((out.tanh() * weight).sum(), moved)
            return sum((h * h).sum() for h in found).item()

        slope = (value(t + step) - value(t - step)) / 2e-6
        assert g.sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["linear", "mm", "softmax", "layer_norm"])
def test_what_the_second_call_saved_must_not_be_written(name):
    function, shapes = CALLS[name]
    leaves = [leaf(*shape) for shape in shapes]
    for _ in range(2):
        computed = [t * 1 for t in leaves]
        result = function(*computed)
        target = result if name == "softmax" else computed[0]
        with rd.no_grad():
            target.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            result.sum().backward()


def test_the_places_that_a_second_call_found_must_not_be_written():
    for _ in range(2):
        x = leaf(3, 4)
        result = x.topk(2)
        assert type(result).__name__ == "topk" and result.indices.dtype is rd.int64
        assert not result.indices.requires_grad
        result.indices.zero_()
        with pytest.raises(RuntimeError, match="saved by TopkBackward0 as 'indices'"):
            result.values.sum().backward()


def test_the_graph_of_a_second_call_is_freed_and_says_so():
    x, y = leaf(3, 4), leaf(4, 2)
    for _ in range(2):
        result = x.mm(y)
        result.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        result.sum().backward()


def test_saved_values_of_a_second_call_are_tensors():
    x, y = leaf(3, 4), leaf(4, 2)
    for _ in range(2):
        node = x.mm(y).grad_fn
        assert node._saved_self is x
        assert node._saved_mat2 is y
    z = x * 1
    for _ in range(2):
        node = z.t().mm(leaf(3, 2)).grad_fn
        assert node._saved_self.shape == (4, 3)
        assert node._saved_self.grad_fn.name() == "TBackward0"
        row = z.softmax(1).grad_fn
        assert row._saved_result.shape == (3, 4)


def test_arguments_of_other_types_are_no_integers():
    x = leaf(3, 4)
    for _ in range(3):
        assert x.transpose(0, 1).shape == (4, 3)
        assert x.sum(1).shape == (3,)
    with pytest.raises(TypeError):
        x.transpose(0.0, 1)
    with pytest.raises(TypeError):
        x.sum(1.0)


def test_a_view_found_before_follows_writes_and_strides():
    for _ in range(3):
        x = rd.zeros(3, 4)
        x[1:, 2].fill_(5)
        assert x.tolist() == [[0, 0, 0, 0], [0, 0, 5, 0], [0, 0, 5, 0]]
        y = x.t()[1:, 0]
        assert y.stride() == (1,) and y.storage_offset() == 1 and y._base is x


def test_views_made_without_grad_stay_outside_of_the_graph():
    x = leaf(3, 4)
    for _ in range(3):
        with rd.no_grad():
            view = x[1]
        assert view.requires_grad and view.grad_fn is None
        with pytest.raises(RuntimeError, match="no_grad"):
            view.mul_(2)


def test_errors_come_again():
    x = rd.ones(3, 4)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="inner sizes 4 and 5 must be equal"):
            x.mm(rd.ones(5, 2))
        with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
            rd.cat([x, rd.ones(2, 3)])
        with pytest.raises(IndexError, match="Target 4 is out of bounds"):
            F.cross_entropy(x, rd.tensor([0, 1, 4]))


def test_targets_that_are_ignored_count_nothing():
    scores = leaf(4, 3)
    target = rd.tensor([0, -100, 2, 1])
    loss = F.nll_loss(scores, target)
    loss.backward()
    values = scores.detach().numpy()
    assert loss.item() == pytest.approx(-(values[0, 0] + values[2, 2] + values[3, 1]) / 3)
    wanted = np.zeros((4, 3))
    wanted[[0, 2, 3], [0, 2, 1]] = -1 / 3
    np.testing.assert_allclose(scores.grad.numpy(), wanted)


def test_numbers_beyond_all_bounds_are_no_reason_to_warn():
    big = np.array([np.inf, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(quietly(np.subtract, big, big)[0])
        # from within, and from another thread, it is another context
        assert np.isnan(quietly(quietly, np.subtract, big, big)[0])
        found = []
        thread = threading.Thread(target=lambda: found.append(quietly(np.subtract, big, big)))
        thread.start()
        thread.join()
        assert np.isnan(found[0][0])
    with pytest.raises(ZeroDivisionError):
        quietly(divmod, 1, 0)
