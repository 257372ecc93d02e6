"""Operations that look at the notes: flow init, list, show, next, focus, board, stats, check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from treadle.base.errors import NotFoundError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder, find_workspace

if TYPE_CHECKING:
    from treadle.flow.folder import FlowFolder

FLOW_HELP = "folder of the notes; else TREADLE_FLOW, the workspace's, the nearest `flow` upwards"
TASK_HELP = "words of its title, its id, or FILE:LINE"


@dataclass(frozen=True, slots=True)
class FlowTask:
    """One task as it stands in the notes."""

    id: str
    title: str
    state: str
    priority: str | None
    owner: str | None
    path: str
    line: int
    section: str
    parent: str | None
    due: str | None
    started: str | None
    done: str | None


@dataclass(frozen=True, slots=True)
class FlowInitReport:
    """A folder of notes that was made or adopted."""

    flow: str
    """Absolute path of the folder."""
    added: list[str]
    """Files that were added; none was changed."""
    kept: int
    """Number of Markdown files that were there before."""
    tasks: int


@dataclass(frozen=True, slots=True)
class TaskList:
    """Tasks that fit."""

    tasks: list[FlowTask]


@dataclass(frozen=True, slots=True)
class TaskDetails:
    """Everything that the notes say of one task."""

    task: FlowTask
    fields: dict[str, str]
    claims: list[dict[str, Any]]
    """Each place that states its state: `state`, `source`, `line`; the first one counts."""
    children: list[FlowTask]
    text: str
    """Its lines as they stand in the file."""
    findings: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """One task with its score."""

    task: FlowTask
    score: float
    parts: dict[str, float]
    """Impact, effort, dependencies, urgency, alignment, each between 0 and 1."""
    waiting_for: list[str]


@dataclass(frozen=True, slots=True)
class NextReport:
    """What to do next, the best first."""

    tasks: list[ScoredTask]


@dataclass(frozen=True, slots=True)
class FocusReport:
    """The task being worked on and the way back."""

    task: FlowTask | None
    back: list[FlowTask]
    """The tasks it interrupted, the nearest first."""
    parts: list[FlowTask]
    """Its open parts."""


@dataclass(frozen=True, slots=True)
class BoardReport:
    """Tasks by column."""

    columns: dict[str, list[FlowTask]]
    today: str


@dataclass(frozen=True, slots=True)
class StatsReport:
    """Numbers of a folder of notes."""

    flow: str
    files: int
    tasks: int
    states: dict[str, int]
    priorities: dict[str, int]
    owners: dict[str, int]
    done_by_week: dict[str, int]
    oldest_in_progress: str | None


@dataclass(frozen=True, slots=True)
class FindingsReport:
    """What is wrong in the notes."""

    ok: bool
    findings: list[dict[str, Any]]
    """Each with `code`, `path`, `line`, `column`, `message`, `fixable`."""
    explanations: dict[str, str]
    """What the codes mean and what mends them."""
    fixed: int
    """Number of findings that `--fix` mended, or would mend with `--dry-run`."""
    changed: list[str]
    diff: str
    """What `--dry-run` would change."""


def folder_of(workspace: WorkspaceFolder | None, flow: Path | None) -> FlowFolder:
    """The folder of notes that an operation works on; of the workspace in which the command stands, if there is one."""
    from treadle.flow.folder import find_flow

    root = _root(workspace)
    folder = find_flow(flow, root)
    if root is not None and any((folder.root / ".runs").glob("r-*.json")):
        load("treadle.recipes.flow_reconcile:reconcile_quietly")(WorkspaceFolder(root))
    return folder


def _root(workspace: WorkspaceFolder | None) -> Path | None:
    """Notes need no workspace; where there is one, they lie in it."""
    try:
        return (find_workspace() if workspace is None else workspace).root
    except NotFoundError:
        return None


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    examples=("treadle flow init", "treadle flow init notes"),
)
def init(
    workspace: WorkspaceFolder | None,
    folder: Annotated[Path | None, "folder to make or to adopt; else `flow` in the workspace or here"] = None,
) -> FlowInitReport:
    """Make a folder of notes, or adopt one that is there: what is missing is added, no file is changed."""
    from treadle.flow.folder import markdown_files, place_of_new
    from treadle.flow.lookup import every
    from treadle.flow.new_folder import initialise

    root = place_of_new(folder, _root(workspace))
    before = len(markdown_files(root)) if root.is_dir() else 0
    made, changes = initialise(root)
    added = [made.shown(change.path) for change in changes]
    return FlowInitReport(str(root), added, before, len(every(made.task_pages())))


@operation(
    "light",
    effect="reads",
    noun="flow",
    needs_workspace=False,
    examples=("treadle flow list", "treadle flow list --state blocked", "treadle flow list --owner ada --json"),
)
def list_(
    workspace: WorkspaceFolder | None,
    *,
    state: Annotated[str | None, "only this state, such as blocked or done; `all` for all; none = what is open"] = None,
    priority: Annotated[Literal["critical", "high", "medium", "low"] | None, "only this priority"] = None,
    owner: Annotated[str | None, "only tasks of this owner"] = None,
    section: Annotated[str | None, "only sections whose title contains this"] = None,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> TaskList:
    """List tasks with their state, priority and place."""
    from treadle.base.errors import UsageError
    from treadle.flow.board import by_priority, row_of
    from treadle.flow.lookup import every, remember
    from treadle.flow.vocabulary import CLOSED, STATES

    if state not in (None, "all", *STATES):
        raise UsageError(f"There is no state `{state}`. Known: all, {', '.join(STATES)}.")
    folder = folder_of(workspace, flow)
    pages = folder.task_pages()
    remember(folder, pages)
    rows = [row_of(one) for one in every(pages)]
    rows = [row for row in rows if state in (row.state, "all") or (state is None and row.state not in CLOSED)]
    rows = [row for row in rows if priority in (None, row.priority)]
    rows = [row for row in rows if owner is None or (row.owner or "").casefold() == owner.casefold()]
    rows = [row for row in rows if section is None or section.casefold() in row.section.casefold()]
    return TaskList([FlowTask(**dataclasses.asdict(row)) for row in by_priority(rows)])


@operation(
    "light", effect="reads", noun="flow", needs_workspace=False, examples=('treadle flow show "write the guide"',)
)
def show(
    workspace: WorkspaceFolder | None,
    task: Annotated[str, TASK_HELP],
    *,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> TaskDetails:
    """Show one task: its lines, its fields, each place that states its state, and what is wrong with it."""
    from treadle.flow.board import row_of
    from treadle.flow.checks.catalog import chosen, findings_of
    from treadle.flow.draft import Draft
    from treadle.flow.lookup import Found, find_task
    from treadle.flow.scanner import shown

    folder = folder_of(workspace, flow)
    found = find_task(folder, task)
    page, first, last = found.page, found.task.line, found.page.block_end(found.task)
    wrong = [
        finding_row(one)
        for one in findings_of(Draft(folder), chosen("", ""), folder.root / page.path)
        if first < one.line <= last
    ]
    claims = [{"state": one.state, "source": one.source, "line": one.line + 1} for one in found.task.claims]
    return TaskDetails(
        task=FlowTask(**dataclasses.asdict(row_of(found))),
        fields={one.key: shown(one.value) for one in found.task.fields if one.key},
        claims=claims,
        children=[FlowTask(**dataclasses.asdict(row_of(Found(page, one)))) for one in found.task.children],
        text=shown("\n".join(page.line_text(index) for index in range(first, last))),
        findings=wrong,
    )


def finding_row(one: Any) -> dict[str, Any]:  # noqa: ANN401 - a Finding, whose module is imported when it is needed
    """A finding as it is reported."""
    from treadle.flow.scanner import shown

    names = ("code", "path", "line", "column", "message", "fixable")
    return {**{name: getattr(one, name) for name in names}, "path": shown(one.path)}


@operation(
    "light", effect="reads", noun="flow", needs_workspace=False, examples=("treadle flow next", "treadle flow next 3")
)
def next_(
    workspace: WorkspaceFolder | None,
    number: Annotated[int, "how many tasks"] = 5,
    *,
    owner: Annotated[str | None, "only tasks of this owner"] = None,
    flow: Annotated[Path | None, FLOW_HELP] = None,
) -> NextReport:
    """Say what to do next, scored by impact, effort, dependencies, urgency and alignment.

    The weights are data: `system/scoring.toml` in the notes changes them.
    """
    from treadle.flow import clock
    from treadle.flow.board import row_of
    from treadle.flow.lookup import every
    from treadle.flow.scoring import ranked, read_weights

    folder = folder_of(workspace, flow)
    scores = ranked(every(folder.task_pages()), read_weights(folder), clock.today())
    rows = [(score, row_of(score.found)) for score in scores]
    chosen = [(score, row) for score, row in rows if owner is None or (row.owner or "").casefold() == owner.casefold()]
    return NextReport(
        [
            ScoredTask(FlowTask(**dataclasses.asdict(row)), score.total, score.parts, score.waiting_for)
            for score, row in chosen[: max(number, 0)]
        ]
    )


@operation("light", effect="reads", noun="flow", needs_workspace=False, examples=("treadle flow focus",))
def focus(workspace: WorkspaceFolder | None, *, flow: Annotated[Path | None, FLOW_HELP] = None) -> FocusReport:
    """Show the task being worked on, its open parts, and the tasks that it interrupted."""
    from treadle.flow.board import row_of
    from treadle.flow.lookup import Found, every
    from treadle.flow.verbs import focus_of, trail_back

    tasks = every(folder_of(workspace, flow).task_pages())
    found = focus_of(tasks)
    if found is None:
        return FocusReport(None, [], [])
    parts = [Found(found.page, child) for child in found.task.children if not child.closed]
    rows = [FlowTask(**dataclasses.asdict(row_of(one))) for one in [found, *trail_back(tasks, found)]]
    return FocusReport(rows[0], rows[1:], [FlowTask(**dataclasses.asdict(row_of(one))) for one in parts])


@operation("light", effect="reads", noun="flow", needs_workspace=False, examples=("treadle flow board",))
def board(workspace: WorkspaceFolder | None, *, flow: Annotated[Path | None, FLOW_HELP] = None) -> BoardReport:
    """Show the tasks in columns: to do, in progress, waiting, done in the last two weeks."""
    from treadle.flow import clock
    from treadle.flow.board import columns
    from treadle.flow.lookup import every

    found = columns(every(folder_of(workspace, flow).task_pages()), clock.today())
    rows = {name: [FlowTask(**dataclasses.asdict(row)) for row in inside] for name, inside in found.items()}
    return BoardReport(rows, str(clock.today()))


@operation(
    "light",
    effect="reads",
    noun="flow",
    needs_workspace=False,
    examples=("treadle flow stats", "treadle flow stats --json"),
)
def stats(workspace: WorkspaceFolder | None, *, flow: Annotated[Path | None, FLOW_HELP] = None) -> StatsReport:
    """Count tasks by state, priority and owner, and what was done in each of the last eight weeks."""
    from treadle.flow import clock
    from treadle.flow.board import numbers

    folder = folder_of(workspace, flow)
    return StatsReport(flow=str(folder.root), **dataclasses.asdict(numbers(folder, clock.today())))


@operation(
    "light",
    noun="flow",
    needs_workspace=False,
    reads_unless=("fix",),
    examples=(
        "treadle flow check",
        "treadle flow check notes --json",
        "treadle flow check --fix --dry-run",
        "treadle flow check docs --only F12,F18",
    ),
)
def check(
    workspace: WorkspaceFolder | None,
    path: Annotated[Path | None, "folder or file to check; else the notes"] = None,
    *,
    fix: Annotated[bool, "mend what can be mended"] = False,
    dry_run: Annotated[bool, "with --fix: only show what would change"] = False,
    only: Annotated[str, "codes with commas between, such as F12,F18; F10 is made only when named"] = "",
    ignore: Annotated[str, "codes not to look for"] = "",
    skip: Annotated[str, "paths to leave out, with commas between, such as tests/data,vendor"] = "",
) -> FindingsReport:
    """Check notes, or any folder of Markdown: what contradicts itself, leads nowhere, is out of date (F01 to F19).

    Exit code 0: nothing found; 1: findings; 2: the request is wrong.
    """
    from treadle.flow.checks.catalog import CHECKS, chosen, findings_of
    from treadle.flow.draft import Draft
    from treadle.flow.folder import FlowFolder
    from treadle.flow.repairs import mend
    from treadle.flow.writing import Change, carry_out

    target = folder_of(workspace, None).root if path is None else path.expanduser().resolve()
    if not target.exists():
        raise NotFoundError(f"There is no {path} to check.")
    root, file = (target, None) if target.is_dir() else (target.parent, target)
    folder = FlowFolder(root)
    checks, skipped = chosen(only, ignore), [name.strip() for name in skip.split(",") if name.strip()]
    mended: list[Any] = []
    after: list[Any] = []

    def plan() -> list[Change]:
        draft = Draft(folder)
        mended[:] = mend(draft, checks, file, skipped)
        after[:] = findings_of(draft, checks, file, skipped)
        return draft.changes()

    changes = carry_out(root, plan, dry_run=dry_run) if fix else []
    findings = after if fix and not dry_run else findings_of(Draft(folder), checks, file, skipped)
    codes = {one.code for one in findings}
    return FindingsReport(
        ok=not findings,
        findings=[finding_row(one) for one in findings],
        explanations={one.code: one.about for one in CHECKS if one.code in codes},
        fixed=len(mended),
        changed=[folder.shown(change.path) for change in changes],
        diff="".join(change.patch(root) for change in changes) if dry_run else "",
    )
