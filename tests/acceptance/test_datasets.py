"""Named datasets through the installed command."""

import json
import zipfile
from pathlib import Path

import pytest

DOCUMENTS = Path(__file__).parents[1] / "data" / "documents"
PARAGRAPH = (
    "The weaver of the old town sits at her loom and throws the shuttle from hand to hand, and number {n} of her cloths"
    " is the one that the miller's daughter wore when she walked down to the river in the evening of day {n}.\n"
)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text("".join(PARAGRAPH.format(n=number * 50 + line) for line in range(20)))
    almost = (folder / "0.txt").read_text().replace("number 3 of her cloths", "the third of her cloths")
    (folder / "almost.txt").write_text(almost)
    (folder / "page.html").write_text("<html><body><p>" + PARAGRAPH.format(n="one") * 3 + "</p></body></html>")
    (folder / "locked.pdf").write_bytes((DOCUMENTS / "libreoffice-writer-password.pdf").read_bytes())
    return folder


def test_a_dataset_from_files_to_report_and_export(shell, files, tmp_path):
    assert "treadle data add looms FILES" in shell.run("data", "new", "looms").stdout
    added = shell.json("data", "add", "looms", files, "--licence", "CC0-1.0")
    assert (added["accepted"], added["clusters"]) == (8, 1)
    assert [row["reason"] for row in added["refused"]] == ["encrypted"]
    shown = shell.run("data", "refused", "looms").stdout
    assert "1 encrypted" in shown
    assert "Save it without a password." in shown

    page = tmp_path / "report.html"
    report = shell.run("data", "report", "looms", "--html", page).stdout
    for label in ("lengths", "languages", "quality", "duplicates", "refused", "held out", "tokens"):
        assert f"\n  {label} " in report
    markup = page.read_text()
    assert "<svg" in markup
    assert "prefers-color-scheme:dark" in markup
    assert "http" not in markup

    (files / "1.txt").write_text("Another text altogether, and a short one.\n")
    (files / "new.txt").write_text("A new text that nobody has seen before this day.\n")
    shell.run("data", "add", "looms", files)
    shell.run("new", "bard", "--size", "nano")
    assert shell.json("feed", "bard", "dataset:looms@1")["accepted"] == 8
    changes = shell.json("data", "diff", "looms@1", "looms")
    assert (len(changes["added"]), changes["removed"], changes["same"]) == (2, [], False)
    shell.run("data", "tag", "looms@1", "first")
    assert [row["tags"] for row in shell.json("data", "versions", "looms")["versions"]] == [["first"], []]
    lineage = shell.json("data", "show", "looms@first", "--document", "page.html")["lineage"]
    assert lineage[0]["metadata"]["licence"] == "CC0-1.0"
    assert len(lineage[0]["metadata"]["file"]) == 64

    out = shell.json("data", "export", "looms", "--out", tmp_path / "out")
    parts = [tmp_path / "out" / name for name in out["files"] if name.endswith(".jsonl")]
    rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert {row["source"] for row in rows} >= {str(files / "new.txt"), str(files / "0.txt")}
    assert sum(out["documents"].values()) == len(rows)


def test_equal_files_and_settings_give_equal_ids_in_any_order_and_in_any_steps(shell, files):
    for name in ("one", "two"):
        shell.run("data", "new", name, "--near-duplicates", "drop")
    shell.run("data", "add", "one", files)
    names = sorted(files.iterdir(), reverse=True)
    shell.run("data", "add", "two", *names[:5], "--processes", "1")
    shell.run("data", "add", "two", *names[5:])
    ids = [shell.json("data", "show", name) for name in ("one", "two")]
    assert len({row["id"] for row in ids}) == 1
    assert [(row["documents"], row["aside"]) for row in ids] == [(7, 1)] * 2
    near = [row for row in shell.json("data", "refused", "one")["refused"] if row["reason"] == "near_duplicate"]
    assert "nearly the same as" in near[0]["detail"]


def test_a_version_that_fails_a_check_is_not_made(shell, files):
    shell.run("data", "new", "strict", "--check", "size:1GB", "--check", "licence:CC0-1.0")
    said = shell.refused("data", "add", "strict", files, code=1)
    assert "fewer than 1.0 GB" in said
    assert "State it with --licence." in said
    assert shell.json("data", "versions", "strict")["versions"] == []


def test_a_preview_shows_before_and_after_and_why(tmp_path, shell):
    book = tmp_path / "book.txt"
    book.write_text("Project Gutenberg\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\nIt  was.   \n\n\n\nAnd is.\n")
    shown = shell.run("data", "preview", book).stdout
    assert "~ boilerplate" in shown
    assert "before" in shown
    assert max(map(len, shown.splitlines())) <= 80 or str(book) in shown
    report = shell.json("data", "preview", book, DOCUMENTS, "--quality", "gopher", "--drop", "true")
    rows = {Path(row["source"]).name: row for row in report["documents"]}
    assert rows["book.txt"]["refused"] == "quality"
    assert "words" in rows["book.txt"]["steps"][-1]["why"]
    assert rows["libreoffice-writer-password.pdf"]["refused"] == "encrypted"


def test_a_model_is_fed_what_a_page_and_an_archive_say(shell, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("row.jsonl", '{"text": "one"}\n{"text": "two"}\n')
        archive.writestr("page.html", "<html><body><p>three</p></body></html>")
    shell.run("new", "bard", "--size", "nano")
    assert shell.json("feed", "bard", tmp_path / "all.zip")["accepted"] == 3
    assert shell.json("data", "report", "bard")["formats"][0]["documents"] >= 1


def test_mistakes_are_told_with_the_way_out(shell, files):
    assert "There is none yet; make it with `treadle data new NAME`." in shell.refused("data", "add", "looms", files)
    shell.run("data", "new", "looms")
    assert "exists already" in shell.refused("data", "new", "looms")
    assert "Did you mean `looms`?" in shell.refused("data", "show", "loom")
    assert "Unknown check `sise`. Did you mean `size`?" in shell.refused("data", "new", "x", "--check", "sise:1")
    assert "has no version yet" in shell.refused("data", "report", "looms", code=1)
    assert "ids of models" in shell.refused("data", "new", "m-1")
