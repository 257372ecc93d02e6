"""A new folder of notes, or an existing one that is adopted: what is missing is added, nothing is rewritten."""

from __future__ import annotations

import contextlib
from importlib.resources import files
from typing import TYPE_CHECKING

from treadle.base.files import disk_errors
from treadle.flow.draft import Draft
from treadle.flow.folder import FlowFolder
from treadle.flow.indexes import update
from treadle.flow.writing import Change, carry_out

if TYPE_CHECKING:
    from pathlib import Path

_PAGES = ("README.md", "system/guidelines.md", "planning/priorities.md", "planning/improvements.md")
_TASKS = "active/tasks.md"
_FOLDERS = {
    "active": "What is being worked on now.",
    "system": "How we work: guidelines and roles.",
    "planning": "What comes next, and why.",
    "reference": "What we look up.",
    "decisions": "What was decided, one file each.",
    "logs": "What is finished: archives by day.",
}


def initialise(root: Path) -> tuple[FlowFolder, list[Change]]:
    """Make or adopt a folder of notes; returns it with what was added."""
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    folder = FlowFolder(root)
    return folder, carry_out(root, lambda: _plan(folder))


def _plan(folder: FlowFolder) -> list[Change]:
    draft = Draft(folder)
    adopted = any(page.tasks for page in draft.task_pages())
    for name in [*_PAGES, *([] if adopted else [_TASKS])]:
        _add(draft, folder.root / name, template(name))
    _add(draft, folder.root / ".gitignore", template("gitignore.txt"))
    with contextlib.suppress(FileNotFoundError):  # roles come with their own template
        _add(draft, folder.roles, template("system/roles.toml"))
    for name, phrase in _FOLDERS.items():
        readme = folder.root / name / "README.md"
        if not draft.exists(readme):
            title = name.capitalize()
            draft.put(readme, f"# {title}\n\n{phrase}\n\n<!-- flow:index -->\n<!-- /flow:index -->\n")
            update(draft, readme.parent)
    if folder.root / "README.md" in {change.path for change in draft.changes()}:
        update(draft, folder.root)
    return draft.changes()


def _add(draft: Draft, path: Path, text: str) -> None:
    if not draft.exists(path):
        draft.put(path, text)


def template(name: str) -> str:
    """The text of one file of a new folder."""
    at = files("treadle.flow") / "templates"
    for part in name.split("/"):
        at = at / part
    return at.read_text(encoding="utf-8")
