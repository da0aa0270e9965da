"""Pooling with random arguments gives what PyTorch gives, errors included."""

import numpy as np
from beside_torch import arrays, drawn, same
from hypothesis import assume, given
from hypothesis import strategies as st

SIZES = st.one_of(st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 4)))
PADS = st.one_of(st.integers(0, 2), st.tuples(st.integers(0, 2), st.integers(0, 2)))
SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)),
)
LAYOUT = st.sampled_from([(), (0,)])


@drawn
@given(st.data())
def test_max_pool2d(data):
    x = data.draw(arrays(data.draw(SHAPES), np.float64, distinct=data.draw(st.booleans())))
    if data.draw(st.booleans()):
        x = x.copy()
        x.reshape(-1)[::7] = np.nan
        x.reshape(-1)[::5] = -np.inf
    options = {
        "kernel_size": data.draw(SIZES),
        "stride": data.draw(st.none() | SIZES),
        "padding": data.draw(PADS),
        "dilation": data.draw(SIZES),
        "ceil_mode": data.draw(st.booleans()),
        "return_indices": data.draw(st.booleans()),
    }
    # PyTorch writes outside of its memory where dilation steps over the whole input
    assume(np.all(np.array(x.shape[-2:]) >= options["dilation"]))
    # and its backward pass refuses what its forward pass takes
    assume(np.all(2 * np.array(options["padding"]) <= options["kernel_size"]))
    layout = data.draw(LAYOUT)
    same(lambda lib, x: lib.nn.functional.max_pool2d(x, **options), x, strided=layout)


@drawn
@given(st.data())
def test_avg_pool2d(data):
    x = data.draw(arrays(data.draw(SHAPES)))
    options = {
        "kernel_size": data.draw(SIZES),
        "stride": data.draw(st.none() | SIZES),
        "padding": data.draw(PADS),
        "ceil_mode": data.draw(st.booleans()),
        "count_include_pad": data.draw(st.booleans()),
        "divisor_override": data.draw(st.none() | st.integers(-2, 3)),
    }
    layout = data.draw(LAYOUT)
    same(lambda lib, x: lib.nn.functional.avg_pool2d(x, **options), x, strided=layout)


@drawn
@given(st.data())
def test_adaptive_avg_pool2d(data):
    x = data.draw(arrays(data.draw(SHAPES)))
    number = st.none() | st.integers(1, 7)
    size = data.draw(st.one_of(st.integers(1, 7), st.tuples(number, number)))
    layout = data.draw(LAYOUT)
    same(lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, size), x, strided=layout)


@drawn
@given(st.data())
def test_arguments_that_do_not_fit(data):
    number = st.one_of(st.integers(-1, 3), st.tuples(*[st.integers(-1, 3)] * 3))
    x = np.zeros(data.draw(st.sampled_from([(1, 4, 4), (1, 1, 4, 4), (1, 0, 4, 4)])))
    kernel, stride, padding = data.draw(number), data.draw(number), data.draw(number)
    for name in ("max_pool2d", "avg_pool2d"):

        def pool(lib, x, name=name):
            return getattr(lib.nn.functional, name)(x.detach(), kernel, stride, padding)

        same(pool, x)
