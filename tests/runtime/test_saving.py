"""What `save` and `load` keep, the formats they choose, and that files change all at once."""

import io
import os
import pickle
import stat
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import rederive
from rederive import nn

FORMATS = ("safetensors", "npz")
RECORDED = Path(__file__).parent / "data" / "torch.safetensors"


def there_and_back(obj, format):
    buffer = io.BytesIO()
    rederive.save(obj, buffer, format=format)
    buffer.seek(0)
    return rederive.load(buffer)


def same(a, b):
    return a.dtype is b.dtype and a.shape == b.shape and a._nd().tobytes() == b._nd().tobytes()


@pytest.fixture(params=FORMATS)
def format(request):
    return request.param


@pytest.mark.parametrize("dtype", rederive.dtypes.all_dtypes, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(dtype, shape, format):
    count = int(np.prod(shape))
    t = rederive.from_numpy(np.arange(count).reshape(shape).astype(dtype.numpy))
    assert same(there_and_back({"t": t}, format)["t"], t)


def test_views_come_back_dense(format):
    t = rederive.arange(12.0).reshape(3, 4)
    views = {"t": t.T, "step": t[:, ::2], "row": t[1], "wide": t[:1].expand(3, 4)}
    got = there_and_back(views, format)
    for name, view in views.items():
        assert got[name].is_contiguous() and same(got[name], view)


def test_common_memory_comes_back_common(format):
    t = rederive.arange(4.0)
    got = there_and_back({"a": t, "b": t.detach(), "half": t[:2], "c": t.clone()}, format)
    got["a"].add_(1)
    assert got["b"].tolist() == [1, 2, 3, 4] and got["b"]._version == 1
    assert got["half"].tolist() == [0, 1] and got["c"].tolist() == [0, 1, 2, 3]


def test_gradients_and_parameters_are_marked(format):
    state = {
        "parameter": nn.Parameter(rederive.ones(2)),
        "frozen": nn.Parameter(rederive.ones(2), requires_grad=False),
        "leaf": rederive.ones(2, requires_grad=True),
        "computed": rederive.ones(2, requires_grad=True) * 2,
        "plain": rederive.ones(2),
    }
    got = there_and_back(state, format)
    for name, t in state.items():
        assert got[name].requires_grad == t.requires_grad and got[name].is_leaf
        assert isinstance(got[name], nn.Parameter) == isinstance(t, nn.Parameter)
        assert same(got[name], t)


def test_nested_containers_come_back(format):
    t = rederive.arange(3.0)
    state = {
        "state": {0: {"step": rederive.tensor(1.0), "exp_avg": t}, 1: {}},
        "groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1], "fused": None}],
        "best": float("inf"),
        "note": "é\n",
        "on": True,
        "shape": rederive.Size([2, 3]),
        "dtype": rederive.float64,
        "state.0": {"exp_avg": t + 1},
    }
    got = there_and_back(state, format)
    assert same(got["state"][0].pop("exp_avg"), state["state"][0].pop("exp_avg"))
    assert same(got["state"][0].pop("step"), state["state"][0].pop("step"))
    assert same(got["state.0"].pop("exp_avg"), state["state.0"].pop("exp_avg"))
    assert got == state and type(got["shape"]) is rederive.Size
    assert type(got["groups"][0]["betas"]) is tuple and type(got["on"]) is bool


def test_a_tensor_alone_and_a_list(format):
    t = rederive.arange(3)
    assert same(there_and_back(t, format), t)
    got = there_and_back([t, (t + 1, [])], format)
    assert same(got[0], t) and same(got[1][0], t + 1) and got[1][1] == []
    assert there_and_back({}, format) == {} and there_and_back(3.5, format) == 3.5


def test_what_no_file_holds_is_named(format):
    t = rederive.ones(1)
    for obj, message in (
        ({"a": {"b": {1, 2}}}, r"got set at 'a.b'"),
        ({"a": [np.ones(2)]}, r"got ndarray at 'a.0'"),
        ({(1, 2): t}, r"the key \(1, 2\) is a tuple"),
        (nn.Linear(1, 1), "got Linear"),
    ):
        with pytest.raises(TypeError, match=message):
            there_and_back(obj, format)
    for name in ("../up", "/etc/passwd", "a\\b", "C:/x", "nul\0", "a/../b"):
        with pytest.raises(ValueError, match="the name"):
            there_and_back({name: t}, format)
    assert list(there_and_back({"a/b.c": t, "": t}, format)) == ["a/b.c", ""]
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        there_and_back(loop, format)
    reserved = {"npz": "__rederive__", "safetensors": "__metadata__"}[format]
    with pytest.raises(ValueError, match=reserved):
        there_and_back({reserved: t}, format)


def test_model_state_goes_through_a_file(tmp_path, format):
    rederive.manual_seed(0)
    model, other = (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)) for _ in range(2))
    path = tmp_path / f"model.{format}"
    rederive.save(model.state_dict(), path)
    state = rederive.load(path)
    other.load_state_dict(state)
    x = rederive.randn(5, 3)
    assert rederive.equal(model(x), other(x)) and type(state) is dict


def test_the_ending_names_the_format(tmp_path):
    t = {"t": rederive.ones(2)}
    rederive.save(t, str(tmp_path / "a.npz"))
    rederive.save(t, os.fsencode(tmp_path / "a.safetensors"))
    rederive.save(t, tmp_path / "a.weights", format="safetensors")
    assert (tmp_path / "a.npz").read_bytes().startswith(b"PK")
    assert np.load(tmp_path / "a.npz")["t"].tolist() == [1, 1]
    assert (tmp_path / "a.safetensors").read_bytes()[8:9] == b"{"
    for name in os.listdir(tmp_path):
        assert rederive.load(tmp_path / name)["t"].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"ending of .*a\.pt' names no format"):
        rederive.save(t, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="format is 'hdf5'; it is one of 'safetensors'"):
        rederive.save(t, tmp_path / "a.npz", format="hdf5")
    with pytest.raises(TypeError, match="got int; a path or a binary file"):
        rederive.save(t, 3)
    with pytest.raises(TypeError, match="got int; a path or a binary file"):
        rederive.load(3)
    with pytest.raises(RuntimeError, match="cpu is the only device"):
        rederive.load(tmp_path / "a.npz", map_location="cuda")
    assert rederive.load(tmp_path / "a.npz", "cpu")["t"].tolist() == [1, 1]


def test_file_objects_are_read_where_they_stand(format):
    buffer = io.BytesIO(b"before")
    buffer.seek(6)
    rederive.save({"t": rederive.arange(3)}, buffer, format=format)
    buffer.seek(6)
    assert rederive.load(buffer)["t"].tolist() == [0, 1, 2]

    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.rest = data

        def readable(self):
            return True

        def readinto(self, into):
            got, self.rest = self.rest[: min(7, len(into))], self.rest[7:]
            into[: len(got)] = got
            return len(got)

    pipe = Pipe(buffer.getvalue()[6:])
    assert rederive.load(pipe)["t"].tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="opened as text"):
        rederive.load(io.StringIO("text"))


def test_pickle_only_where_it_is_asked_for(tmp_path):
    class_ = OrderedDict
    path = tmp_path / "a.pt"
    rederive.save(class_(t=rederive.ones(2)), path, format="pickle")
    with pytest.raises(rederive.saving.SavedFileError, match="weights_only=False"):
        rederive.load(path)
    got = rederive.load(path, weights_only=False)
    assert type(got) is class_ and got["t"].tolist() == [1, 1]
    with pytest.raises(rederive.saving.SavedFileError, match="weights_only=False"):
        rederive.load(io.BytesIO(pickle.dumps([1])), format="npz")


# --- replacing files ---------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch, format):
    path = tmp_path / f"a.{format}"
    rederive.save({"t": rederive.zeros(2)}, path)
    before = path.read_bytes()
    for broken in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(broken, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                rederive.save({"t": rederive.ones(2)}, path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]
    with pytest.raises(TypeError):
        rederive.save({"t": object()}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_replacing_keeps_permissions_and_links(tmp_path):
    path, link = tmp_path / "a.npz", tmp_path / "link.npz"
    rederive.save(rederive.ones(1), path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    link.symlink_to(path)
    rederive.save(rederive.ones(2), link)
    assert link.is_symlink() and rederive.load(path).shape == (2,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    rederive.save(rederive.ones(2), os.devnull, format="npz")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


def test_the_same_tensors_give_the_same_bytes(format):
    def written():
        buffer = io.BytesIO()
        rederive.save({"a": rederive.arange(3), "b": rederive.ones(2)}, buffer, format=format)
        return buffer.getvalue()

    assert written() == written()


# --- other programs ----------------------------------------------------------------------------


def test_what_pytorch_saved_is_read_bit_for_bit():
    got = rederive.load(RECORDED)
    bits = [0, -(2**31), 1, 0x7F800000, 0x7FC00001, 0x7F800001, 0x3F800000]
    assert got["bits"].numpy().view(np.int32).tolist() == bits
    assert same(got["weight"], rederive.from_numpy(np.arange(12, dtype="f4").reshape(3, 4) / 7))
    assert got["double"].numpy().tobytes() == np.array([1 / 3, -0.0, 5e-324]).tobytes()
    assert got["scalar"].shape == () and got["scalar"].item() == 2.5
    assert got["empty"].shape == (0, 3) and got["bool"].tolist() == [True, False, True]
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        limits = np.iinfo(name)
        assert got[name].tolist() == [limits.min, limits.max, 3]
        assert got[name].dtype is getattr(rederive, name)


def test_the_library_of_the_format_reads_and_writes_the_same(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.safetensors"
    state = rederive.load(RECORDED)
    rederive.save({**state, "leaf": rederive.ones(1, requires_grad=True)}, path)
    theirs = library.load_file(path)
    for name, t in state.items():
        assert theirs[name].tobytes() == t._nd().tobytes() and theirs[name].shape == t.shape
    library.save_file(theirs, path)
    assert all(same(t, state[name]) for name, t in rederive.load(path).items() if name != "leaf")


def test_weights_go_to_pytorch_and_back(tmp_path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    rederive.manual_seed(1)
    ours = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3))
    rederive.save(ours.state_dict(), path)
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Linear(7, 3))
    theirs.load_state_dict(library.load_file(path))
    library.save_file(theirs.state_dict(), path)
    back = rederive.load(path)
    for name, t in ours.state_dict().items():
        assert same(back[name], t)
        assert theirs.state_dict()[name].numpy().tobytes() == t.numpy().tobytes()
    assert same(rederive.load(RECORDED)["bits"], rederive.load(RECORDED)["bits"])
    assert library.load_file(RECORDED)["scalar"].item() == 2.5


def test_arrays_that_numpy_saved_are_read(tmp_path):
    arrays = {
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "zeros": np.zeros(1000),
    }
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **arrays)
        got = rederive.load(tmp_path / "a.npz")
        for name, array in arrays.items():
            assert np.array_equal(got[name].numpy(), array) and got[name].is_contiguous()
        assert got["big"].dtype is rederive.int32
