"""Operations on the machine and the workspace as a whole: system status, history, disk, clean; plugins list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What the machine has, and what of it is free now."""

    version: str
    python: str
    host: str
    processor: str
    instruction_sets: list[str]
    cores: int
    load: float | None
    """Processes that run or want to, on average over the last minute."""
    memory_total: int
    memory_available: int
    disk_free: int
    workspace: str
    database: str
    """`SQLite` or `Postgres`."""


@dataclass(frozen=True, slots=True)
class HardwareHistory:
    """The machine over some time: lists of equal length, oldest first. Where nothing is, nothing was sampled."""

    time: list[float]
    processor: list[float]
    """Busy share of all cores, 0 to 1; of gathered samples the largest."""
    load: list[float]
    memory_used: list[int]
    memory_total: list[int]
    disk_free: list[int]
    interval: float
    """Seconds between two samples, at least. Workers and `treadle ui` take them while they live."""


@dataclass(frozen=True, slots=True)
class DiskReport:
    """What takes how much of the disk."""

    workspace: str
    total: int
    """Bytes of all files here; a file with several names counts once."""
    free: int
    """Free bytes on this disk."""
    kinds: list[dict[str, Any]]
    """Each with `kind`, `bytes`, `files`, `what`, and `clean`: the command that frees some of it, or None."""
    models: list[dict[str, Any]]
    """Each with `model`, `bytes`, the largest first."""


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What was cleaned up, or would be."""

    what: str
    bytes: int
    entries: list[dict[str, Any]]
    """Each with `path`, `bytes`."""
    dry_run: bool
    said: str


@dataclass(frozen=True, slots=True)
class PluginList:
    """What can be plugged in, and what is."""

    plugins: list[dict[str, Any]]
    """Installed ones: `kind`, `name`, `value`, `package`, `version`, `replaces` (whether a built-in has that name)."""
    kinds: list[dict[str, Any]]
    """Each with `kind`, `group` (of entry points), `built_in` (names)."""


@operation("light", effect="reads", noun="system", examples=("treadle system status", "treadle system status --json"))
def status(workspace: WorkspaceFolder) -> SystemStatus:
    """Show the machine and what of it is free: processor, memory, disk. `treadle doctor` says what it lacks."""
    return SystemStatus(**load("treadle.recipes.system:status")(workspace))


@operation(
    "light",
    effect="reads",
    noun="system",
    examples=("treadle system history", "treadle system history --minutes 1440 --points 100 --json"),
)
def history(
    workspace: WorkspaceFolder,
    *,
    minutes: Annotated[float, "how far to look back; a day is kept"] = 60.0,
    points: Annotated[int, "at most so many samples; more are gathered, and peaks stay"] = 300,
) -> HardwareHistory:
    """Show what the machine was busy with: processor, memory, disk. Kept for a day, while a worker or the UI lives."""
    if not 0 < minutes <= 1440:
        raise UsageError(f"--minutes is {minutes:g}; it must be above 0 and at most 1440, which is a day.")
    if not 1 <= points <= 20_000:
        raise UsageError(f"--points is {points}; it must lie between 1 and 20000.")
    found = load("treadle.telemetry.hardware_history:hardware_history")
    columns = load("treadle.telemetry.hardware_history:columns")
    interval = load("treadle.telemetry.hardware_history:INTERVAL_SECONDS")
    path = load("treadle.jobs.presence:worker_folder")(workspace) / load("treadle.telemetry.hardware_history:FILE")
    return HardwareHistory(**columns(found(path, minutes * 60, points)), interval=interval)


@operation("light", effect="reads", noun="system", examples=("treadle system disk", "treadle system disk --json"))
def disk(workspace: WorkspaceFolder) -> DiskReport:
    """Show what takes how much of the disk, by kind and by model, and what can be cleaned up."""
    return DiskReport(**load("treadle.recipes.disk:report")(workspace))


@operation(
    "light",
    effect="removes",
    noun="system",
    examples=(
        "treadle system clean trash --dry-run",
        "treadle system clean trash --days 30",
        "treadle system clean packed",
        "treadle system clean runs --days 90",
    ),
)
def clean(
    workspace: WorkspaceFolder,
    what: Annotated[
        Literal["trash", "packed", "runs", "leftovers", "uploads", "stills"],
        "trash: what was deleted; packed: weights packed for generation, which are made again when needed; "
        "runs: folders of runs that no kept checkpoint came from (to the trash); leftovers: temporary files of "
        "processes that were killed; uploads: files that came in through the web UI; stills: small pictures of "
        "results, which are made again, too",
    ],
    *,
    days: Annotated[float, "only what is older than this"] = 7.0,
    dry_run: Annotated[bool, "only say what would be removed"] = False,
) -> CleanReport:
    """Free disk space. What is in the trash is erased for good; nothing that a model needs is touched.

    Stored text that no version refers to any more is another matter: `treadle data gc`.
    """
    if not 0 <= days < 36_500:
        raise UsageError(f"--days is {days:g}; it must lie between 0 and 36500.")
    return CleanReport(**load("treadle.recipes.disk:clean")(workspace, what, days * 86_400, dry_run=dry_run))


@operation(
    "light",
    effect="reads",
    noun="plugins",
    verb="list",
    needs_workspace=False,
    examples=("treadle plugins list", "treadle plugins list --json"),
)
def plugins_list() -> PluginList:
    """List what is plugged in, and the kinds of things that can be. Nothing of a plugin is run."""
    return PluginList(**load("treadle.recipes.system:plugins")())
