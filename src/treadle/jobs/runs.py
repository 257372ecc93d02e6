"""The folder of one run: what was asked, what happened, how it ended."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from treadle.base.errors import DataError, NotFoundError
from treadle.base.files import new_folder, read_json, write_json, write_text
from treadle.base.ids import new_id
from treadle.base.telling import MARK
from treadle.jobs.processes import process_start

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast, where PyYAML was built with it
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
TOLD = MARK.encode()
"""How lines of a log begin that are for programs; pictures are among them."""


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
    def kept(self) -> Path:
        """A mark whose time tells when something was kept last that a next attempt goes on from."""
        return self.path / "kept"

    def made_progress(self) -> bool:
        """Whether the last attempt kept something."""
        process = self.path / "process.json"
        return self.kept.exists() and process.exists() and self.kept.stat().st_mtime >= process.stat().st_mtime

    @property
    def curves(self) -> Path:
        """Folder of what was measured at each step; see `telemetry.curve_file`."""
        return self.path / "curves"

    @property
    def outputs(self) -> Path:
        """Files that the run made, other than checkpoints."""
        return self.path / "outputs"

    def spec(self) -> dict[str, Any]:
        """What was asked: `kind`, `payload`, `created`, and `settings` once the recipe has resolved them."""
        try:
            spec = yaml.load((self.path / "spec.yaml").read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a safe one
        except (OSError, yaml.YAMLError) as error:
            raise DataError(f"The request of run {self.id} cannot be read ({error}).") from error
        if not isinstance(spec, dict) or not isinstance(spec.get("kind"), str):
            raise DataError(f"The request of run {self.id} is damaged: {self.path / 'spec.yaml'} names no kind.")
        return spec

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        """Replace the request, for instance to add the resolved settings with their origins."""
        write_text(self.path / "spec.yaml", _yaml(spec))

    def result(self) -> dict[str, Any] | None:
        """How it ended (`outcome`, and `value` or `error`), or None while it has not."""
        path = self.path / "result.json"
        return read_json(path) if path.exists() else None

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Record the end; the last thing a run's process does."""
        write_json(self.path / "result.json", dict(result))

    def forget_result(self, *outcomes: str) -> None:
        """Remove the result of an earlier attempt, if it is one of `outcomes` (or whatever it is): the run goes on."""
        result = self.result()
        if result is not None and (not outcomes or result["outcome"] in outcomes):
            (self.path / "result.json").unlink()

    def process_lives(self) -> bool:
        """Whether the process that carries out this run is there (same pid and same start time)."""
        return self.process() is not None

    def process(self) -> int | None:
        """Pid of the process that carries out this run, if it is on this machine and still there."""
        path = self.path / "process.json"
        if not path.exists():
            return None
        facts = read_json(path)
        pid = int(facts["pid"])
        here = facts.get("host", socket.gethostname()) == socket.gethostname()
        return pid if here and process_start(pid) == str(facts["started"]) else None

    def claim(self, fence: int = 0) -> None:
        """Write down that this process carries out the run, in the attempt of number `fence`.

        The process of an earlier attempt must not keep anything from now on.
        """
        write_json(self.path / "fence.json", {"fence": fence})
        facts = {"host": socket.gethostname(), "pid": os.getpid(), "started": process_start(os.getpid())}
        write_json(self.path / "process.json", facts)

    def fence(self) -> int:
        """Number of the attempt that the run belongs to; 0 before the first."""
        path = self.path / "fence.json"
        return int(read_json(path)["fence"]) if path.exists() else 0


def create_run(
    workspace: WorkspaceFolder, kind: str, payload: Mapping[str, Any], job: Mapping[str, Any] | None = None
) -> RunFolder:
    """Make the folder of a new run with its request inside, all at once; `job` says where it stands in which queue."""
    identity = new_id("r")
    final = workspace.runs / identity
    spec = {"kind": kind, "payload": dict(payload)} | ({} if job is None else {"job": dict(job)})
    with new_folder(final) as folder:
        (folder / "outputs").mkdir()
        (folder / "spec.yaml").write_text(_yaml(spec), encoding="utf-8")
    return RunFolder(final)


def _yaml(spec: Mapping[str, Any]) -> str:
    return str(yaml.dump(dict(spec), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def find_run(workspace: WorkspaceFolder, identity: str) -> RunFolder:
    """Find a run by its id; raises `NotFoundError`."""
    path = workspace.runs / identity
    if "/" in identity or not (path / "spec.yaml").is_file():
        raise NotFoundError(f"No run `{identity}` in this workspace; `treadle show MODEL` lists a model's runs.")
    return RunFolder(path)
