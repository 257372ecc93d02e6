"""F19: what is claimed without anything to show for it. Status is evidence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from treadle.flow.checks.finding import Finding, Scope, at
from treadle.flow.edits import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.flow.page import Page
    from treadle.flow.tasks import Task

UNVERIFIED = "unverified"
_EVIDENCE = re.compile(
    r"\br-[0-9a-hjkmnp-tv-z]{16}\b"  # a run
    r"|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b"  # a commit
    r"|(?<![\w/])#\d+\b|https?://\S+"  # an issue, a page
    r"|\]\([^)\s]+\)"  # a link
    r"|`[^`\s]*\w(?:/|\.\w)[^`\s]*`"  # code that names a path or a module
    r"|\b[\w-]+\.(?:py|md|toml|yaml|yml|json|csv|txt|ipynb|cpp|h|sh|js|ts|html|dot|mp4|png|safetensors)\b"  # a file
    r"|\bunverified\b",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"(?<![\w.])~?\d[\d,.]*\+?\s?(?:%|x (?:faster|slower)|ms\b|seconds?\b|minutes?\b|hours?\b|[kMG]B\b|tok/s\b"
    r"|tokens/s\b|nats\b|bits/byte\b|fps\b)"
)


def claims_without_evidence(page: Page, _: Scope) -> Iterator[Finding]:
    """F19: a task is said to be done, or a log gives a measured number, with no run, commit, file or link beside it."""
    shown: set[int] = set()
    for task in page.tasks:
        if task.state != "done" or not task.claims:
            continue
        above = [one for one in task.ancestors() if one.state == "done"]
        if any(one.line in shown or _has_evidence(page, one) for one in above):
            continue
        if not _has_evidence(page, task):
            shown.add(task.line)
            message = f"`{task.title}` is said to be done; no run, commit, file or link shows it."
            yield at(page, "F19", task.line, task.place.body, message, (_marked(page, task.line),))
    for section in page.sections:
        if section.is_log:
            yield from _numbers(page, section.line + 1, section.end)


def _has_evidence(page: Page, task: Task) -> bool:
    return any(_EVIDENCE.search(page.line_text(index)) for index in range(task.line, page.block_end(task)))


def _numbers(page: Page, first: int, last: int) -> Iterator[Finding]:
    for index in range(first, last):
        if page.lines[index].kind != "item":
            continue
        row = page.line_text(index)
        found = _MEASURED.search(row)
        if found and not _EVIDENCE.search(row):
            message = f"`{found[0].strip()}` is given without the run, commit or file that shows it."
            yield at(page, "F19", index, page.lines[index].start + found.start(), message, (_marked(page, index),))


def _marked(page: Page, index: int) -> Splice:
    """The mark that makes the claim an honest one, before an id at the end of the line."""
    row = page.line_text(index)
    end = len(row.rstrip())
    identity = re.search(r"\s*\^t-[0-9a-z]+$", row[:end])
    place = page.lines[index].start + (identity.start() if identity else end)
    return Splice(place, place, f" <# {UNVERIFIED} #>")
