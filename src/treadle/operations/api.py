"""The Python door: `treadle.Workspace`, whose methods are the operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean
from treadle.operations.arguments import python_arguments, python_signature
from treadle.operations.heavy import call, facts
from treadle.operations.operation import operations
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder, create_workspace, find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from treadle.jobs.handle import QueuedJob
    from treadle.operations.operation import Operation
    from treadle.telemetry.events import Event


class Workspace:
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

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_methods()]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        entry = _methods().get(name)
        if entry is None:
            raise AttributeError(f"A Workspace has no `{name}`.{did_you_mean(name, _methods())}")
        return _method(entry, self._folder)


def _methods() -> dict[str, Operation]:
    return {entry.method: entry for entry in operations().values()}


def _method(entry: Operation, folder: WorkspaceFolder) -> Callable[..., Any]:
    def method(*positional: Any, **named: Any) -> Any:  # noqa: ANN401 - each operation has its own types
        on_event = named.pop("on_event", None) if entry.kind != "light" else None
        arguments = python_arguments(entry, positional, named)
        answer = call(entry, folder, arguments)
        if entry.kind in {"heavy", "following"}:
            return _waited(answer, on_event, detach=arguments.get("detach", False))
        return _gathered(answer, on_event) if entry.kind == "interactive" else answer

    method.__name__ = entry.method
    method.__doc__ = entry.description
    setattr(method, "__signature__", python_signature(entry))  # noqa: B010 - what `inspect` and `help` ask for
    return method


def _waited(job: QueuedJob, on_event: Callable[[Event], None] | None, *, detach: bool) -> dict[str, Any]:
    """Follow a job to its end. Whatever goes wrong here, an interruption too, the job goes on."""
    with job:
        if detach:
            return facts(job)
        for event in job.events():
            if event is not None and on_event is not None:
                on_event(event)
        return job.answer()


def _gathered(events: Iterator[Event], on_event: Callable[[Event], None] | None) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for event in events:
        if on_event is not None:
            on_event(event)
        if event.type == "result":
            result = event.data
    return result
