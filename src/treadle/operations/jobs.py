"""Operations on jobs and queues: jobs list, show, follow, log, stop, discard, retry, pause, resume, move, ..."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from treadle.base import units
from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.asked import asked
from treadle.jobs.handle import QueuedJob, waits_for
from treadle.jobs.job import PAST, WAITING
from treadle.jobs.presence import announce, worker_lives
from treadle.jobs.runs import TOLD, RunFolder
from treadle.operations.operation import operation
from treadle.operations.training import length
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.jobs.job import Job, State
    from treadle.jobs.ledger import Ledger

_MODEL = "model:"


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job in a list."""

    id: int
    kind: str
    queue: str
    model: str | None
    """Name of the model that the queue belongs to."""
    state: str
    place: int | None
    """Number in its queue, if it is ready."""
    priority: int
    attempts: int
    recoveries: int
    """How often its process, worker or machine died under it since it last kept something."""
    created: float
    started: float | None
    ended: float | None
    error: str | None
    run: str | None
    waits_for: str | None = None
    held: bool = False
    """Whether it waits until somebody releases it."""
    lane: str = "heavy"
    """`heavy` jobs run one at a time for each queue, `light` ones beside them; places count within a lane."""


@dataclass(frozen=True, slots=True)
class JobList:
    """Jobs: what runs, what waits in its order, what has ended."""

    jobs: list[JobSummary]
    paused: list[str]
    """Models whose queues start nothing; of queues of something else, their ids."""
    worker: bool
    """Whether a worker lives on this machine."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """All that is known of one job."""

    job: JobSummary
    payload: dict[str, Any]
    """What was asked, with all settings as they were then."""
    result: dict[str, Any] | None
    folder: str | None
    events: list[dict[str, Any]]
    asked: dict[str, str]
    """The same for people, without settings."""


@dataclass(frozen=True, slots=True)
class JobLog:
    """What the processes of a job printed."""

    job: int
    path: str
    text: str
    end: int = 0
    """Number of bytes up to the end of `text`; given as `begin`, only what was printed since is shown."""


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job after it was changed."""

    job: JobSummary
    said: str


@dataclass(frozen=True, slots=True)
class QueueChange:
    """Queues after they were paused, resumed, copied or pruned."""

    queues: list[str]
    jobs: list[int]
    said: str


@operation(
    "light",
    effect="reads",
    noun="jobs",
    verb="list",
    examples=("treadle jobs list", "treadle jobs list bard --state failed"),
)
def list_(
    workspace: WorkspaceFolder,
    model: Annotated[str | None, "only jobs of this model"] = None,
    *,
    state: Annotated[
        Literal["all", "open", "blocked", "ready", "running", "stopping", "done", "failed", "cancelled"],
        "which jobs: open = waiting or running",
    ] = "all",
    count: Annotated[int, "at most this many of those that wait in one queue, and of those that have ended"] = 20,
) -> JobList:
    """List jobs: what runs, what waits and why, what has ended."""
    groups: dict[str, tuple[State, ...]] = {
        "all": ("running", "stopping", *WAITING, *PAST),
        "open": ("running", "stopping", *WAITING),
    }
    with _ledger(workspace) as ledger:
        queue = None if model is None else _queue(workspace, model)
        states = groups.get(state) or (_state(state),)
        names = _names(workspace)
        shown = [
            _summary(job, names, waits_for(ledger, job) if job.waiting else None)
            for job in ledger.jobs(queue, states, count)
        ]
        paused = [row.id for row in ledger.queues() if row.paused is not None and queue in {None, row.id}]
        paused = [names.get(one, one) for one in paused]
    return JobList(shown, paused, worker_lives(workspace))


@operation("light", effect="reads", noun="jobs", examples=("treadle jobs show 12", "treadle jobs show 12 --json"))
def show(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> JobReport:
    """Show a job: what was asked, what happened to it, where its results are."""
    with _ledger(workspace) as ledger:
        found = ledger.get(job)
        events = [{"type": event.type, "time": event.time, **event.data} for event in ledger.events(job=job)]
        summary = _summary(found, _names(workspace), waits_for(ledger, found) if found.waiting else None)
    folder = None if found.run is None else str(workspace.runs / found.run)
    return JobReport(summary, found.payload, found.result, folder, events, asked(found.payload))


@operation("following", effect="reads", noun="jobs", examples=("treadle jobs follow 12",))
def follow(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> QueuedJob:
    """Come back to a job: show its progress until it ends, as the command that queued it does."""
    ledger = _ledger(workspace)
    try:
        return QueuedJob(workspace, ledger, ledger.get(job))
    except BaseException:
        ledger.close()
        raise


@operation("light", effect="reads", noun="jobs", examples=("treadle jobs log 12",))
def log(
    workspace: WorkspaceFolder,
    job: Annotated[int, "id of the job"],
    *,
    begin: Annotated[int, "leave out so many bytes at the beginning: the `end` of an earlier answer"] = 0,
) -> JobLog:
    """Show what the processes of a job printed: warnings, and the traceback of a defect."""
    if begin < 0:
        raise UsageError(f"--begin must not be negative, not {begin}.")
    with _ledger(workspace) as ledger:
        found = ledger.get(job)
    if found.run is None or (found.waiting and found.started is None):
        raise NotFoundError(f"Job {job} is {found.state} and has not begun, so it has no log yet.")
    path = RunFolder(workspace.runs / found.run).log
    printed, end = _printed(path, begin, active=found.active)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(printed, final=not found.active)
    unfinished = len(decoder.getstate()[0])  # the first bytes of a character that is being written
    return JobLog(job, str(path), text, end - unfinished)


def _printed(path: Path, begin: int, *, active: bool) -> tuple[bytes, int]:
    """What of a log is for people, from byte `begin` on, and where it ends."""
    if not path.exists():
        return b"", begin
    with path.open("rb") as file:
        file.seek(begin)
        lines = file.read().splitlines(keepends=True)
    end = begin + sum(map(len, lines))
    last = lines[-1] if lines else b""
    if active and not last.endswith(b"\n") and (last.startswith(TOLD) or TOLD.startswith(last)):
        end -= len(last)  # it is being written, and may become such a line
        lines = lines[:-1]
    return b"".join(line for line in lines if not line.startswith(TOLD)), end


@operation("light", noun="jobs", examples=("treadle jobs stop 12",))
def stop(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> JobChange:
    """Stop a job and keep what it has done: a running one ends at its next step, a waiting one is removed.

    `treadle jobs retry` lets it go on from there. What a job that no longer runs has left on a host ends, too.
    """
    with _ledger(workspace) as ledger:
        said = "stops at its next step; what it has done is kept"
        return _over(workspace, ledger, job) or _asked(workspace, ledger.stop(job), said)


@operation("light", effect="removes", noun="jobs", examples=("treadle jobs discard 12",))
def discard(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> JobChange:
    """Drop a job and its partial work: the checkpoints that it has written go to the trash.

    What a job that no longer runs has left on a host ends, too.
    """
    with _ledger(workspace) as ledger:
        said = "ends; its partial work goes to the trash"
        return _over(workspace, ledger, job) or _asked(workspace, ledger.discard(job), said)


@operation("light", noun="jobs", examples=("treadle jobs retry 12",))
def retry(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> JobChange:
    """Put a failed or stopped job back into its queue; it goes on from what it has kept."""
    with _ledger(workspace) as ledger:
        before = ledger.get(job)
        again = ledger.retry(job)
        if before.run is not None:
            RunFolder(workspace.runs / before.run).forget_result()
        announce(workspace)
        return JobChange(_summary(again, _names(workspace)), f"Job {job} waits in its queue again.")


@operation("light", noun="jobs", examples=("treadle jobs pause bard", "treadle jobs pause bard --how now"))
def pause(
    workspace: WorkspaceFolder,
    model: Annotated[str | None, "model whose queue to pause; all queues unless given"] = None,
    *,
    how: Annotated[Literal["after", "now"], "after the jobs that run, or now: they keep what they have and wait"] = (
        "after"
    ),
) -> QueueChange:
    """Start nothing more in a queue until it is resumed."""
    with _ledger(workspace) as ledger:
        queues = _queues(workspace, ledger, model)
        asked = [job for queue in queues for job in ledger.pause(queue, how)]
    announce_if_alive(workspace)
    extra = f" Jobs that give way: {', '.join(map(str, asked))}." if asked else ""
    return QueueChange(queues, asked, f"{_shown(queues, 'paused')}{extra}")


@operation("light", noun="jobs", examples=("treadle jobs resume bard", "treadle jobs resume"))
def resume(
    workspace: WorkspaceFolder,
    model: Annotated[str | None, "model whose queue to resume; all queues unless given"] = None,
) -> QueueChange:
    """Let a paused queue go on."""
    with _ledger(workspace) as ledger:
        queues = _queues(workspace, ledger, model)
        for queue in queues:
            ledger.resume(queue)
    announce(workspace)
    return QueueChange(queues, [], _shown(queues, "open"))


@operation(
    "light",
    noun="jobs",
    examples=("treadle jobs move 12", "treadle jobs move 12 --place 3", "treadle jobs move 12 --behind 9"),
)
def move(
    workspace: WorkspaceFolder,
    job: Annotated[int, "id of the job"],
    *,
    place: Annotated[int | None, "number in the queue to move to; 1 unless another way is given"] = None,
    before: Annotated[int | None, "job of the same queue to stand before"] = None,
    behind: Annotated[int | None, "job of the same queue to stand behind"] = None,
) -> JobChange:
    """Move a waiting job inside its queue."""
    target = load("treadle.jobs.ledger_changes:Target")
    chosen = 1 if place is before is behind is None else place
    with _ledger(workspace) as ledger:
        moved = ledger.move(job, target(place=chosen, before=before, after=behind))
        return JobChange(_summary(moved, _names(workspace)), f"Job {job} is number {moved.place or '?'} of its queue.")


@operation("light", noun="jobs", examples=("treadle jobs hold 12",))
def hold(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> JobChange:
    """Keep one waiting job from beginning until it is released; those behind it go first meanwhile."""
    with _ledger(workspace) as ledger:
        held = ledger.hold(job)
        said = f"Job {job} is held. Let it go on: treadle jobs release {job}"
        return JobChange(_summary(held, _names(workspace), waits_for(ledger, held)), said)


@operation("light", noun="jobs", examples=("treadle jobs release 12",))
def release(workspace: WorkspaceFolder, job: Annotated[int, "id of the job"]) -> JobChange:
    """Let a held job wait in its queue as the others do."""
    with _ledger(workspace) as ledger:
        freed = ledger.release(job)
    announce(workspace)
    return JobChange(_summary(freed, _names(workspace)), f"Job {job} waits in its queue again.")


@operation("light", noun="jobs", examples=("treadle jobs prioritise 12 10",))
def prioritise(
    workspace: WorkspaceFolder,
    job: Annotated[int, "id of the job"],
    priority: Annotated[int, "higher goes first; 0 is usual"],
) -> JobChange:
    """Set the priority of a waiting job."""
    with _ledger(workspace) as ledger:
        changed = ledger.prioritise(job, priority)
        return JobChange(_summary(changed, _names(workspace)), f"Job {job} has priority {priority}.")


@operation(
    "light",
    noun="jobs",
    examples=(
        "treadle jobs edit 12 training.batch_size=8",
        "treadle jobs edit 12 --minutes 20",
        "treadle jobs edit 12 --attempts 3",
    ),
)
def edit(
    workspace: WorkspaceFolder,
    job: Annotated[int, "id of the job"],
    overrides: Annotated[list[str], "settings as key=value"] = [],  # noqa: B006 - never changed
    *,
    epochs: Annotated[float | None, "train until the model has seen its data this many times in all"] = None,
    steps: Annotated[int | None, "train until the model has made this many steps in all"] = None,
    minutes: Annotated[float | None, "train for this long"] = None,
    attempts: Annotated[int | None, "how often the job may fail before it is given up"] = None,
) -> JobChange:
    """Change a job that still waits. One that runs works on the snapshot of settings that it began with."""
    with _ledger(workspace) as ledger:
        found = ledger.get(job)
        unit, amount = length(epochs, steps, minutes)
        payload = dict(found.payload)
        if unit != "default":
            if "unit" not in payload:
                raise UsageError(f"Job {job} is a {found.kind}, which has no length.")
            payload |= {"unit": unit, "amount": amount}
        if overrides:
            if "settings" not in payload:
                raise UsageError(f"Job {job} is a {found.kind}, which has no settings.")
            card = ModelCards(workspace).get(payload["model"])
            edited = load("treadle.recipes.settings:edited_settings")
            payload["settings"] = edited(workspace, card, payload["settings"], overrides)
        change = load("treadle.jobs.ledger_changes:Edit")(
            payload=None if payload == found.payload else payload, max_attempts=attempts
        )
        changed = ledger.edit(job, change)
        return JobChange(_summary(changed, _names(workspace)), f"Job {job} is changed.")


@operation("light", effect="removes", noun="jobs", examples=("treadle jobs prune", "treadle jobs prune --days 7"))
def prune(
    workspace: WorkspaceFolder, *, days: Annotated[float, "forget jobs that ended longer ago than this"] = 30.0
) -> QueueChange:
    """Forget jobs that ended long ago. What they made, their run folders too, stays."""
    if days < 0:
        raise UsageError(f"--days must not be negative, not {days:g}.")
    with _ledger(workspace) as ledger:
        gone = ledger.prune(days * 86_400)
    return QueueChange([], gone, f"{units.counted(len(gone), 'job')} forgotten.")


@operation("light", noun="jobs", examples=("treadle jobs import-queue bard diary",))
def import_queue(
    workspace: WorkspaceFolder,
    source: Annotated[str, "model whose waiting jobs to copy"],
    target: Annotated[str, "model that gets the copies, at the end of its queue"],
) -> QueueChange:
    """Copy what waits in one model's queue into another's; the settings of each job stay as they were asked for."""
    cards = ModelCards(workspace)
    owner, origin = cards.get(target), cards.get(source)
    if origin.id == owner.id:
        raise UsageError("A queue cannot be copied into itself; name two models.")
    with _ledger(workspace) as ledger:
        ledger.make_queue(_queue(workspace, source))
        made = ledger.import_queue(
            _queue(workspace, source), f"{_MODEL}{owner.id}", lambda _, payload: {**payload, "model": owner.id}
        )
    if made:
        announce(workspace)
    said = f"{len(made)} {'job' if len(made) == 1 else 'jobs'} copied to `{owner.name}`."
    said = said if made else f"Nothing waits in the queue of `{origin.name}`, so nothing was copied."
    return QueueChange([f"{_MODEL}{owner.id}"], [job.id for job in made], said)


def announce_if_alive(workspace: WorkspaceFolder) -> None:
    """Wake the worker, if there is one; nothing has to be begun."""
    if worker_lives(workspace):
        announce(workspace)


def _asked(workspace: WorkspaceFolder, job: Job, running: str) -> JobChange:
    announce_if_alive(workspace)
    if not job.active and job.run is not None:  # its folder tells so even without the ledger
        RunFolder(workspace.runs / job.run).write_result({"outcome": "stopped", "value": {"error": job.error}})
    said = f"Job {job.id} {running}." if job.active else f"Job {job.id} is cancelled; it had not begun."
    if not job.active and (left := _left(workspace, job)):
        said = f"Job {job.id} is cancelled. {left}"
    return JobChange(_summary(job, _names(workspace)), said)


def _over(workspace: WorkspaceFolder, ledger: Ledger, identity: int) -> JobChange | None:
    """What is ended of a job that failed or was cancelled, such as one whose host was lost; None: there is nothing."""
    job = ledger.get(identity)
    left = _left(workspace, job) if job.state in {"failed", "cancelled"} else ""
    return JobChange(_summary(job, _names(workspace)), f"Job {job.id} is {job.state}. {left}") if left else None


def _left(workspace: WorkspaceFolder, job: Job) -> str:
    """End what a job without a process has left running elsewhere; returns what is to be said of it."""
    left = load("treadle.recipes.catalog:KINDS").get(job.kind).left if job.run else None
    return "" if left is None else str(load(left)(workspace, job.run, job.payload))


def _ledger(workspace: WorkspaceFolder) -> Ledger:
    ledger: Ledger = load("treadle.jobs.ledger:Ledger").open(workspace)
    return ledger


def _queue(workspace: WorkspaceFolder, name: str) -> str:
    return name if ":" in name else f"{_MODEL}{ModelCards(workspace).get(name).id}"


def _queues(workspace: WorkspaceFolder, ledger: Ledger, model: str | None) -> list[str]:
    if model is None:
        return [queue.id for queue in ledger.queues()]
    queue = _queue(workspace, model)
    ledger.make_queue(queue)  # it may be paused before anything was queued
    return [queue]


def _names(workspace: WorkspaceFolder) -> dict[str, str]:
    return {f"{_MODEL}{card.id}": card.name for card in ModelCards(workspace).all()}


def _shown(queues: list[str], state: str) -> str:
    if not queues:
        return "Nothing was ever queued here, so there is no queue yet."
    return f"1 queue is {state}." if len(queues) == 1 else f"{len(queues)} queues are {state}."


def _state(text: str) -> State:
    states: dict[str, State] = {state: state for state in ("running", "stopping", *WAITING, *PAST)}
    return states[text]


def _summary(job: Job, names: dict[str, str], waits: str | None = None) -> JobSummary:
    return JobSummary(
        id=job.id,
        kind=job.kind,
        queue=job.queue,
        model=names.get(job.queue),
        state=job.state,
        place=job.place,
        priority=job.priority,
        attempts=job.attempts,
        recoveries=job.recoveries,
        created=job.created,
        started=job.started,
        ended=job.ended,
        error=job.error,
        run=job.run,
        waits_for=None if waits is None else waits.replace(job.queue, names.get(job.queue, job.queue)),
        held=job.held,
        lane=job.lane,
    )
