"""The ledger: which job is in which queue, in which state, and what happened. The one truth about pending work.

People's side: submit, look, change, stop. The worker's side is `ledger.work`, schedules are `ledger.schedules`. Every
method is one short transaction, safe against any number of other processes; an object belongs to one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from treadle.jobs import found_runs, ledger_changes
from treadle.jobs.job import STATES
from treadle.jobs.ledger_rows import dependency_of, event_of, find, job_of, queue_of
from treadle.jobs.ledger_schedules import Schedules, forget_schedules
from treadle.jobs.ledger_submit import extend_queue, submit
from treadle.jobs.ledger_work import Work
from treadle.store.opening import open_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from treadle.jobs.job import Dependency, Job, LedgerEvent, NewJob, Pause, Queue, State
    from treadle.jobs.ledger_changes import Edit, Rewrite, Target
    from treadle.store.database import Database
    from treadle.store.rebuild import Rebuilt
    from treadle.store.workspace import WorkspaceFolder

_PAGE = 500
_BULK = 1000


class Ledger:
    """The durable queues of one workspace."""

    def __init__(self, database: Database, rebuilt: Rebuilt | None = None) -> None:
        """Work on an open database; `Ledger.open` is the usual door."""
        self.database = database
        self.rebuilt = rebuilt
        """What was done when it was opened, if the database was damaged."""
        self.work = Work(database)
        self.schedules = Schedules(database)

    @classmethod
    def open(cls, workspace: WorkspaceFolder) -> Ledger:
        """Open the ledger of `workspace`, making it if there is none and rebuilding it if it is damaged or lost."""
        read_runs = found_runs.expect(workspace)
        ledger = cls(*open_database(workspace))
        found = found_runs.restore(workspace, ledger.database) if read_runs else None
        for what in (ledger.rebuilt, found):
            if what is not None:
                import logging  # an event so rare that nobody should pay for it at each start

                logging.getLogger("treadle").warning(what.sentence(), extra={"action": "rebuilt"})
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self.database.close()

    def submit(self, job: NewJob) -> Job:
        """Put a job into its queue, durably; return it with its place, or the job that has its `dedup_key` already."""
        with self.database.transaction() as transaction:
            made = submit(transaction, [job])[0]
        return self._placed(made)

    def submit_many(self, jobs: Sequence[NewJob]) -> list[Job]:
        """Put all of `jobs` into their queues, in order, or none of them."""
        with self.database.transaction() as transaction:
            made = submit(transaction, jobs)
        if len(jobs) >= _BULK:
            self.database.analyze()
        return made

    def get(self, identity: int) -> Job:
        """The job with this id and its place; raises `NotFoundError`."""
        return self._placed(find(self.database, identity))

    def job_of_run(self, run: str) -> Job | None:
        """The job that a run carries out or carried out; None if it was forgotten."""
        return next((job_of(row) for row in self.database.rows("job_of_run", run=run)), None)

    def dependencies(self, identity: int) -> list[Dependency]:
        """What the job waits for, or waited for."""
        return [dependency_of(row) for row in self.database.rows("dependencies", job=identity)]

    def jobs(self, queue: str | None = None, states: Iterable[State] = STATES, count: int = 100) -> list[Job]:
        """Jobs as people read them: what runs, what waits in its order with places, what has ended, newest first.

        `count` limits each of these parts, within each queue.
        """
        with self.database.reading():
            return self._jobs(queue, set(states), count)

    def _jobs(self, queue: str | None, wanted: set[State], count: int) -> list[Job]:
        queues = [queue] if queue is not None else [row["id"] for row in self.database.rows("queues")]
        found = [job_of(row) for row in self.database.rows("active_jobs") if queue in {None, row["queue"]}]
        for name in queues:
            values: dict[str, Any] = {"queue": name, "count": count}
            for lane in ("heavy", "light") if "ready" in wanted else ():
                rows = self.database.rows("ready_jobs", **values, lane=lane)
                found += [job_of(row, place) for place, row in enumerate(rows, 1)]
            if "blocked" in wanted:
                found += [job_of(row) for row in self.database.rows("blocked_jobs", **values)]
        if wanted & {"done", "failed", "cancelled"}:
            name = "past_jobs" if queue is None else "past_jobs_of_queue"
            found += [job_of(row) for row in self.database.rows(name, queue=queue, count=count)]
        return [job for job in found if job.state in wanted]

    def queues(self) -> list[Queue]:
        """All queues, by id."""
        return [queue_of(row) for row in self.database.rows("queues")]

    def queue(self, identity: str) -> Queue | None:
        """The queue with this id, or None if nothing was ever submitted to it."""
        return next((queue_of(row) for row in self.database.rows("queue", id=identity)), None)

    def make_queue(self, queue: str) -> None:
        """See that there is such a queue, though nothing was submitted to it yet."""
        if self.queue(queue) is None:
            with self.database.transaction() as transaction:
                extend_queue(transaction, queue, 0)

    def events(self, after: int = 0, job: int | None = None, count: int = _PAGE) -> list[LedgerEvent]:
        """Events behind the cursor `after`, oldest first, of all jobs or of one; the cursor is the last one's `seq`."""
        name = "events_after" if job is None else "events_of_job"
        return [event_of(row) for row in self.database.rows(name, seq=after, job=job, count=count)]

    def last_event(self) -> int:
        """Cursor behind everything that has happened so far."""
        return int(self.database.rows("last_event")[0]["seq"])

    def wait(self, seconds: float) -> bool:
        """Wait until another process has changed something, at most `seconds`; tell whether one has."""
        return self.database.wait(seconds)

    def follow(self, job: int, after: int = 0, poll_seconds: float = 1.0) -> Iterator[LedgerEvent | None]:
        """Yield the job's events until it has ended; None whenever nothing was new for `poll_seconds`."""
        while True:
            ended = not (now := find(self.database, job)).active and not now.waiting
            events = self.events(after, job)
            yield from events
            after = events[-1].seq if events else after
            if ended and not events:
                return
            if not events and not self.wait(poll_seconds):
                yield None

    def stop(self, identity: int) -> Job:
        """Stop a job so that it can be resumed: a waiting one is cancelled, a running one is asked to stop."""
        with self.database.transaction() as transaction:
            return ledger_changes.cancel(transaction, identity, "stop")

    def discard(self, identity: int) -> Job:
        """Drop a job and its partial work: a waiting one is cancelled, a running one is asked to end."""
        with self.database.transaction() as transaction:
            return ledger_changes.cancel(transaction, identity, "discard")

    def retry(self, identity: int) -> Job:
        """Put a failed or cancelled job back into its queue, with all its attempts."""
        with self.database.transaction() as transaction:
            made = ledger_changes.retry(transaction, identity)
        return self._placed(made)

    def edit(self, identity: int, edit: Edit) -> Job:
        """Change a job that still waits; raises `NotReadyError` for one that does not."""
        with self.database.transaction() as transaction:
            made = ledger_changes.edit(transaction, identity, edit)
        return self._placed(made)

    def hold(self, identity: int) -> Job:
        """Keep a waiting job from beginning until it is released."""
        with self.database.transaction() as transaction:
            return ledger_changes.hold(transaction, identity)

    def release(self, identity: int) -> Job:
        """Let a held job wait as the others do; raises `NotReadyError` for one that is not held."""
        with self.database.transaction() as transaction:
            made = ledger_changes.release(transaction, identity)
        return self._placed(made)

    def prioritise(self, identity: int, priority: int) -> Job:
        """Set the priority of a waiting job; higher goes first."""
        with self.database.transaction() as transaction:
            made = ledger_changes.prioritise(transaction, identity, priority)
        return self._placed(made)

    def move(self, identity: int, target: Target) -> Job:
        """Move a waiting job: to a place (1 is next), or before or after another of its queue."""
        with self.database.transaction() as transaction:
            made = ledger_changes.move(transaction, identity, target)
        return self._placed(made)

    def pause(self, queue: str, how: Pause = "after") -> list[int]:
        """Start nothing more in a queue; with `now`, running jobs give way and wait again. Returns their ids."""
        with self.database.transaction() as transaction:
            return ledger_changes.pause(transaction, queue, how)

    def resume(self, queue: str) -> None:
        """Let a paused queue go on."""
        with self.database.transaction() as transaction:
            ledger_changes.resume(transaction, queue)

    def limit(self, queue: str, concurrency: int) -> None:
        """Set how many light jobs of a queue may run at a time."""
        with self.database.transaction() as transaction:
            ledger_changes.limit(transaction, queue, concurrency)

    def import_queue(self, source: str, target: str, rewrite: Rewrite) -> list[Job]:
        """Copy the waiting jobs of one queue to the end of another; `rewrite` turns each payload into the target's."""
        with self.database.transaction() as transaction:
            return ledger_changes.import_queue(transaction, source, target, rewrite)

    def forget_queue(self, queue: str, why: str) -> tuple[list[int], list[str]]:
        """Cancel what waits in the queue of something that is gone, and remove its schedules; returns ids and names."""
        with self.database.transaction() as transaction:
            cancelled = ledger_changes.cancel_waiting(transaction, queue, why)
            return cancelled, forget_schedules(transaction, queue)

    def prune(self, older_than_seconds: float, queue: str | None = None) -> list[int]:
        """Forget jobs that ended longer ago than that, and, for all queues, events as old. Returns the jobs' ids."""
        with self.database.transaction() as transaction:
            return ledger_changes.prune(transaction, older_than_seconds, queue)

    def backup(self, older_than_seconds: float = 3600.0) -> Path | None:
        """Copy the database if its newest copy is older than that and something has changed since; for idle moments."""
        return self.database.backup(older_than_seconds)

    def _placed(self, job: Job) -> Job:
        return ledger_changes.placed(self.database, job)
