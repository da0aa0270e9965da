"""Products of matrices by our own blocks: every shape, layout and dtype that they take."""

import numba
import numpy as np
import pytest
import rederive as rd
from hypothesis import given, settings
from hypothesis import strategies as st
from rederive.kernels import multiplying
from rederive.kernels.taking import take

SIZES = st.integers(multiplying.NARROW, 150)
LAYOUTS = st.sampled_from(("dense", "turned", "every second column", "repeated"))


@pytest.fixture(autouse=True)
def ours_also_where_numpy_is_as_quick(monkeypatch):
    monkeypatch.setattr(multiplying, "LEAST", 0)
    monkeypatch.setattr(multiplying, "TINY", 0)


def matrices(draw, leading, rows, columns, layout, dtype):
    if layout == "turned":
        return draw.standard_normal((*leading, columns, rows)).astype(dtype).swapaxes(-1, -2)
    if layout == "every second column":
        return draw.standard_normal((*leading, rows, 2 * columns)).astype(dtype)[..., ::2]
    if layout == "repeated":
        return np.broadcast_to(
            draw.standard_normal(columns).astype(dtype), (*leading, rows, columns)
        )
    return draw.standard_normal((*leading, rows, columns)).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(
    leading=st.sampled_from(((), (1,), (3,), (2, 3))),
    sizes=st.tuples(SIZES, st.integers(1, 1200), SIZES),
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    dtype=st.sampled_from(("float32", "float64")),
    workers=st.sampled_from((1, 2)),
)
def test_a_product_is_that_of_numpy_in_higher_precision(leading, sizes, layouts, dtype, workers):
    draw = np.random.default_rng(0)
    rows, depth, columns = sizes
    x = matrices(draw, leading, rows, depth, layouts[0], dtype)
    y = matrices(draw, leading, depth, columns, layouts[1], dtype)
    before = rd.get_num_threads()
    rd.set_num_threads(workers)
    try:
        found = (multiplying.bmm if leading else multiplying.mm)(x, y)
    finally:
        rd.set_num_threads(before)
    wide = np.float64 if dtype == "float32" else np.longdouble
    wanted = np.matmul(x.astype(wide), y.astype(wide))
    bound = np.matmul(np.abs(x).astype(wide), np.abs(y).astype(wide))
    assert found.dtype == dtype and found.flags.c_contiguous
    assert np.all(np.abs(found - wanted) <= 8 * np.sqrt(depth) * np.finfo(dtype).eps * bound)


def test_the_number_of_threads_does_not_change_a_bit():
    draw = np.random.default_rng(1)
    x, y = (draw.standard_normal(s).astype("float32") for s in ((300, 700), (700, 190)))
    before, found = rd.get_num_threads(), []
    for workers in (1, 2):
        rd.set_num_threads(workers)
        found.append(multiplying.mm(x, y))
    rd.set_num_threads(before)
    assert np.array_equal(*found)


def test_not_a_number_and_infinity_pass_through_as_in_numpy():
    x = np.ones((40, 40), "float32")
    y = x.copy()
    x[3, 5], x[7, 1], y[2, 2] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(multiplying.mm(x, y), np.dot(x, y))


def test_other_dtypes_are_left_to_numpy():
    x = np.arange(400).reshape(20, 20)
    found = multiplying.mm(x, x)
    assert found.dtype == x.dtype and np.array_equal(found, x @ x)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.tuples(SIZES, st.integers(1, 1200), SIZES),
    matrix=st.booleans(),
    dtype=st.sampled_from(("float32", "float64")),
    workers=st.sampled_from((1, 2)),
)
def test_a_row_or_a_matrix_is_added_where_sums_are_written(sizes, matrix, dtype, workers):
    draw = np.random.default_rng(2)
    rows, depth, columns = sizes
    x, y = draw.standard_normal((rows, depth)), draw.standard_normal((depth, columns))
    base = draw.standard_normal((rows, columns) if matrix else columns).astype(dtype)
    x, y = x.astype(dtype), y.astype(dtype)
    before = rd.get_num_threads()
    rd.set_num_threads(workers)
    try:
        found = multiplying.mm(x, y, base)
    finally:
        rd.set_num_threads(before)
    wanted = multiplying.mm(x, y)
    size = np.abs(wanted).max() + np.abs(base).max()
    assert np.all(np.abs(found - (wanted + base)) <= 4 * np.finfo(dtype).eps * size)


def test_items_are_given_once_to_one_of_several_threads():
    @numba.njit(parallel=True)
    def count(taken, times, items):
        for share in numba.prange(len(taken)):
            item = take(taken, share, items)
            while item < items:
                times[item] += 1
                item = take(taken, share, items)

    for shares in (1, 2, 3):
        times = np.zeros(1000, np.int64)
        count(np.zeros(shares, np.int64), times, len(times))
        assert np.all(times == 1)
