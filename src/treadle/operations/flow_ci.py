"""Operations on runs of GitHub Actions: flow ci list, show, run, log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

_REPOSITORY = "OWNER/NAME; none = GITHUB_REPOSITORY, else the git remote origin"
_MOST = 1000


@dataclass(frozen=True, slots=True)
class CiList:
    """Runs of workflows, newest first."""

    repository: str
    runs: list[dict[str, Any]]
    """Each with id, number, attempt, workflow, title, branch, commit, event, status, conclusion, created, url."""


@dataclass(frozen=True, slots=True)
class CiDetails:
    """One run with its jobs."""

    ok: bool
    """It did not end red."""
    repository: str
    run: dict[str, Any]
    jobs: list[dict[str, Any]]
    """Each with id, name, status, conclusion, url and failed_steps."""


@dataclass(frozen=True, slots=True)
class CiStarted:
    """A workflow that was asked to run."""

    repository: str
    workflow: str
    ref: str
    inputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class CiLogged:
    """Lines that the log got."""

    repository: str
    seen: int
    """Number of runs that were looked at."""
    lines: list[str]


@operation(
    "light",
    noun="flow.ci",
    verb="list",
    needs_workspace=False,
    effect="reads",
    examples=("treadle flow ci list", "treadle flow ci list --branch main --state failure --json"),
)
def list_(
    *,
    branch: Annotated[str | None, "only runs of this branch"] = None,
    workflow: Annotated[str | None, "only runs of this workflow: the name of its file, such as ci.yml"] = None,
    state: Annotated[
        Literal["any", "success", "failure", "cancelled", "in_progress", "queued"], "only runs in this state"
    ] = "any",
    count: Annotated[int, "at most this many"] = 20,
    repository: Annotated[str | None, _REPOSITORY] = None,
) -> CiList:
    """List runs of GitHub Actions, newest first. The token comes from GITHUB_TOKEN or GH_TOKEN."""
    return CiList(**load("treadle.flow.ci_reports:listed")(repository, branch, workflow, state, _number(count)))


@operation(
    "light",
    noun="flow.ci",
    needs_workspace=False,
    effect="reads",
    examples=("treadle flow ci show 1234567890", "treadle flow ci show 1234567890 --json"),
)
def show(
    run: Annotated[int, "id of the run, as list shows it"], *, repository: Annotated[str | None, _REPOSITORY] = None
) -> CiDetails:
    """Show one run with its jobs and the steps that failed. Exit code 1 if it ended red."""
    return CiDetails(**load("treadle.flow.ci_reports:detailed")(repository, run))


@operation(
    "light",
    noun="flow.ci",
    needs_workspace=False,
    examples=("treadle flow ci run ci.yml", "treadle flow ci run release.yml --ref v1.2 --inputs dry_run=true"),
)
def run(
    workflow: Annotated[str, "workflow: the name of its file, such as ci.yml"],
    *,
    ref: Annotated[str, "branch or tag to run on"] = "main",
    inputs: Annotated[list[str], "input of the workflow as key=value; may be repeated"] = [],  # noqa: B006 - never changed
    repository: Annotated[str | None, _REPOSITORY] = None,
) -> CiStarted:
    """Start a workflow that has the trigger workflow_dispatch. The token must have the right to write actions."""
    pairs = [one.partition("=") for one in inputs]
    for key, sign, _ in pairs:
        if not sign or not key:
            raise UsageError(f"Write an input as key=value, not `{key}`.")
    given = {key: value for key, _, value in pairs}
    return CiStarted(**load("treadle.flow.ci_reports:started")(repository, workflow, ref, given))


@operation(
    "light",
    noun="flow.ci",
    needs_workspace=False,
    examples=("treadle flow ci log", "treadle flow ci log --branch main --count 50"),
)
def log(
    workspace: WorkspaceFolder | None,
    *,
    branch: Annotated[str | None, "only runs of this branch"] = None,
    count: Annotated[int, "look at this many of the newest runs"] = 20,
    repository: Annotated[str | None, _REPOSITORY] = None,
    flow: Annotated[Path | None, "folder of the notes; else TREADLE_FLOW, the workspace's, the nearest `flow`"] = None,
) -> CiLogged:
    """Write a line into the log of the notes for each red run that it does not have yet."""
    root = None if workspace is None else workspace.root
    return CiLogged(**load("treadle.flow.ci_reports:logged")(repository, branch, _number(count), flow, root))


def _number(count: int) -> int:
    if not 1 <= count <= _MOST:
        raise UsageError(f"--count must be between 1 and {_MOST}, not {count}.")
    return count
