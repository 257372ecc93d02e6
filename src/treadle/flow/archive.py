"""The archive: done tasks and old log entries go to `logs/logs_DATE.md`, unchanged but for their links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.flow import clock
from treadle.flow.edits import removal
from treadle.flow.links import moved_rows
from treadle.flow.log import entries, entry_date
from treadle.flow.sections import COMPLETED, LOG, appended, named

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from treadle.flow.draft import Draft
    from treadle.flow.edits import Splice
    from treadle.flow.page import Page
    from treadle.flow.tasks import Task

KEPT_DAYS = 14
KEPT_ENTRIES = 10


def due_tasks(page: Page, today: dt.date, days: int = KEPT_DAYS) -> list[Task]:
    """Tasks at the top of a page that were done more than `days` days ago."""
    found = []
    for task in page.tasks:
        date = clock.as_date(task.done) if task.parent is None else None
        if date is not None and (today - date).days > days and not any(not one.closed for one in task.children):
            found.append(task)
    return found


def due_entries(page: Page, kept: int = KEPT_ENTRIES) -> list[tuple[int, int]]:
    """The oldest entries of a log beyond the number that is kept; without dates the order of the file decides."""
    every = entries(page)
    if len(every) <= kept:
        return []
    dated = [(entry_date(page, first), -index, (first, last)) for index, (first, last) in enumerate(every)]
    newest_first = sorted(dated, reverse=True) if all(date for date, _, _ in dated) else dated
    return sorted(place for _, _, place in newest_first[kept:])


def archive_page(draft: Draft, path: Path, *, days: int = KEPT_DAYS, kept: int = KEPT_ENTRIES) -> tuple[int, int]:
    """Move what is due from one file to the archive of today; returns the numbers of tasks and entries.

    The archive is written first. If the process is killed in between, the next call finds the lines there already and
    only takes them out of the file.
    """
    page = draft.page(path)
    tasks = due_tasks(page, clock.today(), days)
    old = due_entries(page, kept)
    if not tasks and not old:
        return 0, 0
    target = archive_file(draft)
    blocks = [(task.line, page.block_end(task)) for task in tasks]
    _put(draft, target, COMPLETED, [_rows(page, path, target, *block) for block in blocks])
    _put(draft, target, LOG, [_rows(page, path, target, *block) for block in old])
    draft.edit(path, [_taken(page, first, last) for first, last in [*blocks, *old]])
    return len(tasks), len(old)


def archive_file(draft: Draft) -> Path:
    """The archive of today, with its heading if it is new."""
    path = draft.folder.logs / f"logs_{clock.today()}.md"
    if not draft.exists(path):
        tasks = draft.folder.tasks_file
        back = f"../{draft.folder.shown(tasks)}"
        text = f"# Archive of {clock.today()}\n\n*Part of the Flow System. See also: [Tasks]({back}).*\n"
        draft.put(path, text)
    return path


def put_archived(draft: Draft, title: str, rows: list[str], path: Path) -> None:
    """Put lines of the file `path` into a section of today's archive."""
    target = archive_file(draft)
    _put(draft, target, title, [moved_rows(rows, path, target)])


def _put(draft: Draft, target: Path, title: str, blocks: list[list[str]]) -> None:
    present = draft.text(target).replace("\r\n", "\n")
    new = [block for block in blocks if "\n".join(["", *block, ""]) not in present]
    if new:
        page = draft.page(target)
        draft.edit(target, [appended(page, named(page, title), title, [row for block in new for row in block])])


def _rows(page: Page, path: Path, target: Path, first: int, last: int) -> list[str]:
    rows = [page.line_text(index) for index in range(first, last)]
    rows[0] = rows[0].removeprefix("\ufeff")
    return moved_rows(rows, path, target)


def _taken(page: Page, first: int, last: int) -> Splice:
    """Take lines out, with one blank line behind them if there is one before them too."""
    before_blank = first == 0 or page.lines[first - 1].kind in ("blank", "heading")
    if before_blank and last < len(page.lines) and page.lines[last].kind == "blank":
        last += 1
    return removal(page, first, last)
