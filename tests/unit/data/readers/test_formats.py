from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from treadle.data.document import RefusedError
from treadle.data.readers.formats import format_of

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = [
    ("notes.txt", b"%PDF-1.7\n", ".pdf"),
    ("book.dat", b"\x1f\x8b\x08", ".gz"),
    ("a", b"\x28\xb5\x2f\xfd", ".zst"),
    ("a.bz2", b"BZh91", ".bz2"),
    ("a", b"\xfd7zXZ\0", ".xz"),
    ("rows", b"PAR1", ".parquet"),
    ("a.bin", b"\0" * 257 + b"ustar", ".tar"),
    ("saved.txt", b"\n <!-- x --> <!DOCTYPE html><html>", ".html"),
    ("saved", "<html>".encode("utf-16"), ".html"),
    ("page.htm", b"no markup at all", ".html"),
    ("code.php", b"<html><?php", ".txt"),
    ("play", b'<?xml version="1.0"?><play/>', ".xml"),
    ("page.xml", b'<?xml version="1.0"?>\n<!DOCTYPE html>', ".html"),
    ("message", b"Return-Path: <a@example.org>\n", ".eml"),
    ("box", b"From a@example.org Sat Jan  3 01:05:34 1996\n", ".mbox"),
    ("rows.ndjson", b"{}", ".jsonl"),
    ("rows.TSV", b"a\tb", ".tsv"),
    ("README", b"read me", ".txt"),
    ("notes.foo", b"text", ".txt"),
    (".profile", b"PATH=x", ".txt"),
]


@pytest.mark.parametrize(("name", "head", "expected"), EXPECTED, ids=lambda value: str(value)[:12])
def test_the_content_tells_the_format_and_the_name_only_where_it_must(
    tmp_path: Path, name: str, head: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(head)
    assert format_of(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("member", "expected"), [("META-INF/container.xml", ".epub"), ("word/document.xml", ".docx"), ("a.txt", ".zip")]
)
def test_what_is_packed_as_zip_is_told_by_its_members(tmp_path: Path, member: str, expected: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as archive:
        archive.writestr(member, "x")
    assert format_of(tmp_path / "a.bin") == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x7fELF", "a program"), (b"SQLite format 3\0", "a database"), (b"{\\rtf1", "Rich Text"), (b"OggS", "sound")],
)
def test_a_known_kind_without_text_is_refused_by_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(RefusedError, match=said):
        format_of(tmp_path / "a.txt")


@pytest.mark.parametrize("part", ["xl/workbook.xml", "ppt/presentation.xml"])
def test_office_files_that_are_not_read_come_with_a_way_out(tmp_path: Path, part: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(part, "x")
    with pytest.raises(RefusedError, match="Save"):
        format_of(tmp_path / "a.zip")
