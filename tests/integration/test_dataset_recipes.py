"""What is done with versions of named datasets: reports, exports, collection; in one process."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from treadle.base.errors import DataError, NotFoundError, NotReadyError, SettingsError, UsageError
from treadle.data.document import Document, Refusal
from treadle.data.settling import KeyTaker, Settler
from treadle.data.steps.cleaning import cleaned
from treadle.recipes import datasets
from treadle.recipes.dataset_export import export
from treadle.recipes.dataset_gc import collect
from treadle.recipes.dataset_preview import preview
from treadle.recipes.dataset_report import report
from treadle.store.workspace import create_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

LINE = "The weaver of town {n} sits at her loom and throws the shuttle over thread {n} of {n} from hand to hand.\n"
WEEK = 7 * 24 * 3600


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    made = create_workspace(tmp_path / "lab")
    datasets.new(made, "looms", {"near_duplicates": "drop", "quality": "gopher"})
    return made


def add(workspace: WorkspaceFolder, *texts: str) -> None:
    named = datasets.open_named(workspace, "looms")
    taker = KeyTaker()
    items: list[Document | Refusal] = [Refusal("/x/locked.pdf", "encrypted", "It is encrypted.")]
    for number, text in enumerate(texts):
        draft = cleaned(
            Document.from_text(text, f"/x/{number}-{len(text)}.txt", {"licence": "CC0-1.0"}), named.settings
        )
        items.append(Document.from_text("".join(draft.pieces()), draft.source, draft.metadata))
    settle = Settler(named.versions.objects, taker, named.settings.similarity, drop=True)
    named.versions.add(taker(items), settle=settle)


def long(first: int, lines: int = 60) -> str:
    return "".join(LINE.format(n=first + line) for line in range(lines))


def test_the_report_tells_what_is_in_a_version(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    add(workspace, long(0), long(0).replace("thread 3 of", "thread three of"), long(1000, 900), "buy now\n" * 50)
    facts = report(workspace, "looms", tmp_path / "page.html", None)
    assert (facts["documents"], facts["duplicates"]["aside"], facts["refused"]["encrypted"]) == (3, 1, 1)
    assert facts["quality"]["breaking"] >= 1
    assert facts["languages"][0]["name"] in {"en", "not told"}
    assert facts["split"]["train_bytes"] + facts["split"]["held_out_bytes"] == facts["bytes"]
    assert facts["extremes"]["longest"][0]["source"].endswith(".txt")
    assert sum(count for _, _, count in facts["lengths"]["histogram"]) == 3
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for part in ("Lengths", "Quality", "Duplicates", "Split and leaks", "Tokens", "Refused", "Extremes", "locked.pdf"):
        assert part in page
    assert "http" not in page
    assert "<script" not in page


def test_a_report_escapes_what_files_are_called(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    named = datasets.open_named(workspace, "looms")
    evil = "/x/<script>alert(1)</script>.txt"
    named.versions.add([Document.from_text(long(5) + "<script>alert(2)</script>", evil)])
    report(workspace, "looms", tmp_path / "page.html", None)
    assert "<script" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_was_fed_to_a_model_without_being_measured_is_measured_for_the_report(workspace: WorkspaceFolder) -> None:
    named = datasets.open_named(workspace, "looms")
    named.versions.add([Document.from_text(long(5), "a.txt"), Document.from_text("a,b,c,d\n" * 9, "b.csv")])
    facts = report(workspace, "looms", None, None)
    assert {row["name"] for row in facts["forms"]} == {"prose", "table"}
    assert facts["html"] is None


@pytest.mark.parametrize("form", ["jsonl", "parquet", "huggingface"])
def test_an_export_holds_every_character_once(workspace: WorkspaceFolder, tmp_path: Path, form: str) -> None:
    add(workspace, long(0), long(1000, 900), long(5000, 3))
    named, dataset = datasets.find_version(workspace, "looms")
    said = export(workspace, "looms", tmp_path / "out", form, 0.2)
    rows = []
    for name in said["files"]:
        path = tmp_path / "out" / name
        if path.suffix == ".jsonl":
            rows += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        elif path.suffix == ".parquet":
            rows += pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    texts: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["text"]):
        texts.setdefault(row["id"], []).append(row["text"])
    wanted = {document.id: document.text for document in dataset.documents()}
    assert texts.keys() == wanted.keys()
    for identity, parts in texts.items():
        assert wanted[identity] in {"".join(parts), "".join(reversed(parts))}
    about = json.loads((tmp_path / "out" / "treadle.json").read_text())
    assert about["id"] == dataset.id
    if form == "huggingface":
        card = (tmp_path / "out" / "README.md").read_text()
        assert "path: data/train-*.parquet" in card
        assert "CC0-1.0" in card
    with pytest.raises(UsageError, match="exists already"):
        export(workspace, "looms", tmp_path / "out", form, 0.2)
    assert named.name == "looms"


def test_collection_takes_what_nothing_refers_to_and_nothing_else(workspace: WorkspaceFolder) -> None:
    for number in range(3):
        add(workspace, long(number * 1000), *["a text that comes again and again, " * 9] * (number + 1))
    datasets.tag(workspace, "looms@1", "first", remove=False)
    old = time.time() - WEEK
    for path in workspace.objects.glob("??/??/*"):
        os.utime(path, (old, old))
    assert collect(workspace, None, None, dry_run=False)["objects"] == 0
    would = collect(workspace, "looms", 1, dry_run=True)
    assert (would["versions"], would["dry_run"]) == ([2], True)
    done = collect(workspace, "looms", 1, dry_run=False)
    assert done["objects"] == would["objects"] > 0
    for which in ("looms", "looms@first"):
        datasets.find_version(workspace, which)[1].verify()
    with pytest.raises(NotFoundError, match="no version 2"):
        datasets.find_version(workspace, "looms@2")
    with pytest.raises(UsageError, match="--keep needs"):
        collect(workspace, None, 2, dry_run=True)


def test_collection_after_many_feeds_keeps_what_lists_of_shards_name(quick_folder: Path) -> None:
    workspace = create_workspace(quick_folder / "lab")
    datasets.new(workspace, "looms", {"near_duplicates": "ignore"})
    named = datasets.open_named(workspace, "looms")
    for number in range(66):
        named.versions.add([Document.from_text(f"text {number}", f"{number}.txt")])
    old = time.time() - WEEK
    for path in workspace.objects.glob("??/??/*"):
        os.utime(path, (old, old))
    manifest = named.versions.folder / "versions" / "000066.json"
    manifest.write_text(json.dumps(named.versions.get(66).manifest.model_dump(mode="json", exclude={"lists"})))
    lists = named.versions.folder / "shards"
    assert len(list(lists.iterdir())) == 2
    (lists / f"{'0' * 64}.json").write_bytes(b"[]")  # one that no version names
    assert collect(workspace, None, None, dry_run=False)["objects"] == 0
    assert json.loads(manifest.read_text())["format"] == 2  # one of before is made small on the way
    collect(workspace, "looms", 1, dry_run=False)
    assert len(list(lists.iterdir())) == 2
    datasets.find_version(workspace, "looms")[1].verify()
    assert datasets.find_version(workspace, "looms")[1].manifest.documents == 66


def test_young_objects_stay_and_a_damaged_manifest_stops_the_collection(workspace: WorkspaceFolder) -> None:
    add(workspace, long(0))
    named = datasets.open_named(workspace, "looms")
    named.versions.objects.put(b"somebody is about to refer to this")
    assert collect(workspace, None, None, dry_run=False)["objects"] == 0
    assert collect(workspace, None, None, dry_run=True, young=-60)["objects"] == 1
    (named.versions.folder / "versions" / "000002.json").write_bytes(b"\xff")
    with pytest.raises(DataError, match="nothing was removed"):
        collect(workspace, None, None, dry_run=False, young=-60)


def test_versions_are_found_by_number_tag_or_not_at_all(workspace: WorkspaceFolder) -> None:
    with pytest.raises(NotReadyError, match="has no version yet"):
        datasets.find_version(workspace, "looms")
    add(workspace, long(0))
    add(workspace, long(1000))
    assert datasets.find_version(workspace, "looms@1")[1].number == 1
    with pytest.raises(NotFoundError, match="has no tag `x`"):
        datasets.find_version(workspace, "looms@x")
    with pytest.raises(NotFoundError, match="has no tag `x`"):
        datasets.tag(workspace, "looms", "x", remove=True)
    with pytest.raises(NotFoundError, match="holds no document"):
        datasets.show(workspace, "looms", "nowhere.txt")
    with pytest.raises(SettingsError, match="quality"):
        datasets.new(workspace, "bad", {"quality": "excellent"})
    changed = datasets.diff(workspace, "looms@1", "looms")
    assert (len(changed["added"]), changed["unchanged"]) == (1, 1)


def test_a_preview_without_a_workspace_needs_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("cafÃ© and GrÃ¼ÃŸe\n" * 3)
    (row,) = preview(None, [tmp_path / "a.txt"], None, {}, 5)["documents"]
    assert "café and Grüße" in row["after"]
    assert {"step": "repair", "does": "change", "why": "3 lines were decoded wrongly"} in row["steps"]
    with pytest.raises(UsageError, match="no workspace here"):
        preview(None, [tmp_path], "looms", {}, 1)
    with pytest.raises(UsageError, match="Name at least one"):
        preview(None, [], None, {}, 1)
