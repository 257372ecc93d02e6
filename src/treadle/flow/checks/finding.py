"""What a check says: code, place, message, and the splices that would mend it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from treadle.flow.lookup import Titles
from treadle.flow.scanner import shown
from treadle.flow.tasks import normalised

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from treadle.flow.edits import Splice
    from treadle.flow.lookup import Found
    from treadle.flow.page import Page


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in one place."""

    code: str
    path: str
    line: int
    """Counted from 1."""
    column: int
    """In characters, counted from 1."""
    message: str
    splices: tuple[Splice, ...] = ()
    """What mends it inside its own file."""
    action: str = ""
    """What mends it across files: `archive` or `index`."""

    @property
    def fixable(self) -> bool:
        """Whether `--fix` mends it."""
        return bool(self.splices or self.action)


@dataclass(slots=True)
class Scope:
    """What the checks look at besides one page."""

    root: Path
    today: dt.date
    pages: list[Page]
    tasks: list[Found]
    """All tasks of all pages but the archive's."""
    files: dict[str, list[Path]] = field(default_factory=dict)
    """All files below the root by name, for links that lead nowhere."""
    anchors: dict[Path, set[str]] = field(default_factory=dict)
    """Anchors of files that were looked at."""
    days: int = 14
    """How long a done task stays."""
    entries: int = 10
    """How many entries a log keeps."""
    _titles: Titles | None = None
    _tops: dict[str, list[Found]] = field(default_factory=dict)

    @property
    def titles(self) -> Titles:
        """All tasks by name."""
        if self._titles is None:
            self._titles = Titles(self.tasks)
        return self._titles

    def elsewhere(self, title: str) -> list[Found]:
        """The tasks at the top of any page that have this title."""
        if not self._tops:
            for one in self.tasks:
                if one.task.parent is None:
                    self._tops.setdefault(normalised(one.task.title), []).append(one)
        return self._tops.get(normalised(title), [])


def at(
    page: Page, code: str, line: int, place: int, message: str, splices: tuple[Splice, ...] = (), action: str = ""
) -> Finding:
    """A finding at a place of a page; `line` is the index of its line."""
    column = max(place - page.lines[line].start, 0) + 1
    return Finding(code, page.path, line + 1, column, shown(message), splices, action)
