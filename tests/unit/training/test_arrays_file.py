from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.models.streamed_arrays import StreamedArrays, shapes_of
from treadle.training.arrays_file import read_arrays, write_arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANY = {f"layer.{n}": (256, 1024) for n in range(12)}  # a megabyte each


def made(name: str) -> Any:
    return np.full(MANY[name], float(name.rpartition(".")[2]), np.float32)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.float32(7).reshape(()),
        "none": np.zeros((0, 4), np.float32),
    }
    write_arrays(tmp_path / "file", arrays)
    found = read_arrays(tmp_path / "file")
    assert {name: tuple(shape) for name, shape in found.shapes().items()} == {"a": (2, 3), "scalar": (), "none": (0, 4)}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        found[name][...] = 5  # a copy of its own
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(KeyError):
        found["b"]


def test_the_library_of_the_format_reads_what_is_written(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(1, np.float32)}
    write_arrays(tmp_path / "ours", arrays)
    save_file(arrays, tmp_path / "theirs")
    for found in (load_file(tmp_path / "ours"), read_arrays(tmp_path / "theirs")):
        assert sorted(found) == ["a", "b"]
        np.testing.assert_array_equal(found["a"], arrays["a"])


def test_neither_writing_nor_reading_holds_more_than_a_few_arrays(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        write_arrays(tmp_path / "file", StreamedArrays(MANY, made))
        found = read_arrays(tmp_path / "file")
        assert shapes_of(found) == MANY
        assert sum(float(found[name].mean()) for name in found) == sum(range(12))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20  # of 12 MB


def test_arrays_of_another_kind_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="b is float64, not float32"):
        write_arrays(tmp_path / "file", {"a": np.ones(2, np.float32), "b": np.ones(2)})


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another kind": lambda header: header["a"].update(dtype="F16"),
    "no kind": lambda header: header["a"].pop("dtype"),
    "behind the end": lambda header: header["a"].update(data_offsets=[8, 32]),
    "before the beginning": lambda header: header["a"].update(data_offsets=[-24, 0]),
    "another size": lambda header: header["a"].update(shape=[2, 4]),
    "no list": lambda header: header.update(a=3),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_header_that_lies_is_refused(tmp_path: Path, lie: Callable[[dict[str, Any]], object]) -> None:
    header: dict[str, Any] = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    lie(header)
    text = json.dumps(header).encode()
    (tmp_path / "file").write_bytes(len(text).to_bytes(8, "little") + text + bytes(24))
    with pytest.raises(ValueError, match=r"F32|inside|header"):
        read_arrays(tmp_path / "file")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, (9).to_bytes(8, "little") + b"[1, 2, 3]"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_arrays(tmp_path / "file")
