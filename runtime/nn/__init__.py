"""Neural-network building blocks.

The layers are imported when a program first names one, so that `import rederive` stays quick.
"""

from importlib import import_module

from . import functional, init, parameter
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .linear import Bilinear, Flatten, Identity, Linear, Unflatten
from .module import Module
from .parameter import Buffer, Parameter

_LATER = {
    "activation": "GELU LeakyReLU LogSoftmax ReLU SiLU Sigmoid Softmax Softmax2d Softplus Tanh",
    "attention": "MultiheadAttention",
    "convolution": "Conv1d Conv2d",
    "dropout": "Dropout",
    "embedding": "Embedding",
    "loss": "BCELoss BCEWithLogitsLoss CrossEntropyLoss HuberLoss KLDivLoss L1Loss MSELoss NLLLoss "
    "SmoothL1Loss",
    "normalization": "BatchNorm1d BatchNorm2d BatchNorm3d GroupNorm LayerNorm RMSNorm",
    "pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AvgPool1d AvgPool2d MaxPool1d MaxPool2d",
    "transformer": "TransformerEncoder TransformerEncoderLayer",
}
_HOME = {name: module for module, names in _LATER.items() for name in names.split()}

__all__ = [
    "Bilinear",
    "Buffer",
    "Flatten",
    "Identity",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "Unflatten",
    "functional",
    "init",
    "modules",
    "parameter",
    "utils",
]
__all__ += sorted(_HOME)


def __getattr__(name):
    if name in ("utils", "modules") or name in _LATER:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__():
    return sorted({*globals(), *__all__})
