"""Files that are cut off, changed or made to do harm: a clear error, or what was saved."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import rederive
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rederive import nn
from rederive.saving import SavedFileError

FORMATS = ("safetensors", "npz")


def file_of(obj, format):
    buffer = io.BytesIO()
    rederive.save(obj, buffer, format=format)
    return buffer.getvalue()


STATE = {
    "layer.weight": nn.Parameter(rederive.arange(6.0).reshape(2, 3)),
    "layer.steps": rederive.arange(5),
    "mask": rederive.tensor([True, False]),
    "empty": rederive.zeros(0, 2),
}
NESTED = {"state": {0: {"a": rederive.arange(3.0)}}, "lr": 0.25, "names": ["x", "y"]}
FILES = {
    (format, kind): file_of(obj, format)
    for format in FORMATS
    for kind, obj in (("flat", STATE), ("nested", NESTED))
}


def plain(obj):
    """`obj` with its tensors as something that == compares."""
    if isinstance(obj, rederive.Tensor):
        marks = obj.requires_grad, isinstance(obj, nn.Parameter)
        return str(obj.dtype), tuple(obj.shape), obj._nd().tobytes(), marks
    if isinstance(obj, dict):
        return {key: plain(value) for key, value in obj.items()}
    return [plain(value) for value in obj] if isinstance(obj, list) else obj


def equal_or_refused(data, key):
    wanted = STATE if key[1] == "flat" else NESTED
    for format in (None, key[0]):
        try:
            got = rederive.load(io.BytesIO(data), format=format)
        except SavedFileError as error:
            assert str(error).startswith("load: ")
        else:
            assert plain(got) == plain(wanted)


keys = st.sampled_from(sorted(FILES))


@given(keys, st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_that_is_cut_off_is_refused(key, data):
    length = data.draw(st.integers(0, len(FILES[key]) - 1))
    with pytest.raises(SavedFileError):
        rederive.load(io.BytesIO(FILES[key][:length]))


@given(keys, st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_that_is_too_long_is_refused(key, data):
    more = data.draw(st.binary(min_size=1, max_size=40))
    equal_or_refused(FILES[key] + more, key)


@given(keys, st.integers(0, 4000), st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_changed_byte_is_noticed_or_does_not_matter(key, place, change):
    data = bytearray(FILES[key])
    data[place % len(data)] ^= change
    equal_or_refused(bytes(data), key)


@given(keys, st.integers(0, 4000), st.integers(1, 600))
@settings(max_examples=100, deadline=None)
def test_lost_blocks_are_noticed_or_do_not_matter(key, place, count):
    data = bytearray(FILES[key])
    place %= len(data)
    count = min(count, len(data) - place)
    data[place : place + count] = bytes(count)
    equal_or_refused(bytes(data), key)


@pytest.mark.parametrize("key", sorted(FILES), ids="-".join)
def test_every_single_byte_may_change(key):
    for place in range(len(FILES[key])):
        for change in (0x01, 0x80, 0xFF):
            data = bytearray(FILES[key])
            data[place] ^= change
            equal_or_refused(bytes(data), key)


@given(st.binary(max_size=200), st.sampled_from(FORMATS))
@example(b"", "npz")
@example(b"PK\5\6" + bytes(18), "npz")
@settings(max_examples=60, deadline=None)
def test_noise_is_refused(data, format):
    try:
        got = rederive.load(io.BytesIO(data), format=format)
    except SavedFileError:
        return
    assert got == {}


# --- safetensors -------------------------------------------------------------------------------


def tensors_file(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


ENTRY = json.dumps(entry()).encode()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (tensors_file({}, length=2**40), "begins with a header length of 1099511627776 bytes"),
        (tensors_file({"a": entry(shape=[2**40], offsets=[0, 2**42])}), "header speaks of"),
        (tensors_file({"a": entry(shape=[2**40])}, bytes(8)), "takes 4398046511104 bytes"),
        (tensors_file({"a": entry(shape=[2**62, 0, 4], offsets=[0, 0])}), "no tensor has it"),
        (tensors_file({"a": entry(shape=[10**400, 0], offsets=[0, 0])}), "no tensor has it"),
        (tensors_file({"a": entry(shape=[-1, -2])}, bytes(8)), "no tensor has it"),
        (tensors_file({"a": entry(shape=[2.0])}, bytes(8)), "no tensor has it"),
        (tensors_file({"a": entry(shape=[True, 2])}, bytes(8)), "no tensor has it"),
        (tensors_file({"a": entry(shape=[1] * 65)}, bytes(4)), "no tensor has it"),
        (tensors_file({"a": entry("BF16", offsets=[0, 4])}, bytes(4)), "has the dtype 'BF16'"),
        (tensors_file({"a": entry(["F32"])}, bytes(8)), r"has the dtype \['F32'\]"),
        (tensors_file({"a": entry("I64")}, bytes(8)), "takes 16 bytes, and its place"),
        (tensors_file({"a": entry("BOOL", [8])}, b"\2" * 8), "other bytes than 0 and 1"),
        (tensors_file({"a": entry(offsets=[-8, 0])}), "do not follow"),
        (tensors_file({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)), "do not follow"),
        (tensors_file({"a": entry(), "b": entry()}, bytes(8)), "do not follow"),
        (tensors_file({"a": entry(offsets=[8, 16])}, bytes(16)), "do not follow"),
        (tensors_file({"a": entry()}, bytes(9)), "something was added"),
        (tensors_file({"a": entry(extra=1)}, bytes(8)), "is not dtype, shape and data_offsets"),
        (tensors_file({"a": {"dtype": "F32"}}), "is not dtype, shape and data_offsets"),
        (tensors_file({"a": [1]}), "is not dtype, shape and data_offsets"),
        (tensors_file([1]), "no JSON object"),
        (tensors_file(b"{" + b'"a":{' * 50_000), "no JSON"),
        (tensors_file(b'{"a":' + ENTRY + b',"a":' + ENTRY + b"}", bytes(8)), "'a' .* twice"),
        (tensors_file({"../../a": entry()}, bytes(8)), "looks like a path"),
        (tensors_file({"/etc/a": entry()}, bytes(8)), "looks like a path"),
        (tensors_file(b'{"\\ud800":' + ENTRY + b"}", bytes(8)), "that are no text"),
        (tensors_file({"__metadata__": {"a": 1}}), "no table of texts"),
        (tensors_file({"__metadata__": [1]}), "no table of texts"),
        (tensors_file({"__metadata__": {"rederive": "{"}}), "about its contents is damaged"),
        (tensors_file({"__metadata__": {"rederive.crc32": "0"}}), "checksum does not agree"),
        (pickle.dumps({"a": 1}), "opening a pickle runs the code in it"),
        (b"", "is empty"),
        (b"abc", "has 3 bytes"),
    ],
)
def test_hostile_safetensors(file, message):
    with pytest.raises(SavedFileError, match=message):
        rederive.load(io.BytesIO(file))


@pytest.mark.parametrize(
    "notes",
    [
        [1],
        {"other": 1},
        {"tree": {"tensor": "b"}},
        {"tree": {"list": 3}},
        {"tree": {"dict": [["a"]]}},
        {"tree": {"dict": [["a", 1], ["a", 2]]}},
        {"tree": {"dict": [[None, 1]]}},
        {"tree": {"set": [1]}},
        {"tree": {"size": ["a"]}},
        {"tree": {"dtype": "float128"}},
        {"tree": {"list": [], "tuple": []}},
        {"marks": {"a": {"role": "__class__"}}},
        {"marks": {"b": {"grad": True}}},
        {"marks": {"i": {"grad": True}}},
        {"marks": {"a": {"grad": True, "hook": "x"}}},
        {"same": {"a": "i"}},
        {"same": {"a": "c"}},
        {"same": ["a"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("format", FORMATS)
def test_hostile_notes(notes, format):
    if format == "npz":
        buffer = io.BytesIO()
        text = np.frombuffer(json.dumps(notes).encode(), np.uint8)
        arrays = {"a": np.ones(2, "f4"), "c": np.zeros(2, "f4"), "i": np.ones(2, "i4")}
        np.savez(buffer, **arrays, __rederive__=text)
        file = buffer.getvalue()
    else:
        data = np.ones(2, "f4").tobytes() + bytes(8) + np.ones(2, "i4").tobytes()
        header = {"__metadata__": {"rederive": json.dumps(notes)}, "a": entry()}
        header |= {"c": entry(offsets=(8, 16)), "i": entry("I32", offsets=(16, 24))}
        file = tensors_file(header, data)
    with pytest.raises(SavedFileError, match="about its contents is damaged"):
        rederive.load(io.BytesIO(file))


def test_deep_notes_are_refused():
    tree = '{"list":[' * 70 + "1" + "]}" * 70
    file = tensors_file({"__metadata__": {"rederive": f'{{"tree":{tree}}}'}})
    with pytest.raises(SavedFileError, match="about its contents is damaged"):
        rederive.load(io.BytesIO(file))


# --- npz ---------------------------------------------------------------------------------------


def member(header, data=b"", version=1):
    text = header if isinstance(header, bytes) else repr(header).encode()
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H", len(text)) + text + data


def archive(members, compression=zipfile.ZIP_STORED, comment=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in members:
            file.writestr(name, data)
        file.comment = comment
    return buffer.getvalue()


def described(descr="<f4", shape=(2,), columns=False):
    return {"descr": descr, "fortran_order": columns, "shape": shape}


GOOD = member(described(), bytes(8))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.npy", member(described("|O"), bytes(8)))], "Python objects, as pickles"),
        ([("a.npy", member(described("<U2"), bytes(16)))], "has the dtype '<U2'"),
        ([("a.npy", member(described("<f2"), bytes(4)))], "has the dtype '<f2'"),
        ([("a.npy", member(described([("x", "<f4")]), bytes(8)))], "has the dtype"),
        ([("a.npy", member(described(shape=(2**40,)), bytes(8)))], "takes 4398046511"),
        ([("a.npy", member(described(shape=(-2,)), bytes(8)))], "no tensor has it"),
        ([("a.npy", member(described(shape=(2**63, 0))))], "no tensor has it"),
        ([("a.npy", member(described(shape="2"), bytes(8)))], "no tensor has it"),
        ([("a.npy", member(described(), bytes(4)))], "takes .* bytes, and"),
        ([("a.npy", member(described(), bytes(9)))], "takes .* bytes, and"),
        ([("a.npy", member(described("|b1", (8,)), b"\2" * 8))], "other bytes than 0 and 1"),
        ([("a.npy", member({"descr": "<f4"}, bytes(8)))], "header of 'a' is damaged"),
        ([("a.npy", member(described() | {"x": 1}, bytes(8)))], "header of 'a' is damaged"),
        ([("a.npy", member(b"(" * 9000))], "header of 'a' is damaged"),
        ([("a.npy", member(b"__import__('os').abort()"))], "header of 'a' is damaged"),
        ([("a.npy", member(b" " * 20_000))], "has 20000 bytes"),
        ([("a.npy", member(described(), bytes(8), version=9))], "in version 9"),
        ([("a.npy", b"\x80\x04K\x01.")], "is no .npy array"),
        ([("a.npy", b"")], "is no .npy array"),
        ([("run.py", b"pass")], "'run.py' in the archive is no .npy array"),
        ([("a/data.pkl", b"\x80\x02.")], "the file is PyTorch's, with a pickle inside"),
        ([("../a.npy", GOOD)], "looks like a path"),
        ([("/a.npy", GOOD)], "looks like a path"),
        ([("__rederive__.npy", member(described("|u1", (1,)), b"\xff"))], "is damaged"),
    ],
)
def test_hostile_npz(members, message):
    with pytest.raises(SavedFileError, match=message):
        rederive.load(io.BytesIO(archive(members)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(SavedFileError, match=r"'a\.npy' stands in the archive twice"):
        rederive.load(io.BytesIO(archive([("a.npy", GOOD), ("a.npy", GOOD)])))


def test_what_unpacks_to_very_much_needs_consent():
    small = archive([("a.npy", GOOD)], zipfile.ZIP_DEFLATED)
    with pytest.raises(SavedFileError, match=r"unpacks to 73; .* max_bytes=73"):
        rederive.load(io.BytesIO(small), max_bytes=72)
    bomb = bytearray(small)
    struct.pack_into("<L", bomb, small.index(b"PK\1\2") + 24, 1 << 30)
    with pytest.raises(SavedFileError, match=r"unpacks to 1073741824; .* max_bytes=1073741824"):
        rederive.load(io.BytesIO(bytes(bomb)))
    with pytest.raises(SavedFileError, match="and 1073741824 are declared"):
        rederive.load(io.BytesIO(bytes(bomb)), max_bytes=1 << 31)
    assert rederive.load(io.BytesIO(small))["a"].tolist() == [0, 0]


def test_members_over_each_other_are_refused():
    good = archive([("a.npy", member(described("|u1", (9000,)), bytes(9000)))])
    start = good.index(b"PK\1\2")
    entry_, end = good[start:-22], bytearray(good[-22:])
    second = bytearray(entry_)
    second[46:51] = b"b.npy"
    struct.pack_into("<HHL", end, 8, 2, 2, 2 * len(entry_))
    with pytest.raises(SavedFileError, match="members of the archive are larger than the file"):
        rederive.load(io.BytesIO(good[:start] + entry_ + bytes(second) + bytes(end)))


def test_other_archives_are_refused():
    for file in (
        archive([("a.npy", GOOD)], comment=b"hello"),
        archive([("a.npy", GOOD)], zipfile.ZIP_BZIP2),
    ):
        with pytest.raises(SavedFileError):
            rederive.load(io.BytesIO(file))


# --- the model -----------------------------------------------------------------------------------


def test_a_bad_file_leaves_the_model_as_it_was(tmp_path):
    model = nn.Linear(2, 2)
    before = plain(model.state_dict())
    for key, data in FILES.items():
        path = tmp_path / f"a.{key[0]}"
        path.write_bytes(data[:-3])
        with pytest.raises(SavedFileError):
            model.load_state_dict(rederive.load(path))
    assert plain(model.state_dict()) == before
