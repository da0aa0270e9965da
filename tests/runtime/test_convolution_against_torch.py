"""Convolutions with random arguments give what PyTorch gives, errors included."""

import numpy as np
import pytest
from beside_torch import arrays, drawn, same
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def calls(draw, dims):
    """Arrays and arguments of a convolution whose result is not empty."""
    groups = draw(st.integers(1, 3))
    per_group = draw(st.integers(1, 3))
    outputs = groups * draw(st.integers(1, 7))
    kernel = [draw(st.integers(1, 4)) for _ in range(dims)]
    stride = [draw(st.integers(1, 3)) for _ in range(dims)]
    dilation = [draw(st.integers(1, 3)) for _ in range(dims)]
    padding = [draw(st.integers(0, 3)) for _ in range(dims)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [
        draw(st.integers(max(1, r - 2 * p), r + 12)) for r, p in zip(reach, padding, strict=True)
    ]
    batch = draw(st.sampled_from([(), (1,), (3,)]))
    x = draw(arrays((*batch, groups * per_group, *size)))
    weight = draw(arrays((outputs, per_group, *kernel)))
    bias = draw(st.sampled_from([None, draw(arrays((outputs,)))]))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if draw(st.integers(0, 3)) == 0:
        options["padding"] = draw(st.sampled_from(["same", "valid"]))
        if options["padding"] == "same":
            options["stride"] = 1
        elif any(n < r for n, r in zip(size, reach, strict=True)):
            options["padding"] = padding
    return [x, weight] + ([] if bias is None else [bias]), options


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("dims", [1, 2])
@drawn
@given(st.data())
def test_convolution(dims, data):
    tensors, options = data.draw(calls(dims))
    layout = data.draw(st.sampled_from([(), (0,), (0, 1)]))

    def convolve(lib, *tensors):
        return getattr(lib.nn.functional, f"conv{dims}d")(*tensors, **options)

    same(convolve, *tensors, strided=layout)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@drawn
@given(st.data())
def test_second_derivatives(data):
    (x, weight, *_), options = data.draw(calls(2))

    def twice(lib, x, weight):
        y = lib.nn.functional.conv2d(x, weight, **options)
        return lib.autograd.grad((y * y).sum(), (x, weight), create_graph=True)

    same(twice, x, weight, rtol=1e-8)


@drawn
@given(st.data())
def test_what_does_not_fit(data):
    shapes = [(2, 4, 5, 6), (4, 5, 6), (5, 6), (1, 2, 4, 5, 6), (2, 3, 5, 6), (2, 4, 1, 1)]
    x = np.zeros(data.draw(st.sampled_from(shapes)))
    weights = [(6, 4, 3, 3), (6, 2, 3, 3), (4, 3, 3), (5, 2, 3, 3), (6, 4, 7, 7), (0, 4, 3, 3)]
    weight = np.zeros(data.draw(st.sampled_from(weights)))
    number = st.one_of(st.integers(-1, 2), st.sampled_from([(1, 1), (1, 1, 1), (), [2]]))
    options = {
        "stride": data.draw(number),
        "padding": data.draw(st.one_of(number, st.sampled_from(["same", "full"]))),
        "dilation": data.draw(number),
        "groups": data.draw(st.integers(0, 2)),
    }

    def convolve(lib, x, weight):
        return lib.nn.functional.conv2d(x.detach(), weight.detach(), **options)

    same(convolve, x, weight)
