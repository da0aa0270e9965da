"""copy, deepcopy and pickle of tensors and of what belongs to them."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import rederive
from rederive import nn


def pickled(obj, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(obj, protocol))


class Named(rederive.Tensor):
    """A tensor whose instances take attributes."""


class Owned(nn.Parameter):
    """A parameter whose instances take attributes."""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", rederive.dtypes.all_dtypes, ids=str)
def test_every_dtype_shape_and_protocol(dtype, protocol):
    base = rederive.arange(24).reshape(2, 3, 4).to(dtype)
    for t in (base, base[1, 2, 3], base[:0], base.transpose(0, 2), base[:, ::2, 1:], base[1:]):
        got = pickled(t, protocol)
        assert got.dtype is dtype and got.shape == t.shape and got.stride() == t.stride()
        assert got.tolist() == t.tolist() and type(got.shape) is rederive.Size
        assert got.is_contiguous() == t.is_contiguous() and got._version == 0
        assert np.array_equal(got._dense(), t._dense()) and (got + got).tolist() == (t + t).tolist()


@pytest.mark.parametrize("through", [pickled, copy.deepcopy])
def test_views_still_share_their_memory(through):
    t = rederive.zeros(3, 4)
    t, column, row, alias, other = through([t, t[:, 1], t[2], t.detach(), t.clone()])
    column.fill_(5)
    row[0] = 7
    assert t[0].tolist() == [0, 5, 0, 0] and t[2].tolist() == [7, 5, 0, 0]
    assert alias.tolist() == t.tolist() and not other.any()
    assert t._version == column._version == alias._version == 2


@pytest.mark.parametrize("through", [pickled, copy.deepcopy])
def test_one_tensor_stays_one(through):
    t = nn.Parameter(rederive.ones(2))
    first, second = through((t, {"again": t}))
    assert first is second["again"] and first is not t


def test_memory_is_stored_once():
    t = rederive.zeros(10_000)
    assert len(pickle.dumps([t, t[:5000], t.reshape(100, 100)])) < 45_000


def test_buffers_beside_the_stream():
    t = rederive.arange(5.0)
    buffers = []
    stream = pickle.dumps(t, 5, buffer_callback=buffers.append)
    got = pickle.loads(stream, buffers=[bytes(b) for b in buffers])
    got.add_(1)
    assert got.tolist() == [1, 2, 3, 4, 5]


def test_flags_and_marks_are_kept():
    leaf = rederive.ones(2, requires_grad=True)
    frozen = nn.Parameter(rederive.ones(2), requires_grad=False)
    buffer = nn.Buffer(rederive.ones(2), persistent=False)
    for through in (pickled, copy.copy, copy.deepcopy):
        assert through(leaf).requires_grad and through(leaf).is_leaf
        assert isinstance(through(frozen), nn.Parameter) and not through(frozen).requires_grad
        assert isinstance(through(buffer), nn.Buffer) and through(buffer)._role == buffer._role


def test_attributes_of_subclasses_are_kept():
    for t in (Named([1.0, 2.0]), Owned(rederive.ones(2))):
        t.note = ["kept"]
        for through in (pickled, copy.copy):
            got = through(t)
            assert type(got) is type(t) and got.note == ["kept"] and got.tolist() == t.tolist()
        assert copy.copy(t).note is t.note


def test_deepcopy_copies_attributes_but_those_of_a_parameter():
    t, parameter = Named([1.0, 2.0]), Owned(rederive.ones(2))
    t.note = parameter.note = ["kept"]
    copied = copy.deepcopy(t)
    assert copied.note == t.note and copied.note is not t.note
    assert type(copy.deepcopy(parameter)) is Owned
    assert not hasattr(copy.deepcopy(parameter), "note")


def test_grad_goes_with_deepcopy_alone():
    t = rederive.ones(2, requires_grad=True)
    t.grad = rederive.full((2,), 3.0)
    twin = copy.deepcopy(t)
    assert twin.grad.tolist() == [3, 3] and twin.grad is not t.grad
    assert pickled(t).grad is None and copy.copy(t).grad is None


def test_copy_shares_memory_and_is_a_leaf():
    t = rederive.ones(2, requires_grad=True)
    twin = copy.copy(t * 2)
    assert twin.is_leaf and twin.requires_grad and twin.tolist() == [2, 2]
    twin = copy.copy(t)
    assert twin is not t and twin.data_ptr() == t.data_ptr()


def test_computed_tensors():
    t = rederive.ones(2, requires_grad=True)
    got = pickled(t * 2)
    assert got.is_leaf and got.requires_grad and got.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(t * 2)


def hook(grad):
    return grad


def test_hooks_stay_behind():
    leaf = rederive.ones(2, requires_grad=True)
    leaf.register_hook(hook)
    computed = leaf * 2
    computed.register_hook(hook)
    for t in (leaf, computed):
        for through in (pickled, copy.copy):
            with pytest.warns(UserWarning, match="backward hook .* will not be serialized"):
                got = through(t)
            assert pickled(got).tolist() == t.tolist()
    parameter = nn.Parameter(rederive.ones(2))
    calls = []
    parameter.register_hook(calls.append)
    leaf = rederive.ones(2, requires_grad=True)
    leaf.register_post_accumulate_grad_hook(calls.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twins = [pickled(parameter), copy.deepcopy(parameter), pickled(leaf), copy.deepcopy(leaf)]
    for twin in twins:
        twin.sum().backward()
    assert not calls


def test_inference_tensors_become_plain():
    with rederive.inference_mode():
        t = rederive.ones(2)
        pair = [t, t[:1]]
    for through in (pickled, copy.deepcopy):
        first, second = through(pair)
        assert not first.is_inference() and first._version == 0
        first.add_(1)
        assert second.tolist() == [2]


def test_generators_go_on_from_where_they_are():
    generator = rederive.Generator().manual_seed(3)
    rederive.rand(5, generator=generator)
    twins = [pickled(generator, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    twins += [copy.copy(generator), copy.deepcopy(generator)]
    wanted = rederive.rand(5, generator=generator).tolist()
    for twin in twins:
        assert twin.initial_seed() == 3
        assert rederive.rand(5, generator=twin).tolist() == wanted


@pytest.mark.parametrize(
    "thing",
    [rederive.Size([2, 3]), rederive.float32, rederive.device("cpu:0"), rederive.strided],
    ids=str,
)
def test_what_describes_tensors(thing):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        got = pickled(thing, protocol)
        assert got == thing and type(got) is type(thing)
    assert copy.copy(thing) == copy.deepcopy(thing) == thing
    assert type(copy.copy(thing)) is type(copy.deepcopy(thing)) is type(thing)
    if type(thing) not in (rederive.Size, rederive.device):
        assert pickled(thing) is copy.copy(thing) is copy.deepcopy(thing) is thing


def test_modules_go_through_pickle():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    x = rederive.ones(4, 2)
    twin = pickled(model)
    assert rederive.equal(twin(x), model(x))
    twin[0].weight.data.zero_()
    assert model[0].weight.any()
