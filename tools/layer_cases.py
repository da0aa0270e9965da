"""The layers that tools/record_layers.py records: how each is made, and what it is called with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One layer; inputs are shapes of which numbers are drawn, or arrays; options are by name."""

    make: str
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    train: bool = True
    label: str = ""

    @property
    def name(self) -> str:
        """What tells the case from the others."""
        shapes = " ".join("x".join(map(str, np.shape(v))) or "0-d" for v in self.values())
        mode = "" if self.train else " eval"
        return f"{self.make} {shapes}{mode} {self.label}".rstrip()

    def values(self) -> list[Any]:
        """The inputs, shapes as arrays of that shape."""
        return [v if isinstance(v, np.ndarray) else np.empty(v) for v in self.inputs]


def plain(make: str, *inputs: Any, **kwargs: Any) -> Case:
    """A case whose inputs are given one by one."""
    return Case(make, inputs, **kwargs)


def _linear() -> list[Case]:
    return [
        plain("nn.Linear(3, 2)", (4, 3)),
        plain("nn.Linear(3, 2, bias=False)", (2, 4, 3)),
        plain("nn.Linear(3, 2)", (3,)),
        plain("nn.Bilinear(3, 2, 4)", (5, 3), (5, 2)),
        plain("nn.Bilinear(3, 2, 4, bias=False)", (2, 3, 3), (2, 3, 2)),
        plain("nn.Identity(3, a=4)", (2, 3)),
        plain("nn.Flatten()", (2, 3, 4)),
        plain("nn.Flatten(0, 1)", (2, 3, 4)),
        plain("nn.Unflatten(1, (2, 3))", (2, 6)),
        plain("nn.Unflatten(-1, (2, -1))", (2, 6)),
        plain("nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))", (2, 3)),
    ]


def _convolutions() -> list[Case]:
    cases = [
        plain("nn.Conv1d(2, 3, 3)", (2, 2, 7)),
        plain("nn.Conv1d(2, 3, 3, bias=False)", (2, 7)),
        plain("nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2)", (2, 4, 9)),
        plain("nn.Conv1d(2, 3, 4, padding='same')", (2, 2, 7)),
        plain("nn.Conv2d(2, 3, 3)", (2, 2, 5, 6)),
        plain("nn.Conv2d(2, 3, (2, 3), bias=False)", (2, 5, 6)),
        plain("nn.Conv2d(4, 4, 3, stride=(2, 1), padding=(1, 2), groups=4)", (1, 4, 5, 6)),
        plain("nn.Conv2d(2, 3, 2, dilation=(2, 1), padding='valid')", (1, 2, 5, 6)),
        plain("nn.Conv2d(2, 3, (2, 3), dilation=2, padding='same')", (1, 2, 5, 6)),
    ]
    for mode in ("reflect", "replicate", "circular"):
        cases += [
            plain(f"nn.Conv1d(2, 3, 3, padding=2, padding_mode='{mode}')", (2, 2, 7)),
            plain(f"nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode='{mode}')", (1, 2, 5, 6)),
            plain(f"nn.Conv2d(2, 3, (2, 3), padding='same', padding_mode='{mode}')", (1, 2, 5, 6)),
        ]
    return cases


def _pools() -> list[Case]:
    return [
        plain("nn.MaxPool1d(2)", (2, 2, 7)),
        plain("nn.MaxPool1d(3, 2, 1, ceil_mode=True)", (2, 8)),
        plain("nn.MaxPool1d(2, 1, dilation=3, return_indices=True)", (2, 2, 7)),
        plain("nn.MaxPool2d(2)", (2, 2, 5, 6)),
        plain("nn.MaxPool2d((2, 3), stride=(1, 2), padding=1)", (2, 5, 6)),
        plain("nn.MaxPool2d(3, 2, 1, ceil_mode=True, return_indices=True)", (1, 2, 6, 6)),
        plain("nn.AvgPool1d(2)", (2, 2, 7)),
        plain("nn.AvgPool1d(3, 2, 1, True, False)", (2, 8)),
        plain("nn.AvgPool2d(2)", (2, 2, 5, 6)),
        plain("nn.AvgPool2d((2, 3), (1, 2), 1, True, False)", (2, 5, 6)),
        plain("nn.AvgPool2d(2, divisor_override=3)", (1, 2, 4, 4)),
        plain("nn.AdaptiveAvgPool1d(3)", (2, 2, 7)),
        plain("nn.AdaptiveAvgPool2d(1)", (2, 2, 5, 6)),
        plain("nn.AdaptiveAvgPool2d((3, None))", (2, 5, 4)),
    ]


def _norms() -> list[Case]:
    cases = []
    for train in (True, False):
        cases += [
            plain("nn.BatchNorm1d(3)", (4, 3), train=train),
            plain("nn.BatchNorm1d(3, affine=False)", (2, 3, 4), train=train),
            plain("nn.BatchNorm1d(3, momentum=None)", (4, 3), train=train),
            plain("nn.BatchNorm1d(3, track_running_stats=False)", (4, 3), train=train),
            plain("nn.BatchNorm2d(2, eps=1e-3, momentum=0.4)", (3, 2, 2, 3), train=train),
            plain("nn.BatchNorm2d(2, bias=False)", (3, 2, 2, 3), train=train),
            plain("nn.BatchNorm3d(2)", (2, 2, 2, 1, 2), train=train),
        ]
    return [
        *cases,
        plain("nn.LayerNorm(4)", (2, 3, 4)),
        plain("nn.LayerNorm((3, 4), eps=1e-2)", (2, 3, 4)),
        plain("nn.LayerNorm(4, bias=False)", (3, 4)),
        plain("nn.LayerNorm(4, elementwise_affine=False)", (3, 4)),
        plain("nn.GroupNorm(2, 4)", (3, 4)),
        plain("nn.GroupNorm(2, 6, eps=1e-2)", (2, 6, 2, 2)),
        plain("nn.GroupNorm(3, 3, affine=False)", (2, 3, 4)),
        plain("nn.GroupNorm(1, 4, bias=False)", (2, 4, 3)),
        plain("nn.RMSNorm(4)", (2, 3, 4)),
        plain("nn.RMSNorm((3, 4), eps=1e-2)", (2, 3, 4)),
        plain("nn.RMSNorm(4, elementwise_affine=False)", (3, 4)),
    ]


def _tables() -> list[Case]:
    indices = np.array([[0, 2, 2], [4, 1, 2]])
    return [
        plain("nn.Embedding(5, 3)", indices),
        plain("nn.Embedding(5, 3, padding_idx=2)", indices),
        plain("nn.Embedding(5, 3, padding_idx=-1, scale_grad_by_freq=True)", indices),
        plain("nn.Embedding(5, 3, max_norm=1.0)", indices),
        plain("nn.Embedding(5, 3, max_norm=0.8, norm_type=1.0)", indices),
        plain("nn.Dropout(0.5)", (3, 4), train=False),
        plain("nn.Dropout(0.0)", (3, 4)),
        plain("nn.Dropout(1.0)", (3, 4)),
    ]


def _activations() -> list[Case]:
    makes = (
        "ReLU()",
        "LeakyReLU()",
        "LeakyReLU(0.3)",
        "GELU()",
        "GELU('tanh')",
        "SiLU()",
        "Softplus()",
        "Softplus(3.0, 2.0)",
        "Sigmoid()",
        "Tanh()",
        "Softmax(dim=1)",
        "LogSoftmax(dim=-1)",
    )
    return [
        *(plain(f"nn.{make}", (3, 4)) for make in makes),
        plain("nn.Softmax2d()", (2, 3, 2, 2)),
        plain("nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))", (4, 3)),
    ]


def _losses() -> list[Case]:
    random = np.random.default_rng(1)
    shares = random.uniform(0.1, 0.9, (3, 4))
    rows = shares / shares.sum(1, keepdims=True)
    classes = np.array([1, 0, 3])
    scattered = np.array([[0, 1], [2, 1]])
    weight = "weight=torch.tensor([0.5, 1.0, 2.0, 1.5])"
    cases = []
    for reduction in ("mean", "sum", "none"):
        how = f"reduction='{reduction}'"
        cases += [
            plain(f"nn.MSELoss({how})", (3, 4), (3, 4)),
            plain(f"nn.L1Loss({how})", (3, 4), (3, 4)),
            plain(f"nn.SmoothL1Loss({how}, beta=0.6)", (3, 4), (3, 4)),
            plain(f"nn.HuberLoss({how}, delta=0.7)", (3, 4), (3, 4)),
            plain(f"nn.CrossEntropyLoss({how})", (3, 4), classes),
            plain(f"nn.CrossEntropyLoss({weight}, {how})", (3, 4), classes),
            plain(f"nn.CrossEntropyLoss(ignore_index=0, {how})", (3, 4), classes),
            plain(f"nn.CrossEntropyLoss({how}, label_smoothing=0.2)", (3, 4), classes),
            plain(f"nn.CrossEntropyLoss({how})", (3, 4), rows, label="probabilities"),
            plain(f"nn.CrossEntropyLoss({how})", (2, 3, 2), scattered),
            plain(f"nn.NLLLoss({weight}, {how})", (3, 4), classes),
            plain(f"nn.BCELoss({how})", shares, rows),
            plain(f"nn.BCEWithLogitsLoss({how})", (3, 4), shares),
            plain(f"nn.BCEWithLogitsLoss(pos_{weight}, {how})", (3, 4), shares),
        ]
    return [
        *cases,
        plain("nn.CrossEntropyLoss()", (4,), np.array(2)),
        plain(f"nn.BCELoss({weight})", shares, rows),
        plain("nn.KLDivLoss(reduction='batchmean')", (3, 4), rows),
        plain("nn.KLDivLoss(reduction='sum', log_target=True)", (3, 4), np.log(rows)),
        plain("nn.KLDivLoss(reduction='none')", (3, 4), rows),
    ]


def _attention() -> list[Case]:
    q, k = (3, 2, 4), (5, 2, 4)
    padding = np.array([[False, False, True, False, True], [True, False, False, False, False]])
    numbers = np.where(padding, -1.5, 0.25)
    hidden = np.array([[False, True, False, False, False]] * 2 + [[True] + [False] * 4])
    by_head = np.random.default_rng(2).uniform(-1, 1, (4, 3, 5))
    later = np.triu(np.ones((3, 3), bool), 1)
    nothing = {"key_padding_mask": np.array([[True] * 5, [False] * 5]), "need_weights": False}
    make = "nn.MultiheadAttention(4, 2)"
    masked = {"key_padding_mask": padding, "attn_mask": hidden}
    return [
        plain(make, q, k, k),
        plain(make, q, k, k, options=masked, label="masks"),
        plain(make, q, k, k, options={"key_padding_mask": numbers}, label="floating padding"),
        plain(make, q, k, k, options={"attn_mask": by_head}, label="mask by head"),
        plain(make, q, k, k, options={"average_attn_weights": False}, label="by head"),
        plain(make, q, k, k, options={"need_weights": False}, label="no weights"),
        plain(make, q, k, k, options={**masked, "need_weights": False}, label="masks alone"),
        plain(make, q, q, q, options={"attn_mask": later, "is_causal": True}, label="causal"),
        plain(
            make,
            q,
            q,
            q,
            options={"attn_mask": later, "is_causal": True, "need_weights": False},
            label="causal alone",
        ),
        plain(make, q, k, k, options=nothing, label="nothing to attend to"),
        plain(make, (3, 4), (5, 4), (5, 4), options={"key_padding_mask": padding[0]}),
        plain("nn.MultiheadAttention(4, 2, bias=False)", q, k, k),
        plain("nn.MultiheadAttention(4, 1, batch_first=True)", (2, 3, 4), (2, 5, 4), (2, 5, 4)),
        plain("nn.MultiheadAttention(4, 2, kdim=3, vdim=5)", q, (5, 2, 3), (5, 2, 5)),
        plain("nn.MultiheadAttention(4, 2, add_bias_kv=True)", q, k, k, options=masked),
        plain("nn.MultiheadAttention(4, 2, add_zero_attn=True)", q, k, k, options=masked),
        plain(
            "nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True)",
            q,
            k,
            k,
            options={**masked, "need_weights": False},
        ),
    ]


def _transformers() -> list[Case]:
    later = np.triu(np.full((3, 3), -np.inf), 1)
    padding = np.array([[False, False, True], [False, False, False]])
    layer = "nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0"
    cases = [
        plain(f"{layer})", (3, 2, 4)),
        plain(f"{layer})", (3, 4)),
        plain(f"{layer}, norm_first=True, activation='gelu')", (3, 2, 4)),
        plain(f"{layer}, batch_first=True, bias=False)", (2, 3, 4)),
        plain(f"{layer}, activation=nn.SiLU(), layer_norm_eps=1e-2)", (3, 2, 4)),
        plain(f"{layer})", (3, 2, 4), options={"src_mask": later}, label="mask"),
        plain(
            f"{layer})",
            (3, 2, 4),
            options={"src_mask": later, "is_causal": True},
            label="causal",
        ),
        plain(f"{layer})", (3, 2, 4), options={"src_key_padding_mask": padding}, label="padding"),
        plain(f"{layer})", (3, 2, 4), train=False),
    ]
    encoder = f"nn.TransformerEncoder({layer}), 2, enable_nested_tensor=False)"
    normed = f"nn.TransformerEncoder({layer}, norm_first=True), 2, nn.LayerNorm(4), False)"
    return [
        *cases,
        plain(encoder, (3, 2, 4)),
        plain(encoder, (3, 2, 4), options={"mask": later}, label="mask"),
        plain(encoder, (3, 2, 4), options={"mask": later, "is_causal": True}, label="causal"),
        plain(normed, (3, 2, 4), options={"src_key_padding_mask": padding}),
    ]


CASES = [
    *_linear(),
    *_convolutions(),
    *_pools(),
    *_norms(),
    *_tables(),
    *_activations(),
    *_losses(),
    *_attention(),
    *_transformers(),
]
