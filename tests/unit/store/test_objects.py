from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path


def stored_files(store: ObjectStore) -> list[str]:
    return sorted(path.name for path in store.folder.rglob("*") if path.is_file())


def test_an_object_is_named_by_its_content_and_lies_two_folders_deep(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = hashlib.sha256(b"treadle").hexdigest()
    assert store.put(b"treadle") == digest
    assert store.path(digest) == tmp_path / digest[:2] / digest[2:4] / digest
    assert store.read(digest) == b"treadle"
    assert digest in store


def test_a_file_and_its_bytes_are_one_object(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "objects")
    file = tmp_path / "text"
    file.write_bytes(b"x" * 3_000_000)
    assert store.put(file) == store.put(b"x" * 3_000_000)
    assert len(stored_files(store)) == 1


def test_arrays_are_written_as_their_bytes(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    array = np.arange(5, dtype="<u2")
    assert store.read(store.put(array.data)) == array.tobytes()


def test_a_block_that_fails_stores_nothing(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)

    def write_half() -> None:
        with store.writer() as writer:
            writer.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert stored_files(store) == []


def test_what_was_written_after_a_mark_can_be_forgotten(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    with store.writer() as writer:
        writer.write(b"kept ")
        mark = writer.mark()
        writer.write(b"forgotten, and longer than what follows")
        writer.go_back(mark)
        writer.write(b"too")
    assert store.read(writer.id) == b"kept too"
    assert writer.size == 8


def test_damage_is_found_named_and_repaired_by_storing_again(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    object_id = store.put(b"treadle")
    path = store.path(object_id)
    path.chmod(0o644)
    path.write_bytes(b"treadlE")
    assert not store.verify(object_id)
    with pytest.raises(DataError, match="damaged"):
        store.read(object_id)
    with pytest.raises(DataError, match="damaged"):
        store.check(object_id)
    store.put(b"treadle")
    assert store.verify(object_id)
    assert store.check(object_id) == path


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    absent = "0" * 64
    assert absent not in store
    assert not store.verify(absent)
    for look in (store.read, store.check):
        with pytest.raises(DataError, match=f"{absent} is missing"):
            look(absent)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_only_a_hash_is_an_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not the id of an object"):
        ObjectStore(tmp_path).path(name)


def test_what_a_dead_writer_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    orphan = tmp_path / "incoming" / "orphan.tmp"
    with store.writer() as outer:
        orphan.write_bytes(b"half")
        outer.write(b"outer")
        with store.writer() as inner:
            inner.write(b"inner")
    assert not orphan.exists()
    assert stored_files(store) == sorted([outer.id, inner.id])


def test_stored_objects_are_read_only(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    assert os.stat(store.path(store.put(b"x"))).st_mode & 0o222 == 0  # noqa: PTH116 - the mode is the point


def test_many_writers_do_not_take_each_other_for_dead(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    contents = [b"%d" % number for number in range(600)]
    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(store.put, contents))
    assert [store.read(object_id) for object_id in ids] == contents
