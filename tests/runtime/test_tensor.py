"""The Tensor object: memory, properties, graph flags and conversions."""

import copy
import pickle

import numpy as np
import pytest
import rederive
from rederive import views
from rederive.geometry import Size
from rederive.tensor import Tensor, from_array, view_of


def transposed(t):
    return view_of(t, *views.transpose(t.shape, t._strides, t._offset, 0, 1))


def computed(t):
    """`t` as if an operator had computed it."""
    t._requires_grad, t._grad_fn = True, object()
    return t


def test_geometry_properties():
    t = rederive.zeros(2, 3)
    assert t.shape == t.size() == (2, 3) and type(t.shape) is Size
    assert t.size(-1) == 3 and t.stride() == (3, 1) and t.stride(0) == 3
    assert t.dim() == t.ndim == 2 and t.numel() == 6 and len(t) == 2
    assert t.is_contiguous() and t.storage_offset() == 0 and t.element_size() == 4
    assert str(t.device) == "cpu" and t.device.type == "cpu" and t.nbytes == 24
    assert t.layout is rederive.strided and t.is_floating_point() and not t.is_complex()
    with pytest.raises(IndexError, match="Dimension specified as 0 but tensor has no dimensions"):
        rederive.tensor(1.0).size(0)
    with pytest.raises(TypeError, match="0-d tensor"):
        len(rederive.tensor(1.0))
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(rederive.tensor(1.0))


def test_views_share_memory_and_version():
    t = rederive.tensor([[1, 2, 3], [4, 5, 6]])
    v = transposed(t)
    assert v.tolist() == [[1, 4], [2, 5], [3, 6]] and not v.is_contiguous() and v._flat is None
    assert v._base is t and v._is_view() and transposed(v)._base is t and t._base is None
    assert transposed(v)._flat is t._data
    t._data[1] = 9
    t._counter[0] += 1
    assert v[1, 0].item() == 9 and v._version == 1
    assert v._dense().tolist() == [1, 4, 9, 5, 3, 6] and v.data_ptr() == t.data_ptr()


def test_part_of_the_storage_is_flat():
    t = rederive.arange(6)
    v = view_of(t, Size((2,)), (1,), 3)
    assert v._flat.tolist() == [3, 4] and v.data_ptr() == t.data_ptr() + 24


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[:, ::2],
        lambda a: a[1:, 1:],
        lambda a: np.broadcast_to(a[:1], (3, 4)),
        lambda a: a[::-1],
        lambda a: a[:0],
        lambda a: a.astype(">f8").astype("f8"),
    ],
)
def test_from_array_shows_the_same_elements(make):
    array = make(np.arange(12.0).reshape(3, 4))
    t = from_array(array)
    assert np.array_equal(t._nd(), array) and np.array_equal(t._dense(), array.ravel())
    assert t._data.ndim == 1 and t._data.flags.writeable and t._data.flags.c_contiguous


def test_from_array_shares_memory_where_it_can():
    array = np.arange(12.0).reshape(3, 4)
    t = from_array(array[1:, ::2])
    array[:] = 7
    assert t.tolist() == [[7, 7], [7, 7]] and t.stride() == (4, 2)
    assert not np.shares_memory(from_array(array[::-1])._data, array)


def test_numpy_shares_memory():
    t = rederive.zeros(2, 3)
    t.numpy()[0, 1] = 5
    assert t.tolist() == [[0, 5, 0], [0, 0, 0]]
    assert np.shares_memory(np.asarray(t), t._data) and np.asarray(t, dtype="f8").dtype == "f8"
    assert not np.shares_memory(np.array(t), t._data)
    assert np.from_dlpack(t)[0, 1] == 5
    t.requires_grad_()
    message = r"Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\).numpy"
    for ask in (t.numpy, lambda: np.asarray(t)):
        with pytest.raises(RuntimeError, match=message):
            ask()
    assert t.numpy(force=True)[0, 1] == 5


def test_requires_grad():
    t = rederive.zeros(2)
    assert t.requires_grad_() is t and t.requires_grad and t.is_leaf
    t.requires_grad = False
    assert not t.requires_grad
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require grad"):
        rederive.tensor([1]).requires_grad_()
    computed(t)
    assert not t.is_leaf and t.requires_grad_() is t
    message = "you can only change requires_grad flags of leaf variables."
    with pytest.raises(RuntimeError, match=message):
        t.requires_grad = False


def test_grad_is_checked():
    t = rederive.zeros(3, requires_grad=True)
    assert t.grad is None
    t.grad = rederive.ones(3)
    assert t.grad.tolist() == [1, 1, 1]
    t.grad = None
    assert t.grad is None
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None but got"):
        t.grad = 3
    with pytest.raises(RuntimeError, match=r"gradient of size '\[2\]' to a tensor of size '\[3\]'"):
        t.grad = rederive.zeros(2)
    with pytest.raises(RuntimeError, match=r"gradient with dtype 'rederive\.float64'"):
        t.grad = rederive.zeros(3, dtype=rederive.float64)
    with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
        t.grad = t


def test_grad_of_a_computed_tensor_warns():
    t = computed(rederive.zeros(2))
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert t.grad is None


def test_detach_and_data():
    t = rederive.zeros(3, requires_grad=True)
    d, data = t.detach(), t.data
    assert d._data is t._data and not d.requires_grad and d._counter is t._counter
    assert data._data is t._data and data._counter is not t._counter
    t.data = rederive.ones(2)
    assert t.tolist() == [1, 1] and t.requires_grad
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        transposed(rederive.zeros(2, 2)).detach_()
    assert computed(rederive.zeros(2)).detach_().is_leaf


def test_retain_grad_needs_requires_grad():
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad"):
        rederive.zeros(2).retain_grad()
    rederive.zeros(2, requires_grad=True).retain_grad()


def test_scalars():
    t = rederive.tensor([2.5])
    assert t.item() == 2.5 and float(t) == 2.5 and int(t) == 2 and bool(t) and complex(t) == 2.5
    assert f"{rederive.tensor(1.5):.3f}" == "1.500"
    assert rederive.tensor([True]).item() is True
    assert [10, 20][rederive.tensor(1)] == 20
    assert transposed(rederive.tensor([[3]])).item() == 3
    with pytest.raises(TypeError, match="only integer tensors of a single element"):
        [10, 20][rederive.tensor(1.0)]
    for ask, error, message in [
        (lambda t: t.item(), RuntimeError, "a Tensor with 3 elements cannot be converted to Scal"),
        (float, ValueError, "only one element tensors can be converted to Python scalars"),
        (int, ValueError, "only one element tensors can be converted to Python scalars"),
        (bool, RuntimeError, "Boolean value of Tensor with more than one value is ambiguous"),
    ]:
        with pytest.raises(error, match=message):
            ask(rederive.zeros(3))
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with no values is ambiguous"):
        bool(rederive.zeros(0))
    with pytest.raises(TypeError, match="unsupported format string"):
        format(rederive.zeros(2), ".3f")


def test_deepcopy_keeps_sharing_and_grad():
    t = rederive.zeros(2, 3, requires_grad=True)
    t.grad = rederive.ones(2, 3)
    v = transposed(t)
    t2, v2 = copy.deepcopy([t, v])
    assert t2.requires_grad and t2.grad.tolist() == t.grad.tolist() and t2.grad is not t.grad
    assert v2._data is t2._data is not t._data and v2.stride() == (1, 3)
    assert v2._counter is t2._counter is not t._counter
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(computed(t))


def test_pickle():
    t = transposed(rederive.tensor([[1.0, 2.0], [3.0, 4.0]])).requires_grad_()
    u = pickle.loads(pickle.dumps(t))
    assert u.tolist() == t.tolist() and u.requires_grad and u.dtype is t.dtype


def test_hash_is_identity():
    t = rederive.zeros(2)
    assert {t: 1}[t] == 1 and hash(t) != hash(rederive.zeros(2))


def test_legacy_constructor():
    assert Tensor(2, 3).shape == (2, 3) and Tensor().shape == (0,)
    assert Tensor([2, 3]).tolist() == [2.0, 3.0] and Tensor([2]).dtype is rederive.float32
    assert Tensor(Size([2, 3])).shape == (2, 3)
    with pytest.raises(TypeError, match=r"new\(\): data must be a sequence \(got float\)"):
        Tensor(2.5)
    with pytest.raises(RuntimeError, match="negative dimension -1"):
        Tensor(-1)


def test_attributes_of_the_users_own():
    t = rederive.zeros(1)
    t.colour = "red"
    assert t.colour == "red" and not hasattr(t + 1, "colour") and not hasattr(t.detach(), "colour")
    assert copy.deepcopy(t).colour == copy.copy(t).colour == "red"
    assert pickle.loads(pickle.dumps(t)).colour == "red"


def test_device():
    assert rederive.device("cpu:0") == rederive.device("cpu", 0) != rederive.device("cpu")
    assert repr(rederive.device("cpu")) == "device(type='cpu')"
    for name in ("cuda", "cuda:0", "meta", 0):
        with pytest.raises(RuntimeError, match="cpu is the only device here"):
            rederive.zeros(2, device=name)
    assert rederive.zeros(2, device="cpu").device == rederive.device("cpu")
