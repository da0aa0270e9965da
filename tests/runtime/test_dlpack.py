"""Memory shared with other libraries through DLPack."""

import gc

import numpy as np
import pytest
import rederive
from rederive.utils import dlpack

_TENSOR = np.arange(6.0).reshape(2, 3)


class Old:
    """An exporter from before version 1.0 of DLPack: its capsules cannot say 'read-only'."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("wrap", [lambda a: a, Old, lambda a: a.__dlpack__()])
@pytest.mark.parametrize(
    "part", [np.s_[:], np.s_[:, 1:], np.s_[::2], np.s_[1, ::2], np.s_[1, 1, ...]]
)
def test_arrays_share_their_memory(wrap, part):
    array = _TENSOR.copy()
    view = array[part]
    t = rederive.from_dlpack(wrap(view))
    assert t.data_ptr() == view.ctypes.data and t.shape == view.shape
    array[:] = 7
    assert (t == 7).all()
    t.zero_()
    assert not view.any()


def test_tensors_share_their_memory():
    t = rederive.arange(12.0).reshape(3, 4)
    for view in (t, t.T, t[1:, ::2], t[:1].expand(3, 4), t[0, 0]):
        array = np.from_dlpack(view)
        assert array.ctypes.data == view.data_ptr() and array.tolist() == view.tolist()
    np.from_dlpack(t)[0, 0] = 9
    assert t[0, 0] == 9
    assert rederive.from_dlpack(t).data_ptr() == t.data_ptr()


@pytest.mark.parametrize("dtype", rederive.dtypes.all_dtypes, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 2)])
def test_dtypes_and_shapes(dtype, shape):
    t = rederive.ones(shape, dtype=dtype)
    for source in (t, t.numpy(), dlpack.to_dlpack(t), Old(t.numpy())):
        got = rederive.from_dlpack(source)
        assert got.dtype is dtype and got.shape == shape and got.tolist() == t.tolist()


def test_memory_outlives_its_exporter():
    t = rederive.arange(1000.0)
    capsules = [dlpack.to_dlpack(t), t.__dlpack__(max_version=(1, 0))]
    arrays = [np.from_dlpack(t)]
    del t
    gc.collect()
    arrays += [dlpack.from_dlpack(capsule) for capsule in capsules]
    del capsules
    gc.collect()
    assert all(float(array[999]) == 999 for array in arrays)
    tensor = rederive.from_dlpack(np.arange(1000.0))
    old = rederive.from_dlpack(Old(np.arange(1000.0)))
    gc.collect()
    assert tensor[999] == old[999] == 999


def test_a_capsule_that_nobody_takes_frees_its_memory():
    t = rederive.ones(3)
    t._data.flags.writeable = True
    for _ in range(3):
        dlpack.to_dlpack(t)
    before = len(gc.get_referrers(t._data))
    for _ in range(10):
        dlpack.to_dlpack(t)
    assert len(gc.get_referrers(t._data)) == before


def test_a_capsule_is_taken_once():
    capsule = dlpack.to_dlpack(rederive.ones(2))
    dlpack.from_dlpack(capsule)
    for source in (capsule, 3, [1]):
        with pytest.raises(RuntimeError, match="received an invalid capsule"):
            rederive.from_dlpack(source)


def test_memory_that_kernels_cannot_use_is_copied():
    fixed = _TENSOR.copy()
    fixed.flags.writeable = False
    for array in (fixed, _TENSOR.copy()[::-1]):
        t = rederive.from_dlpack(array)
        t.add_(1)
        assert t.tolist() == (array + 1).tolist()
        with pytest.raises(BufferError, match="must be copied; leave `copy` away"):
            rederive.from_dlpack(array, copy=False)
    array = _TENSOR.copy()
    assert rederive.from_dlpack(array, copy=False).data_ptr() == array.ctypes.data
    assert rederive.from_dlpack(array, copy=True).data_ptr() != array.ctypes.data


def test_export_arguments():
    t = rederive.ones(2)
    assert t.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in repr(t.__dlpack__(max_version=(1, 0), dl_device=(1, 0)))
    assert "dltensor_versioned" not in repr(t.__dlpack__(stream=None, copy=False))
    copied = rederive.from_dlpack(t.__dlpack__(copy=True))
    assert copied.data_ptr() != t.data_ptr() and copied.tolist() == [1, 1]
    with pytest.raises(TypeError, match="stream must be ``int`` or ``none``"):
        t.__dlpack__(stream="1")
    with pytest.raises(AssertionError, match="stream should be None on cpu"):
        t.__dlpack__(stream=1)
    with pytest.raises(BufferError, match=r"dl_device is \(2, 0\)"):
        t.__dlpack__(dl_device=(2, 0))
    with pytest.raises(RuntimeError, match="cpu is the only device"):
        rederive.from_dlpack(t, device="cuda")
    with pytest.raises(TypeError, match="got list; a Tensor is required"):
        dlpack.to_dlpack([1])


def test_gradients_do_not_leave():
    t = rederive.ones(2, requires_grad=True)
    for export in (np.from_dlpack, rederive.from_dlpack, dlpack.to_dlpack):
        with pytest.raises(BufferError, match="Can't export tensors that require gradient"):
            export(t)
    assert np.from_dlpack(t.detach()).tolist() == [1, 1]


def test_other_devices_and_dtypes_are_refused():
    class Elsewhere(Old):
        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(BufferError, match="on a device of DLPack's type 2"):
        rederive.from_dlpack(Elsewhere(_TENSOR))
    with pytest.raises(TypeError, match=r"numpy\.complex128"):
        rederive.from_dlpack(_TENSOR.astype(complex))


def test_pytorch_and_back():
    torch = pytest.importorskip("torch")
    ours = rederive.arange(6.0).reshape(2, 3)
    for export in (ours, dlpack.to_dlpack(ours)):
        theirs = torch.from_dlpack(export)
        assert theirs.data_ptr() == ours.data_ptr()
    theirs[0, 0] = 5
    assert ours[0, 0] == 5
    for export in (theirs.T, torch.utils.dlpack.to_dlpack(theirs.T)):
        back = rederive.from_dlpack(export)
        assert back.data_ptr() == ours.data_ptr() and back.stride() == (1, 3)
    del theirs, ours
    gc.collect()
    assert back[0, 0] == 5


def test_jax_and_back():
    jax = pytest.importorskip("jax")
    theirs = jax.numpy.arange(3.0)
    ours = rederive.from_dlpack(theirs)
    assert ours.tolist() == [0, 1, 2]
    assert jax.dlpack.from_dlpack(ours).tolist() == [0, 1, 2]
