"""The log: what happened, newest first, one line each; the tool writes it and keeps it short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow import clock
from treadle.flow.draft import Draft
from treadle.flow.sections import LOG, at_top, find_section
from treadle.flow.vocabulary import DATE_PATTERN
from treadle.flow.writing import carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.flow.folder import FlowFolder
    from treadle.flow.page import Page
    from treadle.flow.tasks import Section
    from treadle.flow.writing import Change

_ENTRY_DATE = re.compile(rf"\[?({DATE_PATTERN})\]?")


def add_entry(folder: FlowFolder, text: str) -> str:
    """Write one line into the log of the working memory and return it; safe beside other writers."""
    row = entry(text)

    def plan() -> list[Change]:
        draft = Draft(folder)
        put_entry(draft, folder.tasks_file, row)
        return draft.changes()

    carry_out(folder.root, plan)
    return row


def entry(text: str) -> str:
    """A line of the log with today's date; line ends inside the text become blanks."""
    return f"- [{clock.today()}] {' '.join(text.split())}"


def put_entry(draft: Draft, path: Path, row: str) -> None:
    """Put a line at the top of the log of a file; the section is made if there is none."""
    page = draft.page(path)
    draft.edit(path, [at_top(page, log_section(page), LOG, [row])])


def log_section(page: Page) -> Section | None:
    """The section of the log."""
    return find_section(page, lambda one: one.is_log)


def entries(page: Page) -> list[tuple[int, int]]:
    """The entries of all logs of a page: indexes of their first lines and of the lines behind them."""
    found = []
    for section in page.sections:
        if not section.is_log:
            continue
        inside = [index for index in range(section.line + 1, section.end) if page.lines[index].kind == "item"]
        least = min((page.lines[index].shape.indent for index in inside), default=0)
        found += [(index, page.item_end(index)) for index in inside if page.lines[index].shape.indent == least]
    return found


def entry_date(page: Page, index: int) -> str:
    """The date that an entry begins with; empty if it has none."""
    line = page.lines[index]
    found = _ENTRY_DATE.match(page.text, line.body, line.end)
    return found[1] if found else ""
