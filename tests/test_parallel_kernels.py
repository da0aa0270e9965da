"""Every pointwise operator gives on several threads what it gives in the calling thread."""

import numpy as np
import pytest
import rederive
from rederive.generated.registry import OPERATORS
from rederive.threads import LIGHT
from rederive.tools import samples

SIZE = LIGHT + 5
POINTWISE = [operator for operator in OPERATORS if operator.family == "pointwise"]


def tensors(operator, size):
    """The arguments of the operator's first sample, with `size` elements in each tensor."""
    drawn = samples.draw(operator)[0]
    generator = np.random.default_rng(drawn.seed)
    for name, value in drawn.values.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            low, high = operator.samples.get(name, samples.INTERVAL)
            value = generator.uniform(low, high, size).astype(np.float32)
        elif isinstance(value, np.ndarray):
            value = np.resize(value, size)
        yield name, value


def outcome(operator, values):
    """Result and gradients, in NumPy."""
    given = []
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            value = rederive.from_numpy(value.copy())
            value.requires_grad = name in operator.differentiable
        given.append(value)
    result = operator.function(*given)
    if not result.requires_grad:
        return [result.numpy()]
    result.backward(rederive.linspace(0.5, 1.5, result.numel()))
    gradients = [t.grad for t in given if isinstance(t, rederive.Tensor) and t.requires_grad]
    return [t.detach().numpy() for t in (result, *gradients)]


@pytest.mark.parametrize("operator", POINTWISE, ids=lambda operator: operator.name)
def test_parallel_kernels_agree_with_serial_ones(operator):
    values = dict(tensors(operator, SIZE))
    parallel = outcome(operator, values)
    threads = rederive.get_num_threads()
    rederive.set_num_threads(1)
    try:
        serial = outcome(operator, values)
    finally:
        rederive.set_num_threads(threads)
    # Two compilations may fuse multiplications and additions differently: equal but for rounding.
    for ours, expected in zip(parallel, serial, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=2e-6)


LANES = {
    "sum": lambda x, w: x.sum(1),
    "var": lambda x, w: x.var(1),
    "amax": lambda x, w: x.amax(1),
    "max.dim": lambda x, w: x.max(1).values,
    "logsumexp": lambda x, w: x.logsumexp(1),
    "softmax": lambda x, w: x.softmax(1),
    "softmax over the first dimension": lambda x, w: x.softmax(0),
    "layer_norm": lambda x, w: rederive.nn.functional.layer_norm(x, [200], w, w),
}


@pytest.mark.parametrize("name", LANES)
def test_parallel_row_kernels_agree_with_serial_ones(name):
    generator = np.random.default_rng(5)
    values = [generator.normal(size=shape).astype(np.float32) for shape in ((1311, 200), (200,))]

    def run():
        x, w = (rederive.tensor(value, requires_grad=True) for value in values)
        result = LANES[name](x, w)
        result.backward(rederive.linspace(0.5, 1.5, result.numel()).reshape(result.shape))
        gradients = [t.grad.numpy() for t in (x, w) if t.grad is not None]
        return [result.detach().numpy(), *gradients]

    parallel = run()
    threads = rederive.get_num_threads()
    rederive.set_num_threads(1)
    try:
        serial = run()
    finally:
        rederive.set_num_threads(threads)
    for ours, expected in zip(parallel, serial, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
