"""Operations on the workspace and the machine: init, demo, doctor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from treadle.base.errors import UsageError
from treadle.jobs.request import JobRequest
from treadle.operations.data import feed
from treadle.operations.models import new
from treadle.operations.operation import operation
from treadle.operations.training import train
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import SETTINGS_FILE, WorkspaceFolder, create_workspace

DEMO_MODEL = "bard"


@dataclass(frozen=True, slots=True)
class InitReport:
    """A workspace that was just made."""

    workspace: str
    """Absolute path of its folder."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of the doctor."""

    name: str
    ok: bool
    needed: bool
    """The core does not work without it."""
    found: str
    remedy: str
    """What to do if it is not ok; empty if it is."""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What this machine offers and what it lacks."""

    ok: bool
    """Nothing is missing that the core needs."""
    checks: list[Check]


@operation("light", for_assistants=False, needs_workspace=False, examples=("treadle init", "treadle init ~/workshop"))
def init(folder: Annotated[Path, "folder to make a workspace; created if need be"] = Path()) -> InitReport:
    """Make a folder a workspace, which holds all that you own: data, models, runs, notes."""
    return InitReport(str(create_workspace(folder).root))


@operation(
    "heavy", for_assistants=False, needs_workspace=False, examples=("treadle demo", "treadle demo my-demo --minutes 3")
)
def demo(
    folder: Annotated[Path, "workspace to make or to go on in"] = Path("demo"),
    *,
    minutes: Annotated[float, "how long to train"] = 1.0,
) -> JobRequest:
    """See it work: make a workspace, feed a model the plays of Shakespeare, train it, read what it writes.

    Run again, it goes on with the same model.
    """
    if not 0 < minutes < float("inf"):
        raise UsageError(f"--minutes must be greater than 0, not {minutes:g}.")
    root = folder.expanduser().resolve()
    workspace = WorkspaceFolder(root) if (root / SETTINGS_FILE).is_file() else create_workspace(root)
    if all(card.name != DEMO_MODEL for card in ModelCards(workspace).all()):
        new(workspace, DEMO_MODEL, list(load("treadle.recipes.demo:SETTINGS")), size="tiny", tokenizer="char")
    text: Path = load("treadle.data.bundled.texts:bundled_text")("shakespeare")
    with feed(workspace, DEMO_MODEL, [text]).submit() as feeding:
        feeding.wait()
    return train(workspace, DEMO_MODEL, minutes=minutes)


@operation("light", effect="reads", needs_workspace=False, examples=("treadle doctor", "treadle doctor --json"))
def doctor() -> DoctorReport:
    """Look at this machine: processor, memory, disk, compiler, the native core, optional parts.

    Exit code 1 means that something is missing which the core needs; each finding says how to mend it.
    """
    findings: list[dict[str, Any]] = load("treadle.recipes.doctor:examine")()
    checks = [Check(**finding) for finding in findings]
    return DoctorReport(all(check.ok for check in checks if check.needed), checks)
