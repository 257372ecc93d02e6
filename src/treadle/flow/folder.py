"""The folder of notes: where things lie, which files hold tasks, and how the folder is found and made."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.flow.page import Page, read_page

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "flow"
VARIABLE = "TREADLE_FLOW"
INDEX_FILE = "README.md"
LOGS = "logs"
REVIEWS = "reviews"
_TASKS_FILE = "active/tasks.md"
_MARKS = (_TASKS_FILE, "system/guidelines.md")
_SKIPPED = frozenset({"node_modules", "__pycache__", "build", "dist"})


@dataclass(frozen=True, slots=True)
class FlowFolder:
    """Paths of one folder of notes, and its pages."""

    root: Path

    @property
    def guidelines(self) -> Path:
        """How this project works; served to assistants first."""
        return self.root / "system" / "guidelines.md"

    @property
    def roles(self) -> Path:
        """What each role may write and run."""
        return self.root / "system" / "roles.toml"

    @property
    def weights(self) -> Path:
        """This folder's own weights of the scoring, if there are any."""
        return self.root / "system" / "scoring.toml"

    @property
    def priorities(self) -> Path:
        """The plan by horizons."""
        return self.root / "planning" / "priorities.md"

    @property
    def decisions(self) -> Path:
        """Records of decisions."""
        return self.root / "decisions"

    @property
    def logs(self) -> Path:
        """What was archived."""
        return self.root / LOGS

    @property
    def tasks_file(self) -> Path:
        """The working memory: `active/tasks.md`, else the first file of an adopted folder that has tasks."""
        usual = self.root / _TASKS_FILE
        if usual.is_file():
            return usual
        found = next((page.path for page in self.task_pages() if page.tasks), None)
        return usual if found is None else self.root / found

    def shown(self, path: Path) -> str:
        """A path as it is shown: relative to this folder."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def markdown(self) -> list[Path]:
        """All Markdown files, sorted."""
        return markdown_files(self.root)

    def task_pages(self) -> list[Page]:
        """The pages that hold tasks: all but the archive and the generated indexes."""
        return [self.page(path) for path in self.markdown() if self.holds_tasks(path)]

    def holds_tasks(self, path: Path) -> bool:
        """Whether tasks in a file count as work: not in the archive, an index, a record or a review's checklist."""
        inside = path.relative_to(self.root).parts
        if inside[0] in (LOGS, "decisions", "reference", "system") or inside[:2] == ("planning", REVIEWS):
            return False
        return path.name != INDEX_FILE

    def page(self, path: Path) -> Page:
        """Read and scan one file."""
        return read_page(path, self.shown(path))


def markdown_files(root: Path) -> list[Path]:
    """All Markdown files below a folder, sorted; hidden folders and those of tools are left out."""
    return sorted(_walk(root))


def _walk(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".") and name not in _SKIPPED]
        for name in files:
            if name.endswith((".md", ".markdown")) and not name.startswith("."):
                yield Path(folder) / name


def is_flow_folder(folder: Path) -> bool:
    """Whether a folder is one of notes by what lies in it."""
    return any((folder / mark).is_file() for mark in _MARKS)


def find_flow(explicit: Path | None, workspace: Path | None = None, start: Path | None = None) -> FlowFolder:
    """Find the notes: `explicit`, else `TREADLE_FLOW`, else the workspace's, else the nearest `flow` upwards.

    Raises `NotFoundError` that names `treadle flow init`.
    """
    named = explicit if explicit is not None else _from_environment()
    if named is not None:
        root = named.expanduser().resolve()
        if not root.is_dir():
            raise NotFoundError(f"{named} is no folder of notes. Make one with `treadle flow init {_quoted(named)}`.")
        return FlowFolder(root)
    if workspace is not None and (workspace / NAME).is_dir():
        return FlowFolder(workspace / NAME)
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        for candidate in (folder, folder / NAME):
            if is_flow_folder(candidate):
                return FlowFolder(candidate)
    raise NotFoundError(
        f"No folder of notes in {here} or above it. Make one with `treadle flow init`, or name one with --flow DIR."
    )


def place_of_new(folder: Path | None, workspace: Path | None) -> Path:
    """Where `init` makes or adopts a folder: the one named, else `flow` in the workspace or here."""
    root = folder if folder is not None else (workspace or Path.cwd()) / NAME
    root = root.expanduser().resolve()
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; give a folder for the notes.")
    return root


def _from_environment() -> Path | None:
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
