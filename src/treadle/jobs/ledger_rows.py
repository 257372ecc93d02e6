"""From rows of the database to the nouns of this room, and the changes of state that several stories share."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, get_args

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.job import Dependency, IfFailed, Job, Lane, LedgerEvent, NewJob, Queue, Schedule, WorkerRecord
from treadle.store.journal import to_json

if TYPE_CHECKING:
    from treadle.store.database import Reader, Row, Transaction

_UNCHANGING = {"queue", "lane", "kind", "payload", "created", "dedup_key"}


def job_of(row: Row, place: int | None = None) -> Job:
    """The job of a row."""
    result = None if row["result"] is None else json.loads(row["result"])
    return Job(**{**row, "payload": json.loads(row["payload"]), "result": result}, place=place)


def queue_of(row: Row) -> Queue:
    """The queue of a row."""
    return Queue(row["id"], row["owner_kind"], row["owner_id"], row["concurrency"], row["paused"])


def event_of(row: Row) -> LedgerEvent:
    """The event of a row."""
    return LedgerEvent(**{**row, "data": json.loads(row["data"])})


def dependency_of(row: Row) -> Dependency:
    """The dependency of a row."""
    return Dependency(row["on_job"], row["if_failed"], bool(row["satisfied"]))


def worker_of(row: Row) -> WorkerRecord:
    """The worker of a row."""
    shown = {name: value for name, value in row.items() if name != "seen_by_user"}
    return WorkerRecord(**{**shown, "facts": json.loads(row["facts"])})


def schedule_of(row: Row) -> Schedule:
    """The schedule of a row."""
    return Schedule(**{**row, "job": new_job_of(json.loads(row["job"]))})


def new_job_of(fields: dict[str, Any]) -> NewJob:
    """The request that `plain` wrote down."""
    return NewJob(**{**fields, "waits_on": tuple(fields["waits_on"])})


def plain(job: NewJob) -> dict[str, Any]:
    """A request as plain JSON."""
    return {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}


def find(reader: Reader, identity: int) -> Job:
    """The job with this id; raises `NotFoundError`, since an unknown job is never a finished one."""
    rows = reader.rows("job", id=identity)
    if not rows:
        raise NotFoundError(f"No job {identity} in this workspace; `treadle jobs list` shows them.")
    return job_of(rows[0])


def tell(
    transaction: Transaction,
    row: Row | None,
    type_: str,
    *,
    new: bool = False,
    **data: Any,  # noqa: ANN401 - plain JSON
) -> Job:
    """Note what a job has become: as an event, and in the journal; a new one, or a new request, wholly."""
    if row is None:
        raise AssertionError("the statement changed no row, though it was read in this transaction")
    transaction.event(type_, row["id"], row["queue"], **data)
    kept = row if new else {name: value for name, value in row.items() if name not in _UNCHANGING}
    transaction.keep("job", sync=new, **kept)
    return job_of(row)


def reason(error: str | None) -> dict[str, Any]:
    """An error as data of an event: there, or not."""
    return {} if error is None else {"error": error}


def check(job: NewJob) -> None:
    """Raise `UsageError` for a request that no ledger could carry."""
    kind, colon, owner = job.queue.partition(":")
    if not (kind and colon and owner):
        raise UsageError(f"{job.queue!r} is not the name of a queue; write OWNER_KIND:OWNER_ID, such as model:m-06f.")
    if job.lane not in get_args(Lane):
        raise UsageError(f"Unknown lane `{job.lane}`. Known: heavy, light.")
    if job.if_failed not in get_args(IfFailed):
        raise UsageError(f"Unknown choice `{job.if_failed}` for a failed predecessor. Known: block, cancel, run.")
    if job.max_attempts < 1:
        raise UsageError(f"A job must be allowed at least 1 attempt, not {job.max_attempts}.")


def end(transaction: Transaction, job: Job, state: str, *, result: Any = None, error: str | None = None) -> Job:  # noqa: ANN401
    """Give a job its last state and settle what waits for it; its slot is free with that."""
    row = transaction.row(
        "end_job",
        id=job.id,
        state=state,
        result=None if result is None else to_json(result),
        error=error,
        attempts=job.attempts + (state == "failed"),
    )
    made = tell(transaction, row, state, **reason(error))
    settle_dependants(transaction, job.id, state)
    return made


def settle_dependants(transaction: Transaction, parent: int, state: str) -> None:
    """Let the jobs that waited for `parent` go, wait on, or be cancelled, as each chose."""
    ended = [(parent, state)]
    while ended:
        on_job, how = ended.pop()
        for row in transaction.rows("dependants", on_job=on_job):
            if how == "done" or row["if_failed"] == "run":
                transaction.run("satisfy", job=row["id"], on_job=on_job)
                after = transaction.row("count_down", id=row["id"])
                if after is not None and after["state"] == "ready":
                    transaction.event("ready", row["id"], row["queue"])
            elif row["if_failed"] == "cancel":
                error = f"Job {on_job}, which this one waited for, was {how}."
                child = transaction.row(
                    "end_job", id=row["id"], state="cancelled", result=None, error=error, attempts=row["attempts"]
                )
                tell(transaction, child, "cancelled", error=error)
                ended.append((row["id"], "cancelled"))


def promote_due(transaction: Transaction) -> None:
    """Make the jobs ready whose time has come."""
    for row in transaction.rows("promote_due"):
        transaction.event("ready", row["id"], row["queue"])
