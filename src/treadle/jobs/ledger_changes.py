"""What people do to jobs that are in the ledger already: stop, retry, edit, move, pause, copy, forget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.jobs.job import HELD, NewJob
from treadle.jobs.ledger_rows import end, find, job_of, tell
from treadle.jobs.ledger_submit import extend_queue, submit
from treadle.store.journal import to_json

if TYPE_CHECKING:
    from treadle.jobs.job import Job, Pause
    from treadle.store.database import Reader, Row, Transaction

Rewrite = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes a job's kind and payload; returns the payload for the other queue."""
_SMALLEST_GAP = 1e-9


@dataclass(frozen=True, slots=True)
class Edit:
    """What to change in a waiting job; None leaves it as it is."""

    payload: dict[str, Any] | None = None
    not_before: float | None = None
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where to move a job: a place in its queue, or a neighbour."""

    place: int | None = None
    before: int | None = None
    after: int | None = None


def placed(reader: Reader, job: Job) -> Job:
    """`job` with its place, if it is ready."""
    if job.state != "ready":
        return job
    where: dict[str, Any] = {
        "queue": job.queue,
        "lane": job.lane,
        "priority": job.priority,
        "pos": job.pos,
        "id": job.id,
    }
    return dataclasses.replace(job, place=int(reader.rows("place", **where)[0]["ahead"]) + 1)


def cancel(transaction: Transaction, identity: int, how: Literal["stop", "discard"]) -> Job:
    """End a waiting job at once; ask a running one. A job that has ended already is an error."""
    job = find(transaction, identity)
    if job.waiting:
        said = "Stopped before it began." if how == "stop" else "Discarded before it began."
        return end(transaction, job, "cancelled", error=said)
    if not job.active:
        raise NotReadyError(f"Job {identity} is not waiting or running: it is {job.state}.")
    if job.cancel != "discard":  # who discards wants more than who stops
        return tell(transaction, transaction.row("request_cancel", id=identity, cancel=how), "asked", cancel=how)
    return job


def cancel_waiting(transaction: Transaction, queue: str, why: str) -> list[int]:
    """End all jobs that wait in `queue`; returns their ids."""
    cancelled = []
    for row in transaction.rows("waiting_jobs", queue=queue):
        job = find(transaction, row["id"])
        if job.waiting:  # else it has fallen with one that it waited for
            end(transaction, job, "cancelled", error=why)
        cancelled.append(job.id)
    return cancelled


def retry(transaction: Transaction, identity: int) -> Job:
    """Let a failed or cancelled job wait at the end of its queue again."""
    job = find(transaction, identity)
    if job.state not in {"failed", "cancelled"}:
        raise NotReadyError(f"Job {identity} is {job.state}; only a failed or cancelled job can be tried again.")
    pos = extend_queue(transaction, job.queue, 1)
    return tell(transaction, transaction.row("retry_job", id=identity, pos=pos), "retried")


def edit(transaction: Transaction, identity: int, edit: Edit) -> Job:
    """Change the request of a waiting job."""
    job = _waiting(transaction, identity, "edited")
    if edit.max_attempts is not None and edit.max_attempts < 1:
        raise UsageError(f"A job must be allowed at least 1 attempt, not {edit.max_attempts}.")
    row = transaction.row(
        "edit_job",
        id=identity,
        payload=to_json(job.payload if edit.payload is None else edit.payload),
        not_before=job.not_before if edit.not_before is None else edit.not_before,
        max_attempts=job.max_attempts if edit.max_attempts is None else edit.max_attempts,
    )
    return tell(transaction, row, "edited", new=True)


def hold(transaction: Transaction, identity: int) -> Job:
    """Keep a waiting job from beginning until it is released; it keeps its place."""
    job = _waiting(transaction, identity, "held")
    return _begin_not_before(transaction, job, HELD, "held")


def release(transaction: Transaction, identity: int) -> Job:
    """Let a held job wait in its queue as the others do."""
    job = find(transaction, identity)
    if not job.held:
        raise NotReadyError(f"Job {identity} is not held: it is {job.state}.")
    return _begin_not_before(transaction, job, 0.0, "released")


def _begin_not_before(transaction: Transaction, job: Job, time: float, said: str) -> Job:
    facts = {"payload": to_json(job.payload), "not_before": time, "max_attempts": job.max_attempts}
    return tell(transaction, transaction.row("edit_job", id=job.id, **facts), said, new=True)


def prioritise(transaction: Transaction, identity: int, priority: int) -> Job:
    """Give a waiting job another priority; within it, it keeps its order of submission."""
    job = _waiting(transaction, identity, "prioritised")
    row = transaction.row("place_job", id=identity, priority=priority, pos=job.pos)
    return tell(transaction, row, "prioritised", priority=priority)


def move(transaction: Transaction, identity: int, target: Target) -> Job:
    """Move a waiting job in front of or behind another; it takes over the neighbour's priority."""
    job = _waiting(transaction, identity, "moved")
    if sum(value is not None for value in (target.place, target.before, target.after)) != 1:
        raise UsageError("Say one thing: the place to move to, or the job to stand before or after.")
    neighbour, before = _neighbour(transaction, job, target)
    if neighbour is None:
        return job
    pos = _pos_beside(transaction, job, neighbour, before=before)
    if pos is None:
        renumber(transaction, job.queue)
        neighbour = find(transaction, neighbour.id)
        pos = _pos_beside(transaction, job, neighbour, before=before)
    row = transaction.row("place_job", id=identity, priority=neighbour.priority, pos=pos)
    return tell(transaction, row, "moved")


def renumber(transaction: Transaction, queue: str) -> None:
    """Give the waiting jobs of a queue whole numbers again, in their order."""
    rows = transaction.rows("renumber", queue=queue)
    for row in rows:
        transaction.keep("job", id=row["id"], pos=row["pos"])
    transaction.run("renumbered_tail", id=queue, tail=len(rows))


def pause(transaction: Transaction, queue: str, how: Pause) -> list[int]:
    """Start nothing more in `queue`; with `now`, ask what runs to give way."""
    _tell_queue(transaction, transaction.row("pause_queue", id=queue, paused=how), queue, "queue_paused", how=how)
    asked = transaction.rows("pause_running", queue=queue) if how == "now" else []
    return [tell(transaction, row, "asked", cancel="pause").id for row in asked]


def resume(transaction: Transaction, queue: str) -> None:
    """Let `queue` go on."""
    _tell_queue(transaction, transaction.row("pause_queue", id=queue, paused=None), queue, "queue_resumed")


def limit(transaction: Transaction, queue: str, concurrency: int) -> None:
    """Set how many light jobs of `queue` may run at a time."""
    if concurrency < 1:
        raise UsageError(f"A queue must be allowed at least 1 job at a time, not {concurrency}.")
    extend_queue(transaction, queue, 0)
    row = transaction.row("limit_queue", id=queue, concurrency=concurrency)
    _tell_queue(transaction, row, queue, "queue_limited", concurrency=concurrency)


def import_queue(transaction: Transaction, source: str, target: str, rewrite: Rewrite) -> list[Job]:
    """Copy what waits in `source` to the end of `target`; waiting among the copies follows that among the originals."""
    if transaction.row("queue", id=source) is None:
        raise NotFoundError(f"Nothing was ever queued in {source}.")
    originals = [job_of(row) for row in transaction.rows("waiting_jobs", queue=source)]
    copies: dict[int, Job] = {}
    for job in sorted(originals, key=lambda job: job.id):
        waits = transaction.rows("dependencies", job=job.id)
        mapped = [copies[row["on_job"]].id if row["on_job"] in copies else row["on_job"] for row in waits]
        request = NewJob(
            queue=target,
            kind=job.kind,
            payload=rewrite(job.kind, job.payload),
            lane=job.lane,
            priority=job.priority,
            not_before=job.not_before,
            waits_on=tuple(mapped),
            if_failed=waits[0]["if_failed"] if waits else "cancel",
            max_attempts=job.max_attempts,
        )
        copies[job.id] = submit(transaction, [request])[0]
    offset = extend_queue(transaction, target, len(originals)) - len(originals)
    for number, job in enumerate(originals, 1):
        row = transaction.row("place_job", id=copies[job.id].id, priority=job.priority, pos=offset + number)
        tell(transaction, row, "imported", of=job.id)
    return [find(transaction, copies[job.id].id) for job in originals]


def prune(transaction: Transaction, seconds: float, queue: str | None) -> list[int]:
    """Forget jobs that ended longer ago, unless others wait for them; with no queue, events as old as well."""
    removed = [row["id"] for row in transaction.rows("prune_jobs", seconds=seconds, queue=queue)]
    if queue is None:
        transaction.run("prune_events", seconds=seconds)
        transaction.run("prune_workers", seconds=seconds)
    transaction.event("pruned", None, queue, jobs=len(removed))
    return removed


def _tell_queue(transaction: Transaction, row: Row | None, queue: str, type_: str, **data: Any) -> None:  # noqa: ANN401
    if row is None:
        raise NotFoundError(f"Nothing was ever queued in {queue}.")
    transaction.event(type_, None, queue, **data)
    transaction.keep("queue", **row)


def _waiting(transaction: Transaction, identity: int, verb: str) -> Job:
    job = find(transaction, identity)
    if job.active:
        raise NotReadyError(
            f"Job {identity} is {job.state}, so it cannot be {verb}: it works on the snapshot it began with. "
            f"Stop it with `treadle jobs stop {identity}` and submit a new one."
        )
    if not job.waiting:
        raise NotReadyError(f"Job {identity} is {job.state}, so it cannot be {verb}.")
    return job


def _neighbour(transaction: Transaction, job: Job, target: Target) -> tuple[Job | None, bool]:
    if target.place is not None:
        if target.place < 1:
            raise UsageError(f"Places count from 1, not {target.place}.")
        rows = transaction.rows("ready_jobs", queue=job.queue, lane=job.lane, count=target.place + 1)
        others = [job_of(row) for row in rows if row["id"] != job.id]
        if not others:
            return None, True
        last = len(others) < target.place
        return (others[-1], False) if last else (others[target.place - 1], True)
    chosen = target.before if target.before is not None else target.after
    neighbour = find(transaction, -1 if chosen is None else chosen)
    if neighbour.queue != job.queue or neighbour.lane != job.lane or not neighbour.waiting:
        raise UsageError(f"Job {neighbour.id} does not wait in the same queue and lane as job {job.id}.")
    return (None if neighbour.id == job.id else neighbour), target.before is not None


def _pos_beside(transaction: Transaction, job: Job, neighbour: Job, *, before: bool) -> float | None:
    """A number between the neighbour's and the next one's; None if there is no room left."""
    row = transaction.row(
        "pos_before" if before else "pos_after",
        queue=job.queue, lane=job.lane, priority=neighbour.priority, pos=neighbour.pos, id=job.id,
    )  # fmt: skip
    beyond = None if row is None else row["pos"]
    if beyond is None:
        return neighbour.pos - 1 if before else neighbour.pos + 1
    middle = (float(beyond) + neighbour.pos) / 2
    return middle if abs(beyond - neighbour.pos) > _SMALLEST_GAP and middle not in {beyond, neighbour.pos} else None
