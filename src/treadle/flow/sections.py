"""Where things go in a page: sections found or made, tasks put into them and moved between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.flow.edits import Splice, insertion, removal
from treadle.flow.vocabulary import CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from treadle.flow.page import Page
    from treadle.flow.tasks import Section, Task

ACTIVE = "Active Tasks"
UPCOMING = "Upcoming Tasks"
COMPLETED = "Completed Tasks"
LOG = "Log"
NOTES = "Notes"


def find_section(page: Page, fits: Callable[[Section], bool]) -> Section | None:
    """The first section that fits and is no task."""
    return next((one for one in page.sections[1:] if one.task is None and fits(one)), None)


def named(page: Page, title: str) -> Section | None:
    """The section of that name; without regard to case, or the first that begins so."""
    wanted = title.casefold()
    return find_section(page, lambda one: one.title.casefold() == wanted) or find_section(
        page, lambda one: one.title.casefold().startswith(wanted)
    )


def done_section(page: Page) -> Section | None:
    """The section for what is done."""
    return find_section(page, lambda one: one.own_state == "done")


def open_section(page: Page) -> Section | None:
    """The section for what is being worked on, else the first that is not for what is done."""
    return find_section(page, lambda one: one.own_state == "open") or find_section(
        page, lambda one: one.level > 1 and one.state not in CLOSED and not one.is_log
    )


def own_end(page: Page, section: Section) -> int:
    """Index of the line before which something is put that shall be the last in a section, before those inside it."""
    inner = [one.line for one in page.sections if one.parent is section]
    end = min([section.end, *inner])
    while end > section.line + 1 and page.lines[end - 1].kind == "blank":
        end -= 1
    return end


def appended(page: Page, section: Section | None, title: str, rows: Sequence[str]) -> Splice:
    """Put lines at the end of a section; without one, a section `title` is made at the end of the page."""
    if section is None:
        gap = [""] if page.lines and page.lines[-1].kind != "blank" else []
        return insertion(page, len(page.lines), [*gap, f"## {title}", "", *rows])
    end = own_end(page, section)
    before, after = page.lines[end - 1], page.lines[end] if end < len(page.lines) else None
    rows = list(rows)
    tight = before.kind == "item" or (before.kind in ("text", "comment", "code") and before.shape.indent)
    if not tight or page.lines[end - 1].shape.heading:
        rows = ["", *rows]
    if after is not None and after.kind == "heading":
        rows = [*rows, ""]
    return insertion(page, end, rows)


def at_top(page: Page, section: Section | None, title: str, rows: Sequence[str]) -> Splice:
    """Put lines at the beginning of a section, before its first item; without a section it is made."""
    if section is None:
        return appended(page, None, title, rows)
    for index in range(section.line + 1, section.end):
        if page.lines[index].kind == "item":
            return insertion(page, index, rows)
        if page.lines[index].kind == "heading":
            break
    return appended(page, section, title, rows)


def moved(page: Page, task: Task, target: Section | None, title: str) -> list[Splice]:
    """Move a task with everything below it to the end of another section."""
    last = page.block_end(task)
    rows = [page.line_text(index) for index in range(task.line, last)]
    rows[0] = rows[0].removeprefix("\ufeff")
    if target is not None and target.line < task.line < target.end and target is task.section:
        return []
    cut = last
    while cut < len(page.lines) and page.lines[cut].kind == "blank" and _blank_before(page, task.line):
        cut += 1
    put = appended(page, target, title, rows)
    taken = removal(page, task.line, cut)
    if taken.start <= put.start < taken.end:
        return []
    if put.start == taken.end and not page.text.endswith("\n"):
        taken = Splice(taken.start, taken.end, "")
    return [taken, put]


def moved_to_done(page: Page, task: Task) -> list[Splice]:
    """Move a task to the section for what is done."""
    return moved(page, task, done_section(page), COMPLETED)


def _blank_before(page: Page, index: int) -> bool:
    return index == 0 or page.lines[index - 1].kind in ("blank", "heading")
