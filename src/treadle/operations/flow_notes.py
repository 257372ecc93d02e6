"""Operations on the notes around the tasks: flow read, log, note, decide, move, archive, review, import."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from treadle.base.errors import UsageError
from treadle.operations.flow import FLOW_HELP, folder_of
from treadle.operations.flow_tasks import DRY_HELP, FlowEdit, carried_out
from treadle.operations.operation import operation
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from treadle.flow.verbs import Outcome


@dataclass(frozen=True, slots=True)
class ReviewReport:
    """When each horizon is to be looked at, and what was done now."""

    horizons: list[dict[str, Any]]
    """Each with `horizon`, `last`, `due`, `is_due`, `tasks`."""
    message: str
    changed: list[str]
    diff: str


@dataclass(frozen=True, slots=True)
class NotesPage:
    """One file of the notes, and which there are."""

    path: str | None
    """Relative to the notes."""
    text: str
    sha256: str | None
    """Of its bytes; what `treadle flow edit --expect` asks for."""
    log: list[dict[str, str]]
    """Entries of its log: `date` and `text`, as they stand."""
    files: list[str]
    """All Markdown files of the notes."""


@operation(
    "light",
    effect="reads",
    noun="flow",
    needs_workspace=False,
    examples=("treadle flow read", "treadle flow read planning/priorities.md"),
)
def read(
    workspace: WorkspaceFolder | None,
    path: Annotated[str | None, "file, relative to the notes; else the working memory"] = None,
    *,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> NotesPage:
    """Show one file of the notes as it stands, with the entries of its log, and name the others."""
    from treadle.flow.reading import read_file

    return NotesPage(**read_file(folder_of(workspace, flow), path))


@operation("light", noun="flow", needs_workspace=False, examples=('treadle flow log "Switched to Muon"',))
def log(
    workspace: WorkspaceFolder | None,
    text: Annotated[str, "what happened"],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Write one line with today's date into the log."""
    from treadle.flow import verbs

    return carried_out(workspace, flow, lambda draft: verbs.log(draft, text), dry_run=dry_run)


@operation("light", noun="flow", needs_workspace=False, examples=('treadle flow note "Try a longer window?"',))
def note(
    workspace: WorkspaceFolder | None,
    text: Annotated[str, "the thought"],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Capture a thought at once, without deciding what it is."""
    from treadle.flow import verbs

    return carried_out(workspace, flow, lambda draft: verbs.note(draft, text), dry_run=dry_run)


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=('treadle flow decide "Bytes, not words" --because "no unknown characters"',),
)
def decide(
    workspace: WorkspaceFolder | None,
    title: Annotated[str, "what was decided"],
    *,
    because: Annotated[str, "why"],
    instead: Annotated[str, "what was refused"] = "",
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Write down a decision with its reason, as a file of its own; the index and the log name it."""
    from treadle.flow import decisions

    return carried_out(
        workspace, flow, lambda draft: decisions.decide(draft, title, because=because, instead=instead), dry_run=dry_run
    )


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=("treadle flow move planning/ideas.md reference/", "treadle flow move planning plans --dry-run"),
)
def move(
    workspace: WorkspaceFolder | None,
    source: Annotated[str, "file or folder, relative to the notes"],
    target: Annotated[str, "where it shall be; a folder takes it in"],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Move a file or folder of the notes and repair all links, in it and to it; the indexes follow."""
    from treadle.flow.moving import move as move_notes

    folder = folder_of(workspace, flow)
    place, changes = move_notes(folder, source, target, dry_run=dry_run)
    diff = "".join(change.patch(folder.root) for change in changes)
    number = len({change.path for change in changes})
    message = f"Moved {source} to {folder.shown(place)}; {number} file{'s'[: number != 1]} changed for the links to it."
    return FlowEdit(message, folder.shown(place), 0, [folder.shown(change.path) for change in changes], dry_run, diff)


@operation(
    "light", noun="flow", needs_workspace=False, examples=("treadle flow archive", "treadle flow archive --days 7")
)
def archive(
    workspace: WorkspaceFolder | None,
    *,
    days: Annotated[int, "tasks done longer ago than this"] = 14,
    entries: Annotated[int, "how many entries a log keeps"] = 10,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Move done tasks and old entries of the log into `logs/logs_DATE.md`, with their links repaired."""
    from treadle.flow import verbs

    if days < 0 or entries < 0:
        raise UsageError("--days and --entries must be 0 or more.")
    return carried_out(workspace, flow, lambda draft: verbs.archive(draft, days=days, entries=entries), dry_run=dry_run)


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    reads_unless=("horizon",),
    examples=(
        "treadle flow review",
        "treadle flow review two-weeks",
        'treadle flow review two-weeks "Write the guide=long-term" --because "the format is not settled"',
        "treadle flow review two-weeks --finish",
    ),
)
def review(
    workspace: WorkspaceFolder | None,
    horizon: Annotated[str | None, "two-weeks, two-months or long-term; none = say what is due"] = None,
    shifts: Annotated[list[str], "tasks to move to another horizon, as TASK=HORIZON"] = [],  # noqa: B006 - never changed
    *,
    because: Annotated[str, "why they shift, or what the review found"] = "",
    finish: Annotated[bool, "end the review; the next one is due after its rhythm"] = False,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> ReviewReport:
    """Say which reviews are due; open one as a checklist; write down what shifted, and why.

    The next two weeks are looked at every two weeks, the next two months every month, the long term every quarter.
    """
    from treadle.flow import reviews
    from treadle.flow.draft import Draft

    message, changed, diff = "", [], ""
    if horizon is not None:

        def verb(draft: Draft) -> Outcome:
            if shifts:
                outcome = reviews.shift(draft, horizon, shifts, because)
                return reviews.finish(draft, horizon, because) if finish else outcome
            return reviews.finish(draft, horizon, because) if finish else reviews.open_review(draft, horizon)

        done = carried_out(workspace, flow, verb, dry_run=dry_run)
        message, changed, diff = done.message, done.changed, done.diff if dry_run else ""
    rows = reviews.schedule(Draft(folder_of(workspace, flow)))
    return ReviewReport([dataclasses.asdict(row) for row in rows], message, changed, diff)


@operation(
    "light",
    noun="flow",
    verb="import",
    needs_workspace=False,
    examples=("treadle flow import issues.json", "treadle flow import old/TODO.md --dry-run"),
)
def import_(
    workspace: WorkspaceFolder | None,
    source: Annotated[Path, "a JSON file of GitHub issues, or a Markdown file with tasks"],
    *,
    dry_run: Annotated[bool, DRY_HELP] = False,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> FlowEdit:
    """Take in tasks from a file of GitHub issues (`gh issue list --json ...`) or from other Markdown, each once."""
    from treadle.flow.importers import import_file

    return carried_out(workspace, flow, lambda draft: import_file(draft, source)[0], dry_run=dry_run)
