"""Operations on schedules: schedule add, list, remove."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from treadle.base.errors import UsageError
from treadle.jobs.presence import announce, worker_lives
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from treadle.jobs.job import Schedule
    from treadle.jobs.ledger import Ledger

_WARNING = (
    "No worker lives here now, and a schedule starts nothing without one. Keep one running: treadle worker install"
)


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule."""

    name: str
    cron: str
    kind: str
    model: str | None
    next_fire: float
    """Seconds since 1970."""
    last_fire: float | None


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """All schedules."""

    schedules: list[ScheduleRow]
    warning: str | None
    """What keeps them from starting anything, if so."""


@operation(
    "light",
    noun="schedule",
    examples=(
        'treadle schedule add nightly "0 3 * * *" train bard',
        "treadle schedule add hourly @hourly -- train bard --minutes 5",
    ),
)
def add(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the schedule"],
    cron: Annotated[str, "when: minute, hour, day, month, weekday as in cron, in local time; or @daily and the like"],
    command: Annotated[list[str], "what to queue, as it would be typed without `treadle`; before flags write --"],
) -> ScheduleList:
    """Queue a job again and again. Times that were missed while no worker lived are made up for once, not each.

    The job keeps the settings that are in force now; remove the schedule and add it again to renew them.
    """
    times = load("treadle.jobs.cron:parse_cron")(cron)
    entry, arguments = load("treadle.operations.command_words:read_command")(command)
    if entry.kind != "heavy" or not entry.needs_workspace:
        raise UsageError(f"`{entry.verb}` is not a job; schedules queue feed, train and evaluate.")
    request = load("treadle.operations.heavy:request")(entry, workspace, arguments)
    with _ledger(workspace) as ledger:
        ledger.schedules.add(name, cron, request, times.next_after(time.time()))
    announce(workspace)
    return list_(workspace)


@operation("light", effect="reads", noun="schedule", verb="list", examples=("treadle schedule list",))
def list_(workspace: WorkspaceFolder) -> ScheduleList:
    """List the schedules with the next time of each."""
    with _ledger(workspace) as ledger:
        names = {f"model:{card.id}": card.name for card in ModelCards(workspace).all()}
        rows = [_row(schedule, names) for schedule in ledger.schedules.all()]
    alive = worker_lives(workspace) or not rows
    return ScheduleList(rows, None if alive else _WARNING)


@operation("light", effect="removes", noun="schedule", examples=("treadle schedule remove nightly",))
def remove(workspace: WorkspaceFolder, name: Annotated[str, "name of the schedule"]) -> ScheduleList:
    """Forget a schedule; jobs that it has queued stay."""
    with _ledger(workspace) as ledger:
        ledger.schedules.remove(name)
    return list_(workspace)


def _row(schedule: Schedule, names: dict[str, str]) -> ScheduleRow:
    return ScheduleRow(
        schedule.name,
        schedule.cron,
        schedule.job.kind,
        names.get(schedule.queue),
        schedule.next_fire,
        schedule.last_fire,
    )


def _ledger(workspace: WorkspaceFolder) -> Ledger:
    ledger: Ledger = load("treadle.jobs.ledger:Ledger").open(workspace)
    return ledger
