"""When the database and its folder are both gone: what the run folders still say of requests that had not ended.

A run's folder is made when its job is queued and says which queue it stood in. Whoever opens the ledger next puts those
without a result back into their queues, in the order in which they were asked for, and pauses these queues: nobody can
tell any more what else was decided about them. Schedules, dependencies, and jobs whose run had not been made yet cannot
be found this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.base.errors import TreadleError
from treadle.base.files import disk_errors, locked, write_text
from treadle.jobs import ledger_changes
from treadle.jobs.job import NewJob
from treadle.jobs.ledger_submit import submit
from treadle.store.opening import has_traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.store.database import Database
    from treadle.store.workspace import WorkspaceFolder

_MARK = "read-runs"
_LOCK = "read-runs.lock"


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """What came back."""

    jobs: list[int]

    def sentence(self) -> str:
        """What people are told."""
        return (
            f"The database of this workspace and its journal were missing. {len(self.jobs)} requests without a result "
            "were found in runs/; they wait in paused queues. See them with `treadle jobs list`, then let them go on "
            "with `treadle jobs resume`, or remove them with `treadle jobs stop ID`."
        )


def expect(workspace: WorkspaceFolder) -> bool:
    """Before the database is opened: whether the runs have to be read. A mark says so until that is done."""
    mark = workspace.ledger / _MARK
    if mark.exists():
        return True
    if has_traces(workspace) or not any(_unfinished(workspace)):
        return False
    with disk_errors(mark):
        mark.parent.mkdir(exist_ok=True)
    write_text(mark, "The requests in runs/ are to be queued again.\n")
    return True


def restore(workspace: WorkspaceFolder, database: Database) -> FoundRuns | None:
    """Queue them all in one transaction and take the mark away; None if another process has done so."""
    mark = workspace.ledger / _MARK
    with locked(workspace.ledger / _LOCK):
        if not mark.exists():
            return None
        wanted = list(_unfinished(workspace))
        with database.transaction() as transaction:
            made = submit(transaction, wanted)
            for queue in dict.fromkeys(job.queue for job in made):
                ledger_changes.pause(transaction, queue, "after")
        mark.unlink()
    return FoundRuns([job.id for job in made])


def _unfinished(workspace: WorkspaceFolder) -> Iterator[NewJob]:
    from treadle.jobs.runs import RunFolder  # not for the usual case, in which there is nothing to look for

    paths: list[Path] = sorted(workspace.runs.glob("r-*"))
    for path in paths:
        run = RunFolder(path)
        try:
            spec = run.spec()
            if "job" not in spec or run.result() is not None:
                continue
            key = f"run:{run.id}"
            yield NewJob(kind=spec["kind"], payload=spec["payload"], run=run.id, dedup_key=key, **spec["job"])
        except (TreadleError, TypeError):
            continue  # a damaged request is named by `treadle show`
