"""Manifests after many feeds: what they hold, how large they are, and that old ones are read and made small."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from treadle.base.errors import DataError
from treadle.data.document import Document
from treadle.data.shard_lists import read_lists, store_lists
from treadle.data.shards import TextShard
from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path


def shards(count: int) -> tuple[TextShard, ...]:
    return tuple(TextShard(text=f"{n:064x}", index=f"{n:064x}", documents=1, bytes=n) for n in range(count))


def fed(folder: Path, feeds: int) -> DatasetVersions:
    versions = DatasetVersions(folder / "datasets" / "d", ObjectStore(folder / "objects"))
    for number in range(feeds):
        versions.add([Document.from_text(f"text {number}", f"{number}.txt")])
    return versions


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 1023, 1024, 1025, 2111, 5000])
def test_any_number_of_shards_is_kept_in_few_lists_and_comes_back(quick_folder: Path, count: int) -> None:
    given = shards(count)
    hashes, rest = store_lists(quick_folder, given)
    assert (*read_lists(quick_folder, hashes), *rest) == given
    assert len(rest) < 32
    assert len(hashes) < 64
    assert bool(hashes) == (count >= 32)


def test_a_full_list_is_written_once_however_many_shards_follow(quick_folder: Path) -> None:
    for count in range(1, 200):
        store_lists(quick_folder, shards(count))
    assert len(list((quick_folder / "shards").iterdir())) == 199 // 32


def test_after_many_feeds_a_manifest_is_small_and_every_version_is_whole(quick_folder: Path) -> None:
    versions = fed(quick_folder, 70)
    for number in (31, 32, 33, 64, 65, 70):
        dataset = versions.get(number)
        assert [entry.source for entry in dataset.entries()] == [f"{n}.txt" for n in range(number)]
        dataset.verify()
    paths = sorted((versions.folder / "versions").iterdir())
    assert len(paths) == 70
    assert paths[69].stat().st_size < paths[30].stat().st_size
    assert json.loads(paths[69].read_text())["format"] == 2
    assert json.loads(paths[30].read_text())["format"] == 1  # a Treadle from before can read it
    assert versions.latest() == versions.get(70)
    assert versions.ledger().accepted == 70
    alone = DatasetVersions(quick_folder / "datasets" / "alone", versions.objects)
    assert alone.add([Document.from_text(f"text {n}", "x") for n in range(70)]).id == versions.get(70).id


def test_manifests_that_name_all_their_shards_are_read_and_made_small(quick_folder: Path) -> None:
    versions = fed(quick_folder, 40)
    wanted = versions.get(40)
    path = versions.folder / "versions" / "000040.json"
    path.write_text(json.dumps(wanted.manifest.model_dump(mode="json", exclude={"lists"})))  # as it was written before
    assert versions.get(40) == wanted
    size = path.stat().st_size
    assert versions.compact() == size - path.stat().st_size > 0
    assert versions.get(40) == wanted
    assert versions.compact() == 0
    versions.add([Document.from_text("one more", "more.txt")])
    assert versions.get(41).manifest.documents == 41


def test_a_list_that_is_damaged_or_gone_is_said_and_written_anew_by_the_next_feed(quick_folder: Path) -> None:
    hashes, _ = store_lists(quick_folder, shards(32))
    path = quick_folder / "shards" / f"{hashes[0]}.json"
    path.write_bytes(b"[]")
    with pytest.raises(DataError, match="is damaged"):
        read_lists(quick_folder, hashes)
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        read_lists(quick_folder, hashes)
    path.write_bytes(b"[]")
    store_lists(quick_folder, shards(33))
    assert read_lists(quick_folder, hashes) == shards(32)
