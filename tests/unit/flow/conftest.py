"""A folder of notes to work on, and a day that stands still."""

import pytest

from treadle.flow.draft import Draft
from treadle.flow.folder import FlowFolder
from treadle.flow.verbs import perform


class Notes:
    """One folder of notes; verbs are carried out on real files."""

    def __init__(self, root):
        self.folder = FlowFolder(root)

    def write(self, name, text):
        path = self.folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def read(self, name="active/tasks.md"):
        return (self.folder.root / name).read_bytes().decode()

    def do(self, verb, *arguments, **options):
        """Carry out a verb; returns what it said."""
        return perform(self.folder, lambda draft: verb(draft, *arguments, **options))[0].message

    @property
    def draft(self):
        return Draft(self.folder)


@pytest.fixture(autouse=True)
def day(monkeypatch):
    """Sunday, 22 November 2026."""
    monkeypatch.setenv("TREADLE_NOW", "2026-11-22T10:00")
    return monkeypatch


@pytest.fixture
def notes(tmp_path):
    made = Notes(tmp_path / "flow")
    made.write("active/tasks.md", "# Tasks\n\n## Active Tasks\n\n## Upcoming Tasks\n\n## Completed Tasks\n\n## Log\n")
    return made
