"""Checks that keep notes short and findable: F12, F15, F16, F18."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.flow.archive import due_entries, due_tasks
from treadle.flow.checks.finding import Finding, Scope, at
from treadle.flow.links import links, problem, retargeted
from treadle.flow.log import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.flow.edits import Splice
    from treadle.flow.links import Link
    from treadle.flow.page import Page


def dead_link(page: Page, scope: Scope) -> Iterator[Finding]:
    """F12: a link leads to no file, or to no heading of it."""
    file = scope.root / page.path
    for link in links(page):
        wrong = problem(link, page, file, scope.root, scope.anchors)
        if wrong is not None:
            mended = _elsewhere(link, page, file, scope)
            yield at(page, "F12", link.line, link.start, wrong, mended)


def _elsewhere(link: Link, page: Page, file: Path, scope: Scope) -> tuple[Splice, ...]:
    """Where the file of a dead link went, if exactly one file has its name."""
    name = link.path.rstrip("/").rpartition("/")[2]
    places = scope.files.get(name, []) if name else []
    if len(places) != 1 or places[0] == file:
        return ()
    splice = retargeted(link, page.text, places[0], file.parent)
    return (splice,) if splice.text != link.target else ()


def not_archived(page: Page, scope: Scope) -> Iterator[Finding]:
    """F15: a task was done more than two weeks ago and still stands here."""
    for task in due_tasks(page, scope.today, scope.days):
        message = f"`{task.title}` was done on {task.done}, more than {scope.days} days ago; it belongs in the archive."
        yield at(page, "F15", task.line, task.begin, message, action="archive")


def long_log(page: Page, scope: Scope) -> Iterator[Finding]:
    """F16: a log has more entries than are kept."""
    for section in page.sections:
        number = sum(section.line < first < section.end for first, _ in entries(page)) if section.is_log else 0
        if number > scope.entries and due_entries(page, scope.entries):
            start = page.lines[section.line].start
            message = f"The log has {number} entries; {scope.entries} are kept, the others belong in the archive."
            yield at(page, "F16", section.line, start, message, action="archive")
