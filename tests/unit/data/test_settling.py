"""Versions of a dataset whose near-duplicates are found, kept on one side of the split, or put aside."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from treadle.data.checks import failed_checks, parse_checks
from treadle.data.config import DataSettings
from treadle.data.document import Document, Refusal
from treadle.data.leaks import leak_of
from treadle.data.settling import KeyTaker, Settler
from treadle.data.splits import sides
from treadle.data.steps.cleaning import cleaned
from treadle.data.steps.config import DatasetSettings
from treadle.data.versions import DatasetVersions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from treadle.data.versions import Dataset
    from treadle.store.objects import ObjectStore

BASE = " ".join(f"word{number}" for number in range(200))
NEAR = BASE.replace("word100 ", "other ")
NEARER = BASE.replace("word150 ", "another ")
FAR = " ".join(f"thing{number}" for number in range(200))


def clean(text: str, source: str) -> Document:
    """A document as a reading process gives it: cleaned, with its keys."""
    draft = cleaned(Document.from_text(text, source), DatasetSettings())
    whole = "".join(draft.pieces())
    return Document.from_text(whole, source, draft.metadata)


def add(versions: DatasetVersions, texts: Iterable[str], *, drop: bool = False) -> Dataset:
    taker = KeyTaker()
    items = taker([clean(text, text.split()[-1] + text[:9]) for text in texts])
    return versions.add(items, settle=Settler(versions.objects, taker, 0.8, drop=drop))


def fresh(tmp_path: Path, objects: ObjectStore, name: str) -> DatasetVersions:
    return DatasetVersions(tmp_path / name, objects, DatasetSettings().preparation())


def test_near_duplicates_are_recorded_and_kept_unless_told_otherwise(tmp_path: Path, objects: ObjectStore) -> None:
    dataset = add(fresh(tmp_path, objects, "a"), [BASE, NEAR, FAR])
    (cluster,) = dataset.clusters()
    assert (dataset.manifest.documents, len(cluster["documents"])) == (3, 2)
    assert 0.9 < cluster["similarity"] < 1
    marked = [entry for entry in dataset.entries() if "cluster" in entry.metadata]
    assert {entry.metadata["cluster"] for entry in marked} == {min(cluster["documents"])}
    assert not any("bands" in entry.metadata for entry in dataset.entries())
    dataset.verify()


def test_one_of_each_cluster_stays_whatever_the_order_and_the_steps(tmp_path: Path, objects: ObjectStore) -> None:
    ids = set()
    for number, order in enumerate(permutations([BASE, NEAR, NEARER])):
        versions = fresh(tmp_path, objects, f"v{number}")
        for text in order:
            dataset = add(versions, [text, FAR], drop=True)
        ids.add(dataset.id)
        assert (dataset.manifest.documents, len(list(dataset.aside()))) == (2, 2)
        dataset.verify()
    whole = add(fresh(tmp_path, objects, "whole"), [FAR, NEARER, NEAR, BASE], drop=True)
    assert ids == {whole.id}
    reasons = [refusal.reason for refusal in whole.refusals()]
    assert reasons == ["near_duplicate"] * 2


def test_documents_that_come_without_keys_are_compared_all_the_same(tmp_path: Path, objects: ObjectStore) -> None:
    versions = fresh(tmp_path, objects, "a")
    versions.add([Document.from_text(BASE, "a"), Document.from_text(FAR, "b")])
    dataset = add(versions, [NEAR], drop=True)
    assert (dataset.manifest.documents, len(list(dataset.aside()))) == (2, 1)


def test_a_text_that_was_put_aside_is_known_when_it_comes_again(tmp_path: Path, objects: ObjectStore) -> None:
    versions = fresh(tmp_path, objects, "a")
    add(versions, [BASE, NEAR], drop=True)
    again = add(versions, [NEAR, BASE], drop=True)
    assert again.manifest.refused == {"duplicate": 2}
    assert (again.manifest.documents, again.manifest.accepted) == (1, 0)


def test_a_cluster_never_straddles_the_split(tmp_path: Path, objects: ObjectStore) -> None:
    texts = [f"{BASE} end{number}" for number in range(12)] + [f"{FAR} end{number}" for number in range(12)]
    dataset = add(fresh(tmp_path, objects, "a"), texts)
    for sequence_length in (16, 256):
        settings = DataSettings(held_out=0.5, sequence_length=sequence_length)
        placed: dict[str, set[bool]] = {}
        for document in dataset.documents():
            placed.setdefault(document.metadata["cluster"], set()).update(side for _, side in sides(document, settings))
        assert len(placed) == 2
        assert all(len(sides_of_one) == 1 for sides_of_one in placed.values())


def test_a_leak_is_measured(tmp_path: Path, objects: ObjectStore) -> None:
    long = " ".join(f"w{number}" for number in range(20_000))
    versions = DatasetVersions(tmp_path / "a", objects)
    clean_ = versions.add([Document.from_text(long, "a")])
    found = leak_of(clean_)
    assert found.share == 0
    assert found.compared > 50
    assert found.held_out_bytes / (found.held_out_bytes + found.train_bytes) == pytest.approx(0.1, abs=0.01)
    tail = long[-len(long) // 20 :]
    leaking = versions.add([Document.from_text(tail + " " + FAR * 300, "b")])
    assert leak_of(leaking).share > 0.1


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("size:1kB", None),
        ("size:1MB", "fewer than 1.0 MB"),
        ("language:en:0.9", None),
        ("language:de:0.5", "of its text is in de"),
        ("leak:1", None),
        ("licence:CC0-1.0", "Allowed are CC0-1.0; there is MIT (1 document)"),
        ("licence:CC0-1.0,MIT", None),
    ],
)
def test_checks_look_at_a_whole_version(tmp_path: Path, objects: ObjectStore, check: str, said: str | None) -> None:
    facts = {"language": "en", "licence": "MIT"}
    dataset = DatasetVersions(tmp_path / "a", objects).add(
        [Document.from_text(BASE, "a", facts), Document.from_text(FAR, "b", {**facts, "licence": "CC0-1.0"})]
    )
    found = failed_checks(dataset, parse_checks([check]))
    assert found == [] if said is None else said in found[0]


def test_the_vocabulary_and_the_schema_are_checked(tmp_path: Path, objects: ObjectStore) -> None:
    from treadle.data.tokenizers.exchange import write_tokenizer
    from treadle.data.tokenizers.tokenizer import train_tokenizer

    write_tokenizer(train_tokenizer("char", iter(["abc 123,\n"])), tmp_path / "t.json")
    (tmp_path / "s.json").write_text('{"a": "text", "b": "integer"}')
    table = Document.from_text("a,b\nabc,12\n", "t.csv", {"format": "csv"})
    row = Document.from_text("cab", "r.jsonl#1", {"text_column": "a", "row": {"b": "x"}})
    checks = parse_checks([f"vocabulary:{tmp_path}/t.json:1", f"schema:{tmp_path}/s.json"])
    assert failed_checks(DatasetVersions(tmp_path / "a", objects).add([table]), checks) == []
    said = failed_checks(DatasetVersions(tmp_path / "b", objects).add([row, Document.from_text("xyz", "x")]), checks)
    assert "it lacks" in said[0]
    assert said[1] == "r.jsonl#1 does not fit the schema: 'x' in column 'b' is no integer."
    (tmp_path / "s.json").write_text('{"a": "colour"}')
    with pytest.raises(Exception, match="unknown type 'colour'"):
        failed_checks(DatasetVersions(tmp_path / "c", objects).add([row]), checks[1:])


@pytest.mark.parametrize("written", ["nonsense:1", "size", "size:1:2", "language:en"])
def test_a_check_that_is_written_wrongly_is_refused_before_anything_is_read(written: str) -> None:
    with pytest.raises(Exception, match="check"):
        parse_checks([written])


def test_a_version_that_is_not_approved_leaves_the_last_one(tmp_path: Path, objects: ObjectStore) -> None:
    versions = DatasetVersions(tmp_path / "a", objects)
    versions.add([Document.from_text("one", "a")])

    def refuse(_: Dataset) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        versions.add([Document.from_text("two", "b")], approve=refuse)
    assert versions.numbers() == [1]


def test_refusals_pass_through_the_taker_of_keys() -> None:
    refusal = Refusal("x", "damaged", "?")
    assert list(KeyTaker()([refusal])) == [refusal]
