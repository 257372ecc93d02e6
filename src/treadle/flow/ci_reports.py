"""Runs of CI as the operations tell them, and red ones as lines of the log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.flow.ci import line_of, mark_of, open_repository
from treadle.flow.folder import find_flow
from treadle.flow.log import add_entry

if TYPE_CHECKING:
    from collections.abc import Mapping


def listed(repository: str | None, branch: str | None, workflow: str | None, state: str, count: int) -> dict[str, Any]:
    """The newest runs that fit."""
    hub = open_repository(repository, Path.cwd())
    filters = {"branch": branch, "workflow": workflow, "status": None if state == "any" else state}
    runs = hub.runs({key: value for key, value in filters.items() if value}, count)
    return {"repository": hub.repository, "runs": [asdict(run) for run in runs]}


def detailed(repository: str | None, identity: int) -> dict[str, Any]:
    """One run with its jobs."""
    hub = open_repository(repository, Path.cwd())
    run = hub.run(identity)
    return {"ok": not run.red, "repository": hub.repository, "run": asdict(run), "jobs": hub.jobs(identity)}


def started(repository: str | None, workflow: str, ref: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Start a workflow."""
    hub = open_repository(repository, Path.cwd())
    hub.start(workflow, ref, inputs)
    return {"repository": hub.repository, "workflow": workflow, "ref": ref, "inputs": dict(inputs)}


def logged(
    repository: str | None, branch: str | None, count: int, flow: Path | None, workspace: Path | None
) -> dict[str, Any]:
    """Write the red runs that the notes do not mention yet into the log, oldest first."""
    folder = find_flow(flow, workspace)
    hub = open_repository(repository, Path.cwd())
    runs = hub.runs({"branch": branch} if branch else {}, count)
    known = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in folder.markdown())
    red = [run for run in reversed(runs) if run.red and mark_of(run) not in known]
    return {
        "repository": hub.repository,
        "seen": len(runs),
        "lines": [add_entry(folder, line_of(run, hub.jobs(run.id))) for run in red],
    }
