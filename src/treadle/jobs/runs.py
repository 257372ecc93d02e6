"""The folder of one run: what was asked, what happened, how it ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from treadle.base.errors import DataError, NotFoundError
from treadle.base.files import new_folder, read_json, write_json, write_text
from treadle.base.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run and the little that is written into them by this room."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id, which is its folder's name."""
        return self.path.name

    @property
    def workspace_root(self) -> Path:
        """Root of the workspace that the run belongs to."""
        return self.path.parent.parent

    @property
    def events(self) -> Path:
        """The event log."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the process printed, tracebacks included."""
        return self.path / "log.txt"

    @property
    def outputs(self) -> Path:
        """Files that the run made, other than checkpoints."""
        return self.path / "outputs"

    def spec(self) -> dict[str, Any]:
        """What was asked: `kind`, `payload`, `created`, and `settings` once the recipe has resolved them."""
        try:
            spec = yaml.safe_load((self.path / "spec.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise DataError(f"The request of run {self.id} cannot be read ({error}).") from error
        if not isinstance(spec, dict) or not isinstance(spec.get("kind"), str):
            raise DataError(f"The request of run {self.id} is damaged: {self.path / 'spec.yaml'} names no kind.")
        return spec

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        """Replace the request, for instance to add the resolved settings with their origins."""
        write_text(self.path / "spec.yaml", yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True))

    def result(self) -> dict[str, Any] | None:
        """How it ended (`outcome`, and `value` or `error`), or None while it has not."""
        path = self.path / "result.json"
        return read_json(path) if path.exists() else None

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Record the end; the last thing a run's process does."""
        write_json(self.path / "result.json", dict(result))

    def process_lives(self) -> bool:
        """Whether the process that carries out this run is there (same pid and same start time)."""
        path = self.path / "process.json"
        if not path.exists():
            return False
        facts = read_json(path)
        return process_start(int(facts["pid"])) == str(facts["started"])

    def claim(self) -> None:
        """Write down that this process carries out the run."""
        write_json(self.path / "process.json", {"pid": os.getpid(), "started": process_start(os.getpid())})


def create_run(workspace: WorkspaceFolder, kind: str, payload: Mapping[str, Any]) -> RunFolder:
    """Make the folder of a new run with its request inside, all at once."""
    identity = new_id("r")
    final = workspace.runs / identity
    spec = {"kind": kind, "payload": dict(payload)}
    with new_folder(final) as folder:
        (folder / "outputs").mkdir()
        (folder / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return RunFolder(final)


def find_run(workspace: WorkspaceFolder, identity: str) -> RunFolder:
    """Find a run by its id; raises `NotFoundError`."""
    path = workspace.runs / identity
    if "/" in identity or not (path / "spec.yaml").is_file():
        raise NotFoundError(f"No run `{identity}` in this workspace; `treadle show MODEL` lists a model's runs.")
    return RunFolder(path)


def process_start(pid: int) -> str | None:
    """Start time of a process in kernel ticks, or None if there is none; with the pid it identifies a process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
