# layers: how they are made, printed, what they refuse; values and gradients are in test_layers
import copy
import warnings

nn, F = torch.nn, torch.nn.functional
warnings.simplefilter("ignore")
x = torch.ones

# making and printing
for make in (
    lambda: nn.Conv2d(4, 6, 3, 2, 1, 2, 2, False, "reflect"),
    lambda: nn.Conv1d(4, 6, 3, padding="same"),
    lambda: nn.Conv2d(4, 6, [3, 2], padding=[1, 0]),
    lambda: nn.Conv1d(3, 6, 3, groups=2),
    lambda: nn.Conv1d(4, 5, 3, groups=2),
    lambda: nn.Conv1d(4, 4, 3, groups=0),
    lambda: nn.Conv1d(4, 4, 3, stride=2, padding="same"),
    lambda: nn.MaxPool2d(3, padding=1, dilation=2, ceil_mode=True),
    lambda: nn.MaxPool1d((3,)),
    lambda: nn.AvgPool1d(3, 2),
    lambda: nn.AvgPool2d((3, 2), ceil_mode=True),
    lambda: nn.AdaptiveAvgPool2d((None, 2)),
    lambda: nn.AdaptiveAvgPool1d(4),
    lambda: nn.BatchNorm1d(3, affine=False),
    lambda: nn.BatchNorm2d(3, momentum=None, track_running_stats=False),
    lambda: nn.LayerNorm([2, 3], bias=False),
    lambda: nn.LayerNorm(3, elementwise_affine=False),
    lambda: nn.GroupNorm(2, 4),
    lambda: nn.GroupNorm(3, 4),
    lambda: nn.RMSNorm(4, 1e-3),
    lambda: nn.Embedding(4, 3, -1, 1.0, 3.0, True, True),
    lambda: nn.Embedding(4, 3),
    lambda: nn.Embedding(4, 3, 4),
    lambda: nn.Embedding(4, 3, -5),
    lambda: nn.Embedding(4, 3, _weight=x(3, 4)),
    lambda: nn.Embedding.from_pretrained(x(3)),
    lambda: nn.Dropout(0.1, True),
    lambda: nn.Dropout(1.5),
    lambda: nn.Dropout(-0.5),
    lambda: nn.ReLU(True),
    lambda: nn.ReLU(),
    lambda: nn.LeakyReLU(0.2, True),
    lambda: nn.GELU("tanh"),
    lambda: nn.SiLU(inplace=True),
    lambda: nn.Softplus(),
    lambda: nn.Softplus(2, 5),
    lambda: nn.Softmax(1),
    lambda: nn.Softmax(),
    lambda: nn.LogSoftmax(dim=-1),
    lambda: nn.Softmax2d(),
    lambda: nn.MSELoss(),
    lambda: nn.CrossEntropyLoss(x(3)),
    lambda: nn.MultiheadAttention(4, 2, bias=False, kdim=3),
    lambda: nn.MultiheadAttention(4, 3),
    lambda: nn.MultiheadAttention(0, 3),
    lambda: nn.TransformerEncoderLayer(4, 2, 8, activation="tanh"),
    lambda: nn.TransformerEncoderLayer(4, 2, 8, bias=False),
    lambda: nn.Unflatten(1, "ab"),
    lambda: nn.Unflatten(1, (2, 1.0)),
    lambda: nn.Unflatten(1, [2, 3]),
):
    attempt(lambda: print(make()), True)
print(nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2, nn.LayerNorm(4)))
for module in (
    nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True),
    nn.MultiheadAttention(4, 2, bias=False),
    nn.BatchNorm1d(2),
    nn.CrossEntropyLoss(x(3)),
    nn.BCEWithLogitsLoss(x(3), pos_weight=x(3)),
    nn.TransformerEncoderLayer(4, 2, 8),
    nn.Conv1d(2, 4, 3, groups=2, dtype=torch.float64),
    nn.GroupNorm(2, 4, dtype=torch.float64),
    nn.RMSNorm((2, 3)),
):
    print([(k, tuple(v.shape), str(v.dtype)) for k, v in module.state_dict().items()])
    print([(k, v.requires_grad) for k, v in module.named_parameters()])

# the flags of before
print(nn.MSELoss(size_average=False).reduction, nn.MSELoss(reduce=False).reduction)
print(nn.MSELoss(True, True).reduction, nn.L1Loss(False, False).reduction)
print(nn.NLLLoss(None, False, 3).reduction, nn.KLDivLoss(reduction="batchmean").reduction)
print(nn.Softmax()(x(2, 3)), nn.LogSoftmax()(x(3)).shape, nn.Softmax()(x(2, 2, 2))[0])
attempt(lambda: nn.Softmax2d()(x(3)))

# batches: what is counted, kept, loaded
bn = nn.BatchNorm1d(2)
data = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
print(bn(data).detach(), bn.running_mean, bn.running_var, bn.num_batches_tracked)
bn(data), bn.eval()
print(bn(data).detach(), bn.num_batches_tracked)
bn.train().reset_running_stats()
print(bn.running_mean, bn.running_var, bn.num_batches_tracked)
bn.momentum = None
for n in range(3):
    bn(data * (n + 1))
print(bn.running_mean, bn.running_var)
old = {k: v for k, v in bn.state_dict().items() if k != "num_batches_tracked"}
print(
    nn.BatchNorm1d(2).load_state_dict(old),
    nn.Sequential(nn.BatchNorm1d(2)).load_state_dict({"0." + k: v for k, v in old.items()}),
)
versioned = bn.state_dict()
del versioned["num_batches_tracked"]
attempt(lambda: nn.BatchNorm1d(2).load_state_dict(versioned), True)
free = nn.BatchNorm1d(2, track_running_stats=False)
print(free.eval()(data).detach(), free.running_mean, list(free.state_dict()))
attempt(lambda: bn(x(1, 2)), True)
attempt(lambda: bn(x(2)), True)
attempt(lambda: nn.BatchNorm2d(2)(x(2, 2)), True)
attempt(lambda: nn.BatchNorm1d(2)(x(2, 2, 2, 2)), True)
attempt(lambda: nn.BatchNorm1d(2)(x(2, 3)), True)
half = nn.BatchNorm1d(2).double()
print(half.running_mean.dtype, half.num_batches_tracked.dtype)

# tables
table = torch.arange(12.0).reshape(4, 3)
e = nn.Embedding.from_pretrained(table, max_norm=2.0)
print(
    e.weight.requires_grad, e.weight.data_ptr() == table.data_ptr(), e(torch.tensor([1, 1])), table
)
print(nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1).weight.requires_grad)
p = nn.Embedding(4, 3, padding_idx=2)
print(p.weight[2].tolist(), p.padding_idx, (p.weight[1] != 0).all().item())
p.weight.data.fill_(1)
p(torch.tensor([[2, 0], [0, 2]])).sum().backward()
print(p.weight.grad)
attempt(lambda: p(torch.tensor([4])))
attempt(lambda: p(torch.tensor([1.0])))

# functions
attempt(lambda: F.bilinear(x(2, 3), x(2, 4), x(5, 3, 5), x(5)), True)
attempt(lambda: F.bilinear(x(2, 4), x(2, 4), x(5, 3, 4), x(5)), True)
attempt(lambda: F.bilinear(x(2, 3), x(3, 4), x(5, 3, 4)), True)
attempt(lambda: F.bilinear(x(2, 3), x(4), x(5, 3, 4)), True)
attempt(lambda: F.bilinear(x(2, 3), x(2, 4), x(5, 3, 4), x(4)), True)
print(torch.bilinear(x(3), x(4), x(5, 3, 4), x(5)), F.bilinear(x(0, 3), x(0, 4), x(5, 3, 4)).shape)
for arguments in (
    (x(6), 2),
    (x(2, 6), 4),
    (x(2, 6), 0),
    (x(2, 6), -2),
    (x(1, 6), 6),
    (x(1, 6), 1),
    (x(2, 6), 2, x(3)),
    (x(2, 6), 2, x(6, 1)),
    (x(0, 6), 2, x(6)),
    (x(2, 6, 0), 2, x(6)),
    (x(2, 6).double(), 2, x(6)),
    (x(2, 6), 2, None, None, 0),
):
    attempt(lambda: print(F.group_norm(*arguments).shape), True)
attempt(lambda: F.group_norm(torch.ones(2, 6, dtype=torch.int64), 2))
for pool in (F.max_pool1d, F.avg_pool1d):
    for arguments in (
        (x(6), 2),
        (x(2, 6), 2),
        (x(1, 2, 6), (2,)),
        (x(1, 1, 2, 6), 2),
        (x(1, 2, 6), (2, 3)),
        (x(1, 2, 6), 2, 0),
        (x(1, 2, 6), 2, (1, 1)),
        (x(1, 2, 6), 0),
        (x(1, 2, 6), 2, None, 2),
        (x(1, 2, 6), 8),
        (x(0, 2, 6), 2),
        (x(1, 0, 6), 2),
        (x(1, 2, 0), 2),
        (x(1, 2, 6), 2, []),
        (x(2, 6), 2, None, -1),
    ):
        attempt(lambda: print(pool(*arguments).shape))
for size in (2, (3,), (2, 2), 0, -1):
    attempt(lambda: print(F.adaptive_avg_pool1d(x(2, 6), size).shape))
attempt(lambda: print(F.adaptive_avg_pool1d(x(6), 2).shape))
print(*F.max_pool1d(torch.arange(6.0).reshape(1, 6), 2, return_indices=True))
attempt(lambda: nn.Conv1d(4, 4, 3, padding="other"))
attempt(lambda: nn.Conv1d(4, 4, 3, padding_mode="other"))
print(
    F.max_pool1d_with_indices(torch.arange(6.0).reshape(1, 6), 3)[1], torch.max_pool1d(x(1, 4), 2)
)

# attention
m = nn.MultiheadAttention(4, 2)
q, k = x(3, 2, 4), x(5, 2, 4)
for arguments, options in (
    ((x(4), x(4), x(4)), {}),
    ((x(3, 4), k, k), {}),
    ((q, x(5, 4), k), {}),
    ((x(3, 2, 6), k, k), {}),
    ((q, k, x(4, 2, 4)), {}),
    ((q, k, k), {"attn_mask": x(3, 4)}),
    ((q, k, k), {"attn_mask": x(3, 3, 5)}),
    ((q, k, k), {"attn_mask": x(1, 2, 3, 5)}),
    ((q, k, k), {"attn_mask": torch.ones(3, 5, dtype=torch.int64)}),
    ((q, k, k), {"key_padding_mask": x(2, 4)}),
    ((q, k, k), {"key_padding_mask": x(5)}),
    ((q, k, k), {"key_padding_mask": x(3, 5)}),
    ((q, k, k), {"is_causal": True}),
    ((x(3, 4), x(5, 4), x(5, 4)), {"key_padding_mask": x(2, 5)}),
    ((x(3, 4), x(5, 4), x(5, 4)), {"attn_mask": x(4, 3, 5)}),
):
    attempt(lambda: m(*arguments, **options))
for options in ({}, {"need_weights": False}, {"average_attn_weights": False}):
    out, weights = m(q, k, k, **options)
    print(tuple(out.shape), None if weights is None else tuple(weights.shape))
out, weights = nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True)(
    q[:, 0], k[:, 0], k[:, 0]
)
print(tuple(out.shape), tuple(weights.shape), weights.sum(-1).round().detach())
layer = nn.TransformerEncoderLayer(4, 2, 8)
encoder = nn.TransformerEncoder(layer, 2)
print(encoder.layers[0].linear1.weight is layer.linear1.weight, len(list(encoder.parameters())))
print((encoder.layers[0].linear1.weight == encoder.layers[1].linear1.weight).all())
print(
    layer.activation is F.relu,
    nn.TransformerEncoderLayer(4, 2, activation="gelu").activation is F.gelu,
)
print(
    copy.deepcopy(encoder).layers[0].linear1.weight.requires_grad, layer.norm1.eps, layer.dropout.p
)
print(tuple(encoder(x(3, 2, 4)).shape), tuple(encoder(x(3, 4), mask=torch.zeros(3, 3)).shape))
