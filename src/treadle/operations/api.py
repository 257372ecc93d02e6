"""The Python door: `treadle.Workspace`, whose methods are the operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from treadle.base.errors import UsageError
from treadle.operations.heavy import call, facts
from treadle.operations.methods import OperationMethods, gathered
from treadle.registry.catalogue import load
from treadle.store.workspace import create_workspace, find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from treadle.jobs.handle import QueuedJob
    from treadle.operations.operation import Operation
    from treadle.telemetry.events import Event


class Workspace(OperationMethods):
    """A workspace and everything that can be done in it.

    Each operation is a method: `Workspace("lab").train("bard", minutes=3)`; an operation of a noun is
    `noun_verb`, such as `config_show`. Light operations return a report. Heavy ones queue a job, wait for it and
    return what came of it as a dict; `on_event` sees each event meanwhile. An interrupted wait loses nothing: the job
    goes on, and `jobs_follow` comes back to it; with `detach=True` there is no wait. Interactive ones (`sample`) return
    their result; settings may be given as keywords: `sample("bard", prompt="ROMEO:", temperature=0.7)`.
    """

    def __new__(cls, folder: str | Path | None = None, *, token: str | None = None) -> Self:
        """Open a workspace in a folder, or one that a `treadle ui` serves if `folder` is its address."""
        if isinstance(folder, str) and folder.startswith(("http://", "https://")):
            remote: Self = load("treadle.client.workspace:RemoteWorkspace")(folder, token)
            return remote
        if token is not None:
            raise UsageError("A token opens a workspace at an address, such as http://127.0.0.1:8080, not a folder.")
        return super().__new__(cls)

    def __init__(self, folder: str | Path | None = None, *, token: str | None = None) -> None:  # noqa: ARG002 - see __new__
        """Open the workspace in `folder`, else the one `TREADLE_WORKSPACE` or the current folder leads to.

        `folder` may be the address of a `treadle ui`; where that has accounts, `token` is one of its keys.
        """
        self._folder = find_workspace(None if folder is None else Path(folder))

    @classmethod
    def create(cls, folder: str | Path) -> Workspace:
        """Make `folder` a workspace and open it."""
        return cls(create_workspace(Path(folder)).root)

    @property
    def root(self) -> Path:
        """The workspace's folder."""
        return self._folder.root

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    def _carry_out(
        self, entry: Operation, arguments: Mapping[str, Any], on_event: Callable[[Event], None] | None
    ) -> Any:  # noqa: ANN401 - each operation has its own answer
        answer = call(entry, self._folder, arguments)
        if entry.kind in {"heavy", "following"}:
            return _waited(answer, on_event, detach=arguments.get("detach", False))
        return gathered(answer, on_event) if entry.kind == "interactive" else answer


def _waited(job: QueuedJob, on_event: Callable[[Event], None] | None, *, detach: bool) -> dict[str, Any]:
    """Follow a job to its end. Whatever goes wrong here, an interruption too, the job goes on."""
    with job:
        if detach:
            return facts(job)
        for event in job.events():
            if event is not None and on_event is not None:
                on_event(event)
        return job.answer()
