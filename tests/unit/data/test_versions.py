from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from treadle.base.errors import DataError, NotFoundError
from treadle.data import shards
from treadle.data.document import PIECE, Document, Refusal
from treadle.data.versions import DatasetVersions, content_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.store.objects import ObjectStore


def doc(text: str, source: str = "somewhere") -> Document:
    return Document.from_text(text, source, {"encoding": "utf-8"})


def test_a_feed_becomes_a_version_that_gives_its_documents_back(versions: DatasetVersions) -> None:
    texts = ["one", "zwei ä", "三\n" * 10]
    dataset = versions.add(doc(text, f"{number}.txt") for number, text in enumerate(texts))
    assert [document.text for document in dataset.documents()] == texts
    assert "".join(dataset.texts()) == "".join(texts)
    entries = list(dataset.entries())
    assert [entry.source for entry in entries] == ["0.txt", "1.txt", "2.txt"]
    assert entries[0].metadata == {"encoding": "utf-8"}
    assert (dataset.number, dataset.manifest.parent, dataset.manifest.documents) == (1, None, 3)
    assert dataset.manifest.bytes == sum(len(text.encode()) for text in texts)
    assert versions.latest() == dataset
    dataset.verify()


def test_versions_grow_and_old_ones_stay_as_they_were(versions: DatasetVersions) -> None:
    first = versions.add([doc("one")])
    second = versions.add([doc("two")])
    assert versions.numbers() == [1, 2]
    assert (second.number, second.manifest.parent) == (2, 1)
    assert [document.text for document in second.documents()] == ["one", "two"]
    assert [document.text for document in versions.get(1).documents()] == ["one"]
    assert versions.get(1) == first


def test_a_text_is_taken_once_within_a_feed_and_over_feeds(versions: DatasetVersions) -> None:
    dataset = versions.add([doc("same", "a"), doc("same", "b"), doc("other", "c")])
    assert dataset.manifest.documents == 2
    assert dataset.refusals() == [Refusal("b", "duplicate", "The same text is already here, from a.")]
    again = versions.add([doc("same", "d")])
    assert again.id == dataset.id
    assert again.number == 2
    assert [refusal.reason for refusal in again.refusals()] == ["duplicate"]


def test_the_ledger_counts_every_input_of_every_feed(versions: DatasetVersions) -> None:
    versions.add([doc("one"), Refusal("x.pdf", "unknown_format", "?"), doc("one"), doc("two")])
    versions.add([Refusal("y", "empty", "?"), doc("two"), doc("three"), Refusal("z", "empty", "?")])
    ledger = versions.ledger()
    assert ledger.accepted == 3
    assert ledger.refused == {"duplicate": 2, "empty": 2, "unknown_format": 1}
    assert ledger.accepted + sum(ledger.refused.values()) == 8
    assert versions.get(1).manifest.refused == {"duplicate": 1, "unknown_format": 1}


def test_the_id_depends_on_the_content_and_not_on_order_source_or_time(tmp_path: Path, objects: ObjectStore) -> None:
    one = DatasetVersions(tmp_path / "one", objects).add([doc("a", "x"), doc("b", "y")])
    two = DatasetVersions(tmp_path / "two", objects)
    two.add([doc("b", "elsewhere")])
    assert two.add([doc("a", "z")]).id == one.id
    assert two.add([doc("c")]).id != one.id
    assert one.id == content_id([doc("b").id, doc("a").id])


def test_a_feed_of_refusals_alone_is_remembered(versions: DatasetVersions) -> None:
    dataset = versions.add([Refusal("a", "binary", "?")])
    assert (dataset.manifest.documents, dataset.manifest.refused) == (0, {"binary": 1})
    assert list(dataset.documents()) == []
    assert versions.add([doc("text")]).refusals() == []


def test_a_feed_of_nothing_is_an_error_and_leaves_no_version(versions: DatasetVersions) -> None:
    with pytest.raises(DataError, match="Nothing was given"):
        versions.add([])
    assert versions.latest() is None


def test_shards_are_closed_when_full_and_a_large_document_stays_whole(
    versions: DatasetVersions,
) -> None:
    small = [doc(f"{number} " + "x" * (shards.FULL_BYTES // 8)) for number in range(9)]
    large = doc("large " * (shards.FULL_BYTES // 6 + 10))
    dataset = versions.add([*small, large, doc("last")])
    assert [shard.documents for shard in dataset.manifest.shards] == [8, 2, 1]
    assert dataset.manifest.shards[1].bytes > shards.FULL_BYTES
    assert [document.id for document in dataset.documents()] == [
        document.id for document in [*small, large, doc("last")]
    ]
    stored = list(dataset.documents())[9]
    assert max(map(len, stored.pieces())) <= PIECE
    assert Document.from_pieces(stored.pieces, "again").id == large.id


def test_a_document_that_changes_while_it_is_read_is_refused_and_leaves_no_bytes(versions: DatasetVersions) -> None:
    texts = iter(["first reading", "second reading, which differs"])

    def pieces() -> Iterator[str]:
        yield next(texts)

    changing = Document.from_pieces(pieces, "log.txt")
    dataset = versions.add([doc("before"), changing, doc("first reading", "copy"), doc("after")])
    assert [document.text for document in dataset.documents()] == ["before", "first reading", "after"]
    assert [(refusal.source, refusal.reason) for refusal in dataset.refusals()] == [("log.txt", "changed")]
    dataset.verify()


def test_a_document_that_vanishes_before_it_is_stored_is_refused(versions: DatasetVersions, tmp_path: Path) -> None:
    from treadle.data.readers.config import ReadSettings
    from treadle.data.readers.text import read

    path = tmp_path / "gone.txt"
    path.write_text("here and gone")
    (document,) = read(path, ReadSettings())
    path.unlink()
    assert versions.add([document]).manifest.refused == {"missing": 1}


def test_a_feed_that_fails_leaves_the_last_version(versions: DatasetVersions, objects: ObjectStore) -> None:
    versions.add([doc("one")])
    files = sorted(path for path in objects.folder.rglob("*") if path.is_file())

    def failing() -> Iterator[Document]:
        yield doc("two")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        versions.add(failing())
    assert versions.numbers() == [1]
    assert sorted(path for path in objects.folder.rglob("*") if path.is_file()) == files


def test_an_unknown_version_is_refused_with_the_known_ones(versions: DatasetVersions) -> None:
    with pytest.raises(NotFoundError, match=r"plays has no version 3\. There are: none"):
        versions.get(3)
    versions.add([doc("one")])
    with pytest.raises(NotFoundError, match="There are: 1"):
        versions.get(3)


def test_damage_is_found(versions: DatasetVersions, objects: ObjectStore) -> None:
    dataset = versions.add([doc("one two three"), Refusal("x", "empty", "?")])
    text = objects.path(dataset.manifest.shards[0].text)
    text.chmod(0o644)
    text.write_bytes(b"one")
    with pytest.raises(DataError, match="damaged"):
        dataset.verify()
    with pytest.raises(DataError, match="it ends inside document"):
        list(dataset.texts())
    text.write_bytes(b"one two \xff\xff\xff\xff\xff")
    with pytest.raises(DataError, match="no valid UTF-8"):
        list(dataset.texts())
    text.unlink()
    with pytest.raises(DataError, match="is missing"):
        list(dataset.texts())


def test_a_manifest_that_was_changed_is_found(versions: DatasetVersions) -> None:
    versions.add([doc("one")])
    path = versions.folder / "versions" / "000001.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "id": "0" * 64}))
    with pytest.raises(DataError, match="not those that its id names"):
        versions.get(1).verify()
    path.write_text(json.dumps({**manifest, "surprise": 1}))
    with pytest.raises(DataError, match="no manifest"):
        versions.latest()
    path.write_text("{")
    with pytest.raises(DataError, match=r"000001\.json is not valid JSON"):
        versions.latest()
