"""Kernels that are called by address from one parallel loop."""

import numpy as np
import pytest
from numba import njit
from processes import python
from rederive.kernels.sharing import share


@njit
def scaled(x, out, numbers, nothing, low, high):
    for i in range(low, high):
        out[i] = x[i] * numbers[0] + numbers[1]


@njit
def failing(x, low, high):
    if high == x.shape[0]:
        raise MemoryError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [1, 3])
def test_every_item_is_done_once_whatever_the_types(dtype, step):
    x = np.arange(300, dtype=dtype)[::step]
    out = np.zeros_like(x)
    share(scaled, (x, out, (2, 0.5), None), len(x), 7)
    np.testing.assert_array_equal(out, 2 * x + 0.5)


def test_more_shares_than_items():
    out = np.zeros(3)
    share(scaled, (np.ones(3), out, (1, 1.0), None), 3, 8)
    assert out.tolist() == [2, 2, 2]


def test_a_share_that_fails_is_an_error():
    with pytest.raises(MemoryError, match="failing: no memory is left for what it needs"):
        share(failing, (np.zeros(4),), 4, 4)


def test_kernels_from_the_cache_are_called_where_they_are_now(tmp_path):
    program = """
        import numpy as np
        import rederive
        from rederive.kernels.pooling import _spread
        from rederive.kernels.sharing import share

        place, out = np.arange(12).reshape(2, 6) % 4, np.zeros((2, 4))
        share(_spread, (np.ones((2, 6)), place, out), 2, 2)
        print(*out.ravel().astype(int), sum(_spread.stats.cache_hits.values()))
    """
    first = python(program, NUMBA_CACHE_DIR=str(tmp_path))
    assert first == ["2", "2", "1", "1", "1", "1", "2", "2", "0"]
    assert python(program, NUMBA_CACHE_DIR=str(tmp_path)) == [*first[:-1], "1"]
