"""What people do with tasks: each verb edits a draft and says in one sentence what it did."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.base.errors import NotReadyError, UsageError
from treadle.flow import clock
from treadle.flow.archive import archive_file, archive_page, put_archived
from treadle.flow.draft import Draft
from treadle.flow.edits import (
    Splice,
    child_indent,
    comment_splice,
    field_splices,
    insertion,
    priority_splices,
    removal,
    state_splices,
    title_splice,
)
from treadle.flow.indexes import follow, update
from treadle.flow.log import entry, put_entry
from treadle.flow.lookup import Found, every, find_task, new_visible_id, remember
from treadle.flow.sections import (
    ACTIVE,
    NOTES,
    UPCOMING,
    appended,
    at_top,
    find_section,
    moved,
    moved_to_done,
    named,
    open_section,
)
from treadle.flow.vocabulary import CLOSED, PRIORITY_SIGNS, Priority, State
from treadle.flow.writing import Change, carry_out, kept_as_patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from treadle.flow.folder import FlowFolder
    from treadle.flow.page import Page
    from treadle.flow.tasks import Section, Task

_STARTED = re.compile(r"started (?P<when>\S+?)(?:, from \^(?P<origin>t-[0-9a-z]+))?$")
_REASON = re.compile(r"(?:blocked|paused): ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb did."""

    message: str
    path: str
    """The file with the task, relative to the folder."""
    line: int
    """Line of the task, counted from 1; 0 if there is none."""


def perform(
    folder: FlowFolder, verb: Callable[[Draft], Outcome], *, dry_run: bool = False
) -> tuple[Outcome, list[Change]]:
    """Carry out a verb on the folder under its lock, or only plan it; returns what it did and what it changed."""
    outcomes: list[Outcome] = []

    def plan() -> list[Change]:
        draft = Draft(folder)
        outcomes.append(verb(draft))
        follow(draft)
        return draft.changes()

    changes = carry_out(folder.root, plan, dry_run=dry_run)
    if not dry_run and changes:
        remember(folder, folder.task_pages())
    return outcomes[-1], changes


def expecting(digest: str | None, verb: Callable[[Draft], Outcome]) -> Callable[[Draft], Outcome]:
    """A verb that was asked for by somebody who saw the file with this SHA-256; on another file a patch is kept."""
    if digest is None:
        return verb

    def guarded(draft: Draft) -> Outcome:
        outcome = verb(draft)
        before = next((one.before for one in draft.changes() if draft.folder.shown(one.path) == outcome.path), None)
        if before is not None and hashlib.sha256(before).hexdigest() != digest.lower():
            reason = "is no longer the file that this edit was made for"
            raise kept_as_patch(draft.folder.root, draft.changes(), reason)
        return outcome

    return guarded


def meant(draft: Draft, words: str) -> Found:
    """The task that `words` mean in the draft."""
    return find_task(draft.folder, words, pages=draft.task_pages())


def again(draft: Draft, found: Found) -> Found:
    """The same task after edits that did not change the number of lines before it."""
    page = draft.page(draft.folder.root / found.page.path)
    return Found(page, next(task for task in page.tasks if task.line == found.task.line))


def _path(draft: Draft, found: Found) -> Path:
    return draft.folder.root / found.page.path


def add(
    draft: Draft,
    title: str,
    *,
    priority: Priority | None = None,
    section: str | None = None,
    under: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> Outcome:
    """Write down a new task: at the end of a section, or below another task."""
    text = " ".join(title.split())
    if not text:
        raise UsageError('Give the task a title, for example: treadle flow add "Write the guide".')
    sign = f"{PRIORITY_SIGNS[priority]} " if priority else ""
    rows = [f"- [ ] {sign}{text}", *(f"  - **{key[:1].upper()}{key[1:]}**: {value}" for key, value in _given(fields))]
    if under is not None:
        parent = meant(draft, under)
        page, path = parent.page, _path(draft, parent)
        indent = child_indent(page, parent.task)
        splice = insertion(page, page.block_end(parent.task), [indent + row for row in rows])
    else:
        path = draft.folder.tasks_file
        page = draft.page(path)
        if not page.lines:
            draft.put(path, "# Tasks\n")
            page = draft.page(path)
        target, made = _target(page, section, priority)
        splice = appended(page, target, made, rows)
    draft.edit(path, [splice])
    line = draft.text(path).count("\n", 0, splice.start + splice.text.index(rows[0])) + 1
    return Outcome(f"Added `{text}`.", page.path, line)


def _given(fields: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return [(key, " ".join(value.split())) for key, value in (fields or {}).items() if value]


def _target(page: Page, section: str | None, priority: Priority | None) -> tuple[Section | None, str]:
    """The section for a new task: the one named, inside it the one of its priority if there is one."""
    if section is not None:
        found = named(page, section)
        made = section
    else:
        found = open_section(page)
        made = ACTIVE
    if found is not None and priority is not None:
        inner = find_section(page, lambda one: one.parent is found and one.own_priority == priority)
        return inner or found, made
    return found, made


def change_state(draft: Draft, words: str, state: State, *, because: str = "") -> Outcome:
    """Make a task say `state` in every place where it says one."""
    found = meant(draft, words)
    task, path = found.task, _path(draft, found)
    splices = [*_forgotten(found, _REASON), *state_splices(found.page, task, state, str(clock.today()))]
    draft.edit(path, splices)
    if because:
        now = again(draft, found)
        draft.edit(path, [comment_splice(now.page, now.task, f"{state}: {' '.join(because.split())}")])
    reason = f": {because}" if because else ""
    if state == "blocked":
        put_entry(draft, draft.folder.tasks_file, entry(f"Blocked: {task.title}{reason}"))
    return Outcome(f"`{task.title}` is {state}{reason}.", *_place(draft, path, task.title, task.line))


def _place(draft: Draft, path: Path, title: str, near: int) -> tuple[str, int]:
    page = draft.page(path)
    lines = [task.line for task in page.tasks if task.title == title]
    return page.path, min(lines, key=lambda line: abs(line - near), default=-1) + 1


def _forgotten(found: Found, pattern: re.Pattern[str]) -> list[Splice]:
    """Take away comments of the tool that no longer hold."""
    body = found.task.place.body
    splices = []
    for sign in found.task.signs:
        if sign.kind == "comment" and pattern.match(sign.text):
            start = body + sign.start
            before = found.page.text[body:start]
            splices.append(Splice(body + len(before.rstrip(" \t")), body + sign.end, ""))
    return splices


def focus_of(tasks: Sequence[Found]) -> Found | None:
    """The task that is being worked on: the one started last; without stamps the only one in progress.

    A task that another one interrupted comes behind that one, also when both were started within a minute.
    """
    going = [one for one in tasks if one.task.state == "in progress"]
    interrupted = {started(one.task)[1] for one in going} - {None}
    stamped = [one for one in going if started(one.task)[0]]
    if not stamped:
        return going[0] if len(going) == 1 else None
    return max(stamped, key=lambda one: (one.task.identity not in interrupted, started(one.task)[0]))


def started(task: Task) -> tuple[str, str | None]:
    """When a task was started, and the id of the task that it interrupted; an empty text if it does not say."""
    for sign in task.signs:
        found = _STARTED.match(sign.text) if sign.kind == "comment" else None
        if found:
            return found["when"], found["origin"]
    return "", None


def tag(draft: Draft, found: Found) -> str:
    """The visible id of a task; it is written now if it has none, because something is going to link to it."""
    if found.task.identity:
        return found.task.identity
    made = new_visible_id(draft.task_pages())
    end = found.task.place.start + len(found.page.line_text(found.task.line).rstrip())
    draft.edit(_path(draft, found), [Splice(end, end, f" ^{made}")])
    return made


def start(draft: Draft, words: str) -> Outcome:
    """Begin a task; leaves a breadcrumb to the one that it interrupts."""
    found = meant(draft, words)
    if found.task.closed:
        raise NotReadyError(
            f'`{found.task.title}` is {found.task.state}. Reopen it first: treadle flow reopen "{words}".'
        )
    before = focus_of(every(draft.task_pages()))
    same = before is None or (before.page.path, before.task.line) == (found.page.path, found.task.line)
    origin = started(found.task)[1]
    if before is not None and not same:
        origin = tag(draft, before)
        found = again(draft, found)
    path = _path(draft, found)
    forgotten = _forgotten(found, re.compile(rf"{_STARTED.pattern}|{_REASON.pattern}"))
    draft.edit(
        path,
        [*forgotten, *_runs_before(found), *state_splices(found.page, found.task, "in progress", str(clock.today()))],
    )
    now = again(draft, found)
    crumb = f", from ^{origin}" if origin else ""
    draft.edit(path, [comment_splice(now.page, now.task, f"started {clock.stamp()}{crumb}")])
    back = f" It interrupts `{before.task.title}`; done leads back there." if before is not None and not same else ""
    return Outcome(f"Started `{found.task.title}`.{back}", found.page.path, found.task.line + 1)


def done(draft: Draft, words: str, *, evidence: str = "", with_children: bool = False, note: str = "") -> Outcome:
    """Finish a task, with what shows it; leads back to the task that it interrupted."""
    found = meant(draft, words)
    left = [child for child in _descendants(found.task) if not child.closed and child.claims]
    if left and not with_children:
        titles = ", ".join(f"`{child.title}`" for child in left[:3])
        raise NotReadyError(
            f"`{found.task.title}` has {len(left)} open part{'s'[: len(left) != 1]}: {titles}. "
            "Finish them first, or all together with --with-children."
        )
    path, today = _path(draft, found), str(clock.today())
    splices = _forgotten(found, _REASON)
    for task in [found.task, *left]:
        splices += state_splices(found.page, task, "done", today)
    draft.edit(path, splices)
    if evidence:
        now = _same_title(draft, path, found)
        draft.edit(path, [comment_splice(now.page, now.task, " ".join(evidence.split()))])
    _leave_open_section(draft, path, found)
    shown = ". ".join(part for part in (f"({evidence})" if evidence else "", note) if part)
    put_entry(draft, draft.folder.tasks_file, entry(f"Done: {found.task.title} {shown}".strip()))
    back = _back(draft, started(found.task)[1])
    lead = f" Back to `{back.task.title}` ({back.place})." if back is not None else ""
    return Outcome(f"Done: `{found.task.title}`.{lead}", *_place(draft, path, found.task.title, found.task.line))


def _leave_open_section(draft: Draft, path: Path, found: Found) -> None:
    """A task at the top that is done goes to the completed ones, together with its parts."""
    now = _same_title(draft, path, found)
    task = now.task
    section = task.section.parent if task.section.task is task else task.section
    if task.parent is None and section is not None and section.state in ("open", "planned"):
        draft.edit(path, moved_to_done(now.page, task))


def _same_title(draft: Draft, path: Path, found: Found) -> Found:
    page = draft.page(path)
    near = [task for task in page.tasks if task.title == found.task.title]
    return Found(page, min(near, key=lambda task: abs(task.line - found.task.line)))


def _runs_before(found: Found) -> list[Splice]:
    """What runs said of a task that is taken up again was true earlier."""
    body = found.task.place.body
    return [
        Splice(body + sign.start + len("<# "), body + sign.start + len("<# "), "earlier ")
        for sign in found.task.signs
        if sign.kind == "comment" and found.page.text.startswith("<# run ", body + sign.start)
    ]


def _descendants(task: Task) -> list[Task]:
    found = []
    for child in task.children:
        found += [child, *_descendants(child)]
    return found


def _back(draft: Draft, origin: str | None) -> Found | None:
    """Follow the breadcrumbs to the nearest task that is still open."""
    tasks = {one.task.identity: one for one in every(draft.task_pages()) if one.task.identity}
    seen: set[str] = set()
    while origin is not None and origin not in seen:
        seen.add(origin)
        one = tasks.get(origin)
        if one is None:
            return None
        if not one.task.closed:
            return one
        origin = started(one.task)[1]
    return None


def trail_back(tasks: Sequence[Found], found: Found) -> list[Found]:
    """The tasks that a task interrupted, one after the other."""
    known = {one.task.identity: one for one in tasks if one.task.identity}
    chain: list[Found] = []
    origin = started(found.task)[1]
    while origin is not None and origin in known and known[origin] not in chain:
        chain.append(known[origin])
        origin = started(known[origin].task)[1]
    return chain


def reopen(draft: Draft, words: str) -> Outcome:
    """Take a finished task up again: it says that it is open, and leaves the section of the completed ones."""
    found = meant(draft, words)
    path, task = _path(draft, found), found.task
    splices = [*_runs_before(found), *state_splices(found.page, task, "open", str(clock.today()))]
    shape = task.place.shape
    if shape.box is None and task.section.state in CLOSED and shape.marker and not shape.statuses:
        at = task.place.start + shape.column + len(shape.marker)
        if not shape.heading:
            splices.append(Splice(at, at, " [ ]"))
    draft.edit(path, splices)
    now = again(draft, found)
    if task.parent is None and task.section.state in CLOSED:
        draft.edit(path, moved(now.page, now.task, open_section(now.page), ACTIVE))
    return Outcome(f"`{task.title}` is open again.", *_place(draft, path, task.title, task.line))


def prioritise(draft: Draft, words: str, priority: Priority) -> Outcome:
    """Give a task a priority, in every place where it names one."""
    found = meant(draft, words)
    draft.edit(_path(draft, found), priority_splices(found.page, found.task, priority))
    return Outcome(f"`{found.task.title}` is {priority} now.", found.page.path, found.task.line + 1)


def edit(draft: Draft, words: str, *, title: str | None = None, fields: Mapping[str, str] | None = None) -> Outcome:
    """Reword a task, or set its fields; an empty value takes a field away."""
    found = meant(draft, words)
    path, shown = _path(draft, found), found.task.title
    if title is not None:
        shown = " ".join(title.split())
        if not shown:
            raise UsageError("A title cannot be empty. To take a task away: treadle flow remove.")
        draft.edit(path, [title_splice(found.task, shown)])
    for key, value in (fields or {}).items():
        now = again(draft, found)
        if value:
            draft.edit(path, field_splices(now.page, now.task, key, " ".join(value.split())))
            continue
        line = next((one.line for one in now.task.fields if one.key == key.casefold()), None)
        if line is not None:
            draft.edit(path, [removal(now.page, line, now.page.item_end(line))])
    return Outcome(f"Edited `{shown}`.", found.page.path, found.task.line + 1)


def remove(draft: Draft, words: str) -> Outcome:
    """Take a task away with all that belongs to it; the lines are kept in today's archive."""
    found = meant(draft, words)
    path, page = _path(draft, found), found.page
    last = page.block_end(found.task)
    put_archived(draft, "Removed", [page.line_text(index) for index in range(found.task.line, last)], path)
    draft.edit(path, [removal(page, found.task.line, last)])
    kept = draft.folder.shown(draft.folder.logs / f"logs_{clock.today()}.md")
    return Outcome(f"Removed `{found.task.title}`; its lines are kept in {kept}.", page.path, 0)


def archive(draft: Draft, *, days: int, entries: int) -> Outcome:
    """Move what is finished and what is old out of all pages into today's archive; the index of the archive follows."""
    tasks = logs = 0
    for page in draft.task_pages():
        moved_tasks, moved_entries = archive_page(draft, draft.folder.root / page.path, days=days, kept=entries)
        tasks, logs = tasks + moved_tasks, logs + moved_entries
    target = draft.folder.shown(archive_file(draft)) if tasks or logs else ""
    if target:
        update(draft, draft.folder.logs)
    entry_noun = "entry" if logs == 1 else "entries"
    said = f"Archived {tasks} task{'s'[: tasks != 1]} and {logs} {entry_noun} of the log"
    return Outcome(f"{said} in {target}." if target else "Nothing is due for the archive.", target, 0)


def note(draft: Draft, text: str) -> Outcome:
    """Write down a thought at once, without deciding what it is."""
    if not text.strip():
        raise UsageError("Give the text of the note.")
    path = draft.folder.tasks_file
    page = draft.page(path)
    draft.edit(path, [at_top(page, named(page, NOTES), NOTES, [entry(text)])])
    return Outcome("Noted.", page.path, 0)


def log(draft: Draft, text: str) -> Outcome:
    """Write one line into the log."""
    if not text.strip():
        raise UsageError("Give the text of the entry.")
    path = draft.folder.tasks_file
    put_entry(draft, path, entry(text))
    return Outcome("Logged.", draft.folder.shown(path), 0)


def upcoming(draft: Draft, rows: Sequence[str]) -> None:
    """Put lines at the end of the section of upcoming tasks."""
    path = draft.folder.tasks_file
    page = draft.page(path)
    target = find_section(page, lambda one: one.own_state == "planned")
    draft.edit(path, [appended(page, target, UPCOMING, rows)])
