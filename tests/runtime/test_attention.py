"""scaled_dot_product_attention: masks, order, heads, dropout, errors, memory."""

import math
import tracemalloc

import numpy as np
import pytest
import rederive as rd
from rederive.autograd import gradcheck, gradgradcheck

attention = rd.nn.functional.scaled_dot_product_attention


def normal(*shape, seed=0, dtype="float64", **options):
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return rd.from_numpy(values).requires_grad_(options.get("requires_grad", False))


def inputs(length=5, sources=7, size=4, dtype="float64", leading=(2, 3), grad=False):
    shapes = [(length, size), (sources, size), (sources, size)]
    return [
        normal(*leading, *shape, seed=i, dtype=dtype, requires_grad=grad)
        for i, shape in enumerate(shapes)
    ]


def composed(query, key, value, mask=None, scale=None):
    scores = query @ key.mT * (scale or 1 / math.sqrt(query.shape[-1]))
    return rd.softmax(scores if mask is None else scores + mask, -1) @ value


@pytest.mark.parametrize("scale", (None, 0.3, -2.0))
def test_it_is_softmax_of_scores_times_values(scale):
    given = inputs()
    np.testing.assert_allclose(
        attention(*given, scale=scale).numpy(),
        composed(*given, scale=scale).numpy(),
        rtol=1e-12,
        atol=1e-15,  # sums of about 1 that cancel
    )


@pytest.mark.parametrize("length, sources", ((3, 1500), (700, 700), (1300, 40)))
def test_blocks_of_queries_join_to_the_same_result_and_gradients(length, sources):
    given = inputs(length, sources, leading=(2,), grad=True)
    flow = normal(2, length, 4, seed=9)
    for causal in (False, True):
        mask = rd.triu(rd.full((length, sources), -math.inf, dtype=rd.float64), 1)
        whole = composed(*given, mask if causal else None)
        wanted = rd.autograd.grad(whole, given, flow)
        found = rd.autograd.grad(attention(*given, is_causal=causal), given, flow)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


def test_a_query_that_sees_nothing_yields_zero_and_no_gradient():
    given = inputs(3, 4, leading=(2,), grad=True)
    mask = rd.tensor([[True, False, True, True], [False] * 4, [True] * 4])
    result = attention(*given, attn_mask=mask)
    assert result[:, 1].abs().max().item() == 0
    result.sum().backward()
    assert given[0].grad[:, 1].abs().max().item() == 0
    assert all(rd.isfinite(t.grad).all() for t in given)
    hidden = rd.where(mask, 0.0, -math.inf)
    assert rd.equal(attention(*given, attn_mask=hidden.double()), result)


def test_a_floating_mask_has_a_gradient():
    given, mask = inputs(3, 4, leading=(2,)), normal(2, 1, 4, seed=5, requires_grad=True)
    assert gradcheck(lambda m: attention(*given, attn_mask=m), mask)
    assert gradgradcheck(lambda m: attention(*given, attn_mask=m), mask)


def test_heads_of_keys_serve_several_heads_of_queries():
    query, key, value = (normal(2, h, 3, 4, seed=h, requires_grad=True) for h in (6, 2, 3))
    found = attention(query, key, value, enable_gqa=True)
    keys = key.unsqueeze(2).expand(2, 2, 3, 3, 4).flatten(1, 2)
    values = value.unsqueeze(2).expand(2, 3, 2, 3, 4).flatten(1, 2)
    np.testing.assert_allclose(
        found.detach().numpy(), composed(query, keys, values).detach().numpy(), rtol=1e-12
    )
    assert gradcheck(lambda *a: attention(*a, enable_gqa=True), (query, key, value))


def test_third_derivatives():
    given = inputs(2, 3, 2, leading=(), grad=True)
    (first,) = rd.autograd.grad(attention(*given).square().sum(), given[0], create_graph=True)
    assert gradgradcheck(
        lambda q: rd.autograd.grad(
            attention(q, *given[1:]).square().sum(), q, create_graph=True, retain_graph=True
        )[0],
        given[0],
    )
    assert first.requires_grad


def test_dropout_follows_the_seed_and_keeps_the_mean():
    given = inputs(40, 50, 16, leading=(4,))
    given[2] = rd.ones_like(given[2])
    rd.manual_seed(3)
    once = attention(*given, dropout_p=0.25)
    rd.manual_seed(3)
    assert rd.equal(attention(*given, dropout_p=0.25), once)
    assert not rd.equal(attention(*given, dropout_p=0.25), once)
    assert once.mean().item() == pytest.approx(1, abs=0.05)
    assert attention(*given, dropout_p=1.0).abs().max().item() == 0


def test_long_sequences_need_no_array_of_all_scores():
    length = 2048
    given = inputs(length, length, 16, "float32", leading=(1,), grad=True)
    scores = 4 * length * length
    attention(*given).sum().backward()
    tracemalloc.start()
    attention(*given).sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores / 4


@pytest.mark.parametrize(
    "call, kind, text",
    (
        (lambda q, k, v: attention(q[0, 0, 0], k, v), RuntimeError, "at least 2 dimensional"),
        (lambda q, k, v: attention(q.float(), k, v), RuntimeError, "to have the same dtype"),
        (lambda q, k, v: attention(q.long(), k.long(), v.long()), RuntimeError, "found rederive.i"),
        (lambda q, k, v: attention(q, k[..., :3], v), RuntimeError, "the same last dimension"),
        (lambda q, k, v: attention(q, k[..., :3, :], v), RuntimeError, "the same length"),
        (lambda q, k, v: attention(q, k[:, :2], v), RuntimeError, "must match the size"),
        (
            lambda q, k, v: attention(q, k, v, attn_mask=rd.zeros(5, 7, dtype=rd.int64)),
            RuntimeError,
            "Expected attn_mask dtype to be bool or float",
        ),
        (
            lambda q, k, v: attention(q, k, v, attn_mask=rd.zeros(4, 7)),
            RuntimeError,
            "must match the size",
        ),
        (
            lambda q, k, v: attention(q, k[:, :2], v[:, :2], enable_gqa=True),
            RuntimeError,
            "must divide the number of heads",
        ),
        (
            lambda q, k, v: attention(q, k, v, dropout_p=1.5),
            RuntimeError,
            "dropout probability has to be between 0 and 1",
        ),
        (
            lambda q, k, v: attention(q, k, v, attn_mask=rd.zeros(5, 7), is_causal=True),
            RuntimeError,
            "attn_mask should not be set when is_causal=True",
        ),
        (lambda q, k, v: attention(q, None, v), TypeError, "argument 'key'"),
    ),
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call(*inputs())


LAYOUTS = {
    "tokens before heads": lambda t: t.permute(0, 2, 1, 3).contiguous().permute(0, 2, 1, 3),
    "features first": lambda t: t.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0),
    "part of something wider": lambda t: rd.cat([t, t, t], -1)[..., t.shape[-1] : 2 * t.shape[-1]],
    "one head for all": lambda t: t[:, :1].expand(t.shape),
}


@pytest.mark.parametrize("causal", (False, True))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_heads_may_lie_anywhere_in_memory(layout, causal, dtype):
    laid = LAYOUTS[layout]
    leaves = inputs(70, 300, 20, dtype, grad=True)
    mask = rd.triu(rd.full((70, 300), -math.inf, dtype=leaves[0].dtype), 1) if causal else None
    found = attention(*(laid(t) for t in leaves), is_causal=causal)
    wanted = composed(*(laid(t) for t in leaves), mask)
    flow = laid(normal(*found.shape, seed=7, dtype=dtype))
    bound = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), atol=bound)
    pairs = zip(*(rd.autograd.grad(r, leaves, flow) for r in (found, wanted)), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=10 * bound)


@pytest.mark.parametrize("queries", (1, 15, 16, 17, 33, 64, 65, 130))
def test_any_number_of_queries_fills_its_vectors(queries):
    given = inputs(queries, 5, 3, "float32", leading=(3,), grad=True)
    pairs = [attention(*given), composed(*given)]
    flow = normal(3, queries, 3, seed=8, dtype="float32")
    for one, other in zip(*(rd.autograd.grad(r, given, flow) for r in pairs), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=2e-5)
    np.testing.assert_allclose(*(r.detach().numpy() for r in pairs), atol=2e-6)


def test_scores_that_are_not_a_number_or_infinite_give_what_softmax_gives():
    query, key, value = (t.numpy() for t in inputs(4, 6, 3, leading=(2,)))
    query[0, 1, 0], key[1, 2, 1], key[0, 3] = math.nan, math.inf, -1e200
    given = [rd.from_numpy(t) for t in (query, key, value)]
    np.testing.assert_allclose(attention(*given).numpy(), composed(*given).numpy(), rtol=1e-12)
