"""Pointwise calls on few elements whose operands are not of one shape, or not dense."""

import numpy as np
import pytest
import rederive as rd
from rederive import few


def leaf(*shape, dtype=rd.float64):
    generator = np.random.default_rng(7 + len(shape))
    values = generator.uniform(0.5, 1.5, shape)
    return rd.tensor(values, dtype=dtype).requires_grad_()


def taken(tensor):
    """Whether the call that made a tensor went the way of few elements."""
    return type(tensor.grad_fn.general) is few.Record


CALLS = {
    "row": lambda x, row, column: x * row,
    "row first": lambda x, row, column: row / x,
    "outer": lambda x, row, column: row - column,
    "0-d": lambda x, row, column: x * row[0],
    "transposed": lambda x, row, column: x.t() * x.t(),
    "transposed and broadcast": lambda x, row, column: x.t() * row[:1] * column[0],
    "offset": lambda x, row, column: x[:, 1:3] * 2 + row[1:3],
    "number": lambda x, row, column: rd.where(x > row, x, 0.5) * column,
    "three": lambda x, row, column: rd.addcmul(x, row, column, value=0.3),
    "pow": lambda x, row, column: x**row,
    "masked": lambda x, row, column: x.masked_fill(row > 1, 2.0) * row.masked_fill(column > 1, row),
    "of a result": lambda x, row, column: (x.exp() * row).tanh() + column.sin(),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_of_first_and_second_order(name):
    inputs = leaf(3, 4), leaf(4), leaf(3, 1)
    assert rd.autograd.gradcheck(CALLS[name], inputs)
    assert rd.autograd.gradgradcheck(CALLS[name], inputs)


def test_such_calls_are_taken():
    x, row, column = leaf(3, 4), leaf(4), leaf(3, 1)
    for name in ("row", "outer", "0-d", "three", "pow", "offset"):
        assert taken(CALLS[name](x, row, column)), name
    assert not taken(leaf(3, 600) * leaf(600))
    assert not taken(leaf(3, 4) * leaf(4, dtype=rd.float32))


def test_saved_values_have_the_shapes_of_their_operands():
    x, row = leaf(3, 4), leaf(4)
    node = (x.t() * row[:3]).grad_fn
    assert node._saved_self.shape == (4, 3)
    assert node._saved_other.shape == (3,)
    mask = rd.tensor([True, False, True, False])
    node = x.masked_fill(mask, row.sum()).grad_fn
    assert node._saved_mask.shape == (4,)
    assert node._saved_mask.tolist() == mask.tolist()


@pytest.mark.parametrize("which", ["row", "mask", "transposed", "result"])
def test_what_is_written_in_place_is_noticed(which):
    x, row = leaf(3, 4), leaf(4).detach()
    mask = row > 1
    turned = leaf(4, 3).detach()
    if which == "result":
        out = x.t().exp()
        written = out
    else:
        out = {
            "row": lambda: x * row,
            "mask": lambda: rd.where(mask, x, 0.0),
            "transposed": lambda: x * turned.t(),
        }[which]()
        written = {"row": row, "mask": mask, "transposed": turned}[which]
    with rd.no_grad():
        written.logical_not_() if which == "mask" else written.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_graph_goes_backward_once_unless_retained():
    x, row = leaf(3, 4), leaf(4)
    out = x * row
    flow = rd.ones(3, 4, dtype=rd.float64)
    out.backward(flow, retain_graph=True)
    out.backward(flow)
    assert row.grad.tolist() == pytest.approx(2 * x.detach().sum(0).numpy())
    with pytest.raises(RuntimeError, match="second time"):
        out.backward(flow)


def test_each_number_counts():
    x, mask = leaf(3, 4), rd.tensor([True, False, True, False])
    for number in (1.5, -0.0, 0.0, float("nan"), 2, 1.5):
        out = x.masked_fill(mask, number).detach().numpy()[:, 0]
        assert np.array_equal(out, np.full(3, number, np.float64), equal_nan=True)
        assert np.array_equal(np.signbit(out), np.signbit(np.full(3, number, np.float64)))


def test_sums_are_exact_where_float32_would_round():
    row = rd.zeros(1, requires_grad=True)
    values = np.full(1000, 0.1, np.float32)
    (row + rd.zeros(1000)).backward(rd.from_numpy(values))
    assert row.grad.item() == np.float32(values.astype(np.float64).sum())


@pytest.mark.parametrize(
    ("values", "total"),
    [([1e16, 1.0, -1e16], 1.0), ([np.inf, 1.0], np.inf), ([np.inf, -np.inf], np.nan)],
)
def test_sums_lose_nothing_where_terms_cancel(values, total):
    row = rd.zeros(1, dtype=rd.float64, requires_grad=True)
    (row + rd.zeros(len(values), dtype=rd.float64)).backward(rd.tensor(values, dtype=rd.float64))
    assert np.array_equal(row.grad.item(), total, equal_nan=True)


def test_hooks_see_saved_values_and_gradients():
    x, row = leaf(3, 4), leaf(4)
    seen = []
    with rd.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t.shape) or t, lambda t: t):
        out = x * row
    assert sorted(seen) == [(3, 4), (4,)]
    out.sum().backward()
    out = x * row
    out.grad_fn.register_hook(lambda inputs, outputs: seen.extend(g.shape for g in inputs))
    out.grad_fn._raw_saved_other.register_hooks(lambda t: t, lambda t: 2 * t)
    x.grad = None
    out.sum().backward()
    assert np.allclose(x.grad.numpy(), np.broadcast_to(2 * row.detach().numpy(), (3, 4)))
    assert seen[-2:] == [(3, 4), (4,)]


def test_only_wanted_gradients_are_made_and_saved():
    x, row = leaf(3, 4), leaf(4)
    constant = row.detach()
    node = (x * constant).grad_fn
    assert node._saved_self is None
    (x * constant).sum().backward()
    assert constant.grad is None
    assert np.array_equal(x.grad.numpy(), np.broadcast_to(constant.numpy(), (3, 4)))
    with rd.no_grad():
        assert (x * row).grad_fn is None
