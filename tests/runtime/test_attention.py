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
