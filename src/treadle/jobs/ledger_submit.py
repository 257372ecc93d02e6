"""How requests get into their queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.job import Job
from treadle.jobs.ledger_rows import check, job_of
from treadle.store.journal import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.jobs.job import NewJob
    from treadle.store.database import Row, Transaction


def submit(transaction: Transaction, jobs: Sequence[NewJob]) -> list[Job]:
    """Insert `jobs` in order; one whose `dedup_key` is known already becomes the job that has it."""
    for job in jobs:
        check(job)
    known = _known(transaction, jobs)
    keys = set(known)
    fresh = []
    for job in jobs:
        if job.dedup_key is None or job.dedup_key not in keys:
            fresh.append(job)
            keys.add(job.dedup_key or "")
    made = iter(_insert(transaction, fresh))
    found: list[Job] = []
    for job in jobs:
        if job.dedup_key is None:
            found.append(next(made))
        else:
            if job.dedup_key not in known:
                known[job.dedup_key] = next(made)
            found.append(known[job.dedup_key])
    return found


def extend_queue(transaction: Transaction, queue: str, count: int) -> float:
    """Make room for `count` jobs at the end of a queue, which is made if need be; return the last one's `pos`."""
    kind, _, owner = queue.partition(":")
    row = transaction.row("extend_queue", id=queue, owner_kind=kind, owner_id=owner, count=count)
    assert row is not None  # noqa: S101 - the statement returns what it wrote
    return float(row["tail"])


def _known(transaction: Transaction, jobs: Sequence[NewJob]) -> dict[str, Job]:
    keys = {job.dedup_key for job in jobs if job.dedup_key is not None}
    found = (transaction.row("job_by_key", dedup_key=key) for key in sorted(keys))
    return {row["dedup_key"]: job_of(row) for row in found if row is not None}


def _insert(transaction: Transaction, jobs: Sequence[NewJob]) -> list[Job]:
    if not jobs:
        return []
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.queue] = counts.get(job.queue, 0) + 1
    tails = {queue: extend_queue(transaction, queue, count) - count for queue, count in counts.items()}
    reserved = transaction.row("reserve_ids", count=len(jobs))
    assert reserved is not None  # noqa: S101 - an aggregate always has a row
    rows: list[Row] = []
    dependencies: list[Row] = []
    for identity, job in enumerate(jobs, int(reserved["last"]) + 1):
        waits = _dependencies(transaction, job, identity)
        waiting = sum(not row["satisfied"] for row in waits)
        tails[job.queue] += 1
        dependencies += waits
        rows.append(_row(job, identity, tails[job.queue], waiting, float(reserved["clock"])))
    transaction.many("insert_job", rows)
    transaction.many("insert_dependency", dependencies)
    for job, row in zip(jobs, rows, strict=True):
        transaction.event("submitted", row["id"], job.queue, kind=job.kind)
        transaction.keep("job", sync=True, **row)
    for row in dependencies:
        kept = {name: value for name, value in row.items() if name != "satisfied"}
        transaction.keep("dependency", id=f"{row['job']}/{row['on_job']}", **kept)
    return [Job(**{**_UNTOUCHED, **row, "payload": job.payload}) for job, row in zip(jobs, rows, strict=True)]


_UNTOUCHED: dict[str, Any] = {
    "attempts": 0,
    "recoveries": 0,
    "cancel": None,
    "host": None,
    "owner": None,
    "fence": 0,
    "lease": None,
    "started": None,
    "ended": None,
    "result": None,
    "error": None,
}


def _row(job: NewJob, identity: int, pos: float, waits: int, now: float) -> Row:
    return {
        "id": identity,
        "queue": job.queue,
        "lane": job.lane,
        "kind": job.kind,
        "payload": to_json(job.payload),
        "state": "blocked" if waits or job.not_before > now else "ready",
        "priority": job.priority,
        "pos": pos,
        "not_before": job.not_before,
        "waits": waits,
        "max_attempts": job.max_attempts,
        "created": now,
        "run": job.run,
        "dedup_key": job.dedup_key,
    }


def _dependencies(transaction: Transaction, job: NewJob, identity: int) -> list[Row]:
    return [
        {
            "job": identity,
            "on_job": on_job,
            "if_failed": job.if_failed,
            "satisfied": int(_satisfied(transaction, job, on_job)),
        }
        for on_job in dict.fromkeys(job.waits_on)
    ]


def _satisfied(transaction: Transaction, job: NewJob, on_job: int) -> bool:
    """Whether a predecessor needs no waiting; refuses one that does not exist or whose failure settles the matter."""
    row = transaction.row("job", id=on_job)
    if row is None:
        raise NotFoundError(f"No job {on_job} to wait for; `treadle jobs list` shows the jobs.")
    if row["state"] in {"failed", "cancelled"}:
        if job.if_failed == "cancel":
            raise UsageError(
                f"Job {on_job} was {row['state']}, so a job that waits for it could never start. "
                f"Run `treadle jobs retry {on_job}` first, or let the new job run all the same."
            )
        return job.if_failed == "run"
    return bool(row["state"] == "done")
