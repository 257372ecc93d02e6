"""Operations on workers: worker run, start, status, drain, stop, install."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from treadle.base.errors import MissingExtraError, UsageError
from treadle.base.files import write_text
from treadle.jobs.presence import announce, idle_seconds, worker_folder, worker_lives
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from treadle.jobs.ledger import Ledger


@dataclass(frozen=True, slots=True)
class WorkerList:
    """Workers of this workspace."""

    live: bool
    """Whether one lives on this machine and takes jobs."""
    workers: list[dict[str, Any]]
    """Each with `id`, `host`, `started`, `silent` (seconds since it last spoke), `command`, `facts`."""
    lost: list[dict[str, Any]]
    """Workers that ended without notice."""
    running: list[int]
    """Ids of the jobs that run."""
    waiting: int
    idle_seconds: float
    """After how long without work a worker in the background ends."""
    log: str


@dataclass(frozen=True, slots=True)
class WorkerChange:
    """What was asked of workers."""

    workers: list[str]
    said: str


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """The service that keeps a worker running."""

    path: str
    commands: list[str]
    """What to run next; nothing was enabled."""


@operation(
    "light",
    for_assistants=False,
    noun="worker",
    examples=("treadle worker run", "treadle worker run --heavy 2", "treadle worker run --paused"),
)
def run(
    workspace: WorkspaceFolder,
    *,
    heavy: Annotated[int, "how many trainings this machine carries out at a time"] = 1,
    light: Annotated[int, "how many light jobs this machine carries out at a time"] = 4,
    idle: Annotated[float | None, "end after this many seconds without work; stays unless given"] = None,
    paused: Annotated[bool, "pause all queues first, to look around after an unclean stop"] = False,
) -> WorkerChange:
    """Carry out jobs here until Ctrl-C, which lets each keep its work at its next step.

    Commands that queue work start a worker in the background when there is none; this one stays.
    """
    if heavy < 0 or light < 0 or heavy + light == 0:
        raise UsageError("A worker needs room for at least one job: --heavy 1 or --light 1.")
    if paused:
        _pause_all(workspace)
    worker = load("treadle.jobs.worker:Worker")(workspace, limits={"light": light, "heavy": heavy}, idle_seconds=idle)
    worker.run()
    return WorkerChange([worker.id], "The worker has ended; jobs that it held wait in their queues.")


@operation(
    "light",
    for_assistants=False,
    noun="worker",
    examples=("treadle worker start", "treadle worker start --paused"),
)
def start(
    workspace: WorkspaceFolder,
    *,
    paused: Annotated[bool, "pause all queues first, to look around after an unclean stop"] = False,
) -> WorkerChange:
    """See that a worker lives in the background, as commands that queue work do; it ends when nothing is left to do."""
    if paused:
        _pause_all(workspace)
    there = worker_lives(workspace)
    announce(workspace)
    said = "A worker lives already" if there else "A worker starts in the background"
    return WorkerChange([], f"{said}; all queues are paused: treadle jobs resume" if paused else f"{said}.")


@operation("light", effect="reads", noun="worker", examples=("treadle worker status",))
def status(
    workspace: WorkspaceFolder,
    *,
    remind: Annotated[bool, "tell of workers that ended without notice the next time too"] = False,
) -> WorkerList:
    """Show the workers, those that died without notice too, and how much there is to do."""
    with _ledger(workspace) as ledger:
        ledger.work.reap(load("treadle.jobs.identity:WorkerIdentity").current())  # finds those that died
        jobs = ledger.jobs(states=("running", "stopping", "ready", "blocked"), count=10_000)
        lost = ledger.work.lost_workers()
        if not remind:
            ledger.work.lost_workers_shown()
        return WorkerList(
            live=worker_lives(workspace),
            workers=[_shown(row) for row in ledger.work.workers()],
            lost=[_shown(row) for row in lost],
            running=[job.id for job in jobs if job.active],
            waiting=sum(job.waiting for job in jobs),
            idle_seconds=idle_seconds(),
            log=str(worker_folder(workspace) / "log.txt"),
        )


@operation("light", noun="worker", examples=("treadle worker drain",))
def drain(workspace: WorkspaceFolder) -> WorkerChange:
    """Let the workers finish what they run, start nothing more, and end."""
    return _command(workspace, "drain")


@operation("light", noun="worker", examples=("treadle worker stop",))
def stop(workspace: WorkspaceFolder) -> WorkerChange:
    """End the workers: each job keeps its work at its next step and waits in its queue for the next worker."""
    return _command(workspace, "stop")


@operation(
    "light",
    for_assistants=False,
    noun="worker",
    examples=("treadle worker install", "treadle worker install --heavy 2"),
)
def install(
    workspace: WorkspaceFolder, *, heavy: Annotated[int, "how many trainings this machine carries out at a time"] = 1
) -> ServiceReport:
    """Write a systemd service of yours that keeps a worker running, and say how to enable it. Enables nothing."""
    if shutil.which("systemctl") is None:
        raise MissingExtraError(
            "There is no systemd here. Let another supervisor keep this running: "
            f"treadle worker run --workspace {workspace.root}"
        )
    name = load("treadle.jobs.service:service_name")(workspace)
    text = load("treadle.jobs.service:service_text")(workspace, [sys.executable, "-m", "treadle.cli.main"], heavy)
    path = Path.home() / ".config" / "systemd" / "user" / name
    write_text(path, text)
    linger = "loginctl enable-linger   # so that it runs while nobody is logged in"
    return ServiceReport(str(path), ["systemctl --user daemon-reload", f"systemctl --user enable --now {name}", linger])


def _command(workspace: WorkspaceFolder, command: Literal["drain", "stop"]) -> WorkerChange:
    with _ledger(workspace) as ledger:
        ledger.work.reap(load("treadle.jobs.identity:WorkerIdentity").current())
        asked = [row.id for row in ledger.work.workers() if ledger.work.command(row.id, command)]
    if asked and worker_lives(workspace):
        announce(workspace)
    verb = "finishes what runs, then ends" if command == "drain" else "ends; what runs keeps its work"
    said = "No worker lives." if not asked else f"{'The worker' if len(asked) == 1 else 'Each worker'} {verb}."
    return WorkerChange(asked, said)


def _pause_all(workspace: WorkspaceFolder) -> None:
    with _ledger(workspace) as ledger:
        for queue in ledger.queues():
            ledger.pause(queue.id, "after")


def _shown(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a WorkerRecord
    return {name: getattr(row, name) for name in ("id", "host", "started", "silent", "ended", "command", "facts")}


def _ledger(workspace: WorkspaceFolder) -> Ledger:
    ledger: Ledger = load("treadle.jobs.ledger:Ledger").open(workspace)
    return ledger
