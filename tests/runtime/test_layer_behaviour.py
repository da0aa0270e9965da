"""What layers do beyond values for given weights: starting values, modes, masks, derivatives.

test_layers holds the values to PyTorch's, programs/layers.py the texts and errors.
"""

import copy
import math
import subprocess
import sys

import numpy as np
import pytest
import rederive as rd
from rederive import nn
from rederive.nn import functional as F

# --- starting values -----------------------------------------------------------------------------


def values(tensor):
    return tensor.detach().numpy().astype(np.float64)


UNIFORM = [
    (lambda: nn.Linear(50, 400), {"weight": 1 / math.sqrt(50), "bias": 1 / math.sqrt(50)}),
    (lambda: nn.Bilinear(20, 10, 400), {"weight": 1 / math.sqrt(20), "bias": 1 / math.sqrt(20)}),
    (lambda: nn.Conv1d(8, 400, 5, groups=2), {"weight": 20**-0.5, "bias": 20**-0.5}),
    (lambda: nn.Conv2d(6, 400, (2, 3)), {"weight": 1 / 6, "bias": 1 / 6}),
    (lambda: nn.MultiheadAttention(60, 2), {"in_proj_weight": math.sqrt(6 / 240)}),
    (
        lambda: nn.MultiheadAttention(60, 2, kdim=20, vdim=30),
        {
            "q_proj_weight": (6 / 120) ** 0.5,
            "k_proj_weight": (6 / 80) ** 0.5,
            "v_proj_weight": math.sqrt(6 / 90),
        },
    ),
    (lambda: nn.MultiheadAttention(60, 2).out_proj, {"weight": 1 / math.sqrt(60)}),
    (lambda: nn.TransformerEncoderLayer(64, 2, 100).linear1, {"weight": 1 / 8, "bias": 1 / 8}),
]


@pytest.mark.parametrize(("make", "bounds"), UNIFORM)
def test_parameters_start_uniform(make, bounds):
    rd.manual_seed(0)
    module = make()
    for name, bound in bounds.items():
        drawn = values(getattr(module, name))
        assert np.abs(drawn).max() <= bound * (1 + 1e-6) and np.abs(drawn).max() > 0.9 * bound
        assert drawn.std() == pytest.approx(bound / math.sqrt(3), rel=0.12)
        assert drawn.mean() == pytest.approx(0, abs=0.12 * bound)


def test_parameters_that_start_normal():
    rd.manual_seed(0)
    table = values(nn.Embedding(200, 40, padding_idx=3).weight)
    assert not table[3].any()
    assert np.delete(table, 3, 0).std() == pytest.approx(1, rel=0.03)
    extra = nn.MultiheadAttention(300, 2, add_bias_kv=True)
    # (1, 1, 300): one input and 300 outputs for each element of the last dimension
    assert values(extra.bias_k).std() == pytest.approx(math.sqrt(2 / 600), rel=0.15)


def test_parameters_that_start_constant():
    for module in (nn.BatchNorm2d(3), nn.LayerNorm((2, 3)), nn.GroupNorm(1, 3)):
        assert (values(module.weight) == 1).all() and (values(module.bias) == 0).all()
    assert (values(nn.RMSNorm(3).weight) == 1).all()
    attention = nn.MultiheadAttention(4, 2)
    assert not values(attention.in_proj_bias).any() and not values(attention.out_proj.bias).any()


@pytest.mark.parametrize("make", [pair[0] for pair in UNIFORM])
def test_parameters_start_as_spread_as_in_pytorch(make, monkeypatch):
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is optional")
    rd.manual_seed(0)
    torch.manual_seed(0)
    ours = make()
    monkeypatch.setitem(globals(), "nn", torch.nn)
    theirs = dict(make().named_parameters())
    for name, tensor in ours.named_parameters():
        spread = theirs[name].detach().numpy().std()
        assert values(tensor).std() == pytest.approx(spread, rel=0.15), name


# --- training and evaluation ---------------------------------------------------------------------


def test_dropout_depends_on_the_mode():
    rd.manual_seed(0)
    x = rd.ones(20_000)
    module = nn.Dropout(0.3)
    dropped = values(module(x))
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.7)}
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert module.eval()(x) is x
    inplace = nn.Dropout(0.3, inplace=True)
    assert inplace(x) is x and (x == 0).any()


def test_a_convolutional_network_learns():
    rd.manual_seed(0)
    x = rd.randn(32, 1, 8, 8)
    target = (x.mean((1, 2, 3)) > 0).long()
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 2),
    )
    loss, losses = nn.CrossEntropyLoss(), []
    for _ in range(25):
        net.zero_grad()
        losses.append(loss(net(x), target))
        losses[-1].backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        with rd.no_grad():
            for p in net.parameters():
                p -= 0.3 * p.grad
    assert losses[-1].item() < 0.5 * losses[0].item()
    assert net[1].num_batches_tracked.item() == 25
    assert net.eval()(x[:1]).shape == (1, 2), "one image has no statistics, but needs none"


def test_running_statistics_are_not_written_in_evaluation():
    norm = nn.BatchNorm1d(2).eval()
    norm(rd.randn(4, 2))
    assert norm.running_mean.tolist() == [0, 0] and norm.num_batches_tracked.item() == 0


def test_a_state_from_before_batches_were_counted_loads():
    norm = nn.BatchNorm1d(2)
    norm(rd.randn(4, 2))
    old = {k: v.clone() for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    twin = nn.Sequential(nn.BatchNorm1d(2))
    twin.load_state_dict({f"0.{k}": v for k, v in old.items()})
    assert twin[0].running_mean.tolist() == norm.running_mean.tolist()


# --- attention -----------------------------------------------------------------------------------


def attention(**options):
    rd.manual_seed(0)
    return nn.MultiheadAttention(8, 2, **options).double()


def sequence(length, *, batch=2, size=8):
    return rd.randn(length, batch, size, dtype=rd.float64)


def agree(first, second):
    np.testing.assert_allclose(values(first), values(second), rtol=1e-12, atol=1e-12)


def test_equal_inputs_may_be_one_tensor():
    module = attention()
    q, k = sequence(3), sequence(5)
    for given in ((q, q, q), (q, k, k)):
        for one, other in zip(module(*given), module(*(t.clone() for t in given)), strict=True):
            agree(one, other)


@pytest.mark.parametrize("need_weights", [True, False])
def test_masks_hide_sources(need_weights):
    module = attention()
    q, k = sequence(3), sequence(5)
    hidden = rd.tensor([[False, False, False, True, True]] * 2)
    shown = module(q, k[:3], k[:3], need_weights=need_weights)[0]
    agree(module(q, k, k, key_padding_mask=hidden, need_weights=need_weights)[0], shown)
    over = hidden[:1].expand(3, 5)
    agree(module(q, k, k, attn_mask=over, need_weights=need_weights)[0], shown)
    added = rd.zeros(3, 5, dtype=rd.float64).masked_fill(over, -math.inf)
    agree(module(q, k, k, attn_mask=added, need_weights=need_weights)[0], shown)


def test_a_causal_result_does_not_depend_on_what_follows():
    module = attention()
    x = sequence(5).requires_grad_()
    later = rd.ones(5, 5).triu(1) == 1
    for options in ({}, {"is_causal": True}, {"is_causal": True, "need_weights": False}):
        out = module(x, x, x, attn_mask=later, **options)[0]
        (gradient,) = rd.autograd.grad(out[2].sum(), x)
        assert gradient[:3].abs().sum((1, 2)).min() > 0 and not gradient[3:].any()


def test_weights_of_heads_and_their_mean():
    module = attention(batch_first=True)
    x = sequence(3, batch=4)
    mean = module(x, x, x)[1]
    heads = module(x, x, x, average_attn_weights=False)[1]
    assert heads.shape == (3, 2, 4, 4) and mean.shape == (3, 4, 4)
    agree(heads.mean(1), mean)
    agree(heads.sum(-1), rd.ones(3, 2, 4))


def test_static_keys_and_values_replace_the_projected_ones():
    module, q, k = attention(), sequence(3), sequence(5)
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    static = [F.linear(k, weights[n], biases[n]).reshape(5, 4, 4).transpose(0, 1) for n in (1, 2)]
    given = (8, 2, module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0)
    given += (module.out_proj.weight, module.out_proj.bias)
    found = F.multi_head_attention_forward(
        q, sequence(5), sequence(5), *given, static_k=static[0], static_v=static[1]
    )
    agree(found[0], module(q, k, k)[0])
    with pytest.raises(AssertionError, match=r"static_k.size\(0\) of 4, but got 2"):
        F.multi_head_attention_forward(q, k, k, *given, static_k=static[0][:2])


def test_masks_of_two_kinds_warn():
    module, x = attention(), sequence(3)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        module(
            x,
            x,
            x,
            key_padding_mask=rd.zeros(2, 3) == 1,
            attn_mask=rd.zeros(3, 3, dtype=rd.float64),
        )


def test_attention_drops_weights_only_in_training():
    module, x = attention(dropout=0.5), sequence(4)
    first, second = (module(x, x, x)[1] for _ in range(2))
    assert (first == 0).any() and not (first == second).all()
    module.eval()
    agree(module(x, x, x)[0], module(x, x, x)[0])


# --- the encoder ---------------------------------------------------------------------------------


def encoder(**options):
    rd.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, **options)
    return nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8)).double()


def test_layers_of_an_encoder_start_alike_and_are_their_own():
    module = encoder()
    first, second = module.layers
    assert values(first.linear1.weight).tolist() == values(second.linear1.weight).tolist()
    assert first.linear1.weight is not second.linear1.weight
    module(sequence(3)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    assert copy.deepcopy(module).layers[0].linear1.weight.grad is None


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_finds_causal_masks_itself(norm_first):
    module = encoder(norm_first=norm_first)
    x, later = sequence(4), rd.ones(4, 4).triu(1) == 1
    added = rd.zeros(4, 4, dtype=rd.float64).masked_fill(later, -math.inf)
    wanted = module(x, mask=later, is_causal=False)
    for mask in (later, added):
        agree(module(x, mask=mask), wanted)
    agree(module(x, mask=added, is_causal=True), wanted)


def test_batch_first_only_moves_the_batch():
    first, second = encoder(), encoder(batch_first=True)
    x = sequence(3)
    agree(first(x), second(x.transpose(0, 1)).transpose(0, 1))


def test_derivatives_of_an_encoder_agree_forwards_backwards_and_twice():
    module, x, direction = encoder(activation=F.gelu), sequence(3, batch=1), sequence(3, batch=1)

    def total(x):
        return (module(x) ** 3).sum()

    moved = rd.func.jvp(total, (x,), (direction,))[1]
    leaf = x.clone().requires_grad_()
    (gradient,) = rd.autograd.grad(total(leaf), leaf, create_graph=True)
    agree((gradient * direction).sum(), moved)
    (second,) = rd.autograd.grad((gradient * direction).sum(), leaf)
    step = 1e-5
    ends = [rd.func.grad(total)(x + sign * step * direction) for sign in (1, -1)]
    numeric = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(values(second), values(numeric), rtol=1e-5, atol=1e-5)


# --- imports -------------------------------------------------------------------------------------


def test_layers_are_imported_when_they_are_named():
    code = (
        "import sys, rederive.nn as nn\n"
        "late = [m for m in ('attention', 'loss', 'utils') if f'rederive.nn.{m}' in sys.modules]\n"
        "print(late, nn.Conv2d.__name__, nn.utils.clip_grad_norm_.__name__, 'Softmax' in dir(nn))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "Conv2d", "clip_grad_norm_", "True"]
    with pytest.raises(AttributeError, match="has no attribute 'Conv9d'"):
        nn.Conv9d  # noqa: B018


def test_every_layer_is_documented_and_exported():
    for name in nn.__all__:
        assert getattr(nn, name).__doc__, name
