"""One file of the notes, for people who only look."""

import hashlib

import pytest

from treadle.base.errors import NotFoundError
from treadle.flow.reading import read_file


def test_a_file_is_shown_with_its_hash_and_the_entries_of_its_log(notes):
    text = "# Tasks\n\n## Log\n- [2026-11-22] Trained bard.\n  for an hour\n- undated\n"
    path = notes.write("active/tasks.md", text)
    notes.write("planning/ideas.md", "# Ideas\n")
    found = read_file(notes.folder, None)
    assert (found["path"], found["text"]) == ("active/tasks.md", text)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["log"] == [
        {"date": "2026-11-22", "text": "Trained bard.\n  for an hour"},
        {"date": "", "text": "undated"},
    ]
    assert found["files"] == ["active/tasks.md", "planning/ideas.md"]
    assert read_file(notes.folder, "planning/ideas.md")["text"] == "# Ideas\n"


def test_only_files_of_the_notes_are_shown(notes, tmp_path):
    (tmp_path / "secret.md").write_text("no")
    for name in ("../secret.md", str(tmp_path / "secret.md"), "planning", "taks.md"):
        with pytest.raises(NotFoundError, match="have no file"):
            read_file(notes.folder, name)


def test_a_folder_without_a_working_memory_has_an_empty_page(notes):
    (notes.folder.root / "active" / "tasks.md").unlink()
    assert read_file(notes.folder, None) == {"path": None, "text": "", "sha256": None, "log": [], "files": []}


def test_bytes_that_are_no_text_are_shown_as_such(notes):
    notes.write("active/tasks.md", "").write_bytes(b"# T\xff\n")
    assert read_file(notes.folder, None)["text"] == "# T\N{REPLACEMENT CHARACTER}\n"
