"""GGUF files: what is written is read, and nothing that a file claims is believed."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError
from treadle.models.exchange.blocks import F16, F32, Q8_0
from treadle.models.exchange.gguf_reader import GgufFile
from treadle.models.exchange.gguf_writer import Tensor, write_gguf

FACTS = {"general.architecture": "llama", "n": 7, "rate": 0.5, "yes": True, "words": ["a", "", "ü"], "types": [1, 3]}


def written(path, facts=FACTS):
    values = np.arange(64, dtype=np.float32).reshape(2, 32)
    tensors = [Tensor("a", values, Q8_0), Tensor("b", values[0], F32), Tensor("c", values, F16)]
    with path.open("wb") as file:
        write_gguf(file, facts, tensors)
    return values


def test_what_was_written_is_read(tmp_path):
    values = written(tmp_path / "m.gguf")
    found = GgufFile(tmp_path / "m.gguf")
    assert found.facts == FACTS
    assert found.shapes() == {"a": (2, 32), "b": (32,), "c": (2, 32)}
    assert np.array_equal(found["c"], values)
    assert np.array_equal(found["b"], values[0])
    assert np.abs(found["a"] - values).max() < 0.3
    assert found.kinds() == {"f32", "f16", "q8_0"}


def test_the_gguf_package_reads_it(tmp_path):
    gguf = pytest.importorskip("gguf", reason="the package `gguf` is not installed")
    values = written(tmp_path / "m.gguf")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    assert {tensor.name: tensor.shape.tolist() for tensor in reader.tensors} == {"a": [32, 2], "b": [32], "c": [32, 2]}
    assert np.array_equal(reader.tensors[2].data, values)


def test_every_cut_is_refused_in_words(tmp_path):
    written(tmp_path / "m.gguf")
    data = (tmp_path / "m.gguf").read_bytes()
    for size in (0, *range(4, len(data) - 1, 7)):
        (tmp_path / "cut.gguf").write_bytes(data[:size])
        with pytest.raises(DataError, match=r"cut|damaged|no GGUF"):
            GgufFile(tmp_path / "cut.gguf")


@settings(max_examples=80, deadline=None)
@given(place=st.integers(4, 330), value=st.integers(0, 255))
def test_a_changed_byte_never_does_more_than_change_a_value_or_be_refused(place, value, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "m.gguf"
    written(path)
    data = bytearray(path.read_bytes())
    data[place] = value
    path.write_bytes(data)
    try:
        found = GgufFile(path)
        assert all(array.size < 10_000 for array in found.values())
    except DataError:
        pass


def head(tensors=0, pairs=0, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\3\4" + b"\0" * 40, "no GGUF file"),
        (head(version=9), "version 9"),
        (head(pairs=1 << 60), "have no room"),
        (head(tensors=1 << 60), "have no room"),
        (head(pairs=1) + struct.pack("<Q", 1 << 62) + b"\0" * 40, "have no room"),
        (head(pairs=1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 1 << 60) + b"\0" * 40, "have no room"),
        (head(pairs=1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1) + b"\0" * 40, "unknown type 9"),
        (head(pairs=1) + struct.pack("<Q1sI", 1, b"k", 77) + b"\0" * 40, "unknown type 77"),
        (head(tensors=1) + struct.pack("<Q1sI4QIQ", 1, b"t", 4, *[1 << 40] * 4, 0, 0), "more than the file holds"),
        (head(tensors=1) + struct.pack("<Q1sI", 1, b"t", 99) + b"\0" * 40, "99 dimensions"),
        (head(tensors=1) + struct.pack("<Q1sI1QIQ", 1, b"t", 1, 32, 12, 0), "number 12"),
        (head(tensors=1) + struct.pack("<Q1sI1QIQ", 1, b"t", 1, 0, 0, 0), "shape"),
    ],
)
def test_lies_about_sizes_are_found_before_memory_is_taken(data, reason, tmp_path):
    (tmp_path / "bad.gguf").write_bytes(data)
    with pytest.raises(DataError, match=reason):
        GgufFile(tmp_path / "bad.gguf")
