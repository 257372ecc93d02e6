"""Tasks from elsewhere: a file of GitHub issues, or other Markdown. Importing twice adds nothing twice."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError
from treadle.flow.lookup import every
from treadle.flow.page import parse
from treadle.flow.scanner import decode
from treadle.flow.sections import COMPLETED, appended, done_section
from treadle.flow.tasks import normalised
from treadle.flow.verbs import Outcome, upcoming
from treadle.flow.vocabulary import PRIORITY_SIGNS, priority_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from treadle.flow.draft import Draft
    from treadle.flow.page import Page
    from treadle.flow.tasks import Task

_ISSUE_MARK = re.compile(r"<# issue (\S+)")
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """One task on its way in."""

    title: str
    done: str | None
    """Date of its end; empty if it is done on a day nobody knows; None if it is open."""
    priority: str | None
    origin: str
    """What it is called where it comes from; empty if it has no name there."""
    rows: tuple[str, ...]
    """Lines below it."""


def import_file(draft: Draft, path: Path) -> tuple[Outcome, int, int]:
    """Add the tasks of a file; returns what was done, how many were added and how many were known."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    found = list(_issues(path, data) if path.suffix.lower() == ".json" else _markdown(path, data))
    known = _known(draft)
    new = [one for one in found if (one.origin or normalised(one.title)) not in known]
    waiting = [row for one in new if one.done is None for row in _rows(one)]
    finished = [row for one in new if one.done is not None for row in _rows(one)]
    if waiting:
        upcoming(draft, waiting)
    if finished:
        target = draft.folder.tasks_file
        page = draft.page(target)
        draft.edit(target, [appended(page, done_section(page), COMPLETED, finished)])
    shown = draft.folder.shown(draft.folder.tasks_file)
    message = f"Imported {len(new)} of {len(found)} tasks from {path.name}; {len(found) - len(new)} were known."
    return Outcome(message, shown, 0), len(new), len(found) - len(new)


def _known(draft: Draft) -> set[str]:
    names = {normalised(one.task.title) for one in every(draft.task_pages())}
    for path in draft.markdown():
        names.update(_ISSUE_MARK.findall(draft.text(path)))
    return names


def _rows(one: Imported) -> list[str]:
    sign = f"{PRIORITY_SIGNS[priority]} " if (priority := priority_of(one.priority or "")) else ""
    box, end = ("x", f" ✅ {one.done}".rstrip()) if one.done is not None else (" ", "")
    origin = f" <# issue {one.origin} #>" if one.origin else ""
    return [f"- [{box}] {sign}{one.title}{end}{origin}", *one.rows]


def _issues(path: Path, data: bytes) -> Iterable[Imported]:
    """Issues as GitHub exports them: a list from the REST interface, from `gh issue list --json`, or one a line."""
    try:
        rows = json.loads(data)
    except ValueError as first:
        try:
            rows = [json.loads(line) for line in data.splitlines() if line.strip()]
        except ValueError:
            raise DataError(f"{path.name} is not JSON ({first}). Export with: gh issue list --json …") from first
    if isinstance(rows, dict):
        rows = rows.get("items", rows.get("issues", [rows]))
    if not isinstance(rows, list):
        raise DataError(f"{path.name} holds no list of issues.")
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("title"), str):
            raise DataError(f"{path.name} holds something that is no issue: {str(row)[:60]!r}.")
        if "pull_request" not in row:
            yield _issue(row)


def _issue(row: dict[str, Any]) -> Imported:
    labels = [label["name"] if isinstance(label, dict) else str(label) for label in row.get("labels") or []]
    priority = next((label for name in labels if priority_of(label := name.rpartition(":")[2].strip())), None)
    closed = str(row.get("state", "")).lower() == "closed"
    when = str(row.get("closed_at") or row.get("closedAt") or "")[:10]
    url = row.get("html_url") or row.get("url") or ""
    people = [str(one.get("login", "")) for one in row.get("assignees") or [] if isinstance(one, dict)]
    rows = [f"  - **Owner**: {', '.join(people)}"] if people else []
    rows += [f"  - **See also**: <{url}>"] if url else []
    others = [label for label in labels if label != priority and not priority_of(label.rpartition(":")[2].strip())]
    rows += [f"  - **Labels**: {', '.join(others)}"] if others else []
    origin = f"#{row['number']}" if "number" in row else str(url)
    return Imported(_one_line(row["title"]), when if closed else None, priority, origin, tuple(rows))


def _markdown(path: Path, data: bytes) -> Iterable[Imported]:
    """The tasks at the top of another file, each with everything below it."""
    page = parse(path.name, decode(data))
    for task in page.tasks:
        if task.parent is not None:
            continue
        rows = _below(page, task)
        done = (task.done or "") if task.state == "done" else None
        if task.state != "dropped" and task.title:
            yield Imported(_one_line(task.title), done, task.priority, "", tuple(rows))


def _below(page: Page, task: Task) -> Sequence[str]:
    """What belongs to a task, moved so that it stands below a bullet at the margin."""
    rows = [page.line_text(index) for index in range(task.line + 1, page.block_end(task))]
    kept = [row.expandtabs(4) for row in rows if row.strip()]
    least = min((len(row) - len(row.lstrip()) for row in kept), default=0)
    return [f"  {row[least:]}" for row in kept if not row.lstrip().startswith("#")]


def _one_line(title: str) -> str:
    text = " ".join(title.split())
    return text if len(text) <= _LONGEST_TITLE else text[: _LONGEST_TITLE - 1] + "…"
