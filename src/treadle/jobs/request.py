"""What a heavy operation asks for, and how doors put it into its queue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from treadle.jobs.handle import QueuedJob
from treadle.jobs.job import WAITING, NewJob, job_facts
from treadle.jobs.presence import wake
from treadle.jobs.runs import create_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.jobs.job import Lane
    from treadle.jobs.ledger import Ledger
    from treadle.jobs.runs import RunFolder
    from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What people may decide about any job, whatever it does."""

    priority: int = 0
    attempts: int = 1
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A request, checked and complete, that is not in a queue yet."""

    workspace: WorkspaceFolder
    queue: str
    kind: str
    payload: dict[str, Any]
    lane: Lane
    run: RunFolder | None = None
    """Its folder, where something had to be kept in it already."""
    follows: tuple[str, ...] = ()
    """Kinds of jobs that wait or run in the same queue and come first, whether they succeed or not."""
    dedup_key: str | None = None
    """A second job with the same key is not made; the first is followed."""
    notes: tuple[str, ...] = ()
    """What people should know before it begins; every door tells it."""

    def new_job(self, options: JobOptions, first: tuple[int, ...] = (), run: str | None = None) -> NewJob:
        """The request as the ledger takes it; jobs `first` come before it, whether they succeed or not."""
        return NewJob(
            queue=self.queue,
            kind=self.kind,
            payload=self.payload,
            lane=self.lane,
            priority=options.priority,
            waits_on=(*options.after, *first),
            if_failed="cancel" if options.after else "run",
            max_attempts=options.attempts,
            dedup_key=self.dedup_key,
            run=run,
        )

    def submit(self, options: JobOptions | None = None, *, before: Callable[[str], None] | None = None) -> QueuedJob:
        """Put it into its queue, durably, and wake the worker that `announce` has called before.

        `before` is told the id of its run before anybody can carry it out.
        """
        from treadle.jobs.ledger import Ledger  # not for those who only read the table of operations

        chosen = options or JobOptions()
        ledger = Ledger.open(self.workspace)  # first: where there was none, unfinished runs would be queued again
        first = self._comes_first(ledger) if self.follows else ()
        asked = self.new_job(chosen, first)
        run = self._run_of(asked)
        if before is not None:
            before(run.id)
        job = ledger.submit(replace(asked, run=run.id))
        wake(self.workspace)
        return QueuedJob(self.workspace, ledger, job, self.notes)

    def _run_of(self, asked: NewJob) -> RunFolder:
        """The run's folder, which says where the job stands, in case that the database and its folder are lost."""
        if self.run is None:
            return create_run(self.workspace, self.kind, self.payload, job_facts(asked))
        self.run.write_spec({**self.run.spec(), "job": job_facts(asked)})
        return self.run

    def _comes_first(self, ledger: Ledger) -> tuple[int, ...]:
        found = ledger.jobs(self.queue, (*WAITING, "running", "stopping"))
        return tuple(job.id for job in found if job.kind in self.follows)


def model_queue(identity: str) -> str:
    """The queue of a model."""
    return f"model:{identity}"
