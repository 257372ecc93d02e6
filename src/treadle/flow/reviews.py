"""Reviews: each horizon is looked at in its own rhythm; what shifted, and why, is written down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.base.errors import NotReadyError, UsageError
from treadle.base.names import did_you_mean
from treadle.flow import clock
from treadle.flow.edits import field_splices
from treadle.flow.folder import REVIEWS
from treadle.flow.log import entry, put_entry
from treadle.flow.lookup import Found, every
from treadle.flow.sections import appended, named
from treadle.flow.verbs import Outcome, meant, started

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from treadle.flow.draft import Draft

RHYTHM = {"two-weeks": 14, "two-months": 30, "long-term": 91}
"""Days between two reviews of a horizon: every two weeks, every month, every quarter."""
SHIFTED = "What shifted"
_NAME = re.compile(r"review_(\d{4}-\d{2}-\d{2})_([a-z-]+)\.md$")
_STALE_DAYS = 14
_QUESTIONS = (
    "Is each of these still what matters most?",
    "What is blocked or paused, and who can free it?",
    "What was started long ago and is not moving?",
    "What can be dropped?",
)


@dataclass(frozen=True, slots=True)
class Due:
    """When a horizon is to be looked at."""

    horizon: str
    last: str | None
    """Date of the last review that was finished."""
    due: str
    """Date from which on the next one is due; today if there was none."""
    is_due: bool
    tasks: int
    """Number of open tasks in it."""


def horizon_of(found: Found) -> str:
    """The horizon of a task: its own field, that of a task above, its section's; else the next two weeks."""
    for task in [found.task, *found.task.ancestors()]:
        value = (task.value("horizon") or "").strip().lower()
        if value in RHYTHM:
            return value
    return found.task.section.when or "two-weeks"


def schedule(draft: Draft) -> list[Due]:
    """All horizons with their dates."""
    today, tops = clock.today(), _tops(draft)
    rows = []
    for horizon, days in RHYTHM.items():
        last = max((date for date, path in _reviews(draft, horizon) if _finished(draft, path)), default=None)
        due = today if last is None else last.fromordinal(last.toordinal() + days)
        number = sum(horizon_of(one) == horizon for one in tops)
        rows.append(Due(horizon, None if last is None else str(last), str(due), due <= today, number))
    return rows


def open_review(draft: Draft, horizon: str) -> Outcome:
    """Write the checklist of a review: each task of the horizon, and the questions."""
    _known(horizon)
    path = _unfinished(draft, horizon)
    if path is not None:
        shown = draft.folder.shown(path)
        return Outcome(f"The review of {horizon} is open in {shown}.", shown, 1)
    path = draft.folder.root / "planning" / REVIEWS / f"review_{clock.today()}_{horizon}.md"
    tops = [one for one in _tops(draft) if horizon_of(one) == horizon]
    rows = [f"# Review of {clock.today()}: {horizon}", ""]
    rows += [f"*Part of the Flow System. See also: [Tasks]({_up(draft, path)}).*", ""]
    rows += ["## Questions", "", *(f"- [ ] {text}" for text in _QUESTIONS), ""]
    rows += ["## Tasks", "", *(f"- {_said(one)}" for one in tops), "", f"## {SHIFTED}", ""]
    draft.put(path, "\n".join(rows))
    shown = draft.folder.shown(path)
    return Outcome(f"The review of {horizon} has {len(tops)} tasks; its checklist is {shown}.", shown, 1)


def shift(draft: Draft, horizon: str, shifts: Sequence[str], because: str) -> Outcome:
    """Move tasks to other horizons and write down why; opens the review if need be."""
    if not because.strip():
        raise UsageError("Say why, with --because: the reason is what a later review needs.")
    open_review(draft, horizon)
    review = _unfinished(draft, horizon)
    if review is None:
        raise NotReadyError(f"No review of {horizon} is open. Open it: treadle flow review {horizon}.")
    rows = []
    for given in shifts:
        words, _, target = given.rpartition("=")
        if not words:
            raise UsageError(f"`{given}` is no shift; write it as TASK=HORIZON: 'Write the guide=long-term'.")
        _known(target)
        found = meant(draft, words)
        before = horizon_of(found)
        draft.edit(draft.folder.root / found.page.path, field_splices(found.page, found.task, "horizon", target))
        rows.append(f"- [{clock.today()}] `{found.task.title}`: {before} → {target}. {' '.join(because.split())}")
    page = draft.page(review)
    draft.edit(review, [appended(page, named(page, SHIFTED), SHIFTED, rows)])
    number = f"{len(rows)} task{'s'[: len(rows) != 1]}"
    return Outcome(f"Shifted {number}; the reason is in {page.path}.", page.path, 1)


def finish(draft: Draft, horizon: str, because: str) -> Outcome:
    """End a review: the next one is due after the rhythm of its horizon."""
    _known(horizon)
    path = _unfinished(draft, horizon)
    if path is None:
        raise NotReadyError(f"No review of {horizon} is open. Open it: treadle flow review {horizon}.")
    text = draft.text(path)
    end = "" if text.endswith("\n") else "\n"
    reason = f" {' '.join(because.split())}" if because.strip() else ""
    draft.put(path, f"{text}{end}\nFinished {clock.today()}.{reason}\n")
    put_entry(draft, draft.folder.tasks_file, entry(f"Reviewed {horizon}.{reason}"))
    shown = draft.folder.shown(path)
    return Outcome(f"The review of {horizon} is finished.", shown, 1)


def _known(horizon: str) -> None:
    if horizon not in RHYTHM:
        raise UsageError(f"There is no horizon `{horizon}`.{did_you_mean(horizon, RHYTHM)} Known: {', '.join(RHYTHM)}.")


def _tops(draft: Draft) -> list[Found]:
    return [one for one in every(draft.task_pages()) if one.task.parent is None and not one.task.closed]


def _reviews(draft: Draft, horizon: str) -> list[tuple[dt.date, Path]]:
    found = []
    for path in draft.markdown():
        name = _NAME.search(path.name)
        date = clock.as_date(name[1]) if name else None
        if name and date is not None and name[2] == horizon:
            found.append((date, path))
    return sorted(found)


def _finished(draft: Draft, path: Path) -> bool:
    return re.search(r"^Finished \d{4}-\d{2}-\d{2}\.", draft.text(path), re.MULTILINE) is not None


def _unfinished(draft: Draft, horizon: str) -> Path | None:
    return next((path for _, path in reversed(_reviews(draft, horizon)) if not _finished(draft, path)), None)


def _said(found: Found) -> str:
    """A task in a checklist, with what is worth a look."""
    task = found.task
    remarks: list[str] = [task.state] if task.state not in ("open", "planned") else []
    when = clock.as_date(started(task)[0][:10])
    if when is not None and (clock.today() - when).days > _STALE_DAYS:
        remarks.append(f"started {when}")
    due = clock.as_date((task.value("due") or "")[:10])
    if due is not None and due < clock.today():
        remarks.append(f"was due {due}")
    shown = f" ({', '.join(remarks)})" if remarks else ""
    return f"{task.title}{shown}"


def _up(draft: Draft, path: Path) -> str:
    depth = len(path.relative_to(draft.folder.root).parts) - 1
    return "../" * depth + draft.folder.shown(draft.folder.tasks_file)
