"""What the ledger holds: jobs in queues, what happened to them, who works on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["blocked", "ready", "running", "stopping", "done", "failed", "cancelled"]
Lane = Literal["heavy", "light"]
"""`heavy` writes weights, one at a time for each queue; `light` jobs run beside it."""
Cancel = Literal["stop", "discard", "pause"]
Pause = Literal["after", "now"]
IfFailed = Literal["block", "cancel", "run"]

WAITING: tuple[State, ...] = ("blocked", "ready")
ACTIVE: tuple[State, ...] = ("running", "stopping")
PAST: tuple[State, ...] = ("done", "failed", "cancelled")
STATES: tuple[State, ...] = (*ACTIVE, "ready", "blocked", *PAST)
HELD = 253_402_300_799.0
"""The last second of the year 9999: a job that may not begin before is held until somebody releases it."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A request that is to be put into a queue."""

    queue: str
    """`OWNER_KIND:OWNER_ID`, for instance `model:m-06f…`; made if it does not exist."""
    kind: str
    payload: dict[str, Any]
    """Plain JSON: a snapshot that later edits of settings do not change."""
    lane: Lane = "heavy"
    priority: int = 0
    """Higher goes first."""
    not_before: float = 0.0
    """Seconds since 1970."""
    waits_on: tuple[int, ...] = ()
    """Ids of jobs that must be done first."""
    if_failed: IfFailed = "cancel"
    """What happens to this job when one that it waits for fails or is cancelled: it stays blocked, is cancelled too,
    or runs nevertheless."""
    dedup_key: str | None = None
    """A second job with the same key is not made; the first is returned."""
    max_attempts: int = 1
    """How often it may fail by itself. Crashes of workers and machines do not count."""
    run: str | None = None
    """Id of its run's folder, if there is one already."""


@dataclass(frozen=True, slots=True)
class Job:
    """A durable request, as the ledger has it now. Times are seconds since 1970 on the database's clock."""

    id: int
    queue: str
    lane: Lane
    kind: str
    payload: dict[str, Any]
    state: State
    priority: int
    pos: float
    """Order among jobs of equal priority; between two neighbours there is always room."""
    not_before: float
    waits: int
    """How many jobs it still waits for."""
    attempts: int
    """How often it failed by itself."""
    max_attempts: int
    recoveries: int
    """How often its worker or machine died under it."""
    cancel: Cancel | None
    """What was asked of it while it runs; it keeps its slot until its process has gone."""
    host: str | None
    owner: str | None
    fence: int
    """Grows whenever the job changes hands; a write with an older number is refused."""
    lease: float | None
    created: float
    started: float | None
    ended: float | None
    result: dict[str, Any] | None
    error: str | None
    run: str | None
    dedup_key: str | None
    place: int | None = field(default=None, compare=False)
    """Number in its queue, from 1, of a job that is ready; None otherwise or where it was not asked for."""

    @property
    def waiting(self) -> bool:
        """Whether it has not been started yet."""
        return self.state in WAITING

    @property
    def held(self) -> bool:
        """Whether it waits until somebody releases it."""
        return self.waiting and self.not_before >= HELD

    @property
    def active(self) -> bool:
        """Whether it holds its slot."""
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out a job, until the fence has moved on."""

    job: Job
    fence: int
    owner: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable line of jobs that belongs to a model, a dataset, a crawl or a host."""

    id: str
    owner_kind: str
    owner_id: str
    concurrency: int
    """How many jobs of its light lane may run at a time."""
    paused: Pause | None


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """Something that happened in the ledger; readers follow by `seq`."""

    seq: int
    time: float
    job: int | None
    queue: str | None
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dependency:
    """That a job waits for another."""

    on_job: int
    if_failed: IfFailed
    satisfied: bool


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker that is, or was, there."""

    id: str
    host: str
    owner: str
    started: float
    seen: float
    """When it last said that it is alive."""
    silent: float
    """Seconds since then, by the database's clock."""
    ended: float | None
    outcome: Literal["stopped", "lost"] | None
    command: Literal["drain", "stop"] | None
    facts: dict[str, Any]
    """What it says about itself: version, lanes, limits."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is submitted again and again."""

    id: int
    name: str
    cron: str
    queue: str
    job: NewJob
    created: float
    next_fire: float
    last_fire: float | None


def job_facts(job: NewJob | Job) -> dict[str, Any]:
    """What a run's request keeps of its job's place among the others."""
    return {"queue": job.queue, "lane": job.lane, "priority": job.priority, "max_attempts": job.max_attempts}
