"""Operations that change tasks: flow add, edit, prioritise, start, done, review-ready, block, pause, reopen, remove."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from treadle.base.errors import UsageError
from treadle.operations.flow import FLOW_HELP, TASK_HELP, folder_of
from treadle.operations.operation import operation
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.flow.draft import Draft
    from treadle.flow.verbs import Outcome
    from treadle.flow.vocabulary import State

DRY_HELP = "only show the diff"


@dataclass(frozen=True, slots=True)
class FlowEdit:
    """What a verb did to the notes."""

    message: str
    path: str
    """The file with the task, relative to the folder of notes."""
    line: int
    """Line of the task; 0 if there is none."""
    changed: list[str]
    """All files that were changed."""
    dry_run: bool
    diff: str
    """What changed, as a unified diff."""


def carried_out(
    workspace: WorkspaceFolder | None, flow: Path | None, verb: Callable[[Draft], Outcome], *, dry_run: bool
) -> FlowEdit:
    """Carry out a verb, or show what it would change."""
    from treadle.flow.verbs import perform

    folder = folder_of(workspace, flow)
    outcome, changes = perform(folder, verb, dry_run=dry_run)
    return FlowEdit(
        message=outcome.message,
        path=outcome.path,
        line=outcome.line,
        changed=[folder.shown(change.path) for change in changes],
        dry_run=dry_run,
        diff="".join(change.patch(folder.root) for change in changes),
    )


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=(
        'treadle flow add "Write the guide" --priority high',
        'treadle flow add "Draw the diagram" --under "write the guide" effort=2h owner=ada',
    ),
)
def add(
    workspace: WorkspaceFolder | None,
    title: Annotated[str, "what is to be done"],
    fields: Annotated[list[str], "fields as KEY=VALUE, such as effort=2d, due=2026-12-01, goal=..."] = [],  # noqa: B006 - never changed
    *,
    priority: Annotated[Literal["critical", "high", "medium", "low"] | None, "how much it matters"] = None,
    section: Annotated[str | None, "section to put it into; else the active one"] = None,
    under: Annotated[str | None, "task that it is a part of"] = None,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Add a task to the working memory, or to another task as a part of it."""
    from treadle.flow import verbs

    if section is not None and under is not None:
        raise UsageError("Give --section or --under, not both.")
    given = _pairs(fields)
    return carried_out(
        workspace,
        flow,
        lambda draft: verbs.add(draft, title, priority=priority, section=section, under=under, fields=given),
        dry_run=dry_run,
    )


def _pairs(fields: list[str]) -> dict[str, str]:
    found = {}
    for field in fields:
        key, mark, value = field.partition("=")
        if not mark or not key.strip():
            raise UsageError(f"`{field}` is no field; write it as KEY=VALUE, for example effort=2d.")
        found[key.strip()] = value.strip()
    return found


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=(
        'treadle flow edit "write the guide" --title "Write the guide of Flow"',
        "treadle flow edit t-4f2a owner=ada",
    ),
)
def edit(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    fields: Annotated[list[str], "fields as KEY=VALUE; an empty value takes the field away"] = [],  # noqa: B006 - never changed
    *,
    title: Annotated[str | None, "another title"] = None,
    expect: Annotated[
        str | None, "SHA-256 of the file that the edit was made for; if it has changed, a patch is kept"
    ] = None,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Reword a task or set its fields; every other byte of the file stays."""
    from treadle.flow import verbs

    given = _pairs(fields)
    if title is None and not given:
        raise UsageError("Give --title or fields as KEY=VALUE; to rewrite more, open the file in any editor.")
    change = verbs.expecting(expect, lambda draft: verbs.edit(draft, task, title=title, fields=given))
    return carried_out(workspace, flow, change, dry_run=dry_run)


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=('treadle flow prioritise "write the guide" high',),
)
def prioritise(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    priority: Annotated[str, "critical, high, medium or low"],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Give a task a priority, in every place where it names one."""
    from treadle.flow import verbs
    from treadle.flow.vocabulary import priority_of

    wanted = priority_of(priority.strip())
    if wanted is None:
        raise UsageError(f"There is no priority `{priority}`. Known: critical, high, medium, low.")
    return carried_out(workspace, flow, lambda draft: verbs.prioritise(draft, task, wanted), dry_run=dry_run)


@operation("light", noun="flow", needs_workspace=False, examples=('treadle flow start "write the guide"',))
def start(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Begin a task. It remembers the one that it interrupts, and `treadle flow done` leads back there."""
    from treadle.flow import verbs

    return carried_out(workspace, flow, lambda draft: verbs.start(draft, task), dry_run=dry_run)


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=(
        'treadle flow done "write the guide" --evidence docs/guide/flow.md',
        'treadle flow done "train bard" --evidence r-01kaf3v2m9x7c5ab --note "2.27 bits/byte"',
    ),
)
def done(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    evidence: Annotated[str, "what shows it: a run, a commit, a file or a link"] = "",
    note: Annotated[str, "what else the log shall say"] = "",
    with_children: Annotated[bool, "finish its open parts too"] = False,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Finish a task: its line gets the date and the evidence, the log a line; leads back to what it interrupted."""
    from treadle.flow import verbs

    return carried_out(
        workspace,
        flow,
        lambda draft: verbs.done(draft, task, evidence=evidence, with_children=with_children, note=note),
        dry_run=dry_run,
    )


@operation("light", noun="flow", needs_workspace=False, examples=('treadle flow review-ready "write the guide"',))
def review_ready(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Say that a task waits for somebody to look at it."""
    return _changed(workspace, flow, task, "review", "", dry_run=dry_run)


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=('treadle flow block "write the guide" --because "no examples yet"',),
)
def block(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    because: Annotated[str, "what blocks it"] = "",
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Say that a task cannot go on, and why."""
    return _changed(workspace, flow, task, "blocked", because, dry_run=dry_run)


@operation("light", noun="flow", needs_workspace=False, examples=('treadle flow pause "write the guide"',))
def pause(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    because: Annotated[str, "why it rests"] = "",
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Lay a task aside; `treadle flow start` takes it up again."""
    return _changed(workspace, flow, task, "paused", because, dry_run=dry_run)


@operation("light", noun="flow", needs_workspace=False, examples=('treadle flow reopen "write the guide"',))
def reopen(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Take a finished task up again; it leaves the section of the completed ones."""
    from treadle.flow import verbs

    return carried_out(workspace, flow, lambda draft: verbs.reopen(draft, task), dry_run=dry_run)


@operation(
    "light", effect="removes", noun="flow", needs_workspace=False, examples=('treadle flow remove "write the guide"',)
)
def remove(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Take a task away with all that belongs to it; its lines are kept in today's archive."""
    from treadle.flow import verbs

    return carried_out(workspace, flow, lambda draft: verbs.remove(draft, task), dry_run=dry_run)


def _changed(
    workspace: WorkspaceFolder | None, flow: Path | None, task: str, state: State, because: str, *, dry_run: bool
) -> FlowEdit:
    from treadle.flow import verbs

    return carried_out(
        workspace, flow, lambda draft: verbs.change_state(draft, task, state, because=because), dry_run=dry_run
    )
