"""Operations of the noun host.runs: what runs have left on a host, ending what goes on, removing what is done with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from treadle.base.errors import UsageError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

_NAME = "name of the host"
_RUN = "id of a run here, for all its folders there, or name of a folder"


@dataclass(frozen=True, slots=True)
class HostRunList:
    """Folders of runs on a host, oldest first."""

    host: str
    folder: str
    """The folder there that they lie in."""
    runs: list[dict[str, Any]]
    """Each with `id` (its name), `run` and `job` (those here; `job` None = none is known), `state` (`staged`,
    `running`, `done`, `failed`, `cancelled`, `unknown`), `code`, `bytes`, `age` in seconds since something in it
    changed, `collected`: whether nothing of it is still to be brought here, None = nothing is known of it here."""
    bytes: int
    removable: int
    """How many are over and collected, whatever their age."""
    removable_bytes: int


@dataclass(frozen=True, slots=True)
class HostRunsRemoved:
    """Folders of runs that were removed from a host."""

    host: str
    removed: list[dict[str, Any]]
    """As in the list."""
    kept: list[dict[str, str]]
    """Those that were meant and are still there: `id`, `reason`."""
    bytes: int
    dry_run: bool
    said: str


@dataclass(frozen=True, slots=True)
class HostRunsStopped:
    """What was ended on a host."""

    host: str
    stopped: list[str]
    said: str


@operation(
    "light",
    effect="reads",
    noun="host.runs",
    verb="list",
    examples=("treadle host runs list lambda", "treadle host runs list lambda --json"),
)
def list_(workspace: WorkspaceFolder, host: Annotated[str, _NAME]) -> HostRunList:
    """List the folders of runs on a host: how they stand, their size and age, and whether their results are here."""
    return HostRunList(**load("treadle.recipes.host_runs:listed")(workspace, host))


@operation("light", noun="host.runs", examples=("treadle host runs stop lambda r-01m813tpf0j5r2qn",))
def stop(workspace: WorkspaceFolder, host: Annotated[str, _NAME], runs: Annotated[list[str], _RUN]) -> HostRunsStopped:
    """End what goes on of runs on a host that no job follows any more, with all their processes and containers.

    A job that still follows its run is stopped by `treadle jobs stop`, which ends both.
    """
    if not runs:
        raise UsageError("Name at least one run; `treadle host runs list HOST` shows them.")
    return HostRunsStopped(**load("treadle.recipes.host_runs:stop")(workspace, host, runs))


@operation(
    "light",
    effect="removes",
    noun="host.runs",
    examples=(
        "treadle host runs remove lambda --dry-run",
        "treadle host runs remove lambda --days 30",
        "treadle host runs remove lambda --run r-01m813tpf0j5r2qn --uncollected",
    ),
)
def remove(
    workspace: WorkspaceFolder,
    host: Annotated[str, _NAME],
    *,
    run: Annotated[list[str], f"only this: {_RUN}; may be repeated"] = [],  # noqa: B006 - never changed
    days: Annotated[float | None, "only what has not changed for so many days; 7, unless runs are named"] = None,
    uncollected: Annotated[bool, "also what is not known to be collected: its results, and its log, are lost"] = False,
    dry_run: Annotated[bool, "only say what would be removed"] = False,
) -> HostRunsRemoved:
    """Remove folders of runs from a host: what is over, and whose results are here.

    Never one that runs, or that a job goes on with. Nothing but such folders is touched.
    """
    if days is not None and not 0 <= days < 36_500:
        raise UsageError(f"--days is {days:g}; it must lie between 0 and 36500.")
    found = load("treadle.recipes.host_runs:remove")(
        workspace, host, run, days, uncollected=uncollected, dry_run=dry_run
    )
    return HostRunsRemoved(**found)
