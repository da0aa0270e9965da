"""Automatic differentiation on NumPy buffers, with operators declared in one YAML file.

`import rederive as torch` runs ordinary PyTorch CPU programs as far as the features exist here.
"""

from . import heap, idling  # before anything else: they load NumPy

# isort: split
from . import (
    autograd,
    both_ways,
    comparison,
    conversion,
    func,
    indexing,
    linalg,
    nn,
    operators,
    overwriting,
    printing,
    protocols,
    random_inplace,
    resizing,
    special,
    utils,
)
from .autograd.anomaly_mode import is_anomaly_check_nan_enabled, is_anomaly_enabled
from .autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .comparison import allclose, equal
from .conversion import is_tensor
from .device import device, layout, strided
from .dlpack import from_dlpack, to_dlpack
from .dtypes import (
    bool,
    can_cast,
    double,
    dtype,
    finfo,
    float,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    result_type,
    set_default_dtype,
    short,
    uint8,
)
from .factories import (
    arange,
    as_tensor,
    empty,
    empty_like,
    empty_strided,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .geometry import Size
from .inference import is_inference
from .memory_format import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
)
from .printing import get_printoptions, printoptions, set_printoptions
from .random import (
    Generator,
    bernoulli,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from .register import exported
from .saving import load, save
from .tensor import Tensor
from .threads import get_num_threads, set_num_threads

both_ways.attach()
comparison.attach()
conversion.attach()
indexing.attach()
overwriting.attach()
protocols.attach()
random_inplace.attach()
resizing.attach()
globals().update(exported)
globals().update(both_ways.FUNCTIONS)

from math import e, inf, nan, pi  # noqa: E402

newaxis = None
__version__ = "0.1.0"


def __getattr__(name):
    if name in ("optim", "profiler", "viz"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if name in ("complex32", "complex64", "complex128", "chalf", "cfloat", "cdouble"):
        raise AttributeError(f"rederive has no complex dtypes yet, so there is no {name}")
    if name in ("float16", "half", "bfloat16"):
        raise AttributeError(f"rederive has no {name}; its floating dtypes are float32 and float64")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
