"""Operations on the workspace and the machine: init, doctor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.workspace import create_workspace


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


@operation("light", needs_workspace=False, examples=("treadle init", "treadle init ~/workshop"))
def init(folder: Annotated[Path, "folder to make a workspace; created if need be"] = Path()) -> InitReport:
    """Make a folder a workspace, which holds all that you own: data, models, runs, notes."""
    return InitReport(str(create_workspace(folder).root))


@operation("light", needs_workspace=False, examples=("treadle doctor", "treadle doctor --json"))
def doctor() -> DoctorReport:
    """Look at this machine: processor, memory, disk, compiler, the native core, optional parts.

    Exit code 1 means that something is missing which the core needs; each finding says how to mend it.
    """
    findings: list[dict[str, Any]] = load("treadle.recipes.doctor:examine")()
    checks = [Check(**finding) for finding in findings]
    return DoctorReport(all(check.ok for check in checks if check.needed), checks)
