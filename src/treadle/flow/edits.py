"""Edits are splices of the text: a place and what shall stand there. What no splice names stays byte for byte."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.flow.scanner import shown
from treadle.flow.vocabulary import (
    DATE_PATTERN,
    PRIORITY_SIGNS,
    SIGN_PATTERN,
    STATE_TEXT,
    STATUS_PATTERN,
    STATUS_SIGNS,
    WORDS_PATTERN,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from treadle.flow.page import Page
    from treadle.flow.tasks import Task
    from treadle.flow.vocabulary import Priority, State

_SIGN = re.compile(SIGN_PATTERN)
_LEAD_STATUS = re.compile(rf"{STATUS_PATTERN}[ \t]*")
_STATUS_VALUE = re.compile(rf"(?:{SIGN_PATTERN}\s*)*(?:{WORDS_PATTERN}\b)?(?:[\s:]*{DATE_PATTERN})?", re.IGNORECASE)
_BOX = re.compile(r"\[([^\]]{1,2})\]")
_PRIORITY_VALUE = re.compile(rf"(?:{SIGN_PATTERN}\s*)*\w*")


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace what lies between two places of a text."""

    start: int
    end: int
    text: str


def apply(text: str, splices: Iterable[Splice]) -> str:
    """The text with all splices made; they must not overlap."""
    parts: list[str] = []
    at = 0
    for splice in sorted(splices, key=lambda one: (one.start, one.end)):
        if splice.start < at:
            raise ValueError(f"splices overlap at {splice.start}")
        parts += [text[at : splice.start], splice.text]
        at = splice.end
    return "".join([*parts, text[at:]])


def difference(path: str, before: str, after: str) -> str:
    """What changes, as a unified diff that `patch` and `git apply` understand."""
    rows = difflib.unified_diff(_rows(before), _rows(after), f"a/{path}", f"b/{path}")
    return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in map(shown, rows))


def _rows(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    rows = text.split("\n")
    return [f"{row}\n" for row in rows[:-1]] + ([rows[-1]] if rows[-1] else [])


def state_splices(page: Page, task: Task, state: State, date: str) -> list[Splice]:
    """Make every place of a task that states its state say `state`, and add one if none can."""
    place, shape = task.place, task.place.shape
    splices: list[Splice] = []
    says = False
    for one in task.fields:
        if one.key in ("", "status"):
            splice = _said_in_field(page, one.line, one.start, one.end, state, date, bare=not one.key)
            says = says or (one.key == "status" and splice is not None)
            splices += [splice] if splice else []
    if shape.box is not None:
        box = _BOX.search(page.text, place.start, place.body)
        wanted = {"done": "x", "dropped": "-"}.get(state, " ")
        kept = shape.box in "xX✅" if state == "done" else shape.box == wanted
        if box and not kept:
            splices.append(Splice(box.start(1), box.end(1), wanted))
        says = says or state in ("open", "dropped")
    closing = state in ("done", "dropped")
    splices += _trail_splices(page, task, f" ✅ {date}" if state == "done" else "")
    sign = "" if closing or says or state not in STATUS_SIGNS else STATUS_SIGNS[state] + " "
    bullet = shape.marker and shape.statuses and shape.box is None and not shape.heading
    if bullet and not sign:  # without its sign the line would no longer be a task
        at = signs_span(page, task)[0]
        splices.append(Splice(at, at, {"done": "[x] ", "dropped": "[-] "}.get(state, "[ ] ")))
    splices += _lead_splices(page, task, sign)
    return [one for one in splices if page.text[one.start : one.end] != one.text]


def _said_in_field(
    page: Page, line: int, start: int, end: int, state: State, date: str, *, bare: bool
) -> Splice | None:
    found = _STATUS_VALUE.match(page.text, start, end)
    stop = found.end() if found else start
    if bare and state not in STATUS_SIGNS:
        return Splice(page.lines[line].start, page.lines[line].next, "")
    sign = f"{STATUS_SIGNS[state]} " if state in STATUS_SIGNS else ""
    day = f" {date}" if state == "done" else ""
    return Splice(start, stop, f"{sign}{STATE_TEXT[state]}{day}")


def _trail_splices(page: Page, task: Task, added: str) -> list[Splice]:
    """Take all states out of the trail; put `added` behind the title and its priority, before comments and ids."""
    body = task.place.body
    splices: list[Splice] = []
    at = body + len(task.written)
    for sign in task.signs:
        start, end = body + sign.start, body + sign.end
        if sign.kind in ("status", "words", "colour"):
            before = page.text[body:start]
            splices.append(Splice(body + len(before.rstrip(" \t")), end, ""))
        elif sign.kind == "priority":
            at = end
    if added:
        holding = next((one for one in splices if one.start <= at <= one.end), None)
        if holding is not None:
            splices[splices.index(holding)] = Splice(holding.start, holding.end, added)
        else:
            splices.append(Splice(at, at, added))
    return splices


def _lead_splices(page: Page, task: Task, sign: str) -> list[Splice]:
    """Replace the status signs before the title by `sign`, which may be empty."""
    place = task.place
    found = list(_LEAD_STATUS.finditer(page.text, *signs_span(page, task)))
    if not found:
        at = signs_span(page, task)[0]
        return [Splice(at, at, sign)] if sign else []
    first, *others = found
    return [Splice(first.start(), first.end(), sign)] + [
        Splice(one.start(), min(one.end(), place.body), "") for one in others
    ]


def signs_span(page: Page, task: Task) -> tuple[int, int]:
    """Where the signs before a title stand, or would stand."""
    place = task.place
    box = _BOX.search(page.text, place.start, place.body) if place.shape.box is not None else None
    found = _SIGN.search(page.text, box.end() if box else place.start, place.body)
    return (found.start() if found else place.body), place.body


def priority_splices(page: Page, task: Task, priority: Priority) -> list[Splice]:
    """Make every place of a task that names a priority name this one, and add a sign if none does."""
    sign = PRIORITY_SIGNS[priority]
    start, end = signs_span(page, task)
    lead = [
        found for found in _SIGN.finditer(page.text, start, end) if found[0].rstrip("\ufe0f") in PRIORITY_SIGNS.values()
    ]
    places = [(found.start(), found.end()) for found in lead]
    body = task.place.body
    places += [(body + one.start, body + one.end) for one in task.signs if one.kind == "priority"]
    splices = [Splice(first, last, sign) for first, last in places]
    for one in task.fields:
        if one.key == "priority":
            found_value = _PRIORITY_VALUE.match(page.text, one.start, one.end)
            stop = found_value.end() if found_value else one.start
            splices.append(Splice(one.start, stop, priority.capitalize()))
    if not splices:
        splices = [Splice(body, body, f"{sign} ")]
    return [one for one in splices if page.text[one.start : one.end] != one.text]


def title_splice(task: Task, title: str) -> Splice:
    """Another title in the same emphasis."""
    start, written = task.place.body, task.written
    opening = re.match(r"[*~]*", written)
    closing = re.search(r"(?:\*\*|~~)*:?(?:\*\*|~~)*$", written)
    before = opening[0] if opening else ""
    after = closing[0] if closing and before else ""
    if before and not after:
        before = ""
    return Splice(start, start + len(written), f"{before}{title}{after}")


def comment_splice(page: Page, task: Task, comment: str) -> Splice:
    """Add a comment `<# ... #>` behind a task's title, before its id."""
    body = task.place.body
    identity = next((one for one in task.signs if one.kind == "identity"), None)
    at = body + identity.start if identity else task.place.start + len(page.line_text(task.line).rstrip())
    text = f"<# {comment} #>"
    return Splice(at, at, f"{text} " if identity else f" {text}")


def field_splices(page: Page, task: Task, key: str, value: str) -> list[Splice]:
    """Set a field of a task: in its place if it is there, else on a new line below the last one."""
    for one in task.fields:
        if one.key == key.casefold():
            return [Splice(one.start, one.end, value)]
    last = max((one.line for one in task.fields), default=task.line)
    at = page.item_end(last) if last != task.line else task.line + 1
    while last == task.line and at < len(page.lines) and page.lines[at].kind == "comment":
        at += 1
    line = f"{child_indent(page, task)}- **{key[:1].upper()}{key[1:]}**: {value}"
    return [insertion(page, at, [line])]


def child_indent(page: Page, task: Task) -> str:
    """The blanks before what stands directly below a task, as its other children have them."""
    for index in [*(one.line for one in task.fields), *task.notes, *(one.line for one in task.children)]:
        line = page.lines[index]
        if line.shape.indent > task.place.shape.indent or task.section.task is task:
            return page.text[line.start : line.start + line.shape.column]
    if task.section.task is task:
        return ""
    own = page.text[task.place.start : task.place.start + task.place.shape.column].lstrip("\ufeff")
    return own + " " * (task.place.shape.content - task.place.shape.indent)


def insertion(page: Page, index: int, rows: Sequence[str]) -> Splice:
    """New lines before the line with this index, with the line ends of the file."""
    end = page.newline
    text = "".join(f"{row}{end}" for row in rows)
    if index < len(page.lines):
        at = page.lines[index].start
        return Splice(at, at, text)
    missing = end if page.text and not page.text.endswith("\n") else ""
    return Splice(len(page.text), len(page.text), missing + text)


def removal(page: Page, first: int, last: int) -> Splice:
    """Take away the lines from `first` up to but not including `last`."""
    return Splice(page.lines[first].start, page.lines[last - 1].next, "")
