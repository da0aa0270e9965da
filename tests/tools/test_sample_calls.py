"""Which sample calls are drawn from a declaration, and how their memory lies."""

import numpy as np
import pytest
from rederive.codegen.model import Argument
from rederive.tools import samples

SELF = Argument("self", "Tensor")
OTHER = Argument("other", "Tensor", or_scalar=True)


def labels(operator):
    return [sample.label for sample in samples.draw(operator)]


def test_unary_operator_is_sampled_contiguous_strided_scalar_and_empty(declare):
    assert labels(declare()) == ["contiguous", "strided", "0-d", "empty"]
    shapes = [sample.values["self"].shape for sample in samples.draw(declare())]
    assert shapes == [(3, 4), (3, 4), (), (0, 3)]


def test_binary_operator_is_sampled_in_broadcast_pairs(declare):
    drawn = samples.draw(declare(arguments=(SELF, Argument("other", "Tensor"))))
    pairs = {(s.values["self"].shape, s.values["other"].shape) for s in drawn}
    assert pairs >= {((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((0, 3), (3,))}


def test_tensor_or_scalar_is_sampled_as_a_number(declare):
    (sample,) = [s for s in samples.draw(declare(arguments=(SELF, OTHER))) if "number" in s.label]
    assert isinstance(sample.values["other"], float)


def test_optional_tensor_is_sampled_as_none(declare):
    weight = Argument("weight", "Tensor", optional=True, has_default=True)
    (sample,) = [
        s for s in samples.draw(declare(arguments=(SELF, weight))) if s.label == "weight is None"
    ]
    assert sample.values["weight"] is None


def test_flag_is_sampled_with_the_value_that_is_not_its_default(declare):
    flag = Argument("exact", "bool", has_default=True, default=True)
    (sample,) = [s for s in samples.draw(declare(arguments=(SELF, flag))) if "exact" in s.values]
    assert sample.values["exact"] is False


def test_plain_argument_is_drawn_where_the_entry_says_and_else_left_to_its_default(declare):
    alpha = Argument("alpha", "Scalar", has_default=True, default=1)
    assert all("alpha" not in s.values for s in samples.draw(declare(arguments=(SELF, alpha))))
    for sample in samples.draw(declare(arguments=(SELF, alpha), samples={"alpha": (3, 4)})):
        assert 3 <= sample.values["alpha"] <= 4


def test_values_lie_in_the_declared_interval(declare):
    for sample in samples.draw(declare(samples={"self": (0.5, 0.75)})):
        values = sample.values["self"]
        assert np.all((values >= 0.5) & (values <= 0.75))


def test_the_same_name_draws_the_same_values(declare):
    first, second = samples.draw(declare()), samples.draw(declare())
    np.testing.assert_array_equal(first[0].values["self"], second[0].values["self"])
    other = samples.draw(declare("other"))[0]
    assert not np.array_equal(first[0].values["self"], other.values["self"])


def test_argument_without_default_or_samples_asks_for_calls(declare):
    dims = Argument("dim", "int", many=True)
    with pytest.raises(ValueError, match="'dim' has no default and cannot be drawn"):
        samples.draw(declare(arguments=(SELF, dims)))


def test_declared_calls_are_drawn_contiguous_and_strided(declare):
    operator = declare(
        arguments=(SELF, Argument("dim", "int")), calls=({"self": [3, 4], "dim": 1},)
    )
    assert labels(operator) == ["call 1", "call 1, strided"]
    assert all(s.values["dim"] == 1 for s in samples.draw(operator))
    assert samples.draw(operator)[1].strided == {"self"}


def test_lists_of_shapes_make_lists_of_tensors(declare):
    tensors = Argument("tensors", "Tensor", many=True)
    operator = declare(arguments=(tensors,), calls=({"tensors": [[2, 3], [1, 3]]},))
    shapes = [array.shape for array in samples.draw(operator)[0].values["tensors"]]
    assert shapes == [(2, 3), (1, 3)]


def test_index_and_mask_tensors_are_described(declare):
    arguments = (SELF, Argument("index", "Tensor"), Argument("mask", "Tensor"))
    call = {
        "self": [3],
        "index": {"shape": [50], "below": 4},
        "mask": {"shape": [3], "dtype": "bool"},
    }
    operator = declare(arguments=arguments, differentiable=("self",), calls=(call,))
    values = samples.draw(operator)[0].values
    assert values["index"].dtype == np.int64 and set(values["index"]) == {0, 1, 2, 3}
    assert values["mask"].dtype == np.bool_


def test_values_written_out_keep_their_kind(declare):
    arguments = (SELF, Argument("index", "Tensor"))
    call = {"self": {"values": [0.5, 1.5]}, "index": {"values": [1, 0]}}
    values = samples.draw(declare(arguments=arguments, calls=(call,)))[0].values
    assert values["self"].dtype == np.float64
    assert values["index"].tolist() == [1, 0] and values["index"].dtype == np.int64


def test_lists_for_plain_arguments_stay_plain(declare):
    arguments = (SELF, Argument("dim", "int", many=True))
    operator = declare(arguments=arguments, calls=({"self": [3, 4], "dim": [0, 1]},))
    assert samples.draw(operator)[0].values["dim"] == (0, 1)


def test_points_of_two_arguments_are_combined(declare):
    arguments = (SELF, Argument("other", "Tensor"))
    sample = samples.draw(declare(arguments=arguments, points={"self": (0, 1), "other": (0, 2)}))[
        -1
    ]
    assert sample.kink
    assert sample.values["self"].tolist() == [0, 0, 1, 1]
    assert sample.values["other"].tolist() == [0, 2, 0, 2]


def test_points_of_plain_arguments_make_a_sample_each(declare):
    arguments = (SELF, Argument("exponent", "Scalar"))
    drawn = samples.draw(declare(arguments=arguments, points={"self": (0, 1), "exponent": (0, 2)}))
    kinks = [sample for sample in drawn if sample.kink]
    assert [sample.values["exponent"] for sample in kinks] == [0, 2]
    assert all(sample.values["self"].tolist() == [0, 1] for sample in kinks)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (1, 3), (0, 3)])
def test_strided_memory_has_the_same_values_and_gaps(shape):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    view = samples.lay_out(array, strided=True)
    np.testing.assert_array_equal(view, array)
    assert view.base is not None
    if array.size > 1:
        assert not view.flags.c_contiguous
        assert np.isnan(view.base).any()


def test_dense_memory_is_a_copy():
    array = np.ones((2, 3))
    copy = samples.lay_out(array, strided=False)
    copy[...] = 0
    assert array.all() and copy.flags.c_contiguous


def test_empty_sample_says_so(declare):
    assert [sample.empty for sample in samples.draw(declare())] == [False, False, False, True]
