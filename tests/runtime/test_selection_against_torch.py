"""Sorting, scattering, tables and padding on random arguments give what PyTorch gives."""

import numpy as np
from beside_torch import arrays, drawn, same
from hypothesis import given
from hypothesis import strategies as st

SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
FILLED = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
LAYOUT = st.sampled_from([(), (0,)])


@drawn
@given(st.data())
def test_sort_and_topk(data):
    shape = data.draw(SHAPES)
    dim = data.draw(st.integers(-3, 2))
    flag = data.draw(st.booleans())
    x = data.draw(arrays(shape))
    layout = data.draw(LAYOUT)
    same(lambda lib, x: lib.sort(x, dim, flag), x, strided=layout)
    same(lambda lib, x: lib.argsort(x, dim, flag), x, strided=layout)
    same(lambda lib, x: x.sort(dim=dim, descending=flag, stable=True), x, strided=layout)
    k = data.draw(st.integers(-1, 6))
    same(lambda lib, x: lib.topk(x, k, dim, flag), x, strided=layout)


@drawn
@given(st.data())
def test_sort_of_ties_and_other_dtypes(data):
    shape = data.draw(st.sampled_from([(7,), (50,), (3, 40), (40, 3)]))
    kind = data.draw(st.sampled_from(["float32", "float64", "int64", "int32", "uint8", "bool"]))
    x = data.draw(arrays(shape, np.float64, distinct=False))
    if kind.startswith("float"):
        x.reshape(-1)[:3] = [np.nan, -np.inf, -0.0]
    x = (x % 250 if kind == "uint8" else x).astype(kind)
    flag = data.draw(st.booleans())
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    same(lambda lib, x: lib.sort(x, dim=dim, descending=flag, stable=True), x)
    same(lambda lib, x: lib.topk(x.detach(), 2, dim, flag)[0], x)
    same(lambda lib, x: lib.nonzero(x), x)
    same(lambda lib, x: lib.nonzero(x, as_tuple=True), x)


@drawn
@given(st.data())
def test_gather_and_scatter(data):
    shape = data.draw(FILLED)
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    place = dim % len(shape)
    wide = [n if d == place else data.draw(st.integers(0, n)) for d, n in enumerate(shape)]
    # distinct places along the dimension: elsewhere PyTorch's gradient is not defined
    wide[place] = data.draw(st.integers(0, shape[place]))
    seed = data.draw(st.integers(0, 1000))
    order = np.random.default_rng(seed).random((*wide, shape[place])).argsort(-1)
    chosen = np.arange(wide[place]).reshape([-1 if d == place else 1 for d in range(len(shape))])
    index = (
        np.take_along_axis(
            order[tuple(slice(None, 1) if d == place else slice(None) for d in range(len(shape)))],
            np.broadcast_to(chosen, wide)[..., None] if wide[place] else np.zeros((*wide, 1), int),
            -1,
        )[..., 0]
        if 0 not in wide
        else np.zeros(wide, np.int64)
    )
    x, src = data.draw(arrays(shape)), data.draw(arrays(tuple(wide)))
    layout = data.draw(st.sampled_from([(), (0,), (1, 2)]))
    same(lambda lib, x, i, s: lib.gather(x, dim, i), x, index, src, strided=layout)
    same(lambda lib, x, i, s: lib.scatter(x, dim, i, s), x, index, src, strided=layout)
    same(lambda lib, x, i, s: x.scatter(dim, i, 2.5), x, index, src, strided=layout)
    same(lambda lib, x, i, s: x.scatter_add(dim, i, s), x, index, src, strided=layout)
    same(lambda lib, x, i, s: (x * 1).scatter_(dim, i, s), x, index, src, strided=layout)
    for reduce in ("add", "multiply"):
        plain = [x, index]
        same(
            lambda lib, x, i, reduce=reduce: x.detach().scatter(dim, i, 1.5, reduce=reduce),
            *plain,
            strided=layout[:1],
        )


@drawn
@given(st.data())
def test_scatter_says_what_does_not_fit(data):
    index = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=1, max_size=4)))[None]
    x = np.zeros(data.draw(st.sampled_from([(3, 3), (1, 5), (2, 2, 2), (3,)])))
    src = np.zeros(data.draw(st.sampled_from([(3, 3), (1, 2), (1, 5)])))
    for name in ("scatter", "scatter_add"):
        same(
            lambda lib, x, i, s, name=name: getattr(lib, name)(x.detach(), 1, i, s.detach()),
            x,
            index,
            src,
        )
    same(lambda lib, x, i: lib.gather(x, 1, i), x, index)
    same(lambda lib, x, i: lib.gather(x, 0, i.to(lib.float64)), x, index)


@drawn
@given(st.data())
def test_tables(data):
    rows, width = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 4))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=2).map(tuple))
    index = np.asarray(np.random.default_rng(len(shape)).integers(0, rows, shape))
    weight = data.draw(arrays((rows, width)))
    options = {
        "padding_idx": data.draw(st.none() | st.integers(-rows - 1, rows)),
        "max_norm": data.draw(st.none() | st.floats(0.1, 2)),
        "norm_type": data.draw(st.sampled_from([1.0, 2.0, 3.0, np.inf])),
        "scale_grad_by_freq": data.draw(st.booleans()),
    }
    layout = data.draw(st.sampled_from([(), (1,)]))

    def look_up(lib, i, w):
        table = w * 1
        return lib.nn.functional.embedding(i, table, **options), table

    same(look_up, index, weight, strided=layout, rtol=1e-6)
    same(lambda lib, i, w: lib.embedding(w, i, -1, True), index, weight, strided=layout)
    classes = data.draw(st.integers(-1, 6))
    same(lambda lib, i: lib.nn.functional.one_hot(i, classes), index)


@drawn
@given(st.data())
def test_padding(data):
    shape = data.draw(st.lists(st.integers(0, 4), max_size=5).map(tuple))
    count = data.draw(st.integers(0, 7))
    pad = [data.draw(st.integers(-2, 4)) for _ in range(count)]
    mode = data.draw(st.sampled_from(["constant", "reflect", "replicate", "circular", "edge"]))
    value = data.draw(st.sampled_from([None, 0, 1.5]))
    x = data.draw(arrays(shape))
    layout = data.draw(LAYOUT)
    same(lambda lib, x: lib.nn.functional.pad(x, pad, mode, value), x, strided=layout)
