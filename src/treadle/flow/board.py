"""What is shown of the tasks: rows for lists, columns for the board, numbers for the statistics."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.flow import clock
from treadle.flow.folder import LOGS
from treadle.flow.lookup import Found, every, identity_of
from treadle.flow.scanner import shown
from treadle.flow.verbs import started
from treadle.flow.vocabulary import PRIORITY_SIGNS, STATES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from treadle.flow.folder import FlowFolder
    from treadle.flow.page import Page

COLUMNS = {
    "To do": ("open", "planned"),
    "In progress": ("in progress",),
    "Waiting": ("review", "paused", "blocked"),
    "Done": ("done",),
}
"""Columns of the board and the states in them."""
_ORDER = {name: place for place, name in enumerate(PRIORITY_SIGNS)}
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_RECENT_DAYS = 14
_WEEKS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One task as lists show it."""

    id: str
    title: str
    state: str
    priority: str | None
    owner: str | None
    path: str
    line: int
    section: str
    parent: str | None
    """Title of the task above it."""
    due: str | None
    started: str | None
    done: str | None


def row_of(found: Found) -> Row:
    """A task as lists show it."""
    page, task = found.page, found.task
    owner = next((one.value("owner") for one in [task, *task.ancestors()] if one.value("owner")), None)
    return Row(
        id=identity_of(page, task),
        title=shown(task.title),
        state=task.state,
        priority=task.priority,
        owner=None if owner is None else shown(owner),
        path=shown(page.path),
        line=task.line + 1,
        section=shown(task.section.title),
        parent=shown(task.parent.title) if task.parent else None,
        due=(task.value("due") or "")[:10] or None,
        started=started(task)[0] or None,
        done=task.done,
    )


def by_priority(rows: Sequence[Row]) -> list[Row]:
    """The most important first; within a priority as they stand in the files."""
    return sorted(rows, key=lambda row: _ORDER.get(row.priority or "", len(_ORDER)))


def columns(tasks: Sequence[Found], today: dt.date) -> dict[str, list[Row]]:
    """The tasks at the top of the pages by column; of the done ones those of the last two weeks or without a date."""
    rows = [row_of(one) for one in tasks if one.task.parent is None]
    found: dict[str, list[Row]] = {}
    for name, states in COLUMNS.items():
        inside = [row for row in rows if row.state in states]
        if name == "Done":
            inside = [row for row in inside if _recent(row, today)]
            found[name] = sorted(inside, key=lambda row: row.done or "", reverse=True)
        else:
            found[name] = by_priority(inside)
    return found


def _recent(row: Row, today: dt.date) -> bool:
    date = clock.as_date(row.done)
    return date is None or (today - date).days <= _RECENT_DAYS


@dataclass(frozen=True, slots=True)
class Numbers:
    """Statistics of a folder of notes."""

    files: int
    tasks: int
    states: dict[str, int]
    priorities: dict[str, int]
    """Of the open tasks."""
    owners: dict[str, int]
    """Of the open tasks."""
    done_by_week: dict[str, int]
    """The last eight weeks, by the Monday on which they began; with the archive."""
    oldest_in_progress: str | None
    """The task in progress that was started first."""


def numbers(folder: FlowFolder, today: dt.date) -> Numbers:
    """Count what is there, the archive included where it is about what was done."""
    pages = folder.task_pages()
    rows = [row_of(one) for one in every(pages)]
    still_open = [row for row in rows if row.state not in ("done", "dropped")]
    going = sorted((row.started, row.title) for row in rows if row.state == "in progress" and row.started)
    states = Counter(row.state for row in rows)
    return Numbers(
        files=len(pages),
        tasks=len(rows),
        states={state: states[state] for state in STATES if states[state]},
        priorities=dict(Counter(row.priority or "none" for row in still_open)),
        owners=dict(Counter(row.owner for row in still_open if row.owner)),
        done_by_week=_weeks([*pages, *_archives(folder)], today),
        oldest_in_progress=going[0][1] if going else None,
    )


def _archives(folder: FlowFolder) -> list[Page]:
    return [folder.page(path) for path in folder.markdown() if path.relative_to(folder.root).parts[0] == LOGS]


def _weeks(pages: Sequence[Page], today: dt.date) -> dict[str, int]:
    monday = today.fromordinal(today.toordinal() - today.weekday())
    starts = [today.fromordinal(monday.toordinal() - 7 * back) for back in reversed(range(_WEEKS))]
    counts = dict.fromkeys(map(str, starts), 0)
    for one in every(pages):
        date = clock.as_date(one.task.done)
        if date is not None:
            week = str(date.fromordinal(date.toordinal() - date.weekday()))
            if week in counts:
                counts[week] += 1
    return counts


def plain(title: str) -> str:
    """A title without links, for columns."""
    return _LINK.sub(r"\1", title)
