"""Checks on the shape of a file: F06 to F11."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow.checks.finding import Finding, Scope, at
from treadle.flow.edits import Splice, insertion, removal
from treadle.flow.lookup import hashed
from treadle.flow.tasks import bare, normalised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.flow.page import Page
    from treadle.flow.tasks import Section, Task

_HIDDEN = 4
"""Columns beyond its container from which CommonMark takes a line for code."""
_BLANK = re.compile(r"[ \t]*")


def comment_over_line_end(page: Page, _: Scope) -> Iterator[Finding]:
    """F06: a comment `<# ... #>` goes over the end of its line, or never ends."""
    for index, line in enumerate(page.lines):
        if line.kind in ("code", "comment", "blank"):
            continue
        row = page.text[line.start : line.end]
        opened = row.rfind("<#")
        if opened < 0 or "#>" in row[opened:] or row.count("`", 0, opened) % 2:
            continue
        last = index
        while last + 1 < len(page.lines) and page.lines[last + 1].kind == "comment":
            last += 1
        end = line.start + len(row.rstrip())
        if last == index or "#>" not in page.line_text(last):
            stop = page.lines[last].start + len(page.line_text(last).rstrip())
            splices = [Splice(stop, stop, " #>")]
            message = "This comment never ends."
        else:
            splices, message = [], f"This comment ends on line {last + 1}; keep it on one."
        for following in range(index + 1, last + 1):
            text = _BLANK.match(page.text, page.lines[following].start)
            splices.append(Splice(end, text.end() if text else page.lines[following].start, " "))
            end = page.lines[following].start + len(page.line_text(following).rstrip())
        yield at(page, "F06", index, line.start + opened, message, tuple(splices))


def duplicate_title(page: Page, scope: Scope) -> Iterator[Finding]:
    """F07: two tasks with the same title below the same task, or both at the top of files of these notes."""
    seen: dict[str, Task] = {}
    for task in page.tasks:
        key = hashed(page.path, task.title, task.parent.title if task.parent else "")
        before = seen.setdefault(key, task)
        if before is not task and normalised(task.title) and not (before.closed and task.closed):
            message = f"`{task.title}` is also the title of the task on line {before.line + 1}."
            yield at(page, "F07", task.line, task.begin, message)
    for task in page.tasks:
        if task.parent is not None or task.closed:
            continue
        for other in scope.elsewhere(task.title):
            if other.page.path < page.path and not other.task.closed:
                message = f"`{task.title}` is also the title of the task at {other.place}."
                yield at(page, "F07", task.line, task.begin, message)
                break


def duplicate_section(page: Page, _: Scope) -> Iterator[Finding]:
    """F08: two sections of the same name in the same place."""
    seen: dict[tuple[int, int, str], Section] = {}
    for section in page.sections[1:]:
        if section.task is not None or not section.title:
            continue
        key = (id(section.parent), section.level, bare(section.title))
        first = seen.setdefault(key, section)
        if first is section:
            continue
        message = f"There is a section `{section.title}` on line {first.line + 1} already."
        start = page.lines[section.line].start
        yield at(page, "F08", section.line, start, message, tuple(_merged(page, first, section)))


def _merged(page: Page, first: Section, second: Section) -> list[Splice]:
    """Move what stands in the second section to the end of the first, and take its heading away."""
    body = second.line + 1
    while body < second.end and page.lines[body].kind == "blank":
        body += 1
    last = second.end
    while last > body and page.lines[last - 1].kind == "blank":
        last -= 1
    target = first.end
    while target > first.line + 1 and page.lines[target - 1].kind == "blank":
        target -= 1
    if body >= last:
        return [removal(page, second.line, second.end)]
    rows = [page.line_text(index) for index in range(body, last)]
    items = page.lines[target - 1].kind == "item" and page.lines[body].kind == "item"
    gap = [] if items and _tight(page, body, last) else [""]
    if target == second.line:
        return [removal(page, second.line, body)]
    return [insertion(page, target, [*gap, *rows]), removal(page, second.line, second.end)]


def _tight(page: Page, first: int, last: int) -> bool:
    return all(page.lines[index].kind != "blank" for index in range(first, last))


def second_title(page: Page, _: Scope) -> Iterator[Finding]:
    """F09: more than one heading of the first level."""
    titles = [section for section in page.sections[1:] if section.level == 1]
    for section in titles[1:]:
        place = page.text.index("#", page.lines[section.line].start)
        message = f"`{section.title}` is a second title; the first is `{titles[0].title}` on line {titles[0].line + 1}."
        yield at(page, "F09", section.line, place, message, (Splice(place, place, "#"),))


def heading_in_item(page: Page, _: Scope) -> Iterator[Finding]:
    """F10 (off by default): a heading inside a list item; a box says the same to every reader."""
    for task in page.tasks:
        shape = task.place.shape
        if not shape.marker or not shape.heading:
            continue
        start = page.text.index("#", task.place.start)
        mark = {"done": "x", "dropped": "-"}.get(task.state, " ")
        end = start + shape.heading
        box = f"[{mark}]" if shape.box is None else ""
        splices = [Splice(start, end, box)]
        if not task.written.startswith("**"):
            title = task.place.body
            splices += [Splice(title, title, "**"), Splice(title + len(task.written), title + len(task.written), "**")]
        yield at(page, "F10", task.line, start, f"`{task.title}` is a heading in a list item.", tuple(splices))


def hidden_by_indentation(page: Page, _: Scope) -> Iterator[Finding]:
    """F11: CommonMark takes an item for code, because it is indented by four columns or more beyond its parent."""
    stack: list[int] = []
    hidden_from = -1  # indentation of the hidden block that is being passed over
    before = "blank"
    for index, line in enumerate(page.lines):
        indent, kind = line.shape.indent, line.kind
        if kind == "heading" and not indent:
            stack.clear()
        if kind == "text" and before == "blank":
            while stack and indent < stack[-1]:
                stack.pop()
        if kind not in ("blank", "code", "comment") and indent < hidden_from:
            hidden_from = -1
        if kind == "item" and hidden_from < 0:
            while stack and indent < stack[-1]:
                stack.pop()
            room = stack[-1] if stack else 0
            if indent - room >= _HIDDEN:
                hidden_from = indent
                last = _hidden_end(page, index, indent)
                tasks = sum(index <= task.line < last for task in page.tasks)
                if tasks:
                    lost = f"{tasks} task{'s'[: tasks != 1]}"
                    message = f"CommonMark shows lines {index + 1} to {last} as code: {lost} hidden by indentation."
                    splices = _dedented(page, index, last, indent - room)
                    yield at(page, "F11", index, line.start + line.shape.column, message, splices)
            else:
                stack.append(line.shape.content)
        before = kind


def _hidden_end(page: Page, first: int, indent: int) -> int:
    """Index of the first line behind the block that is indented at least as far."""
    last = at_ = first + 1
    while at_ < len(page.lines):
        line = page.lines[at_]
        if line.kind != "blank":
            if line.shape.indent < indent:
                break
            last = at_ + 1
        at_ += 1
    return last


def _dedented(page: Page, first: int, last: int, columns: int) -> tuple[Splice, ...]:
    """Move lines to the left; nothing if tabs stand in the way."""
    splices = []
    for index in range(first, last):
        line = page.lines[index]
        if line.kind == "blank":
            continue
        if page.text[line.start : line.start + columns].strip(" "):
            return ()
        splices.append(Splice(line.start, line.start + columns, ""))
    return tuple(splices)
