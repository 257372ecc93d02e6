"""The worker's side of the ledger: claim, hold, end; and find what dead workers have left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.errors import NotReadyError
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import Claim
from treadle.jobs.ledger_rows import end, job_of, promote_due, reason, tell, worker_of
from treadle.store.journal import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.jobs.job import Job, Lane, WorkerRecord
    from treadle.store.database import Database, Transaction

LEASE_SECONDS = 60.0
"""How long a worker on another host may be silent before its jobs are given to others."""
MAX_RECOVERIES = 5
"""How often a job may take its worker down with it before it is called failed."""
_BACKOFF_SECONDS = 5.0
_LONGEST_BACKOFF_SECONDS = 3600.0


class ClaimLostError(NotReadyError):
    """The job was given to someone else; whatever this process still does for it does not count."""


class Work:
    """What workers do to the ledger. All writes to a claimed job name its fence and are refused once it has moved."""

    def __init__(self, database: Database, lease_seconds: float = LEASE_SECONDS) -> None:
        """Work on an open database; workers on other hosts count as dead after `lease_seconds` of silence."""
        self._database = database
        self._lease_seconds = lease_seconds

    def claim(self, worker: WorkerIdentity, limits: Mapping[Lane, int]) -> Claim | None:
        """Take the next job that may start, if any.

        `limits` names the lanes to look at, in this order, and how many jobs of each this *host* may run at a time.
        """
        with self._database.transaction() as transaction:
            promote_due(transaction)
            for lane, limit in limits.items():
                busy = transaction.rows("busy_on_host", lane=lane, host=worker.host)[0]["jobs"]
                if busy < limit and (claim := _claim(transaction, worker, lane, self._lease_seconds)) is not None:
                    return claim
        return None

    def seconds_to_next(self) -> float | None:
        """How long until a job that waits for its time is due; None if there is none."""
        row = self._database.rows("next_due")[0]
        return None if row["time"] is None else max(0.0, float(row["time"]) - float(row["clock"]))

    def idle(self) -> bool:
        """Whether no job runs, and none is ready in a queue that is open."""
        return not self._database.rows("anything_to_do")

    def held(self, claim: Claim) -> Job:
        """The claimed job as it is now, with what was asked of it; raises `ClaimLostError`."""
        rows = self._database.rows("held", id=claim.job.id, fence=claim.fence, owner=claim.owner)
        if not rows:
            raise _lost(claim)
        return job_of(rows[0])

    def requests(self, worker: WorkerIdentity) -> list[Job]:
        """The jobs of this worker that were asked to stop, be discarded or pause, and have not ended."""
        rows = self._database.rows("jobs_of_worker", host=worker.host, owner=worker.owner)
        return [job_of(row) for row in rows if row["cancel"] is not None]

    def set_run(self, claim: Claim, run: str) -> None:
        """Name the folder of the run that carries out the job."""
        with self._database.transaction() as transaction:
            job = _held(transaction, claim)
            tell(transaction, transaction.row("set_run", id=job.id, run=run), "run", run=run)

    def progressed(self, claim: Claim) -> None:
        """The job kept something before it died last: it is no job that only takes its workers down."""
        with self._database.transaction() as transaction:
            transaction.run("forgive_recoveries", id=_held(transaction, claim).id)

    def mark_stopping(self, claim: Claim) -> None:
        """Tell that the job's process was asked to end. It keeps its slot."""
        with self._database.transaction() as transaction:
            job = _held(transaction, claim)
            if job.state != "stopping":
                tell(transaction, transaction.row("mark_stopping", id=job.id), "stopping")

    def finish(self, claim: Claim, result: Mapping[str, Any]) -> Job:
        """The job is done; its process has gone."""
        with self._database.transaction() as transaction:
            return end(transaction, _held(transaction, claim), "done", result=dict(result))

    def fail(self, claim: Claim, error: str, *, again: bool = True) -> Job:
        """The job failed by itself: it is tried again after a while if it may be, else it has failed."""
        with self._database.transaction() as transaction:
            job = _held(transaction, claim)
            attempts = job.attempts + 1
            if not again or attempts >= job.max_attempts or job.cancel in {"stop", "discard"}:
                return end(transaction, job, "failed", error=error)
            wait = min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2**job.attempts) * _jitter()
            return _requeue(transaction, job, "retrying", error=error, attempts=attempts, wait=wait)

    def cancelled(self, claim: Claim, result: Mapping[str, Any] | None = None) -> Job:
        """The job stopped because it was asked to; after `pause` it waits again, else it is cancelled."""
        with self._database.transaction() as transaction:
            job = _held(transaction, claim)
            if job.cancel not in {"stop", "discard"}:
                return _requeue(transaction, job, "paused")
            said = "Stopped; what it had done is kept." if job.cancel == "stop" else "Discarded."
            return end(transaction, job, "cancelled", result=None if result is None else dict(result), error=said)

    def release(self, claim: Claim, why: str) -> Job:
        """Give a job back unfinished, without using up an attempt: the worker itself is going away."""
        with self._database.transaction() as transaction:
            return _give_back(transaction, _held(transaction, claim), why, crashed=False)

    def crashed(self, claim: Claim, why: str) -> Job:
        """The job's process vanished without a result: it waits again, unless it has done so too often."""
        with self._database.transaction() as transaction:
            return _give_back(transaction, _held(transaction, claim), why, crashed=True)

    def reap(self, worker: WorkerIdentity) -> list[Job]:
        """Take the jobs of dead workers from them; `worker` is the one that looks.

        On the same host a worker is dead when its process is; on another, when its lease has run out on the database's
        clock.
        """
        with self._database.transaction() as transaction:
            gone: dict[tuple[str, str], bool] = {}
            for row in transaction.rows("open_workers"):
                identity = WorkerIdentity.parse(row["host"], row["owner"])
                gone[row["host"], row["owner"]] = self._gone(identity, worker, row["silent"] > self._lease_seconds)
                if gone[row["host"], row["owner"]]:
                    transaction.run("end_worker", id=row["id"], outcome="lost")
                    transaction.event("worker_lost", worker=row["id"])
            reaped = []
            for row in sorted(transaction.rows("held_jobs"), key=lambda row: int(row["id"])):
                key = (row["host"], row["owner"])
                if key not in gone:
                    gone[key] = self._gone(WorkerIdentity.parse(*key), worker, bool(row["expired"]))
                if gone[key]:
                    del row["expired"]
                    why = f"The worker or the machine died ({row['host']}); this was not a failure of the job."
                    reaped.append(_give_back(transaction, job_of(row), why, crashed=True))
            return reaped

    def _gone(self, identity: WorkerIdentity, looker: WorkerIdentity, silent: bool) -> bool:
        if identity.owner == looker.owner and identity.host == looker.host:
            return False
        seen = identity.gone()
        if seen is None and self._database.local and identity.rebooted():
            return True
        return silent if seen is None else seen

    def register(self, worker: WorkerIdentity, facts: Mapping[str, Any]) -> None:
        """Tell that a worker has begun."""
        with self._database.transaction() as transaction:
            transaction.run(
                "insert_worker", id=worker.id, host=worker.host, owner=worker.owner, facts=to_json(dict(facts))
            )
            transaction.event("worker_started", worker=worker.id)

    def heartbeat(self, worker: WorkerIdentity) -> Literal["drain", "stop"] | None:
        """Tell that the worker lives, renew the leases of its jobs, and hear what was asked of it."""
        with self._database.transaction() as transaction:
            row = transaction.row("see_worker", id=worker.id)
            transaction.run("renew_leases", host=worker.host, owner=worker.owner, lease_seconds=self._lease_seconds)
            return None if row is None else row["command"]

    def asked(self, worker: WorkerIdentity) -> Literal["drain", "stop"] | None:
        """What was asked of the worker, without writing."""
        return next((row["command"] for row in self._database.rows("worker", id=worker.id)), None)

    def unregister(self, worker: WorkerIdentity) -> None:
        """Tell that the worker ends in good order."""
        with self._database.transaction() as transaction:
            transaction.run("end_worker", id=worker.id, outcome="stopped")
            transaction.event("worker_stopped", worker=worker.id)

    def command(self, worker: str, command: Literal["drain", "stop"]) -> bool:
        """Ask a worker, by id, to drain (finish what runs) or stop; False if there is none."""
        with self._database.transaction() as transaction:
            changed = transaction.run("command_worker", id=worker, command=command)
            transaction.event("worker_asked", worker=worker, command=command)
            return changed > 0

    def workers(self) -> list[WorkerRecord]:
        """Workers that have not ended, as far as the ledger knows; `reap` finds the dead among them."""
        return [worker_of(row) for row in self._database.rows("open_workers")]

    def lost_workers(self) -> list[WorkerRecord]:
        """Workers that died, and whose death nobody has been shown yet."""
        return [worker_of(row) for row in self._database.rows("lost_workers")]

    def lost_workers_shown(self) -> None:
        """Remember that the user knows about all workers that died so far."""
        with self._database.transaction() as transaction:
            transaction.run("show_lost_workers")


def _claim(transaction: Transaction, worker: WorkerIdentity, lane: Lane, lease_seconds: float) -> Claim | None:
    chosen = transaction.row("next_queue", lane=lane)
    if chosen is None:
        return None
    queue = chosen["queue"]
    row = transaction.row(
        "start_head", queue=queue, lane=lane, host=worker.host, owner=worker.owner, lease_seconds=lease_seconds
    )
    transaction.run("serve_queue", id=queue)
    job = tell(transaction, row, "started", host=worker.host)
    return Claim(job, job.fence, worker.owner)


def _jitter() -> float:
    """Between a half and one and a half, so that jobs that failed together do not come back together."""
    return 0.5 + int.from_bytes(os.urandom(2)) / 65536


def _held(transaction: Transaction, claim: Claim) -> Job:
    row = transaction.row("held", id=claim.job.id, fence=claim.fence, owner=claim.owner)
    if row is None:
        raise _lost(claim)
    return job_of(row)


def _lost(claim: Claim) -> ClaimLostError:
    return ClaimLostError(
        f"Job {claim.job.id} no longer belongs to this worker: it was taken for dead, and the job was given on. "
        "What this process did for it after that does not count."
    )


def _give_back(transaction: Transaction, job: Job, why: str, *, crashed: bool) -> Job:
    if job.cancel in {"stop", "discard"}:
        return end(transaction, job, "cancelled", error=f"{why} It had been asked to {job.cancel}.")
    recoveries = job.recoveries + crashed
    if recoveries > MAX_RECOVERIES:
        error = f"It took its worker down {recoveries} times, so it is not tried again. {why}"
        return end(transaction, job, "failed", error=error)
    return _requeue(transaction, job, "recovered" if crashed else "released", error=why, recoveries=recoveries)


def _requeue(
    transaction: Transaction,
    job: Job,
    type_: str,
    *,
    error: str | None = None,
    attempts: int | None = None,
    recoveries: int | None = None,
    wait: float = 0.0,
) -> Job:
    row = transaction.row(
        "requeue_job",
        id=job.id,
        wait=wait,
        error=error,
        attempts=job.attempts if attempts is None else attempts,
        recoveries=job.recoveries if recoveries is None else recoveries,
    )
    return tell(transaction, row, type_, **reason(error))
