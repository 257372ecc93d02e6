"""`treadle.Workspace("http://host:port", token=...)`: the methods of a workspace in a folder, carried out there."""

from __future__ import annotations

import dataclasses
import time
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.client.connection import Connection
from treadle.operations.methods import OperationMethods, gathered
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from treadle.operations.operation import Operation

_MOST_FILES = 10_000


class RemoteWorkspace(OperationMethods):
    """A workspace that a `treadle ui` serves.

    Each operation is a method, with the parameters and answers that it has on a workspace in a folder. Files and
    folders of this machine that are named in arguments are sent first.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        """Connect to `url`; where there are accounts, `token` is what `treadle key add` printed there."""
        self._connection = Connection(url, token)
        self._connection.json("GET", "/api/v1/session")

    @property
    def url(self) -> str:
        """Where it is served."""
        return self._connection.url

    def __repr__(self) -> str:
        return f"Workspace({self.url!r})"

    def follow(self, cursor: str = "") -> Iterator[dict[str, Any]]:
        """Everything that happens there, as it happens: `type`, `time`, `job`, `model`, `run`, `data`, `cursor`."""
        return self._connection.news(cursor)

    def _carry_out(
        self, entry: Operation, arguments: Mapping[str, Any], on_event: Callable[[Event], None] | None
    ) -> Any:  # noqa: ANN401 - each operation has its own answer
        given = {name: _sent(self._connection, value) for name, value in arguments.items() if value is not None}
        detach = bool(given.pop("detach", False))
        if entry.kind in {"interactive", "following"}:
            return gathered(_told(self._connection.events(entry.name, given)), on_event)
        answer = self._connection.json("POST", f"/api/v1/operations/{entry.name}", given)
        if entry.kind == "heavy":
            if detach:
                return {key: value for key, value in answer.items() if key != "position"}
            return gathered(_told(self._connection.events("jobs.follow", {"job": answer["job"]})), on_event)
        return _report(entry, answer)


def _sent(connection: Connection, value: Any) -> Any:  # noqa: ANN401 - any argument
    """An argument as JSON; a file or folder of this machine is sent, and its place there is named."""
    if isinstance(value, list | tuple):
        return [_sent(connection, one) for one in value]
    if not isinstance(value, Path):
        return value
    path = value.expanduser()
    if path.is_file():
        return f"upload:{connection.upload(path, path.name)}"
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file())
        if len(files) > _MOST_FILES:
            raise UsageError(
                f"{path} holds {len(files):,} files; at most {_MOST_FILES:,} are sent. Send it as one zip."
            )
        first: str | None = None
        for file in files:
            made = connection.upload(file, str(Path(path.name) / file.relative_to(path)), first)
            first = first or made
        if first is not None:
            return f"upload:{first}"
    return str(value)


def _told(events: Iterable[dict[str, Any]]) -> Iterator[Event]:
    for event in events:
        yield Event(event["type"], event.get("time", time.time()), event.get("data", {}))


def _report(entry: Operation, answer: Any) -> Any:  # noqa: ANN401 - each operation has its own report
    """The report as the operation makes it on a workspace in a folder."""
    from pydantic import TypeAdapter

    returned = typing.get_type_hints(entry.function)["return"]
    kinds: list[Any] = list(typing.get_args(returned) or (returned,))
    fitting = [kind for kind in kinds if {field.name for field in dataclasses.fields(kind)} == set(answer)]
    return TypeAdapter((fitting or kinds)[0]).validate_python(answer)
