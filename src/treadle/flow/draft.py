"""A draft: edits of several files, made in memory and written together, or only shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.flow.edits import Splice, apply
from treadle.flow.folder import FlowFolder, markdown_files
from treadle.flow.page import Page, parse
from treadle.flow.scanner import decode, encode
from treadle.flow.writing import Change

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Draft:
    """Reads through to the disk, except for what was edited in it. Plans of verbs and repairs work on one."""

    def __init__(self, folder: FlowFolder) -> None:
        """Begin without edits."""
        self.folder = folder
        self._read: dict[Path, bytes | None] = {}
        self._now: dict[Path, bytes | None] = {}

    def bytes(self, path: Path) -> bytes | None:
        """The content of a file as the draft has it; None if there is none."""
        if path not in self._now:
            try:
                found: bytes | None = path.read_bytes()
            except FileNotFoundError:
                found = None
            self._read[path] = self._now[path] = found
        return self._now[path]

    def exists(self, path: Path) -> bool:
        """Whether the file is there in the draft."""
        return self.bytes(path) is not None

    def text(self, path: Path) -> str:
        """The text of a file; empty if there is none."""
        return decode(self.bytes(path) or b"")

    def page(self, path: Path) -> Page:
        """A file as tasks and sections; an empty page if there is none."""
        return parse(self.folder.shown(path), self.text(path))

    def put(self, path: Path, text: str) -> None:
        """Give a file another text."""
        self.bytes(path)
        self._now[path] = encode(text)

    def remove(self, path: Path) -> None:
        """Take a file away."""
        self.bytes(path)
        self._now[path] = None

    def edit(self, path: Path, splices: Iterable[Splice]) -> None:
        """Splice a file."""
        self.put(path, apply(self.text(path), splices))

    def markdown(self) -> list[Path]:
        """All Markdown files as the draft has them, sorted."""
        on_disk = markdown_files(self.folder.root)
        added = [path for path, data in self._now.items() if data is not None and path.suffix == ".md"]
        return sorted({path for path in [*on_disk, *added] if path not in self._now or self._now[path] is not None})

    def task_pages(self) -> list[Page]:
        """The pages that hold tasks."""
        return [self.page(path) for path in self.markdown() if self.folder.holds_tasks(path)]

    def changes(self) -> list[Change]:
        """What differs from the disk, in the order in which it was first touched."""
        return [Change(path, self._read[path], data) for path, data in self._now.items() if data != self._read[path]]
