"""Checks on what tasks say of their state: F01, F03, F05, F17."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow.checks.finding import Finding, Scope, at
from treadle.flow.edits import Splice
from treadle.flow.sections import moved_to_done
from treadle.flow.vocabulary import CLOSED, PRIORITY_PATTERN, WORDS_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.flow.page import Page
    from treadle.flow.tasks import Claim, Task

_SOURCES = {
    "box": "its box",
    "field": "its Status",
    "trail": "what stands behind its title",
    "lead": "the sign before its title",
    "struck": "its strike-through",
}
_COLOUR = re.compile(rf"({PRIORITY_PATTERN}\s*){WORDS_PATTERN}\b", re.IGNORECASE)

_RUN = re.compile(r"run (?P<run>\S+) (?P<outcome>done|failed|cancelled)\b")


def contradictory_status(page: Page, _: Scope) -> Iterator[Finding]:
    """F01: two places of one task state different states."""
    for task in page.tasks:
        claims = task.claims
        for place, weaker in enumerate(claims):
            clash = next((one for one in claims[:place] if not _agree(one, weaker)), None)
            if clash is None:
                continue
            message = (
                f"`{task.title}` is {clash.state} by {_SOURCES[clash.source]}, but {weaker.state} by "
                f"{_SOURCES[weaker.source]}; {task.state} counts."
            )
            yield at(page, "F01", weaker.line, weaker.start, message)
            break
        else:
            yield from _unlike_its_run(page, task)


def _unlike_its_run(page: Page, task: Task) -> Iterator[Finding]:
    """The newest run of a task says done or failed, and the task does not."""
    told = [(sign, found) for sign in task.signs if sign.kind == "comment" and (found := _RUN.match(sign.text))]
    if not told:
        return
    sign, found = told[-1]
    if (found["outcome"] == "done") != (task.state == "done"):
        message = f"`{task.title}` is {task.state}, but run {found['run']} says {found['outcome']}."
        yield at(page, "F01", task.line, task.place.body + sign.start, message)


def _agree(one: Claim, other: Claim) -> bool:
    states = {one.state, other.state}
    if len(states) == 1 or states in ({"open", "planned"}, {"done", "dropped"}) or one is other:
        return True
    empty = one if one.source == "box" else other
    return empty.source == "box" and empty.state == "open" and not states & CLOSED


def done_in_open_section(page: Page, _: Scope) -> Iterator[Finding]:
    """F03: a task that is done stands under a heading for work that is not."""
    for task in page.tasks:
        section = task.section.parent if task.section.task is task else task.section
        if section is None or task.parent is not None or section.state not in ("open", "planned"):
            continue
        if task.state == "done" and task.claims:
            message = f"`{task.title}` is done, but stands under `{section.title}`."
            yield at(page, "F03", task.line, task.begin, message, tuple(moved_to_done(page, task)))


def done_with_open_child(page: Page, _: Scope) -> Iterator[Finding]:
    """F05: a task says that it is done while a part of it says that it is not."""
    for task in page.tasks:
        if not task.children or task.state != "done":
            continue
        left = [one for one in _below(task) if one.claims and not one.closed]
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            message = f"`{task.title}` is done, but `{left[0].title}` (line {left[0].line + 1}){more} is not."
            yield at(page, "F05", task.line, task.begin, message)


def _below(task: Task) -> Iterator[Task]:
    for child in task.children:
        yield child
        yield from _below(child)


def colour_as_status(page: Page, _: Scope) -> Iterator[Finding]:
    """F17: a colour that means a priority stands before a status word."""
    for task in page.tasks:
        places = [(task.line, task.place.body + one.start) for one in task.signs if one.kind == "colour"] + [
            (one.line, one.start) for one in task.fields if one.key == "status"
        ]
        for line, start in places:
            found = _COLOUR.match(page.text, start)
            if found:
                colour = found[1].strip()
                mended = Splice(start, found.end(1), "")
                if line == task.line:  # behind a title, a status without a sign stands in brackets
                    mended = Splice(start, found.end(), f"({found[0][len(found[1]) :]})")
                message = f"{colour} before a status word of `{task.title}`: colours are for priorities."
                yield at(page, "F17", line, start, message, (mended,))
