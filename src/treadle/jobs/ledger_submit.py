"""How a request gets into its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.ledger_rows import check, job_of, tell, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.jobs.job import Job, NewJob
    from treadle.store.database import Transaction


def submit(transaction: Transaction, jobs: Sequence[NewJob]) -> list[Job]:
    """Insert `jobs` in order; one whose `dedup_key` is known already becomes the job that has it."""
    tails: dict[str, float] = {}
    for job in jobs:
        check(job)
        tails[job.queue] = tails.get(job.queue, 0) + 1
    for queue, count in tails.items():
        tails[queue] = extend_queue(transaction, queue, int(count)) - count
    made = []
    for job in jobs:
        known = None if job.dedup_key is None else transaction.row("job_by_key", dedup_key=job.dedup_key)
        if known is not None:
            made.append(job_of(known))
            continue
        tails[job.queue] += 1
        made.append(_insert(transaction, job, tails[job.queue]))
    return made


def extend_queue(transaction: Transaction, queue: str, count: int) -> float:
    """Make room for `count` jobs at the end of a queue, which is made if need be; return the last one's `pos`."""
    kind, _, owner = queue.partition(":")
    row = transaction.row("extend_queue", id=queue, owner_kind=kind, owner_id=owner, count=count)
    assert row is not None  # noqa: S101 - the statement returns what it wrote
    return float(row["tail"])


def _insert(transaction: Transaction, job: NewJob, pos: float) -> Job:
    waits = {on_job: _satisfied(transaction, job, on_job) for on_job in dict.fromkeys(job.waits_on)}
    waiting = sum(not satisfied for satisfied in waits.values())
    row = transaction.row(
        "insert_job",
        queue=job.queue,
        lane=job.lane,
        kind=job.kind,
        payload=to_json(job.payload),
        state="blocked" if waiting or job.not_before > 0 else "ready",
        priority=job.priority,
        pos=pos,
        not_before=job.not_before,
        waits=waiting,
        max_attempts=job.max_attempts,
        run=job.run,
        dedup_key=job.dedup_key,
    )
    made = tell(transaction, row, "submitted", new=True, kind=job.kind)
    for on_job, satisfied in waits.items():
        transaction.run(
            "insert_dependency", job=made.id, on_job=on_job, if_failed=job.if_failed, satisfied=int(satisfied)
        )
        transaction.keep("dependency", id=f"{made.id}/{on_job}", job=made.id, on_job=on_job, if_failed=job.if_failed)
    return made


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
