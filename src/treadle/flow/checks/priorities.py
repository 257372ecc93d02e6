"""Checks on priorities and dependencies: F02, F14."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow.checks.finding import Finding, Scope, at
from treadle.flow.vocabulary import DEPENDENCY_FIELDS, PREREQUISITE_FIELDS, PRIORITIES, SECTION_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.flow.page import Page

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_LIST = re.compile(r"\s*(?:;|,(?=\s*\^t-)|\s&\s)\s*")


def priority_clash(page: Page, _: Scope) -> Iterator[Finding]:
    """F02: a task, or the heading of a section, names two priorities."""
    for task in page.tasks:
        named = task.priorities
        for name, start, _end in named[1:]:
            if name != named[0][0]:
                line = next((one.line for one in task.fields if one.start == start), task.line)
                message = f"`{task.title}` is {named[0][0]} by its sign, but {name} is said too."
                yield at(page, "F02", line, start, message)
                break
    for section in page.sections[1:]:
        signs = page.lines[section.line].shape.priorities
        if section.task is None and signs and SECTION_PRIORITY.match(section.title):
            said, sign = _word(section.title), PRIORITIES[signs[0]]
            if said != sign:
                message = f"`{section.title}` says {said}, its sign {signs[0]} means {sign}."
                yield at(page, "F02", section.line, page.lines[section.line].start, message)


def _word(title: str) -> str:
    found = SECTION_PRIORITY.match(title)
    return (found["word"] or "").lower() if found else ""


def unknown_dependency(page: Page, scope: Scope) -> Iterator[Finding]:
    """F14: a dependency names no task of these notes."""
    for task in page.tasks:
        for one in task.values(DEPENDENCY_FIELDS | PREREQUISITE_FIELDS):
            for name in named_dependencies(one.value):
                if scope.titles.get(name) is None:
                    message = f"`{task.title}` names `{name}` ({one.key}), but no task is called so."
                    yield at(page, "F14", one.line, one.start, message)


def named_dependencies(value: str) -> list[str]:
    """The tasks that a dependency field names: the whole value, or its parts between semicolons."""
    if value.strip().lower() in ("", "-", "none", "nothing"):
        return []
    parts = _LIST.split(_LINK.sub(r"\1", value.split("<#", maxsplit=1)[0]))
    return [part.strip(" .*_") for part in parts if part.strip(" .*_")]
