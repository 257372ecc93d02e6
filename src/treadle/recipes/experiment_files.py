"""Where an experiment lies: `experiments/NAME/` with its plan, one result for each cell and seed, and its report.

Imports little: lists and reports of experiments are read through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError
from treadle.base.files import read_json, write_json
from treadle.base.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

FOLDER = "experiments"


@dataclass(frozen=True, slots=True)
class ExperimentFiles:
    """Paths of one experiment, and what is read and written there."""

    path: Path

    @classmethod
    def of(cls, workspace: WorkspaceFolder, name: str) -> ExperimentFiles:
        """The experiment called `name`, which need not exist yet."""
        return cls(workspace.root / FOLDER / name)

    @classmethod
    def all(cls, workspace: WorkspaceFolder) -> list[ExperimentFiles]:
        """All experiments, by name."""
        found = [cls(path.parent) for path in sorted((workspace.root / FOLDER).glob("*/plan.json"))]
        return [files for files in found if not files.name.startswith(".")]

    @classmethod
    def find(cls, workspace: WorkspaceFolder, name: str) -> ExperimentFiles:
        """The experiment called `name`; raises `NotFoundError` with the known ones."""
        files = cls.of(workspace, name)
        if "/" in name or not files.exists():
            known = [other.name for other in cls.all(workspace)]
            said = f"Known: {', '.join(known)}." if known else "There is none yet."
            raise NotFoundError(f"No experiment `{name}`.{did_you_mean(name, known)} {said}")
        return files

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.path.name

    @property
    def lock(self) -> Path:
        """Held by the one job that carries it out."""
        return self.path / ".lock"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / "report.md"

    @property
    def numbers(self) -> Path:
        """The report's figures."""
        return self.path / "report.json"

    def exists(self) -> bool:
        """Whether there is a plan."""
        return (self.path / "plan.json").is_file()

    def plan(self) -> dict[str, Any]:
        """What is to be done."""
        found: dict[str, Any] = read_json(self.path / "plan.json")
        return found

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Replace the plan."""
        write_json(self.path / "plan.json", dict(plan))

    def results(self) -> dict[str, dict[str, Any]]:
        """What came of each cell and seed so far, by key."""
        return {path.stem: read_json(path) for path in sorted((self.path / "cells").glob("*.json"))}

    def write_result(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep what came of one cell and seed."""
        write_json(self.path / "cells" / f"{key}.json", dict(result))
