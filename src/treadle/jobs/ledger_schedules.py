"""Schedules: jobs that are submitted again and again, each time once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.names import check_name
from treadle.jobs.ledger_rows import check, plain, schedule_of
from treadle.jobs.ledger_submit import submit
from treadle.store.journal import to_json

if TYPE_CHECKING:
    from treadle.jobs.job import Job, NewJob, Schedule
    from treadle.store.database import Database, Row, Transaction

NextTime = Callable[[str, float], float]
"""Takes cron text and a time; returns the first time after it at which the text fires."""

_AUTUMN_SECONDS = 2 * 3600.0
"""More than what the hour that occurs twice in autumn can make of a difference."""


class Schedules:
    """The schedules of one ledger. What cron text means is handed in."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, name: str, cron: str, job: NewJob, next_fire: float) -> Schedule:
        """Submit `job` whenever `cron` says, from `next_fire` on."""
        check_name("schedule", name)
        check(job)
        with self._database.transaction() as transaction:
            if transaction.row("schedule", name=name) is not None:
                raise UsageError(f"A schedule named `{name}` exists already. Remove it, or choose another name.")
            row = transaction.row(
                "insert_schedule", name=name, cron=cron, queue=job.queue, job=to_json(plain(job)), next_fire=next_fire
            )
            transaction.event("schedule_added", None, job.queue, name=name, cron=cron)
            return _kept(transaction, row)

    def all(self) -> list[Schedule]:
        """All schedules, by name."""
        return [schedule_of(row) for row in self._database.rows("schedules")]

    def remove(self, name: str) -> None:
        """Forget a schedule; jobs that it has submitted stay."""
        with self._database.transaction() as transaction:
            if not _removed(transaction, name):
                raise NotFoundError(f"No schedule `{name}`; `treadle schedule list` shows them.")

    def next_fire(self) -> float | None:
        """When the next schedule is due; None if there is none."""
        time = self._database.rows("next_fire")[0]["time"]
        return None if time is None else float(time)

    def replan(self, now: float, next_time: NextTime) -> list[str]:
        """Bring forward what stands much further ahead than its cron text says; return the names.

        That was worked out by a clock which has been set back since.
        """
        with self._database.transaction() as transaction:
            changed = []
            for row in transaction.rows("schedules"):
                upcoming = next_time(row["cron"], now)
                if row["next_fire"] > upcoming + _AUTUMN_SECONDS:
                    values = {"last_fire": row["last_fire"], "next_fire": upcoming}
                    changed.append(_kept(transaction, transaction.row("fired", id=row["id"], **values)).name)
            return changed

    def fire(self, now: float, next_time: NextTime) -> list[Job]:
        """Submit the jobs that are due: one for each schedule, for its last missed time, however many were missed.

        The job and the step to the next time are one transaction, and the job's key is the schedule and the time, so
        that none comes twice.
        """
        with self._database.transaction() as transaction:
            fired: list[Job] = []
            for row in transaction.rows("due_schedules", time=now):
                schedule = schedule_of(row)
                time, upcoming = schedule.next_fire, next_time(schedule.cron, schedule.next_fire)
                while upcoming <= now:
                    time, upcoming = upcoming, next_time(schedule.cron, upcoming)
                key = f"schedule-{schedule.id}:{time:.0f}"
                fired += submit(transaction, [replace(schedule.job, dedup_key=key)])
                _kept(transaction, transaction.row("fired", id=schedule.id, last_fire=time, next_fire=upcoming))
            return fired


def forget_schedules(transaction: Transaction, queue: str) -> list[str]:
    """Remove the schedules that submit to `queue`; returns their names."""
    return [
        row["name"]
        for row in transaction.rows("schedules")
        if row["queue"] == queue and _removed(transaction, row["name"])
    ]


def _removed(transaction: Transaction, name: str) -> bool:
    row = transaction.row("delete_schedule", name=name)
    if row is None:
        return False
    transaction.keep("schedule", id=row["id"], gone=True)
    transaction.event("schedule_removed", name=name)
    return True


def _kept(transaction: Transaction, row: Row | None) -> Schedule:
    if row is None:
        raise AssertionError("the statement changed no schedule, though it was read in this transaction")
    transaction.keep("schedule", sync=True, **row)
    return schedule_of(row)
