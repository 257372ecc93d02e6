"""Safetensors files: ours are what the library reads; anybody's are read as float32, or refused for what cannot be."""

import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from treadle.base.errors import DataError
from treadle.models.exchange.safetensors_file import SafetensorsFile, Shards, write_safetensors
from treadle.models.streamed_arrays import StreamedArrays, shapes_of

MANY = {f"layer.{n}": (256, 1024) for n in range(12)}  # a megabyte each


def file(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def test_files_of_the_library_are_read(tmp_path):
    one = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_file({"a": one, "b": one.astype(np.float16), "steps": np.array([3])}, tmp_path / "m.safetensors")
    found = SafetensorsFile(tmp_path / "m.safetensors")
    assert found.shapes() == {"a": (2, 3), "b": (2, 3), "steps": (1,)}
    assert np.array_equal(found["a"], one)
    assert np.array_equal(found["b"], one)
    with pytest.raises(DataError, match="as I64"):
        found["steps"]


def test_what_is_written_is_read_back_by_us_and_by_the_library(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.float32(7).reshape(()),
        "none": np.zeros((0, 4), np.float32),
    }
    write_safetensors(tmp_path / "file", arrays)
    found, theirs = SafetensorsFile(tmp_path / "file"), load_file(tmp_path / "file")
    (tmp_path / "file").unlink()  # as when old checkpoints are cleared away
    assert found.shapes() == {"a": (2, 3), "scalar": (), "none": (0, 4)}
    assert sorted(theirs) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(theirs[name], array)
        found[name][...] = 5  # a copy of its own
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(KeyError):
        found["b"]


def test_neither_writing_nor_reading_holds_more_than_a_few_arrays(tmp_path):
    tracemalloc.start()
    try:
        made = StreamedArrays(MANY, lambda name: np.full(MANY[name], float(name.rpartition(".")[2]), np.float32))
        write_safetensors(tmp_path / "file", made)
        found = SafetensorsFile(tmp_path / "file")
        assert shapes_of(found) == MANY
        assert sum(float(found[name].mean()) for name in found) == sum(range(12))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20  # of 12 MB


def test_arrays_of_another_kind_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="b is float64, not float32"):
        write_safetensors(tmp_path / "file", {"a": np.ones(2, np.float32), "b": np.ones(2)})


def test_bf16_is_read_without_a_library_that_knows_it(tmp_path):
    header = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    found = SafetensorsFile(file(tmp_path / "m.safetensors", header, b"\x80\x3f\x00\xc0"))
    assert found["w"].tolist() == [1.0, -2.0]


def test_a_part_of_a_larger_file_is_read_in_place(tmp_path):
    whole = file(tmp_path / "m", {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0\0\x80\x3f")
    (tmp_path / "larger").write_bytes(b"before" + whole.read_bytes() + b"after")
    assert SafetensorsFile(tmp_path / "larger", 6, whole.stat().st_size)["w"].tolist() == [1.0]


W = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "data", "length", "reason"),
    [
        (b"{}", b"", 1 << 62, "its header would have"),
        (b"", b"", None, "no JSON"),
        (b"[" * 100_000, b"", None, "no JSON"),
        (b"[1]", b"", None, "names no arrays"),
        (b'{"w":1,"w":2}', b"", None, "twice"),
        ({"w": W}, b"\0" * 3, None, "it is cut"),
        ({"w": W}, b"\0" * 9, None, "it is cut"),
        ({"w": {**W, "shape": [1 << 62]}}, b"\0" * 4, None, "damaged"),
        ({"w": {**W, "shape": [-1, -1]}}, b"\0" * 4, None, "damaged"),
        ({"w": {**W, "dtype": "F8_E4M3"}}, b"\0" * 4, None, "not understood"),
        ({"w": W, "v": W}, b"\0" * 4, None, "begins at 0, not at 4"),
        ({"w": {**W, "data_offsets": [4, 8]}}, b"\0" * 8, None, "begins at 4, not at 0"),
        ({"w": 7}, b"", None, "not understood"),
    ],
)
def test_impossible_headers_are_refused_with_the_reason(header, data, length, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        SafetensorsFile(file(tmp_path / "m.safetensors", header, data, length))


def test_shards_are_one_mapping(tmp_path):
    for number in (1, 2):
        save_file({f"w{number}": np.full(2, number, np.float32)}, tmp_path / f"part-{number}.safetensors")
    index = {"weight_map": {"w1": "part-1.safetensors", "w2": "part-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = Shards(tmp_path)
    assert {name: array.tolist() for name, array in found.items()} == {"w1": [1, 1], "w2": [2, 2]}
    assert found.shapes() == {"w1": (2,), "w2": (2,)}


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"weight_map": {"w": "../secret.safetensors"}}, "outside its folder"),
        ({"weight_map": {"w": ".."}}, "outside its folder"),
        ({"weight_map": {"w": "gone.safetensors"}}, "lacks gone.safetensors"),
        ({"weights": {}}, "damaged"),
    ],
)
def test_an_index_may_only_name_files_beside_it(index, reason, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=reason):
        Shards(tmp_path)


def test_a_folder_of_pickles_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"pytorch_model.bin may run code.*safe_serialization"):
        Shards(tmp_path)
