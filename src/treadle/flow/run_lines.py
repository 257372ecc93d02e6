"""What runs write into the notes: the state of their task, their id and figures, and a line in the log.

The person's word counts: if somebody has changed the state meanwhile, the run only leaves its fact as a comment, and
check F01 shows the contradiction. Writing the same fact twice changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.flow import clock
from treadle.flow.acceptance import judge, shown
from treadle.flow.edits import Splice, comment_splice, state_splices
from treadle.flow.log import entry, put_entry
from treadle.flow.lookup import Found, every

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.flow.draft import Draft
    from treadle.flow.tasks import Task
    from treadle.flow.vocabulary import State

HEADLINES = ("bits_per_byte", "held_out", "loss", "accuracy", "perplexity", "step", "epochs", "accepted", "documents")
"""Figures that a line names, the most telling first; of the others none."""
_MOST_FIGURES = 3


@dataclass(frozen=True, slots=True)
class RunFact:
    """What is known of a run that was started for a task."""

    run: str
    task: str
    """The visible id of the task."""
    kind: str
    """What it does, such as `train`."""
    outcome: str
    """`started`, `done`, `failed` or `cancelled`."""
    figures: Mapping[str, float]
    error: str = ""


def tell(draft: Draft, fact: RunFact, said: State | None) -> State | None:
    """Write a fact into the notes; `said` is the state that was written for this run before.

    Returns the state that the task has now because of the run, or `said` if nothing was said.
    """
    found = next((one for one in every(draft.task_pages()) if one.task.identity == fact.task), None)
    if found is None:
        if fact.outcome != "started":
            _log(draft, fact, f"ended {fact.outcome}; its task ^{fact.task} is no longer in the notes")
        return said
    if _told(found.task, fact):
        return said
    wanted, remark = _state(found.task, fact)
    changed_by_hand = said is not None and found.task.state != said
    closed_by_hand = said is None and found.task.closed
    path = draft.folder.root / found.page.path
    splices = _earlier(found, fact)
    if wanted is not None and not changed_by_hand and not closed_by_hand:
        splices += state_splices(found.page, found.task, wanted, str(clock.today()))
    draft.edit(path, splices)
    page = draft.page(path)
    same = next(task for task in page.tasks if task.identity == fact.task)
    draft.edit(path, [comment_splice(page, same, f"run {fact.run} {remark}")])
    if fact.outcome != "started":
        _log(draft, fact, f"for `{found.task.title}`: {remark}")
    if changed_by_hand or closed_by_hand:
        return said
    return wanted if wanted is not None else said


def _state(task: Task, fact: RunFact) -> tuple[State | None, str]:
    """The state that a fact gives to its task, and how the fact is written."""
    if fact.outcome == "started":
        return "in progress", f"started {clock.stamp()}"
    if fact.outcome == "done":
        verdict = judge(task.value("done when"), fact.figures)
        figures = _headline(fact.figures)
        if verdict.met:
            return "done", f"done {clock.stamp()}{figures}"
        return "in progress", f"ended {clock.stamp()}{figures}; not yet done: {', '.join(verdict.reasons)}"
    reason = f": {' '.join(fact.error.split())[:120]}" if fact.error else ""
    return "blocked", f"{fact.outcome} {clock.stamp()}{reason}".replace("#>", "# >")


def _headline(figures: Mapping[str, float]) -> str:
    named = [f"{name} {shown(figures[name])}" for name in HEADLINES if name in figures][:_MOST_FIGURES]
    return f", {', '.join(named)}" if named else ""


def _told(task: Task, fact: RunFact) -> bool:
    """Whether this was written already: by a process that was killed before it could remember it."""
    words = {"started": "started", "done": "(?:done|ended)", "failed": "failed", "cancelled": "cancelled"}
    pattern = re.compile(rf"run {re.escape(fact.run)} {words[fact.outcome]}\b")
    return any(sign.kind == "comment" and pattern.match(sign.text) for sign in task.signs)


def _earlier(found: Found, fact: RunFact) -> list[Splice]:
    """Take away what this run has said before, such as that it was started."""
    body = found.task.place.body
    splices = []
    for sign in found.task.signs:
        if sign.kind == "comment" and sign.text.startswith(f"run {fact.run} "):
            before = found.page.text[body : body + sign.start]
            splices.append(Splice(body + len(before.rstrip(" \t")), body + sign.end, ""))
    return splices


def _log(draft: Draft, fact: RunFact, text: str) -> None:
    row = entry(f"Run {fact.run} ({fact.kind}) {text}")
    if row not in draft.text(draft.folder.tasks_file):
        put_entry(draft, draft.folder.tasks_file, row)
