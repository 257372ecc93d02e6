"""Checks on dates: F04, F13."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow.checks.finding import Finding, Scope, at
from treadle.flow.clock import as_date
from treadle.flow.vocabulary import DATE_PATTERN

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from treadle.flow.page import Page

_DATE = re.compile(rf"\b{DATE_PATTERN}\b")
_MEANT_AHEAD = re.compile(r"\b(due|until|by|deadline|before|review|planned|target)\b", re.IGNORECASE)
_CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+")
_FAR_DAYS = 180
_NEIGHBOURS = 2
_FEWEST = 2


def two_dates(page: Page, _: Scope) -> Iterator[Finding]:
    """F04: a task says that it was done on two different days."""
    for task in page.tasks:
        dates = task.done_dates
        for date, line, start in dates[1:]:
            if date != dates[0][0]:
                message = f"`{task.title}` was done on {dates[0][0]} and on {date}."
                yield at(page, "F04", line, start, message)
                break


def strange_date(page: Page, scope: Scope) -> Iterator[Finding]:
    """F13: a date does not exist, lies in the future, or far from the dates around it."""
    found = list(_dates(page))
    for index, (line, start, text, date) in enumerate(found):
        if date is None:
            yield at(page, "F13", line, start, f"There is no day {text}.")
        elif date > scope.today and not _MEANT_AHEAD.search(page.text, page.lines[line].start, start):
            yield at(page, "F13", line, start, f"{text} lies in the future; today is {scope.today}.")
        else:
            around = found[max(index - _NEIGHBOURS, 0) : index] + found[index + 1 : index + 1 + _NEIGHBOURS]
            others = [other for _, _, _, other in around if other is not None]
            if _lonely(date, others):
                near = min(others, key=lambda other: abs((other - date).days))
                yield at(page, "F13", line, start, f"{text} lies far from the dates around it ({near}).")


def _lonely(date: dt.date, others: list[dt.date]) -> bool:
    """Whether at least two dates around agree with each other and none with this one."""
    if len(others) < _FEWEST or (max(others) - min(others)).days > _FAR_DAYS:
        return False
    return all(abs((other - date).days) > _FAR_DAYS for other in others)


def _dates(page: Page) -> Iterator[tuple[int, int, str, dt.date | None]]:
    """Dates outside code and links, in the order of the file, one of each kind a line."""
    for index, line in enumerate(page.lines):
        if line.kind in ("code", "blank"):
            continue
        row = page.text[line.start : line.end]
        if "-" not in row:
            continue
        hidden = [found.span() for found in _CODE.finditer(row)] if "`" in row or "(" in row or "://" in row else []
        seen: set[str] = set()
        for found in _DATE.finditer(row):
            inside = any(first <= found.start() < last for first, last in hidden)
            if not inside and found[0] not in seen:
                seen.add(found[0])
                yield index, line.start + found.start(), found[0], as_date(found[0])
