"""The Python door: `treadle.Workspace`, whose methods are the operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.names import did_you_mean
from treadle.operations.operation import operations
from treadle.store.workspace import WorkspaceFolder, create_workspace, find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.operations.operation import Operation
    from treadle.telemetry.events import Event


class Workspace:
    """A workspace and everything that can be done in it.

    Each operation is a method: `Workspace("lab").train("bard", minutes=3)`; an operation of a noun is
    `noun_verb`, such as `config_show`. Light operations return a report. Heavy ones wait for their run and return
    what came of it as a dict; `on_event` sees each event meanwhile. Interactive ones (`sample`) return their result;
    settings may be given as keywords: `sample("bard", prompt="ROMEO:", temperature=0.7)`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """Open the workspace in `folder`, else the one `TREADLE_WORKSPACE` or the current folder leads to."""
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
    sections = {parameter.name: parameter.settings for parameter in entry.parameters() if parameter.settings}
    own = {parameter.name for parameter in entry.parameters()}

    def call(*positional: Any, on_event: Callable[[Event], None] | None = None, **named: Any) -> Any:  # noqa: ANN401
        for name in sections:
            extra = {key: named.pop(key) for key in list(named) if key not in own}
            named[name] = {**named.get(name, {}), **extra}
        arguments = (folder, *positional) if entry.needs_workspace else positional
        answer = entry.function(*arguments, **named)
        if entry.kind == "heavy":
            for event in answer.events():
                if event is not None and on_event is not None:
                    on_event(event)
            return answer.wait()
        if entry.kind == "interactive":
            result: dict[str, Any] = {}
            for event in answer:
                if on_event is not None:
                    on_event(event)
                if event.type == "result":
                    result = event.data
            return result
        return answer

    call.__name__ = entry.method
    call.__doc__ = entry.description
    return call
