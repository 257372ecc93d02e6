from __future__ import annotations

import os
import zipfile
from pathlib import Path

from treadle.data.document import Document, Refusal
from treadle.data.readers.catalog import READERS, TEXT_EXTENSIONS
from treadle.data.readers.walk import read_paths


def outcome(*paths: Path) -> list[tuple[str, str]]:
    """Name and text, or name and reason, of all that comes of `paths`."""
    return [
        (Path(item.source).name, item.text if isinstance(item, Document) else item.reason) for item in read_paths(paths)
    ]


def test_a_folder_is_read_with_its_folders_in_the_order_of_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "inner.txt").write_text("2")
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "c.MD").write_text("3")
    (tmp_path / "LICENSE").write_text("0")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.txt").write_text("hidden")
    (tmp_path / ".secret.txt").write_text("hidden")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("member.txt", "4")
    assert outcome(tmp_path) == [
        ("LICENSE", "0"),
        ("a.txt", "1"),
        ("inner.txt", "2"),
        ("c.MD", "3"),
        ("member.txt", "4"),
    ]


def test_every_file_that_is_not_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "b").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "c.txt").touch()
    os.mkfifo(tmp_path / "d.txt")
    (tmp_path / "e.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "f.txt").symlink_to(tmp_path / "f.txt")
    (tmp_path / "g").symlink_to(tmp_path)
    assert outcome(tmp_path) == [
        ("a.pdf", "damaged"),
        ("b", "unknown_format"),
        ("c.txt", "empty"),
        ("d.txt", "unreadable"),
        ("e.txt", "missing"),
        ("f.txt", "unreadable"),
        ("g", "unreadable"),
    ]


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("real")
    (tmp_path / "link.txt").symlink_to("real.txt")
    assert outcome(tmp_path / "link.txt") == [("link.txt", "real")]


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").write_text("x")
    assert outcome(tmp_path / "absent", tmp_path / "empty") == [("absent", "missing"), ("empty", "empty")]


def test_a_hidden_file_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text("PATH=x")
    assert outcome(tmp_path / ".profile") == [(".profile", "PATH=x")]


def test_a_workspace_does_not_read_what_it_keeps_for_itself(tmp_path: Path) -> None:
    (tmp_path / "treadle.yaml").write_text("format: 1")
    (tmp_path / "objects" / "ab").mkdir(parents=True)
    (tmp_path / "objects" / "ab" / "abcd").write_text("stored text")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "log.txt").write_text("log")
    (tmp_path / "mine" / "runs").mkdir(parents=True)
    (tmp_path / "mine" / "runs" / "marathon.txt").write_text("mine")
    assert outcome(tmp_path) == [("marathon.txt", "mine")]


def test_sources_are_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    relative = Path(os.path.relpath(tmp_path / "a.txt"))
    (item,) = read_paths([relative])
    assert item.source == str(tmp_path / "a.txt")


def test_a_text_with_an_unknown_extension_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes.foo").write_text("text all the same")
    (tmp_path / "data.foo").write_bytes(b"\0\1\2\3")
    assert outcome(tmp_path) == [("data.foo", "binary"), ("notes.foo", "text all the same")]


def test_a_known_kind_without_text_comes_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (item,) = read_paths([tmp_path / "old.doc"])
    assert isinstance(item, Refusal)
    assert item.detail == "It is a file of an old Office version. Save it as .docx, or as text."


def test_every_extension_has_a_reader() -> None:
    assert {".txt", ".md", ".py", ".zip"} <= set(READERS.names())
    assert all(callable(READERS.get(extension)) for extension in TEXT_EXTENSIONS)
