"""Runs that lie on a host: which there are, what of them is here, ending what goes on, removing what is done with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base import units
from treadle.base.errors import NotFoundError, NotReadyError, TreadleError
from treadle.base.files import read_json
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import RunFolder as RunHere
from treadle.recipes.host_work import STATE_FILE
from treadle.recipes.transfer_host import card_of
from treadle.recipes.transfer_work import FILE, end_launch
from treadle.remote import run_list
from treadle.remote.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from treadle.jobs.job import Job
    from treadle.remote.hosts import HostCard
    from treadle.remote.run_list import FoundRun
    from treadle.remote.transport import Transport
    from treadle.store.workspace import WorkspaceFolder

_USUAL_DAYS: Final = 7.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Row:
    """A folder on the host, and what is known here of its run."""

    found: FoundRun
    job: Job | None
    collected: bool | None
    """Whether nothing of it is still to be brought here; None = nothing is known of it in this workspace."""

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        job = None if self.job is None else self.job.id
        return {**asdict(self.found), "job": job, "collected": self.collected}

    def kept_because(self, host: str, *, uncollected: bool) -> str:
        """Why it is not to be removed; empty when it is. What runs, and what a job goes on with, stays in any case."""
        if self.found.state == "running":
            return f"it runs; end it first: treadle host runs stop {host} {self.found.run}"
        if self.job is not None and (self.job.active or self.job.waiting) and not self.collected:
            return f"job {self.job.id} goes on with it"
        if self.collected or uncollected:
            return ""
        what = "nothing is known of it here" if self.collected is None else "its results were not brought here"
        return f"{what}; to remove it all the same: --uncollected"


def listed(workspace: WorkspaceFolder, host: str) -> dict[str, Any]:
    """All folders of runs on a host, oldest first, with what they take."""
    card = card_of(workspace, host)
    with card.connected() as transport:
        rows = _rows(workspace, card, transport)
    return {"host": card.name, "folder": card.runs, "runs": [row.facts() for row in rows], **_totals(rows)}


def remove(
    workspace: WorkspaceFolder, host: str, runs: Sequence[str], days: float | None, *, uncollected: bool, dry_run: bool
) -> dict[str, Any]:
    """Remove folders of runs that are over: the named ones, else all that did not change for so many days.

    Raises `NotFoundError` when a named one is not there.
    """
    card = card_of(workspace, host)
    least = 0.0 if runs and days is None else (_USUAL_DAYS if days is None else days) * _DAY
    with card.connected() as transport:
        chosen = [row for row in _named(_rows(workspace, card, transport), runs, card) if row.found.age >= least]
        reasons = {row.found.id: row.kept_because(card.name, uncollected=uncollected) for row in chosen}
        kept = {name: reason for name, reason in reasons.items() if reason}
        going = [row for row in chosen if row.found.id not in kept]
        if not dry_run:
            kept |= run_list.remove(transport, card.runs, [row.found.id for row in going])
    gone = [row for row in going if row.found.id not in kept]
    size = sum(row.found.bytes for row in gone)
    verb = "Would remove" if dry_run else "Removed"
    said = f"{verb} {units.counted(len(gone), 'folder')} ({units.size(size)}) from {card.runs} on `{card.name}`."
    return {
        "host": card.name,
        "removed": [row.facts() for row in gone],
        "kept": [{"id": name, "reason": reason} for name, reason in kept.items()],
        "bytes": size,
        "dry_run": dry_run,
        "said": said,
    }


def stop(workspace: WorkspaceFolder, host: str, runs: Sequence[str]) -> dict[str, Any]:
    """End what goes on of some runs on a host, which no job here follows any more."""
    card = card_of(workspace, host)
    ended = []
    with card.connected() as transport:
        for row in _named(_rows(workspace, card, transport), runs, card):
            if row.job is not None and row.job.active:
                raise NotReadyError(
                    f"Job {row.job.id} follows {row.found.id}. End both: treadle jobs stop {row.job.id}"
                )
            if row.found.state == "running":
                RunFolder(transport, card.runs, row.found.id, card.run_containers()).stop()
                if (here := _here(workspace, row.found.run)) is not None:
                    end_launch(here / FILE, row.found.id)
                ended.append(row.found.id)
    said = f"Ended on `{card.name}`: {', '.join(ended)}." if ended else f"Nothing of it runs on `{card.name}`."
    return {"host": card.name, "stopped": ended, "said": said}


def left(workspace: WorkspaceFolder, run: str, payload: Mapping[str, Any]) -> str:
    """End what a job that no process carries out any more has left running on its host; returns what is to be said.

    Empty when nothing can go on there. A host that cannot be reached is told, with the command for later.
    """
    begun, host = _begun(workspace.runs / run), str(payload.get("host", ""))
    if not begun:
        return ""
    try:
        card, ended = card_of(workspace, host), []
        with card.connected() as transport:
            for identity in begun:
                folder = RunFolder(transport, card.runs, identity, card.run_containers())
                if folder.state().alive:
                    folder.stop()
                    end_launch(workspace.runs / run / FILE, identity)
                    ended.append(identity)
    except TreadleError as error:
        return (
            f"What it has begun on `{host}` may go on ({error}). To end it once the host is there: "
            f"treadle host runs stop {host} {run}"
        )
    return f"What it had left running on `{host}` is ended." if ended else ""


def space(workspace: WorkspaceFolder, card: HostCard, transport: Transport) -> dict[str, Any]:
    """How many folders of runs there are on a host, what they take, and what of that could be removed."""
    return _totals(_rows(workspace, card, transport))


def _rows(workspace: WorkspaceFolder, card: HostCard, transport: Transport) -> list[Row]:
    found = run_list.survey(transport, card.runs, card.run_containers())
    with Ledger.open(workspace) as ledger:
        jobs = {run: ledger.job_of_run(run) for run in {one.run for one in found}}
    return [Row(one, jobs[one.run], _collected(_here(workspace, one.run), one.id)) for one in found]


def _totals(rows: Sequence[Row]) -> dict[str, Any]:
    done_with = [row for row in rows if not row.kept_because("", uncollected=False)]
    return {
        "bytes": sum(row.found.bytes for row in rows),
        "removable": len(done_with),
        "removable_bytes": sum(row.found.bytes for row in done_with),
    }


def _named(rows: list[Row], names: Sequence[str], card: HostCard) -> list[Row]:
    """Those of these runs, or these folders; all when none is named."""
    missing = [name for name in names if not any(name in {row.found.id, row.found.run} for row in rows)]
    if missing:
        raise NotFoundError(
            f"Host `{card.name}` has no run `{missing[0][:64]}`. Those it has: treadle host runs list {card.name}"
        )
    return [row for row in rows if not names or row.found.id in names or row.found.run in names]


def _here(workspace: WorkspaceFolder, run: str) -> Path | None:
    """The folder of a run in this workspace, which may lie in the trash."""
    return next((path for path in (workspace.runs / run, workspace.trash / run) if path.is_dir()), None)


def _launches(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / FILE
    return {row["id"]: row for row in read_json(path)["launches"]} if path.is_file() else {}


def _collected(here: Path | None, identity: str) -> bool | None:
    if here is None:
        return None
    launch = _launches(here).get(identity)
    if launch is not None:
        return bool(launch["state"] == "ended" and launch["ending"] != "unknown")
    return RunHere(here).result() is not None  # of a job of the host itself: its log and its manifest are all there is


def _begun(here: Path) -> list[str]:
    """Folders on the host of what may go on there: launches, the work of a job of the host, sums of checkpoints."""
    begun = [name for name, row in _launches(here).items() if row["state"] in {"starting", "running"}]
    if (path := here / STATE_FILE).is_file():
        begun.append(f"{here.name}-{read_json(path)['number']}")
    return begun + [f"{here.name}-{log.stem.partition('-')[2]}" for log in here.glob("checkpoints-*.log")]
