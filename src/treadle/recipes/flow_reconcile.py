"""Runs write what ran: from the ledger's events to lines in the notes, also after a kill.

A job that is started for a task leaves a promise beside the notes (`.runs/RUN_ID.json`) before it stands in its queue.
Whoever comes by, a worker or a command on the notes, reads the ledger's events behind the promise's cursor, writes what
happened, and takes the promise away when the run has ended. Each step may be repeated: a line is written only once.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, NotFoundError, NotReadyError, TreadleError
from treadle.base.files import read_json, write_json
from treadle.flow.acceptance import figures_of
from treadle.flow.draft import Draft
from treadle.flow.folder import FlowFolder, find_flow
from treadle.flow.lookup import find_task
from treadle.flow.run_lines import RunFact, tell
from treadle.flow.verbs import Outcome, perform, tag
from treadle.flow.writing import Change, carry_out
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.flow.vocabulary import State
    from treadle.jobs.job import Job
    from treadle.store.workspace import WorkspaceFolder

PROMISES = ".runs"
_GIVEN_UP_SECONDS = 3600.0
"""A promise whose job never came into the ledger was left by a submission that was killed."""


def tag_task(workspace: WorkspaceFolder, words: str) -> str:
    """The visible id of the task that `words` mean, written into the notes if it has none; raises if it is closed."""
    folder = find_flow(None, workspace.root)
    tags: list[str] = []

    def give(draft: Draft) -> Outcome:
        found = find_task(folder, words, pages=draft.task_pages())
        if found.task.closed:
            said = f"`{found.task.title}` is {found.task.state}"
            raise NotReadyError(f'{said}. Reopen it first: treadle flow reopen "{words}".')
        tags.append(tag(draft, found))
        return Outcome("", found.page.path, found.task.line + 1)

    perform(folder, give)
    return tags[-1]


def promise(workspace: WorkspaceFolder, task: str, run: str) -> None:
    """Remember that a run is for a task; call it before the job is submitted."""
    folder = find_flow(None, workspace.root)
    write_json(
        folder.root / PROMISES / f"{run}.json",
        {"run": run, "task": task, "job": None, "cursor": 0, "said": None, "created": time.time()},
    )


def reconcile(workspace: WorkspaceFolder, ledger: Ledger | None = None) -> int:
    """Write down what happened to the jobs with a task; returns the number of promises that are still open.

    Costs one look into a folder when there are none.
    """
    try:
        folder = find_flow(None, workspace.root)
    except NotFoundError:
        return 0
    if not folder.root.is_relative_to(workspace.root):
        return 0
    paths = sorted((folder.root / PROMISES).glob("r-*.json"))
    if not paths:
        return 0
    with contextlib.ExitStack() as stack:
        opened = ledger or stack.enter_context(Ledger.open(workspace))
        if ledger is None:  # not from inside a worker: nobody else may be there to see that one has died
            opened.work.reap(WorkerIdentity.current())
        return sum(_kept(folder, opened, path) for path in paths)


def reconcile_quietly(workspace: WorkspaceFolder, ledger: Ledger | None = None) -> None:
    """As `reconcile`, for those whose own work does not depend on the notes."""
    with contextlib.suppress(TreadleError, OSError):
        reconcile(workspace, ledger)


def _kept(folder: FlowFolder, ledger: Ledger, path: Path) -> bool:
    """Keep one promise as far as can be told now; says whether it is still open."""
    try:
        record: dict[str, Any] = read_json(path)
    except DataError:  # another process has just taken it away
        return False
    job = _job(ledger, record)
    if job is None:
        if time.time() - record["created"] > _GIVEN_UP_SECONDS:
            path.unlink(missing_ok=True)
            return False
        return True
    events = ledger.events(record["cursor"], job.id)
    if not events:
        return True
    for outcome in _outcomes(job, record["said"]):
        record["said"] = _written(folder, _fact(job, record, outcome), record["said"])
    if job.active or job.waiting:
        write_json(path, {**record, "job": job.id, "cursor": events[-1].seq})
        return True
    path.unlink(missing_ok=True)
    return False


def _job(ledger: Ledger, record: dict[str, Any]) -> Job | None:
    if record["job"] is not None:
        try:
            return ledger.get(int(record["job"]))
        except NotFoundError:
            return None
    return next((job for job in ledger.jobs() if job.run == record["run"]), None)


def _outcomes(job: Job, said: State | None) -> list[str]:
    """What there is to tell of a job as it is now."""
    if job.waiting:
        return []
    if job.active:
        return ["started"] if said is None else []
    return [job.state]


def _fact(job: Job, record: dict[str, Any], outcome: str) -> RunFact:
    figures = figures_of(job.result or {})
    error = "stopped on request" if outcome == "cancelled" and not job.error else job.error or ""
    return RunFact(record["run"], record["task"], job.kind, outcome, figures, error)


def _written(folder: FlowFolder, fact: RunFact, said: State | None) -> State | None:
    states: list[State | None] = []

    def plan() -> list[Change]:
        draft = Draft(folder)
        states.append(tell(draft, fact, said))
        return draft.changes()

    carry_out(folder.root, plan)
    return states[-1]
